//! When to ask: every origin at its interval, whether or not the last answer has come; at once and thrice when one is
//! suspect.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use control::vitals::OriginKey;
use steer::Span;
use steer::draw::{Rng, name_hash};
use steer::ids::OriginId;
use steer::spec::ProbeKind;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ask::{Answer, Asker, Connected};
use super::keeper::Keeper;
use crate::worker::OriginTlsStore;

/// Probes of one origin that may be under way at once: a silent one is asked again before its last probe has timed out.
const MAX_OVERLAP: usize = 16;
/// Probes that settle a suspicion, and the time between them.
const BURST: u32 = 3;
const BURST_GAP: Duration = Duration::from_millis(10);
/// Intervals vary by this share, so that edges do not ask in step.
const JITTER: f64 = 0.10;

/// The probing of all origins of the current table.
pub(super) struct Rounds {
    keeper: Rc<Keeper>,
    tls: Arc<OriginTlsStore>,
    running: BTreeMap<OriginKey, Running>,
}

struct Running {
    asker: Rc<Asker>,
    task: AbortHandle,
}

impl Rounds {
    pub(super) fn new(keeper: Rc<Keeper>, tls: Arc<OriginTlsStore>) -> Self {
        Self { keeper, tls, running: BTreeMap::new() }
    }

    /// Fits the probing to the current table. What has not changed goes on undisturbed.
    pub(super) fn reconcile(&mut self) {
        self.keeper.reconcile();
        let snapshot = self.keeper.snapshot();
        let table = snapshot.table();
        let mut wanted = BTreeMap::new();
        for (id, vitals) in (0..).map_while(OriginId::new).zip(&snapshot.vitals.origins) {
            let pool = table.pool(table.placement(table.origin(id).placement).pool);
            let transport = self.tls.transport(table, id);
            let running = self.running.remove(&vitals.key).filter(|running| {
                Arc::ptr_eq(&running.asker.origin, vitals) && running.asker.asks(&pool.probe, &transport)
            });
            let running = running.unwrap_or_else(|| {
                let asker = Asker::new(vitals.clone(), pool.probe.clone(), transport);
                let task = tokio::task::spawn_local(ask_on_and_on(self.keeper.clone(), asker.clone()));
                Running { asker, task: task.abort_handle() }
            });
            wanted.insert(vitals.key.clone(), running);
        }
        self.running = wanted;
    }

    /// Settles a suspicion that a request raised.
    pub(super) fn burst(&self, key: &OriginKey) {
        if let Some(running) = self.running.get(key) {
            burst(&self.keeper, &running.asker);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask_on_and_on(keeper: Rc<Keeper>, asker: Rc<Asker>) {
    let interval = Duration::from(asker.probe().interval);
    let mut rng = Rng::new(name_hash(&asker.origin.key.address) ^ keeper.clock().now().as_nanos());
    let under_way = Rc::new(());
    let mut due = Instant::now();
    loop {
        sleep_until(due).await;
        keeper.series.late(due.elapsed().as_secs_f64());
        if Rc::strong_count(&under_way) <= MAX_OVERLAP {
            let (keeper, asker, guard) = (keeper.clone(), asker.clone(), under_way.clone());
            tokio::task::spawn_local(async move {
                let _guard = guard;
                if ask_once(&keeper, &asker, false).await {
                    burst(&keeper, &asker);
                }
            });
        }
        let spread = 1.0 + JITTER * (f64::from(rng.below(2001)) / 1000.0 - 1.0);
        // A round that was missed is missed; catching up would be a burst at whoever is slow already.
        due = Instant::now().max(due) + interval.mul_f64(spread);
    }
}

fn burst(keeper: &Rc<Keeper>, asker: &Rc<Asker>) {
    let (keeper, asker) = (keeper.clone(), asker.clone());
    tokio::task::spawn_local(async move {
        for _ in 0..BURST {
            let (keeper, asker) = (keeper.clone(), asker.clone());
            tokio::task::spawn_local(async move {
                ask_once(&keeper, &asker, true).await;
            });
            sleep(BURST_GAP).await;
        }
    });
}

/// Asks once, over a warm connection if there is one or, when `fresh`, over a new one. Whether the origin has just become
/// suspect.
async fn ask_once(keeper: &Keeper, asker: &Asker, fresh: bool) -> bool {
    let origin = &asker.origin;
    let region = origin.key.placement.region.as_str();
    let patience = keeper.probe_timeout(&origin.key);
    let clock = keeper.clock();
    let started = clock.now();
    let may_be_warm = !fresh && asker.probe().kind != ProbeKind::Tcp;
    let warm = may_be_warm.then(|| asker.take_warm()).flatten();
    let number = warm.as_ref().map_or_else(|| asker.number(), |warm| warm.number);
    // Over a new connection the handshakes come first: a round trip for TCP, another for TLS.
    let patience =
        if warm.is_some() { patience } else { Span::from_nanos(patience.as_nanos().saturating_mul(3)) };
    let question = async {
        if let Some(warm) = warm {
            // Origins close connections that lie unused; that is no sign of ill health.
            let answer = asker.ask(warm).await;
            if answer != Answer::Nothing {
                return (answer, Some(clock.now().since(started)));
            }
        }
        match asker.connect(number).await {
            Connected::No => (Answer::Nothing, None),
            Connected::Reachable => (Answer::Ok, None),
            Connected::Ready(connection) => {
                let asked = clock.now();
                (asker.ask(connection).await, Some(clock.now().since(asked)))
            }
        }
    };
    let answer = timeout(patience.into(), question).await;
    let took = clock.now().since(started);
    let result = match answer {
        Ok((Answer::Ok, rtt)) => {
            keeper.series.probe(region, 0);
            keeper.answered(origin, rtt);
            return false;
        }
        Ok((Answer::Bad(status), _)) => {
            tracing::debug!(region, origin = %origin.key.address, %status, "probe answered badly");
            1
        }
        Ok((Answer::NotServing, _)) => {
            tracing::debug!(region, origin = %origin.key.address, "the gRPC server does not serve");
            1
        }
        Ok((Answer::Nothing, _)) => 2,
        // Woken late: the answer may have been in time.
        Err(_) if took.as_nanos() > patience.as_nanos() + asker.probe().interval.as_nanos() / 2 => {
            keeper.series.probe(region, 3);
            return false;
        }
        Err(_) => 2,
    };
    keeper.series.probe(region, result);
    keeper.lost(origin, started, number)
}
