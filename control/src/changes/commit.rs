//! The thread that makes changes: batch by batch, first written, then in force, then answered.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};

use super::hold::Holds;
use super::keeper::{Keeper, Keeping, NotWritten};
use super::keys::Keys;
use super::known::{KnownVersion, SharedKnown, Text};
use super::order::{Done, Made, Order, Refused};
use super::record::Recorded;
use super::staged::Staged;
use super::unwritten::Unwritten;
use super::{Job, Readers};
use crate::events::{ChangeEvent, Happened};
use crate::journal::Stamp;
use crate::publisher::{Publisher, Step};

/// Orders that share a write.
const MAX_BATCH: usize = 256;
/// How often it is tried to write what could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What the thread works with.
pub(super) struct Commit {
    pub(super) publisher: Arc<Publisher>,
    pub(super) keeper: Keeper,
    pub(super) known: SharedKnown,
    pub(super) events: broadcast::Sender<Arc<Done>>,
    pub(super) readers: Arc<OnceLock<Readers>>,
    pub(super) keys: Keys,
    pub(super) holds: Holds,
}

/// An order that stands, and who waits for it.
struct Ready {
    order: Order,
    done: oneshot::Sender<Result<Arc<Done>, Refused>>,
    step: Step,
    made: Made,
    version: u64,
    unwritten: Unwritten,
}

