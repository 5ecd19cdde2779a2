//! The clients: requests at fixed times, whatever became of those before.
//!
//! A client that waits for its answer before it asks again asks less while a proxy stalls, and so measures the stall once
//! instead of for everybody it would have met. Here the times are fixed beforehand, and what a request took counts from the
//! time when it was due. Nothing is ever repeated here: what fails has failed.

mod grpc;
mod http1;
mod networks;
mod outcome;
mod schedule;
mod upload;
mod websocket;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) use outcome::{End, Outcome};
pub(crate) use schedule::{Due, Method, schedule};

use crate::clock::Clock;
use outcome::Slot;

/// No client waits longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The host of all requests but gRPC calls, and the host of those.
pub(crate) const HOST: &str = "app.test";
pub(crate) const GRPC_HOST: &str = "grpc.test";

/// Where clients connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    /// HTTP/1.1.
    pub(crate) http: SocketAddr,
    /// HTTP/2 without TLS.
    pub(crate) grpc: SocketAddr,
}

/// A run of the load; ends by itself.
pub(crate) struct Load {
    thread: JoinHandle<Vec<Outcome>>,
}

impl Load {
    /// Starts the clients, on threads of their own.
    pub(crate) fn start(doors: Doors, dues: Vec<Due>, clock: Clock) -> Self {
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(run(doors, dues, clock)),
                Err(_) => Vec::new(),
            }
        });
        Self { thread }
    }

    /// Whether all has been answered or given up.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// What became of every request, in the order in which they were due.
    pub(crate) fn outcomes(self) -> Vec<Outcome> {
        self.thread.join().unwrap_or_default()
    }
}

async fn run(doors: Doors, dues: Vec<Due>, clock: Clock) -> Vec<Outcome> {
    let (sender, mut due) = mpsc::unbounded_channel();
    // A thread that only sleeps wakes up exactly; the runtime's timer knows milliseconds.
    std::thread::spawn(move || {
        // The kernel may let a sleeper sleep 50 us longer, to save energy.
        let _ = std::fs::write("/proc/thread-self/timerslack_ns", "1");
        for due in dues {
            std::thread::sleep(clock.at(due.at_ms).saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    let clients = Clients {
        http: http1::Pool::new(doors.http),
        grpc: grpc::Channel::new(doors.grpc),
        large: Arc::new(vec![b'z'; upload::LARGE]),
        doors,
        clock,
    };
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let mut running = JoinSet::new();
    while let Some(due) = due.recv().await {
        let late_ms = clock.now_ms() - due.at_ms;
        let (clients, outcomes) = (clients.clone(), outcomes.clone());
        running.spawn(async move {
            let outcome = clients.ask(due, late_ms).await;
            outcomes.lock().expect("nobody panics with it").push(outcome);
        });
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
    let mut outcomes = std::mem::take(&mut *outcomes.lock().expect("nobody panics with it"));
    outcomes.sort_by_key(|outcome| outcome.id);
    outcomes
}

#[derive(Clone)]
struct Clients {
    http: http1::Pool,
    grpc: grpc::Channel,
    large: Arc<Vec<u8>>,
    doors: Doors,
    clock: Clock,
}

impl Clients {
    async fn ask(&self, due: Due, late_ms: f64) -> Outcome {
        let slot = Slot::new(due, late_ms, self.clock);
        let asked = async {
            match due.method {
                Method::Grpc => self.grpc.call(&due, &slot).await,
                Method::LargePost => upload::send(self.doors.http, &due, &self.large, &slot).await,
                Method::WebSocket => websocket::talk(self.doors.http, &due, &slot).await,
                _ => self.http.ask(&due, &slot).await,
            }
        };
        let end = tokio::time::timeout(PATIENCE, asked).await;
        slot.over(end.unwrap_or(End::Hung))
    }
}
