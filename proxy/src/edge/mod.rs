//! One running edge: its threads, and how they start and stop.
//!
//! Workers serve clients, the prober asks origins, the control thread answers operators and watches files. They meet in the
//! snapshot and in bounded channels; none waits for another.

mod health;
mod operators;
mod origin_files;
mod publishes;
mod pulse;
mod sockets;
mod starting;
mod tending;
mod working;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use control::publisher::Publisher;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use publishes::Publishes;
pub use starting::StartError;

use crate::observe::{Outlets, Shard, Tally};

/// A running edge. Dropped, it stops at once; see [`Edge::stop`].
#[derive(Debug)]
pub struct Edge {
    /// Where clients connect, in the order of the settings.
    pub listeners: Vec<SocketAddr>,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Where load balancers and Prometheus connect.
    pub health: SocketAddr,
    publisher: Arc<Publisher>,
    shards: Vec<Arc<Shard>>,
    phase: watch::Sender<Phase>,
    readiness_grace: Duration,
    stop_prober: watch::Sender<bool>,
    reload: mpsc::Sender<oneshot::Sender<()>>,
    outlets: Outlets,
    workers: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
}

/// What an edge is doing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    /// It serves.
    Serving,
    /// It serves, and says that it is not ready.
    Leaving,
    /// It finishes what runs and takes nothing new.
    Draining,
    /// It is gone.
    Stopped,
}

impl Edge {
    /// The publisher, for whoever runs this edge in its own process.
    #[must_use]
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// A counter of the attempts that were made at a region, for whoever runs this edge in its own process.
    pub fn attempts_at(&self, region: &str) -> impl Fn() -> u64 + Send + use<> {
        let series: Vec<_> = self.shards.iter().map(|shard| shard.region(region)).collect();
        move || series.iter().flat_map(|series| series.attempts.as_flattened()).map(Tally::get).sum()
    }

    /// Reads the table, the certificates and the databases again, and returns when that is done.
    pub async fn reload(&self) {
        let (done, is_done) = oneshot::channel();
        if self.reload.send(done).await.is_ok() {
            let _ = is_done.await;
        }
    }

    /// Opens the access log's file anew, after it was renamed.
    pub fn reopen_log(&self) {
        self.outlets.reopen_log();
    }

    /// Says, each time it is asked, whether all workers have done something since it was last asked, or need not any more.
    pub fn pulse(&self) -> impl FnMut() -> bool + Send + use<> {
        pulse::pulse(self.phase.subscribe(), self.shards.clone())
    }

    /// Stops in good order: says that it is not ready, and after the readiness grace takes no new clients, lets running
    /// requests finish, and returns when all are done or the drain timeout has passed.
    pub fn stop(mut self) {
        self.phase.send_replace(Phase::Leaving);
        std::thread::sleep(self.readiness_grace);
        self.phase.send_replace(Phase::Draining);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        self.outlets.finish();
        self.end();
        for other in self.others.drain(..) {
            let _ = other.join();
        }
    }

    fn end(&self) {
        self.phase.send_replace(Phase::Stopped);
        self.stop_prober.send_replace(true);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.end();
    }
}
