//! nearside from outside: the real binary, real sockets, origins that do as they are told.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bounds;
mod cities;
mod control;
mod demo;
mod draining;
mod failover;
mod house;
mod listeners;
mod locate;
mod probing;
mod protocols;
mod publishing;
mod requests;
mod stopping;
mod supervised;
mod surfaces;
mod tls;

use testkit::{Edge, EdgeBuilder, Origin, table};

/// The binary under test.
const NEARSIDE: &str = env!("CARGO_BIN_EXE_nearside");

/// An edge in front of one origin.
async fn edge_before(origin: &Origin) -> Edge {
    EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])])).start().await
}
