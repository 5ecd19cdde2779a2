//! Opening the state: at a start, and again and again while it cannot be opened. A former process may still hold it during a
//! handover; a disk may come back.
//!
//! What a former run recorded is taken up late just as a start would have taken it up, if nobody has changed anything here
//! meanwhile: the drains of yesterday count, and a table's file only if it has changed since and a guard lets it stand beside them.
//! What operators said last is put back, and what this edge did without it was the exception.
//!
//! If somebody has changed something here, what is in force here stays, all of it. He looked at this world, and the guard was
//! asked about this one: what comes back from before could take away, together with his change, what neither may alone, while
//! nobody is looking. Nothing is lost by it. The audit has what was recorded, the log names each override that does not
//! count any more, and what is in force is written behind it, so that the next start finds the same.
//!
//! Version numbers go on behind the recorded ones and behind those that were seen here, so that no number means two tables in
//! one journal, or to one who has looked; the overlay's number goes on, too. Whoever listens is told of what is in force since,
//! as of any change: who takes a change back has to know what was there before it. While a change is watched, all this waits
//! (`hold`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use steer::{Moment, Span};

use super::Readers;
use super::commit::Commit;
use super::keeper::Keeping;
use super::known::KnownVersion;
use super::order::{Done, Made};
use super::record::Recorded;
use super::renumbered::Renumbered;
use super::restore::{Boot, restore};
use super::start::begun;
use super::unwritten::{OWN_NAME, Unwritten};
use crate::effect::refused;
use crate::events::ChangeEvent;
use crate::journal::{Journal, Limits};
use crate::overlay::{Change, Overlay, Overrides};
use crate::publisher::Step;
use crate::snapshot::Snapshot;
use crate::version::{About, Version};

/// After a state could not be opened. Doubled each time, as trying costs little and a handover takes seconds.
pub(super) const FIRST_PAUSE: Span = Span::from_secs(1);
const LONGEST_PAUSE: Span = Span::from_secs(15);
/// The reason of what nobody ordered then.
const OPENED: &str = "what is in force when the state could be opened";

/// What is in force since the state was opened, to be told once it has been written.
struct News {
    made: Made,
    /// Whether the journal had it before.
    is_recorded: bool,
}

/// When a state that could not be opened is tried again.
#[derive(Debug)]
pub(super) struct Retry {
    next: Moment,
    pause: Span,
}

impl Retry {
    pub(super) fn after(now: Moment) -> Self {
        Self { next: now + FIRST_PAUSE, pause: FIRST_PAUSE }
    }

    /// Whether it is time; if so, the next time is later.
    fn is_due(&mut self, now: Moment) -> bool {
        if now < self.next {
            return false;
        }
        self.pause = (self.pause + self.pause).min(LONGEST_PAUSE);
        self.next = now + self.pause;
        true
    }

    /// How long until it is time.
    pub(super) fn left(&self, now: Moment) -> Duration {
        Duration::from(self.next.since(now))
    }
}

/// Opens the state in a folder: where changes are kept or why they cannot be, and what was in force according to it, if
/// that could be read.
pub(super) fn open(folder: &Path) -> (Result<Keeping, String>, Option<Boot>) {
    match Journal::open(folder, Limits::default()) {
        Ok((journal, recovered)) => {
            let texts = journal.texts().map_err(|error| error.to_string());
            // What was read holds, whether or not more can be written.
            (texts.map(|texts| Keeping::Journal(Box::new(journal), texts)), Some(restore(recovered)))
        }
        Err(error) => (Err(error.to_string()), None),
    }
}

impl Commit {
    /// Opens the state, if it could not be opened so far, nothing keeps it from that, it is time, and it can be by now.
    pub(super) fn reopen(&mut self) {
        let Keeping::Broken(broken) = &mut self.keeper.keeping else { return };
        if self.holds.are_any() || !broken.retry.is_due(self.publisher.clock().now()) {
            return;
        }
        let folder = broken.folder.display().to_string();
        match open(&broken.folder) {
            (Ok(keeping), Some(recorded)) => {
                let (base, is_changed) = (broken.base, broken.is_changed);
                self.keeper.keeping = keeping;
                if let Keeping::Journal(journal, texts) = &self.keeper.keeping {
                    let readers = Readers { history: journal.history(), texts: texts.reader() };
                    // Nobody else sets it, and this is the first time that there is something to read.
                    let _ = self.readers.set(readers);
                }
                tracing::info!(folder, "the state could be opened: changes are kept from now on");
                let remarks = recorded.remarks(self.publisher.clock().wall());
                self.keeper.running = recorded.running.clone();
                let news = match is_changed {
                    false => self.take_up(recorded),
                    true => self.stay(recorded, base),
                };
                self.keeper.remark(remarks);
                self.keeper.catch_up();
                news.into_iter().for_each(|news| self.announce_own(news));
            }
            (Err(problem), _) if problem != broken.problem => {
                tracing::error!(folder, error = problem, "changes cannot be kept");
                broken.problem = problem;
            }
            // Said once.
            _ => {}
        }
    }

