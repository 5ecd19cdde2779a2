//! Requests at fixed times, and how long each took from the time when it should have been sent.
//!
//! A client that waits for its answer before it asks again asks less while a proxy stalls, and so measures the stall once
//! instead of for everybody it would have met. Here the times are fixed beforehand; a request that could not be sent
//! because the one before it was late has waited too, and that counts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Aim;
use super::client::{self, Http1, Target};
use crate::{Fault, say};

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    aim: Aim,
    /// Requests per second, over all connections
    #[arg(long, default_value_t = 2000.0)]
    rate: f64,
    /// Kept connections, used in turn
    #[arg(long, default_value_t = 32)]
    connections: usize,
}

/// Latencies that count, and failures.
#[derive(Default)]
struct Seen {
    nanos: RefCell<Vec<u64>>,
    failed: Cell<u64>,
}

/// For the last answers, after the last request.
const GRACE: Duration = Duration::from_secs(2);

/// Asks at the rate, says `begin` after the warm-up, and tells the latencies.
pub(crate) async fn run(options: &Options) -> Result<(), Fault> {
    // The kernel may let a sleeper sleep 50 us longer, to save energy. Threads inherit this; without it, all are late alike.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let target = Target::of(&options.aim)?;
    let seen = Rc::new(Seen::default());
    let mut kept = Vec::new();
    for client in 0..options.connections {
        let mut sender = target.open().await?;
        client::ask_small(&mut sender, client).await?;
        kept.push(sender);
    }
    let first = Instant::now() + Duration::from_millis(10);
    let counted_from = first + Duration::from_secs_f64(options.aim.warm_up);
    let mut lines = Vec::new();
    let mut clients = JoinSet::new();
    for (client, sender) in kept.into_iter().enumerate() {
        let (line, times) = mpsc::unbounded_channel();
        lines.push(line);
        clients.spawn_local(ask_at(times, target.clone(), sender, seen.clone(), client, counted_from));
    }
    let Aim { warm_up, seconds, at_most, .. } = options.aim;
    let rate = options.rate;
    let requests = ((rate * (warm_up + seconds)) as u64).min(at_most);
    // A thread that only sleeps wakes up exactly; the runtime's timer knows milliseconds.
    std::thread::spawn(move || {
        for index in 0..requests {
            let intended = first + Duration::from_secs_f64(index as f64 / rate);
            std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            let _ = lines[index as usize % lines.len()].send(intended);
        }
    });
    tokio::time::sleep_until(counted_from.into()).await;
    say("begin");
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let span = began.elapsed().as_secs_f64();
    let _ = timeout(GRACE, async { while clients.join_next().await.is_some() {} }).await;
    let mut nanos = seen.nanos.take();
    nanos.sort_unstable();
    let due = (rate * seconds) as u64;
    let unanswered = due.saturating_sub(nanos.len() as u64 + 1);
    let at = |share: f64| {
        let index = ((nanos.len() as f64 * share).ceil() as usize).saturating_sub(1);
        nanos.get(index).map_or(0.0, |nanos| *nanos as f64 / 1e6)
    };
    let told = json!({
        "seconds": span,
        "requests": nanos.len(),
        "failed": seen.failed.get().max(unanswered),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "p999_ms": at(0.999),
        "max_ms": at(1.0),
    });
    say(&told.to_string());
    Ok(())
}

async fn ask_at(
    mut times: mpsc::UnboundedReceiver<Instant>,
    target: Target,
    sender: Http1,
    seen: Rc<Seen>,
    client: usize,
    counted_from: Instant,
) {
    let mut kept = Some(sender);
    while let Some(intended) = times.recv().await {
        let done = async {
            let mut sender = match kept.take() {
                Some(sender) => sender,
                None => target.open().await?,
            };
            client::ask_small(&mut sender, client).await?;
            kept = Some(sender);
            Ok::<(), Fault>(())
        };
        match done.await {
            Ok(()) if intended >= counted_from => {
                let nanos = u64::try_from(intended.elapsed().as_nanos()).unwrap_or(u64::MAX);
                seen.nanos.borrow_mut().push(nanos);
            }
            Ok(()) => {}
            Err(_) => seen.failed.set(seen.failed.get() + 1),
        }
    }
}
