//! Changes under watch: compared with what was before, and taken back by themselves when they do harm.
//!
//! ```text
//! seat    one trial at a time: two changes at once could not be told apart by what follows
//! change  as anybody orders it
//! look    every second: what requests came to since, beside the minute before    (the rule: steer::trial)
//! end     passed | inconclusive | superseded | ended by somebody | rolled back, as a new change whose reason is the evidence
//! ```
//! A trial lives in this process alone. A restart ends it and leaves the change in force, unless that is a drill, which ends with
//! it; what has begun and how it ended is in the audit. A state that could not be opened is not opened while one runs, as that
//! would end it, too.
//!
//! Left out: counting requests ([`crate::traffic`] says who does), and making changes, which is ordered as by anybody.

mod evidence;
mod guard;
mod recorder;
mod report;
mod running;
mod tally;
#[cfg(test)]
mod tests;
mod way_back;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steer::{Moment, Span};

pub use evidence::Evidence;
pub use guard::{Guard, Limit, NoGuard, Percent};
pub use report::{Trial, TrialState, Tried};
pub use tally::TrialCounts;

use crate::changes::{Changes, Done, Hold, Key, Made, Order, Refused, Renumbered, What};
use crate::publisher::Publisher;
use crate::traffic::Traffic;
use recorder::Recorder;
use running::{LOOK, Next, Running};
use way_back::{GUARD, WayBack};

/// The shortest time that a change can be watched.
pub const MIN_WATCH: Span = Span::from_secs(5);
/// The longest time that a change can be watched. A drill is watched as long as it lasts.
pub const MAX_WATCH: Span = Span::from_secs(3600);
/// Trials that are over and told of.
const MAX_ENDED: usize = 16;
/// What the note of a watch that was ended closes with if that could not be kept.
pub const NOT_KEPT: &str = "not kept: the audit does not have it";

/// What is wanted beside a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// How long.
    pub lasts: Span,
    /// What the change may not do.
    pub guards: Vec<Guard>,
}

/// Trials: the one that runs, and the last ones.
pub struct Trials {
    changes: Changes,
    publisher: Arc<Publisher>,
    traffic: Arc<dyn Traffic>,
    counts: Arc<TrialCounts>,
    inner: Mutex<Inner>,
}

struct Inner {
    recorder: Recorder,
    /// A change is being made that will be watched: the key of its order, if it has one.
    taken: Option<Option<Key>>,
    running: Option<Running>,
    /// Newest first, with the keys of the orders that began them.
    ended: VecDeque<(Trial, Option<Key>)>,
    begun: u64,
    /// What has become of the numbers of versions that those which are over name.
    renumbered: Renumbered,
}

/// Why a change that was to be watched was not made.
#[derive(Debug)]
pub enum NotWatched {
    /// Another one is watched; `None` while it is being made.
    Occupied(Option<Box<Trial>>),
    /// It was refused.
    Refused(Refused),
}

/// Why a watch was not ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotEnded {
    /// No trial has this number, or it is not held any more.
    Unknown,
    /// It was over already.
    Over,
    /// What was before is being put in force again.
    GoingBack,
}

/// The right to begin a trial.
struct Seat<'a>(&'a Trials);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.lock().taken = None;
    }
}

impl std::fmt::Debug for Trials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trials").finish_non_exhaustive()
    }
}

impl Trials {
    /// None yet.
    #[must_use]
    pub fn new(changes: Changes, publisher: Arc<Publisher>, traffic: Arc<dyn Traffic>) -> Self {
        let recorder = Recorder::new(&*traffic, publisher.clock().now());
        let (ended, renumbered) = (VecDeque::new(), changes.renumbered());
        let inner = Inner { recorder, taken: None, running: None, ended, begun: 0, renumbered };
        Self { changes, publisher, traffic, counts: Arc::default(), inner: Mutex::new(inner) }
    }

    /// How many there were.
    #[must_use]
    pub const fn counts(&self) -> &Arc<TrialCounts> {
        &self.counts
    }

    /// Looks every second, for ever.
    pub async fn run(&self) -> Infallible {
        loop {
            tokio::time::sleep(Duration::from(LOOK)).await;
            self.look(self.publisher.clock().now()).await;
        }
    }

    /// The trial that runs, and the last ones that are over, newest first.
    #[must_use]
    pub fn list(&self) -> (Option<Trial>, Vec<Trial>) {
        let inner = self.lock();
        let running = inner.running.as_ref().map(|running| running.trial.clone());
        (running, inner.ended.iter().map(|(trial, _)| trial.clone()).collect())
    }

