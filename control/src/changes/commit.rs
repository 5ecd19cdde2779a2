//! The thread that makes changes: batch by batch, first written, then in force, then answered.

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use steer::{Moment, Span};
use tokio::sync::{broadcast, oneshot};

use super::keeps::Keeps;
use super::keys::{Keys, MAX_KEY_BYTES};
use super::known::{KnownVersion, SharedKnown, Text};
use super::opening::Retry;
use super::order::{Done, Made, Order, Refused};
use super::record::{Kept, KeptVersion, Line, Recorded};
use super::restore::Boot;
use super::staged::Staged;
use super::unwritten::Unwritten;
use super::{Job, Keeping, Readers};
use crate::events::{ChangeEvent, Happened};
use crate::journal::{Digest, Entry, MAX_LINE_BYTES, Stamp};
use crate::overlay::MAX_KEPT_BYTES;
use crate::publisher::{MAX_VERSIONS, Publisher, Step};

/// Orders that share a write.
const MAX_BATCH: usize = 256;
/// Changes that are in force and not yet written.
const MAX_LATE: usize = 1024;
/// The table texts of those, in bytes.
const MAX_LATE_BYTES: usize = 64 << 20;
/// How often it is tried to write them.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Published tables after which texts that nothing names are removed.
const TABLES_PER_COLLECTION: u32 = 64;
/// How long the journal goes on without a checkpoint that could not be written.
const CHECKPOINT_AGAIN: Span = Span::from_secs(60);
/// What is told about a version takes less: a reason of a thousand characters, a name, a path.
const MAX_ABOUT_BYTES: usize = 32 << 10;
// A checkpoint is one line; were it too long, segments would grow for ever.
const _: () = assert!(MAX_KEPT_BYTES + MAX_KEY_BYTES + MAX_VERSIONS * MAX_ABOUT_BYTES < MAX_LINE_BYTES);
/// Checkpoints are this edge's own work.
pub(super) const OWN_NAME: &str = "nearside";

pub(super) struct Commit {
    pub(super) publisher: Arc<Publisher>,
    pub(super) keeping: Keeping,
    pub(super) known: SharedKnown,
    events: broadcast::Sender<Arc<Done>>,
    pub(super) readers: Arc<OnceLock<Readers>>,
    keeps: Keeps,
    pub(super) keys: Keys,
    /// What is in force and could not be written, oldest first.
    pub(super) late: VecDeque<Unwritten>,
    /// Tables since texts were last collected.
    published: u32,
    /// Not before that a checkpoint is written.
    no_checkpoint_before: Moment,
    /// The newest version that was known at the start.
    pub(super) base: u64,
    /// Whether somebody has changed something while the state could not be opened.
    pub(super) is_changed: bool,
    /// When that is tried again.
    pub(super) retry: Retry,
}

/// What others learn from the thread that makes changes.
pub(super) struct Told {
    pub(super) known: SharedKnown,
    pub(super) events: broadcast::Sender<Arc<Done>>,
    pub(super) readers: Arc<OnceLock<Readers>>,
    pub(super) keeps: Keeps,
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

/// Why nothing was written.
struct NotWritten {
    is_full: bool,
    problem: String,
}

impl Commit {
    /// `first` is in force already, and not written; `boot` is what is.
    pub(super) fn new(
        publisher: Arc<Publisher>,
        keeping: Keeping,
        told: Told,
        boot: Boot,
        first: Option<Unwritten>,
    ) -> Self {
        let Told { known, events, readers, keeps } = told;
        let retry = Retry::after(publisher.clock().now());
        Self {
            publisher,
            keeping,
            known,
            events,
            readers,
            keeps,
            keys: boot.keys,
            late: first.into_iter().collect(),
            published: 0,
            no_checkpoint_before: Moment::default(),
            base: boot.base,
            is_changed: false,
            retry,
        }
    }

    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.catch_up();
        loop {
            let job = jobs.recv_timeout(self.pause());
            self.reopen();
            match job {
                Ok(job) => {
                    let mut batch = vec![job];
                    batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
                    self.commit(batch);
                    self.tell_what_is_kept();
                    self.tidy();
                }
                // What is late may find room by now.
                Err(RecvTimeoutError::Timeout) => self.catch_up(),
                Err(RecvTimeoutError::Disconnected) => return self.catch_up(),
            }
        }
    }

