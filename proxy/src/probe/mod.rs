//! Is it alive, and how far is it? Asked all the time, on a thread of its own.
//!
//! Probes must be on time while the workers are busy, or load would look like death; so they have their own thread, and it
//! watches its own lateness: a verdict that being late could explain is no verdict. What is learnt goes three ways: health to
//! the board that decisions read, round trips once a second into the ranking, addresses of named origins to whoever
//! connects. What workers tell of requests comes together here too: a placement may answer probes and fail requests.
//!
//! Here is only the doing. What an answer or a silence means is decided by `steer::health` and `steer::ranking`.

mod ask;
mod demand;
mod grpc;
mod keeper;
mod latencies;
mod outcomes;
mod placements;
mod references;
mod resolve;
mod rounds;
mod series;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use control::publisher::Publisher;
use steer::health::Silence;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use keeper::Keeper;
pub(crate) use series::{ProbeSeries, RESULTS as PROBE_RESULTS};

use crate::worker::{Failure, OriginTlsStore};

/// How often health is looked at without an event: ramps grow, holds end.
const HEALTH_TICK: Duration = Duration::from_millis(100);
/// How often workers' counts are looked at while there is anything to see, and otherwise.
const BUSY_TICK: Duration = Duration::from_millis(10);
const IDLE_TICK: Duration = Duration::from_millis(100);
/// How often the ranking is advanced.
const RANKING_TICK: Duration = Duration::from_secs(1);
/// How often it is advanced while the first measurements come in.
const EARLY_RANKING_TICK: Duration = Duration::from_millis(100);
/// How long measurements count as the first.
const EARLY: Duration = Duration::from_secs(3);

/// What the prober is made of.
pub(crate) struct Parts {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) origin_tls: Arc<OriginTlsStore>,
    pub(crate) failures: mpsc::Receiver<Failure>,
    pub(crate) series: Arc<ProbeSeries>,
    /// Set once every placement was heard of, or has proved silent.
    pub(crate) first_round: watch::Sender<bool>,
    pub(crate) stop: watch::Receiver<bool>,
    /// Makes this PoP's ramps differ from other PoPs'.
    pub(crate) seed: u64,
    /// Whom to ask when no origin answers.
    pub(crate) references: Vec<SocketAddr>,
}

/// Starts the prober's thread.
pub(crate) fn start(parts: Parts) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("prober".to_owned()).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
        runtime.expect("a thread that has started gets its event loop").block_on(run(parts));
    })
}

async fn run(parts: Parts) {
    let Parts { publisher, origin_tls, mut failures, series, first_round, mut stop, seed, references } =
        parts;
    let mut tables = publisher.tables();
    let keeper = Rc::new(Keeper::new(publisher, series, seed));
    let mut rounds = rounds::Rounds::new(keeper.clone(), origin_tls);
    let resolver = resolve::Resolver::new(keeper.clone());
    rounds.reconcile();
    let mut resolving = resolver.reconcile();
    let started = Instant::now();
    let mut health = interval(HEALTH_TICK);
    health.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_ranking = started;
    let mut next_look = started;
    tokio::task::spawn_local(references::ask(keeper.clone(), references));
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            changed = tables.changed() => {
                if changed.is_err() {
                    return;
                }
                rounds.reconcile();
                resolving = resolver.reconcile();
            }
            Some(failure) = failures.recv() => {
                if let Some(origin) = keeper.failed(&failure) {
                    rounds.burst(&origin);
                }
            }
            () = tokio::time::sleep_until(next_look) => {
                let is_busy = keeper.take_answers();
                next_look = Instant::now() + if is_busy { BUSY_TICK } else { IDLE_TICK };
            }
            _ = health.tick() => {
                let (silence, urgent) = keeper.tick();
                if silence == Silence::AskAll {
                    rounds.ask_now(|_| true);
                } else if !urgent.is_empty() {
                    rounds.ask_now(|origin| urgent.contains(&origin.placement));
                }
                if !*first_round.borrow() && keeper.is_first_round_over() {
                    first_round.send_replace(true);
                }
            }
            () = tokio::time::sleep_until(next_ranking) => {
                keeper.rank();
                let is_early = started.elapsed() < EARLY;
                next_ranking = Instant::now() + if is_early { EARLY_RANKING_TICK } else { RANKING_TICK };
            }
        }
        // Tasks of names that are gone ended with the former value.
        let _ = &resolving;
    }
}