    /// Has a change made and watches it from then on. The watch is `None` if the change is none that can be watched.
    ///
    /// Whoever waits for this should not be able to give up in between: the change would be in force and not watched.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn make(&self, order: Order, watch: Watch) -> Result<(Arc<Done>, Option<Trial>), NotWatched> {
        let key = order.key.clone();
        if let Some(known) = key.as_ref().and_then(|key| self.known(key)) {
            // It came before: it is answered as then.
            let done = self.changes.submit(order).await.map_err(NotWatched::Refused)?;
            return Ok((done, Some(known)));
        }
        // What runs may be over, and nobody has looked yet.
        let now = self.publisher.clock().now();
        self.look(now).await;
        let seat = self.take_seat(key.clone())?;
        // From before the change is made until it is noted, or its version might be another before anybody watches.
        let _hold = self.changes.hold();
        let mut others = self.changes.events();
        let seen = self.publisher.snapshot();
        let role = order.role.clone();
        let done = self.changes.submit(order).await.map_err(NotWatched::Refused)?;
        let Some(way_back) = WayBack::of(&done, &seen, &mut others) else { return Ok((done, None)) };
        let trial = self.begin(way_back, watch, &done, key);
        drop(seat);
        self.note(&trial, &done.author, &role, &done.reason).await;
        Ok((done, Some(trial)))
    }

    /// Ends the watch of a change, which stays in force. That it cannot be kept is no reason not to: the note says so then.
    ///
    /// # Errors
    /// Why not.
    pub async fn end(&self, number: u64, author: &str, role: &str, reason: &str) -> Result<Trial, NotEnded> {
        let (mut ended, _hold) = self.end_now(number, format!("{author} has ended the watch: {reason}"))?;
        if !self.note(&ended, author, role, reason).await {
            ended.note = format!("{}; {NOT_KEPT}", ended.note);
        }
        Ok(ended)
    }

    /// Looks at what runs, when it is `now`.
    pub async fn look(&self, now: Moment) {
        let (next, number, order) = {
            let mut inner = self.lock();
            let Inner { recorder, running, .. } = &mut *inner;
            let Some(running) = running.as_mut().filter(|running| !running.is_going_back) else {
                if recorder.is_due(now) {
                    recorder.read(&*self.traffic, now);
                }
                return;
            };
            let new = recorder.read(&*self.traffic, now);
            let next = running.look(&new, now, &self.publisher.snapshot());
            let order = match &next {
                Next::GoBack(evidence) => {
                    running.is_going_back = true;
                    Some(running.way_back.order(evidence.to_string()))
                }
                Next::GoOn | Next::End(..) => None,
            };
            (next, running.trial.number, order)
        };
        match (next, order) {
            (Next::GoBack(evidence), Some(order)) => self.go_back(number, evidence, order).await,
            (Next::End(state, note), _) => {
                let ended = self.finish(&mut self.lock(), number, state, note);
                self.note_end(ended).await;
            }
            _ => {}
        }
    }

    /// Puts in force again what was before.
    async fn go_back(&self, number: u64, evidence: Evidence, order: Order) {
        let (state, note) = match self.changes.submit(order).await {
            Ok(done) => (TrialState::RolledBack, way_gone(&done)),
            Err(Refused::Moved { current, .. }) => {
                let instead = format!("a guard was tripped, and version {current} is in force already");
                (TrialState::Superseded, instead)
            }
            Err(Refused::Overtaken | Refused::NoDrill) => {
                let instead = "a guard was tripped, and what was watched is not in force any more";
                (TrialState::Superseded, instead.to_owned())
            }
            Err(Refused::Busy | Refused::Stopping) => {
                // At the next look.
                if let Some(running) = &mut self.lock().running {
                    running.is_going_back = false;
                }
                return;
            }
            Err(refused) => {
                let why =
                    format!("a guard was tripped, and what was before cannot be in force again: {refused:?}");
                tracing::error!(watch = number, "{why}");
                (TrialState::Stuck, why)
            }
        };
        let ended = {
            let mut inner = self.lock();
            if let Some(running) = &mut inner.running {
                let seen = &mut running.trial.evidence;
                // Said once, if it was seen of all requests.
                seen.retain(|other| other.guard != evidence.guard || evidence.route.is_some());
                seen.insert(0, evidence);
            }
            if state == TrialState::RolledBack {
                // What a bad change did is no measure for the next.
                inner.recorder.forget();
            }
            self.finish(&mut inner, number, state, note)
        };
        self.note_end(ended).await;
    }

    fn end_now(&self, number: u64, note: String) -> Result<(Trial, Option<Hold>), NotEnded> {
        let mut inner = self.lock();
        let running = inner.running.as_ref().filter(|running| running.trial.number == number);
        if running.is_some_and(|running| running.is_going_back) {
            return Err(NotEnded::GoingBack);
        }
        let ended = self.finish(&mut inner, number, TrialState::Ended, note);
        ended.ok_or_else(|| match inner.ended.iter().any(|(trial, _)| trial.number == number) {
            true => NotEnded::Over,
            false => NotEnded::Unknown,
        })
    }

    /// The trial that an order began which came before.
    fn known(&self, key: &Key) -> Option<Trial> {
        let inner = self.lock();
        let running = inner.running.as_ref().filter(|running| running.key.as_ref() == Some(key));
        let ended = inner.ended.iter().find(|(_, other)| other.as_ref() == Some(key));
        running.map(|running| running.trial.clone()).or_else(|| ended.map(|(trial, _)| trial.clone()))
    }

    fn take_seat(&self, key: Option<Key>) -> Result<Seat<'_>, NotWatched> {
        let mut inner = self.lock();
        if let Some(running) = &inner.running {
            return Err(NotWatched::Occupied(Some(Box::new(running.trial.clone()))));
        }
        match &inner.taken {
            // The same order again: it comes once more and then finds the first.
            Some(taken) if key.is_some() && *taken == key => return Err(NotWatched::Refused(Refused::Busy)),
            Some(_) => return Err(NotWatched::Occupied(None)),
            None => inner.taken = Some(key),
        }
        Ok(Seat(self))
    }

    fn begin(&self, way_back: WayBack, watch: Watch, done: &Done, key: Option<Key>) -> Trial {
        let now = self.publisher.clock().now();
        let mut inner = self.lock();
        inner.recorder.read(&*self.traffic, now);
        let before = inner.recorder.baseline();
        inner.begun += 1;
        let since = self.publisher.clock().wall();
        let lasts = way_back.ends().map_or(watch.lasts, |ends| ends.since(now).min(watch.lasts));
        let trial = Trial {
            number: inner.begun,
            of: way_back.tried(),
            author: done.author.clone(),
            reason: done.reason.clone(),
            guards: watch.guards,
            lasts: watch.lasts,
            since,
            ends_at: since + Duration::from(lasts),
            ended_at: None,
            state: TrialState::Running,
            evidence: Vec::new(),
            note: way_back.at_a_restart().to_owned(),
        };
        tracing::info!(watch = trial.number, of = %trial.of, lasts = %trial.lasts, "watch begun");
        let hold = way_back.names_version().then(|| self.changes.hold());
        inner.running = Some(Running::new(trial.clone(), way_back, key, before, now, hold));
        self.counts.begin();
        trial
    }

    /// The trial of that number is over, if it still runs; its version keeps its number until that is noted.
    fn finish(
        &self,
        inner: &mut Inner,
        number: u64,
        state: TrialState,
        note: String,
    ) -> Option<(Trial, Option<Hold>)> {
        let Running { mut trial, key, hold, .. } =
            inner.running.take_if(|running| running.trial.number == number)?;
        (trial.state, trial.note) = (state, note);
        trial.ended_at = Some(self.publisher.clock().wall());
        inner.ended.push_front((trial.clone(), key));
        inner.ended.truncate(MAX_ENDED);
        self.counts.end(state);
        let (of, note) = (&trial.of, &trial.note);
        match state {
            TrialState::RolledBack | TrialState::Stuck => {
                let evidence = trial.evidence.first().map(ToString::to_string);
                tracing::error!(watch = number, %of, %state, evidence, "a guard was tripped: {note}");
            }
            _ => tracing::info!(watch = number, %of, %state, "watch over: {note}"),
        }
        Some((trial, hold))
    }

    async fn note_end(&self, ended: Option<(Trial, Option<Hold>)>) {
        if let Some((trial, _hold)) = ended {
            let reason = match trial.evidence.first() {
                Some(evidence) => format!("{}: {}; {evidence}", trial.state, trial.note),
                None => format!("{}: {}", trial.state, trial.note),
            };
            self.note(&trial, GUARD, GUARD, &reason).await;
        }
    }

    /// Leaves a note in the audit, and tells whoever listens. Whether it is as well kept as it can be.
    async fn note(&self, trial: &Trial, author: &str, role: &str, reason: &str) -> bool {
        let noted = self.changes.submit(Order {
            what: What::Watch(Box::new(trial.clone())),
            author: author.to_owned(),
            role: role.to_owned(),
            reason: reason.to_owned(),
            expects: None,
            forces: None,
            volatile: true,
            key: None,
        });
        match noted.await {
            // Where nothing is to be kept, nothing is missing.
            Ok(done) => done.kept.is_some() || self.changes.keeps().get().is_none(),
            Err(refused) => {
                tracing::warn!(watch = trial.number, ?refused, "how a watch stands is not in the audit");
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a look leaves half done, the next one does.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let renumbered = self.changes.renumbered();
        if std::mem::replace(&mut inner.renumbered, renumbered) != renumbered {
            // What runs keeps its version's number.
            inner.ended.iter_mut().for_each(|(trial, _)| renumbered.trial(trial));
        }
        inner
    }
}

/// What a way back has come to, in words.
fn way_gone(done: &Done) -> String {
    match &done.made {
        Made::Table(about) => format!("version {} is what {} was", about.version, about.source),
        Made::Override(change) => format!("{} is overridden as before", change.target),
        Made::DrillEnd(drill) => format!("the drill of {} was ended", drill.region),
        _ => "what was before is in force again".to_owned(),
    }
}