    /// The longest that it waits for an order.
    fn pause(&self) -> Duration {
        match self.keeping {
            Keeping::Broken { .. } => self.retry.left(self.publisher.clock().now()).min(TRY_AGAIN),
            Keeping::Journal(..) | Keeping::Nowhere => TRY_AGAIN,
        }
    }

    fn commit(&mut self, batch: Vec<Job>) {
        let mut ready = self.stage(batch);
        if ready.is_empty() {
            return;
        }
        match self.write(&ready.iter().map(|ready| ready.unwritten.clone()).collect::<Vec<_>>()) {
            Ok(stamps) => self.adopt(ready, &stamps.into_iter().map(Some).collect::<Vec<_>>()),
            Err(NotWritten { is_full, problem }) => {
                let may_be_forgotten =
                    |ready: &Ready| ready.order.volatile || matches!(self.keeping, Keeping::Nowhere);
                let (volatile, others): (Vec<_>, Vec<_>) = ready.drain(..).partition(may_be_forgotten);
                for refused in others {
                    let problem = problem.clone();
                    let _ = refused.done.send(Err(Refused::NotKept { is_full, problem }));
                }
                // Those before them do not take effect after all.
                let jobs = volatile.into_iter().map(|Ready { order, done, .. }| Job { order, done });
                let ready = self.stage(jobs.collect());
                self.remember(ready.iter().map(|ready| ready.unwritten.clone()));
                let unkept = vec![None; ready.len()];
                self.adopt(ready, &unkept);
            }
        }
    }

