//! nearside from outside: the real binary, real sockets, origins that do as they are told.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod access_log;
mod access_tls;
mod affinity;
mod api;
mod attempts;
mod bad_input;
mod bounds;
mod browsers;
mod changes;
mod cities;
mod commands;
mod confirming;
mod control;
mod decisions;
mod demo;
mod diagnostics;
mod draining;
mod events;
mod failover;
mod following;
mod health;
mod house;
mod kept;
mod listeners;
mod locate;
mod looking;
mod loops;
mod operated;
mod operator;
mod origins;
mod pace;
mod peers;
mod pools;
mod probing;
mod prometheus;
mod protocols;
mod publishing;
mod reference;
mod requests;
mod routing;
mod stopping;
mod supervised;
mod surfaces;
mod timeouts;
mod tls;
mod tracing;
mod travel;
mod trials;
mod uplink;

use testkit::{Edge, EdgeBuilder, Origin, table};

/// The binary under test.
const NEARSIDE: &str = env!("CARGO_BIN_EXE_nearside");

/// An edge in front of one origin.
async fn edge_before(origin: &Origin) -> Edge {
    EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])])).start().await
}

/// Says loudly that a test needs what is not here. Not `eprintln`: the harness would swallow what a passing test prints.
fn skipped(what: &str, needs: &str) {
    let told = format!("SKIPPED: {what} needs {needs}\n");
    std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
}
