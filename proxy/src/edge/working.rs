//! The thread of a worker: its event loop, what runs on it, and how it ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::Phase;
use super::sockets::Socket;
use crate::accept::{self, Listening};
use crate::worker::{self, Worker};

/// How long requests are held at the start for the first probes.
const FIRST_ROUND: Duration = Duration::from_millis(500);

/// Randomness for ids and for choices between equals; nothing that anybody must not guess.
pub(super) fn seed(index: usize) -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the workers at least differ from each other and from other starts.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = (std::process::id() as u64).to_le_bytes();
    }
    u64::from_le_bytes(bytes) ^ (index as u64) << 32
}

/// Serves this thread's share of the clients until the edge stops.
pub(super) fn run(
    parts: worker::Parts,
    sockets: Vec<Socket>,
    mut phase: watch::Receiver<Phase>,
    mut probed: watch::Receiver<bool>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let runtime = runtime.expect("a thread that has started gets its event loop");
    let connections = parts.settings.limits.connections.div_ceil(parts.settings.workers);
    let drain_timeout = parts.settings.limits.drain_timeout;
    runtime.block_on(async move {
        let worker = Worker::new(parts);
        tokio::task::spawn_local(worker::maintain(worker.clone()));
        tokio::task::spawn_local(worker::follow_health(worker.clone(), worker.health()));
        // Clients wait in the kernel's queue meanwhile.
        let _ = timeout(FIRST_ROUND, probed.wait_for(|probed| *probed)).await;
        let room = Arc::new(Semaphore::new(connections));
        let mut accepting = tokio::task::JoinSet::new();
        for Socket { listener, tls, http2_prior_knowledge, proxy_protocol_from, is_inherited } in sockets {
            let port = listener.local_addr().map_or(0, |address| address.port());
            let listening =
                Rc::new(Listening { port, tls, http2_prior_knowledge, proxy_protocol_from, is_inherited });
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    accepting.spawn_local(accept::serve(worker.clone(), listener, listening, room.clone()));
                }
                Err(error) => tracing::error!(%error, "a listener cannot be served"),
            }
        }
        if phase.wait_for(|phase| *phase != Phase::Serving).await.is_err() {
            return;
        }
        worker.stopping.leave();
        if phase.wait_for(|phase| *phase > Phase::Leaving).await.is_err() {
            return;
        }
        worker.stopping.begin();
        let all_gone = async {
            while accepting.join_next().await.is_some() {}
            while room.available_permits() < connections {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = timeout(drain_timeout, all_gone) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Stopped) => {}
        }
        if let Some(log) = &worker.log {
            log.flush();
        }
    });
}
