//! Connections that do nothing, for what they cost in memory.
//!
//! Each makes one request first: a proxy may keep more for a connection that has been used than for a fresh one, and
//! those that idle in life have been used.

use std::io::Read;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Aim;
use super::client::{self, Http1, Target};
use crate::{Fault, say};

/// Connections being opened at the same time.
const AT_ONCE: usize = 32;

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    aim: Aim,
    /// Connections
    #[arg(long, default_value_t = 4000)]
    connections: usize,
}

/// Opens them, says `begin`, and holds them until stdin is closed or the time is over.
pub(crate) async fn run(options: &Options) -> Result<(), Fault> {
    let target = Target::of(&options.aim)?;
    let mut opening: JoinSet<Result<Http1, String>> = JoinSet::new();
    let (mut held, mut failed, mut next) = (Vec::with_capacity(options.connections), 0_u64, 0);
    loop {
        while next < options.connections && opening.len() < AT_ONCE {
            let (target, client) = (target.clone(), next);
            opening
                .spawn_local(async move { open(&target, client).await.map_err(|fault| fault.to_string()) });
            next += 1;
        }
        match opening.join_next().await {
            Some(Ok(Ok(sender))) => held.push(sender),
            Some(_) => failed += 1,
            None => break,
        }
    }
    say("begin");
    let limit = Duration::from_secs_f64(options.aim.seconds);
    let _ = tokio::time::timeout(limit, closed_stdin().recv()).await;
    let open = held.iter().filter(|sender| !sender.is_closed()).count();
    say(&json!({ "connections": open, "failed": failed + (held.len() - open) as u64 }).to_string());
    Ok(())
}

async fn open(target: &Target, client: usize) -> Result<Http1, Fault> {
    let mut sender = target.open().await?;
    client::ask_small(&mut sender, client).await?;
    Ok(sender)
}

/// A channel that closes when stdin does. A thread of its own, because a runtime would wait for the read when it ends.
fn closed_stdin() -> mpsc::Receiver<()> {
    let (held, closed) = mpsc::channel(1);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(held);
    });
    closed
}
