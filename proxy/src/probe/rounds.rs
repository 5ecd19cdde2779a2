//! When to ask: every origin at its interval, whether or not the last answer has come; at once and thrice when one is suspect.
//!
//! A question that is not answered in time counts as lost at once and is waited for a little longer: a late answer tells a slow
//! path from a dead one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use control::vitals::OriginKey;
use steer::draw::{Rng, name_hash};
use steer::health::Lateness;
use steer::ids::OriginId;
use steer::spec::ProbeKind;
use steer::{Moment, Span};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::ask::{Answer, Asker, Connected, How, MAX_WARM, Problem, Warm};
use super::keeper::Keeper;
use super::latencies::Took;
use crate::connect::PathTimes;
use crate::worker::OriginTlsStore;

/// Questions of one origin that are waited for beyond their time, at once.
const MAX_LATE: usize = 32;
/// How long an answer is waited for beyond its time.
const LATE: Duration = Duration::from_secs(1);
/// When probes are sent to settle a suspicion: two at once, and one that outlasts a machine's standing still for a moment.
const BURST: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(80)];
/// Intervals vary by this share, so that edges do not ask in step.
const JITTER: f64 = 0.10;
/// An origin that neither serves nor would be the next to is asked this often at most.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

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

    /// Asks the origins for which that holds now, and not only when they are due.
    pub(super) fn ask_now(&self, whom: impl Fn(&OriginKey) -> bool) {
        for (_, running) in self.running.iter().filter(|(key, _)| whom(key)) {
            running.asker.now.notify_one();
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
    let key = &asker.origin.key;
    let mut rng = Rng::new(name_hash(&key.address) ^ keeper.clock().now().as_nanos());
    let under_way = Rc::new(());
    let mut due = Instant::now();
    loop {
        tokio::select! {
            () = sleep_until(due) => keeper.woke(due.elapsed().into(), interval.into()),
            () = asker.now.notified() => due = Instant::now(),
        }
        let in_use = Rc::strong_count(&under_way) - 1;
        if in_use < MAX_WARM {
            ask(&keeper, &asker, false, Some(under_way.clone()));
        }
        // One for each question that may be under way, and one that confirms a suspicion without a handshake.
        let patience = Duration::from(keeper.probe_timeout(key));
        let overlapping = patience.as_nanos().div_ceil(interval.as_nanos().max(1)) as usize;
        asker.keep_warm(overlapping + 1, Rc::strong_count(&under_way) - 1, PathTimes::of(None));
        let spread = 1.0 + JITTER * (f64::from(rng.below(2001)) / 1000.0 - 1.0);
        let interval =
            if keeper.is_in_demand(&key.placement) { interval } else { interval.max(IDLE_INTERVAL) };
        // A round that was missed is missed; catching up would be a burst at whoever is slow already.
        due = Instant::now().max(due) + interval.mul_f64(spread);
    }
}

fn burst(keeper: &Rc<Keeper>, asker: &Rc<Asker>) {
    let (keeper, asker) = (keeper.clone(), asker.clone());
    tokio::task::spawn_local(async move {
        let began = Instant::now();
        for at in BURST {
            sleep_until(began + at).await;
            // The first over a connection that is open already, which no handshake delays; the others over new ones, in case
            // it is the connections that are broken.
            ask(&keeper, &asker, !at.is_zero(), None);
        }
    });
}

/// Asks once, and sees to what follows. `under_way` is let go when the answer is due.
fn ask(keeper: &Rc<Keeper>, asker: &Rc<Asker>, fresh: bool, under_way: Option<Rc<()>>) {
    let question = Question::new(keeper.clone(), asker.clone(), fresh);
    tokio::task::spawn_local(question.put(under_way));
}

/// A question to one origin, over a warm connection if there is one and it need not be a new one.
struct Question {
    keeper: Rc<Keeper>,
    asker: Rc<Asker>,
    warm: Option<Warm>,
    /// Of the connection that it goes over.
    number: Cell<u64>,
    patience: Span,
    sent: Moment,
    /// When this step of it is given up.
    due: Cell<Instant>,
}

impl Question {
    fn new(keeper: Rc<Keeper>, asker: Rc<Asker>, fresh: bool) -> Self {
        let may_be_warm = !fresh && asker.probe().kind != ProbeKind::Tcp;
        let warm = may_be_warm.then(|| asker.take_warm()).flatten();
        let patience = keeper.probe_timeout(&asker.origin.key);
        let number = warm.as_ref().map_or_else(|| asker.number(), |warm| warm.number);
        Self {
            sent: keeper.clock().now(),
            due: Cell::new(
                Instant::now() + steps(patience, if warm.is_some() { 1 } else { handshakes(&asker) }),
            ),
            number: Cell::new(number),
            keeper,
            asker,
            warm,
            patience,
        }
    }

    async fn put(mut self, under_way: Option<Rc<()>>) {
        let warm = self.warm.take();
        let answer = self.answer(warm);
        let mut answer = std::pin::pin!(answer);
        loop {
            let due = self.due.get();
            tokio::select! {
                biased;
                answer = &mut answer => return self.answered(answer),
                () = sleep_until(due) => {}
            }
            // Unless the next step has begun meanwhile, which has a time of its own.
            if due == self.due.get() {
                break;
            }
        }
        drop(under_way);
        let late = Span::from(self.due.get().elapsed());
        if Lateness::is_late(late, self.asker.probe().interval) {
            // Woken late: the answer may have been in time.
            self.keeper.discarded(&self.asker.origin);
            if let Ok(answer) = timeout(LATE, &mut answer).await {
                self.answered(answer);
            }
            return;
        }
        self.lost(&Problem::silence(self.patience));
        let Some(_guard) = self.asker.late_guard(MAX_LATE) else { return };
        if let Ok((Answer::Ok, took)) = timeout(LATE, &mut answer).await {
            self.keeper.answered_late(&self.asker.origin, took);
        }
    }

    /// What comes back, and how long it took.
    async fn answer(&self, warm: Option<Warm>) -> (Answer, Took) {
        let clock = self.keeper.clock();
        if let Some(warm) = warm {
            let answer = self.asker.ask(warm).await;
            match answer {
                // Origins close connections that lie unused; that is no sign of ill health.
                Answer::No(problem) if problem.how == How::Refused => {
                    self.number.set(self.asker.number());
                    self.due.set(Instant::now() + steps(self.patience, handshakes(&self.asker)));
                }
                answer => return (answer, Took::RoundTrip(clock.now().since(self.sent))),
            }
        }
        let began = clock.now();
        match self.asker.connect(self.number.get(), PathTimes::of(None)).await {
            Connected::No(problem) => (Answer::No(problem), Took::Connecting(clock.now().since(began))),
            Connected::Reachable => (Answer::Ok, Took::Connecting(clock.now().since(began))),
            Connected::Ready(connection) => {
                self.due.set(Instant::now() + steps(self.patience, 1));
                let asked = clock.now();
                (self.asker.ask(connection).await, Took::RoundTrip(clock.now().since(asked)))
            }
        }
    }

    fn answered(&self, (answer, took): (Answer, Took)) {
        match answer {
            Answer::Ok => self.keeper.answered(&self.asker.origin, took),
            Answer::No(problem) => self.lost(&problem),
        }
    }

    fn lost(&self, problem: &Problem) {
        let origin = &self.asker.origin;
        if self.keeper.lost(origin, problem, self.sent, self.number.get()) {
            burst(&self.keeper, &self.asker);
        }
    }
}

fn steps(patience: Span, steps: u32) -> Duration {
    Duration::from(patience) * steps
}

/// How many times a probe's patience a new connection may take: a round trip for TCP, and two for TLS and its sums.
fn handshakes(asker: &Asker) -> u32 {
    if asker.is_tls() { 3 } else { 1 }
}
