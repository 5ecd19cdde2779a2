//! The load generator, for what h2load and wrk cannot do.
//!
//! Every way of asking is bounded by time and number, and speaks with the script in lines: `begin` when the warm-up is
//! over, then one line of JSON with what happened until the end. One thread; its processor is shared with the origin.

mod check;
mod client;
mod closed;
mod idle;
mod latency;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Compare answers byte by byte: plain, TLS and HTTP/2; small, large and upload
    Check(check::Options),
    /// A new connection for each request; with TLS, a full handshake for each
    Connect(closed::Options),
    /// Bodies of 1 MiB over kept connections
    Upload(closed::Options),
    /// Connections that stay open after one request each, until stdin is closed
    Idle(idle::Options),
    /// Users who think between requests, each with a connection of his own
    Users(users::Options),
    /// Requests at fixed times, whatever happened to those before
    Latency(latency::Options),
}

/// Who is asked, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Aim {
    /// The contestant
    #[arg(long)]
    address: SocketAddr,
    /// Its certificate, PEM; with it, TLS is spoken
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Seconds before anything counts
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Seconds that count
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// No more requests than this, whatever the time
    #[arg(long, default_value_t = 5_000_000)]
    at_most: u64,
}

/// The longest that a request may take before it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(load: &Load) -> Result<(), Fault> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        match load {
            Load::Check(options) => check::run(options).await,
            Load::Connect(options) => closed::connect(options).await,
            Load::Upload(options) => closed::upload(options).await,
            Load::Idle(options) => idle::run(options).await,
            Load::Users(options) => users::run(options).await,
            Load::Latency(options) => latency::run(options).await,
        }
    })
}