    /// Goes on from what was recorded, as a start would have.
    fn take_up(&mut self, mut recorded: Boot) -> Vec<News> {
        let current = self.publisher.snapshot();
        let own = &current.version;
        let last = recorded.known.versions().next_back().cloned();
        let is_in_force = last.as_ref().is_some_and(|last| last.about == own.about);
        // Else the file has changed since it was last recorded, and what serves here is newer.
        let is_recorded = recorded.known.file() == Some(own.about.fingerprint.as_str());
        let clock = self.publisher.clock();
        let mut saved = std::mem::take(&mut recorded.overlay);
        // Under a number that nobody has seen, neither here nor there.
        saved.number = saved.number.max(current.overlay.number) + 1;
        let overlay = Overlay::restore(saved, clock.wall(), clock.now());
        let overrides = overlay.len();
        let changes = different(&current.overlay, &overlay);
        let overlaid = Step::Overlay(Arc::new(overlay));
        let here = self.publisher.stepped(&current, &overlaid);
        let former = last.filter(|_| !is_in_force).and_then(|last| self.former(&last, own));
        let former = former.filter(|former| is_recorded || self.is_protected(former, &here));
        let file = self.known.lock().file.clone();
        // What became of the file that was read last. Else what was noted meanwhile stays noted; tables and files are told anew.
        let read = self.keeper.late.iter().rev().find(|late| late.reads(file.as_deref())).cloned();
        self.keeper.late.retain(|late| !late.is_of_tables());
        let newest = recorded.last_version();
        let is_file = former.is_none();
        let version = former.or_else(|| {
            let version = own.about.version.max(newest + 1);
            (!is_in_force).then(|| Arc::new(own.under(About { version, ..own.about.clone() })))
        });
        let new = version.as_ref().filter(|version| version.about.version > newest);
        let is_recorded = new.is_none();
        if let Some(new) = new {
            self.keeper.late.push_back(begun(&mut recorded, &new.about, &new.text, is_file).late());
        }
        if let Some(fingerprint) = file.filter(|file| recorded.known.file() != Some(file.as_str())) {
            recorded.known.file = Some(fingerprint.clone());
            let read = read.unwrap_or_else(|| self.own_line(Recorded::FileRead { fingerprint }));
            self.keeper.late.push_back(read);
        }
        tracing::info!(
            version = version.as_ref().map_or(own.about.version, |version| version.about.version),
            overrides,
            "what a former run recorded is in force again"
        );
        let steps: Vec<Step> = std::iter::once(overlaid).chain(version.clone().map(Step::Table)).collect();
        self.publisher.adopt(&steps);
        *self.known.lock() = recorded.known;
        // Whoever asks again for what was told anew has it made anew.
        let answered = self.keys.saved().into_iter();
        let answered = answered.filter(|(_, done)| !matches!(done.made, Made::Table(_) | Made::FileRead(_)));
        self.keys = recorded.keys.with(answered);
        let overridden = changes.into_iter().map(|change| Made::Override(Box::new(change)));
        let overridden = overridden.map(|made| News { made, is_recorded: true });
        let table = version.map(|version| News { made: Made::Table(version.about.clone()), is_recorded });
        overridden.chain(table).collect()
    }

    /// Whether the table of here would take away, beside the recorded overrides, what a guard protects of the recorded one.
    fn is_protected(&self, former: &Arc<Version>, here: &Snapshot) -> bool {
        let there = self.publisher.stepped(here, &Step::Table(former.clone()));
        let violations = refused(&there, here);
        violations.iter().for_each(|violation| tracing::error!("{violation}"));
        if !violations.is_empty() {
            tracing::error!("the table's file has changed and is refused; the recorded table serves");
        }
        !violations.is_empty()
    }

    /// A recorded version, to be in force again; `None` if it cannot be.
    fn former(&self, recorded: &KnownVersion, own: &Version) -> Option<Arc<Version>> {
        let about = self.numbered(&recorded.about, &own.about);
        if about.fingerprint == own.about.fingerprint {
            return Some(Arc::new(own.under(about)));
        }
        let draft = recorded.draft(self.readers.get().map(|readers| &readers.texts))?;
        match self.publisher.compiled(draft, about.version) {
            Ok(compiled) => Some(Arc::new(compiled.under(about))),
            Err(findings) => {
                findings.iter().for_each(|finding| tracing::error!("{finding}"));
                tracing::error!(
                    version = recorded.about.version,
                    "the recorded table cannot serve; this one stays"
                );
                None
            }
        }
    }

