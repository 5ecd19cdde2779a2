//! A region's origin: a process of its own, so that it can be killed and stopped as processes are.
//!
//! It does what requests ask for, says on its standard output what it carried out, before it answers, and breaks in the ways
//! that it is told to on its standard input. It ends with its input, and so with whoever started it.

mod answers;
mod behaviour;
mod serve;

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

pub(crate) use behaviour::Order;

use crate::Failure;
use behaviour::Behaviour;

/// The field that says which region answered.
pub(crate) const REGION_FIELD: &str = "x-matrix-region";
/// Where probes ask.
pub(crate) const HEALTH_PATH: &str = "/healthz";
/// Answers with as many bytes as it is told.
pub(crate) const BYTES_PATH: &str = "/bytes/";
/// Takes a body and answers with its length.
pub(crate) const TAKE_PATH: &str = "/take";
/// Answers in pieces, over a second.
pub(crate) const STREAM_PATH: &str = "/live/stream";
/// Switches to WebSocket and echoes.
pub(crate) const WEBSOCKET_PATH: &str = "/live/websocket";
/// A gRPC method that echoes.
pub(crate) const GRPC_PATH: &str = "/matrix.Echo/Call";

/// Pieces of a streaming answer, their size, and the time between two.
pub(crate) const STREAM_PIECES: usize = 20;
pub(crate) const STREAM_PIECE_BYTES: usize = 512;
pub(crate) const STREAM_GAP_MS: u64 = 50;

/// What an origin is started with.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The region's name
    #[arg(long)]
    region: String,
    /// A folder with origin.pem, origin.key, and stranger.pem, stranger.key for when TLS is broken
    #[arg(long)]
    tls: Option<PathBuf>,
}

/// Serves until its input ends.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let behaviour = Arc::new(Behaviour::new(options.region.clone()));
    let (leave, leaving) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let orders = behaviour.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match line.parse::<Order>() {
                Ok(Order::Leave) => {
                    leave.send_replace(true);
                }
                Ok(order) => orders.obey(&order),
                Err(()) => {}
            }
        }
        std::process::exit(0);
    });
    runtime.block_on(serve::serve(behaviour, options.tls.as_deref(), leaving))
}