impl Commit {
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.keeper.catch_up();
        loop {
            let job = jobs.recv_timeout(self.pause());
            self.reopen();
            match job {
                Ok(job) => {
                    let mut batch = vec![job];
                    batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
                    self.commit(batch);
                    self.keeper.tell();
                    self.keeper.tidy(&self.publisher, &self.keys);
                }
                // What is late may find room by now.
                Err(RecvTimeoutError::Timeout) => self.keeper.catch_up(),
                Err(RecvTimeoutError::Disconnected) => return self.keeper.catch_up(),
            }
        }
    }

    /// The longest that it waits for an order.
    fn pause(&self) -> Duration {
        match &self.keeper.keeping {
            Keeping::Broken(broken) if !self.holds.are_any() => {
                broken.retry.left(self.publisher.clock().now()).min(TRY_AGAIN)
            }
            Keeping::Broken(_) | Keeping::Journal(..) | Keeping::Nowhere => TRY_AGAIN,
        }
    }

    fn commit(&mut self, batch: Vec<Job>) {
        let mut ready = self.stage(batch);
        if ready.is_empty() {
            return;
        }
        match self.keeper.write(&ready.iter().map(|ready| ready.unwritten.clone()).collect::<Vec<_>>()) {
            Ok(stamps) => self.adopt(ready, &stamps.into_iter().map(Some).collect::<Vec<_>>()),
            Err(NotWritten { is_full, problem }) => {
                let may_be_forgotten = |ready: &Ready| {
                    // A restart would end a drill as well, so nothing keeps anybody from ending it now.
                    let is_end = matches!(ready.made, Made::DrillEnd(_));
                    is_end || ready.order.volatile || matches!(self.keeper.keeping, Keeping::Nowhere)
                };
                let (volatile, others): (Vec<_>, Vec<_>) = ready.drain(..).partition(may_be_forgotten);
                for refused in others {
                    let problem = problem.clone();
                    let _ = refused.done.send(Err(Refused::NotKept { is_full, problem }));
                }
                // Those before them do not take effect after all.
                let jobs = volatile.into_iter().map(|Ready { order, done, .. }| Job { order, done });
                let ready = self.stage(jobs.collect());
                self.keeper.remember(ready.iter().map(|ready| ready.unwritten.clone()));
                let unkept = vec![None; ready.len()];
                self.adopt(ready, &unkept);
            }
        }
    }

    /// Stages a batch; who is refused is told so.
    fn stage(&self, batch: Vec<Job>) -> Vec<Ready> {
        let mut staged = Staged::upon(&self.publisher, self.publisher.snapshot());
        let mut ready: Vec<Ready> = Vec::with_capacity(batch.len());
        for Job { order, done } in batch {
            match self.stage_one(&mut staged, &ready, &order) {
                Ok(Staging::New(new)) => {
                    let (step, made, unwritten) = *new;
                    let version = staged.version();
                    ready.push(Ready { order, done, step, made, version, unwritten });
                }
                // Whoever asked may have left.
                Ok(Staging::Known(known)) => drop(done.send(Ok(known))),
                Err(refused) => drop(done.send(Err(refused))),
            }
        }
        ready
    }

    fn stage_one(&self, staged: &mut Staged<'_>, ready: &[Ready], order: &Order) -> Result<Staging, Refused> {
        if let Some(key) = &order.key {
            if let Some(done) = self.keys.find(key)? {
                return Ok(Staging::Known(done));
            }
            // The same order, twice in a batch: the second comes again and then finds the first.
            if ready.iter().any(|ready| ready.order.key.as_ref().is_some_and(|other| other.name == key.name))
            {
                return Err(Refused::Busy);
            }
        }
        let reader = self.readers.get().map(|readers| &readers.texts);
        let text = |version: u64| {
            let text = self.known.lock().get(version).map(|known| known.text.clone());
            text.and_then(|text| text.read(reader))
        };
        let (step, made) = staged.take(order, &text)?;
        let unwritten = Unwritten::of(order, &step, &made, self.publisher.clock().wall());
        Ok(Staging::New(Box::new((step, made, unwritten))))
    }

    /// Makes a batch current, and answers.
    fn adopt(&mut self, ready: Vec<Ready>, stamps: &[Option<Stamp>]) {
        let steps: Vec<Step> = ready.iter().map(|ready| ready.step.clone()).collect();
        if let Keeping::Broken(broken) = &mut self.keeper.keeping {
            broken.is_changed |= ready.iter().any(|ready| ready.order.is_decided());
        }
        let newest = self.publisher.adopt(&steps);
        // Each change of overrides counts one.
        let mut further = steps.iter().filter(|step| matches!(step, Step::Override(_))).count() as u64;
        for (ready, kept) in ready.into_iter().zip(stamps.iter().copied()) {
            further -= u64::from(matches!(ready.step, Step::Override(_)));
            let overlay = newest - further;
            let Ready { order, done, made, version, unwritten, .. } = ready;
            if let Recorded::FileRead { fingerprint } = &unwritten.entry.data.change {
                self.known.lock().file = Some(fingerprint.clone());
            }
            if let Recorded::Table { about, text, is_file } = &unwritten.entry.data.change {
                let held = unwritten.text.clone().filter(|_| kept.is_none());
                let mut known = self.known.lock();
                if *is_file {
                    known.file = Some(about.fingerprint.clone());
                }
                known.add(KnownVersion {
                    about: about.clone(),
                    is_volatile: kept.is_none(),
                    text: held.map_or(Text::Kept(*text), Text::Held),
                });
            }
            let Order { author, reason, key, .. } = order;
            let fact = Arc::new(Done { made, author, reason, version, overlay, kept });
            if let Some(key) = key {
                self.keys.add(key, fact.clone());
            }
            self.announce(&fact, ChangeEvent::of(&fact));
            // Whoever asked may have left.
            let _ = done.send(Ok(fact));
        }
    }

    /// Tells whoever listens of a change that is in force: here, and outside by an event.
    pub(super) fn announce(&self, done: &Arc<Done>, event: ChangeEvent) {
        // Nobody may listen.
        let _ = self.events.send(done.clone());
        self.publisher.events().add(&Happened::Change(event));
    }
}

/// What becomes of an order in a batch.
enum Staging {
    New(Box<(Step, Made, Unwritten)>),
    /// It came before.
    Known(Arc<Done>),
}