    /// A recorded version under its own number; or as a new version, if that number, or one after it, named another table here.
    fn numbered(&self, recorded: &About, own: &About) -> About {
        let is_same = recorded.fingerprint == own.fingerprint;
        if recorded.version > own.version || recorded.version == own.version && is_same {
            return recorded.clone();
        }
        let version = own.version + u64::from(!is_same);
        let (source, published_at) = (format!("version {}", recorded.version), self.publisher.clock().wall());
        About { version, source, published_at, ..recorded.clone() }
    }

    /// Stays with what is in force, and writes it behind what was recorded. Versions after `base` are this run's.
    fn stay(&mut self, mut recorded: Boot, base: u64) -> Vec<News> {
        tracing::warn!(
            "something was changed here before the state could be opened: that stays, and what a former run recorded does not count"
        );
        let current = self.publisher.snapshot();
        let renumbered = Renumbered::behind(recorded.last_version(), base);
        let further = renumbered.further();
        if further > 0 {
            tracing::warn!(further, "the versions of this run have numbers that are so much higher now");
        }
        self.keeper.late.iter_mut().for_each(|late| renumbered.line(late));
        let clock = self.publisher.clock();
        // What was ended there, or has expired since, needs no other end; nor does what was set or ended here.
        let former = Overlay::restore(recorded.overlay, clock.wall(), clock.now());
        let mut ends = Vec::new();
        for Change { target, overrides } in former.saved().overrides {
            let here = current.overlay.of(&target);
            if !here.are_kept_as(&overrides) {
                let was = serde_json::to_string(&overrides).unwrap_or_default();
                tracing::warn!(%target, was, "an override of a former run does not count any more");
            }
            if here.is_empty() && !self.keeper.late.iter().any(|late| late.overrides(&target)) {
                let set = Box::new(Change { target, overrides: Overrides::NONE });
                ends.push(self.own_line(Recorded::Override { set }));
            }
        }
        ends.into_iter().rev().for_each(|end| self.keeper.late.push_front(end));
        let own = self.known.lock().clone();
        for version in own.versions().filter(|version| version.about.version > base) {
            let mut version = version.clone();
            renumbered.about(&mut version.about);
            recorded.known.add(version);
        }
        recorded.known.file = own.file.or(recorded.known.file);
        recorded.known.renumbered = renumbered;
        let mut about = current.version.about.clone();
        renumbered.about(&mut about);
        let version = (about != current.version.about).then(|| Arc::new(current.version.under(about)));
        let steps: Vec<Step> = version.iter().cloned().map(Step::Table).collect();
        self.publisher.adopt(&steps);
        *self.known.lock() = recorded.known;
        let answered = self.keys.saved().into_iter().map(|(key, done)| (key, renumbered.done(&done)));
        self.keys = recorded.keys.with(answered);
        let table = version.map(|version| Made::Table(version.about.clone()));
        table.into_iter().map(|made| News { made, is_recorded: false }).collect()
    }

    /// Tells whoever listens what is in force since the state was opened. Which line of the journal has it is not at hand.
    fn announce_own(&self, News { made, is_recorded }: News) {
        let current = self.publisher.snapshot();
        let (version, overlay) = (current.version.about.version, current.overlay.number);
        let (author, reason) = (OWN_NAME.to_owned(), OPENED.to_owned());
        let done = Done { made, author, reason, version, overlay, kept: None };
        let persisted = is_recorded || self.keeper.late.is_empty();
        let event = ChangeEvent { persisted, ..ChangeEvent::of(&done) };
        self.announce(&Arc::new(done), event);
    }

    /// A line that nobody ordered.
    fn own_line(&self, change: Recorded) -> Unwritten {
        Unwritten::own(change, OPENED, self.publisher.clock().wall()).late()
    }
}

/// What is overridden otherwise once another overlay is in force.
fn different(before: &Overlay, after: &Overlay) -> Vec<Change> {
    let ended = before.saved().overrides.into_iter().filter(|change| after.of(&change.target).is_empty());
    let ended = ended.map(|Change { target, .. }| Change { target, overrides: Overrides::NONE });
    let set = after.saved().overrides.into_iter();
    ended.chain(set.filter(|change| !before.of(&change.target).are_kept_as(&change.overrides))).collect()
}