    /// Remembers what is in force and not written, until it can be.
    fn remember(&mut self, unwritten: impl Iterator<Item = Unwritten>) {
        if matches!(self.keeping, Keeping::Nowhere) {
            // There is nowhere that it could ever be written.
            return;
        }
        self.late.extend(unwritten.map(Unwritten::late));
        let bytes = |late: &VecDeque<Unwritten>| -> usize {
            late.iter().filter_map(|late| late.text.as_ref()).map(|text| text.len()).sum()
        };
        while self.late.len() > MAX_LATE || self.late.len() > 1 && bytes(&self.late) > MAX_LATE_BYTES {
            let lost = self.late.pop_front();
            let reason = lost.map(|lost| lost.entry.reason);
            tracing::error!(reason, "a change that could not be written is forgotten by the journal");
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

    /// Writes what is late, and then `new`. The places of the new ones.
    fn write(&mut self, new: &[Unwritten]) -> Result<Vec<Stamp>, NotWritten> {
        let (journal, texts) = match &mut self.keeping {
            Keeping::Journal(journal, texts) => (journal, texts),
            Keeping::Nowhere => {
                return Err(NotWritten { is_full: false, problem: "nothing is kept".to_owned() });
            }
            Keeping::Broken { problem, .. } => {
                return Err(NotWritten { is_full: false, problem: problem.clone() });
            }
        };
        let all: Vec<&Unwritten> = self.late.iter().chain(new).collect();
        let put: Vec<&str> = all.iter().filter_map(|unwritten| unwritten.text.as_deref()).collect();
        if !put.is_empty() {
            texts.put(&put).map_err(|error| NotWritten {
                is_full: matches!(error, crate::journal::TextError::Full(_)),
                problem: error.to_string(),
            })?;
        }
        let entries: Vec<Entry<Line>> = all.iter().map(|unwritten| unwritten.entry.clone()).collect();
        let mut stamps = journal
            .append(&entries)
            .map_err(|error| NotWritten { is_full: error.is_full(), problem: error.to_string() })?;
        let late: Vec<Unwritten> = self.late.drain(..).collect();
        let stamps = stamps.split_off(late.len());
        if !late.is_empty() {
            tracing::info!(changes = late.len(), "what could not be kept before is kept now");
            let mut known = self.known.lock();
            for written in late {
                if let Recorded::Table { about, text, .. } = written.entry.data.change {
                    known.is_kept(about.version, text);
                }
            }
        }
        Ok(stamps)
    }

    /// Makes a batch current, and answers.
    fn adopt(&mut self, ready: Vec<Ready>, stamps: &[Option<Stamp>]) {
        let steps: Vec<Step> = ready.iter().map(|ready| ready.step.clone()).collect();
        if matches!(self.keeping, Keeping::Broken { .. }) {
            let version = self.publisher.snapshot().version.clone();
            self.is_changed |= ready.iter().any(|ready| ready.order.what.is_new_beside(&version.text));
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
                self.published += 1;
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
            // Nobody may listen, and whoever asked may have left.
            let _ = self.events.send(fact.clone());
            self.publisher.events().add(&Happened::Change(ChangeEvent::of(&fact)));
            let _ = done.send(Ok(fact));
        }
    }

    /// Writes what is late, if the disk takes it by now.
    pub(super) fn catch_up(&mut self) {
        if let Keeping::Journal(journal, _) = &mut self.keeping {
            if self.late.is_empty() {
                // That nothing can be written should show before somebody wants to change something; it is told by then.
                let _ = journal.mend();
            } else if let Err(NotWritten { problem, .. }) = self.write(&[]) {
                tracing::error!(%problem, changes = self.late.len(), "changes are in force and not kept");
            }
        }
        self.tell_what_is_kept();
    }

    fn tell_what_is_kept(&self) {
        match &self.keeping {
            Keeping::Journal(journal, _) => {
                self.keeps.set(self.late.is_empty() && journal.poisoned().is_none());
            }
            Keeping::Broken { .. } => self.keeps.set(false),
            Keeping::Nowhere => {}
        }
    }

    /// Begins a new segment where the journal wants one, and lets go of texts that nothing names.
    fn tidy(&mut self) {
        let Keeping::Journal(journal, texts) = &mut self.keeping else { return };
        let is_due = self.published >= TABLES_PER_COLLECTION;
        let now = self.publisher.clock().now();
        let wants_checkpoint = journal.wants_checkpoint() && now >= self.no_checkpoint_before;
        if !self.late.is_empty() || !(is_due || wants_checkpoint) {
            return;
        }
        let known = self.known.lock().clone();
        let versions = known.versions().filter_map(|version| match version.text {
            Text::Kept(text) => Some(KeptVersion { about: version.about.clone(), text }),
            Text::Held(_) => None,
        });
        let versions: Vec<KeptVersion> = versions.collect();
        // A start holds no more versions than are known now.
        let named: BTreeSet<Digest> = versions.iter().map(|version| version.text).collect();
        if wants_checkpoint {
            let state = Kept {
                versions,
                file: known.file,
                overlay: self.publisher.snapshot().overlay.saved(),
                keys: self.keys.saved(),
            };
            let entry = Entry {
                time: self.publisher.clock().wall(),
                author: OWN_NAME.to_owned(),
                role: OWN_NAME.to_owned(),
                reason: "checkpoint".to_owned(),
                data: state,
            };
            if let Err(error) = journal.checkpoint(&entry) {
                // To write down everything takes long, and whoever waits for his change should not pay for it each time.
                self.no_checkpoint_before = now + CHECKPOINT_AGAIN;
                return tracing::warn!(%error, "no checkpoint was written; the journal goes on without for a minute");
            }
        }
        self.published = 0;
        if let Err(error) = texts.collect(&named) {
            tracing::warn!(%error, "table texts that nothing names stay");
        }
    }
}

/// What becomes of an order in a batch.
enum Staging {
    New(Box<(Step, Made, Unwritten)>),
    /// It came before.
    Known(Arc<Done>),
}
