//! Where changes are kept, whether they are, and what has still to be written.
//!
//! What is in force and could not be written waits here, and is written before anything newer, so that the journal tells
//! things in the order in which they came about. What waits is bounded: the oldest is forgotten first, and the log says so.
//!
//! Left out: what is in force (`commit`), and opening what could not be opened (`opening`).

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use steer::{Moment, Span};

use super::keeps::Keeps;
use super::keys::{Keys, MAX_KEY_BYTES};
use super::known::{SharedKnown, Text};
use super::opening::Retry;
use super::record::{Kept, KeptVersion, Line, Recorded};
use super::running::Running;
use super::unwritten::{OWN_NAME, Unwritten};
use crate::journal::{Digest, Entry, Journal, MAX_LINE_BYTES, Stamp, TextError, Texts};
use crate::overlay::MAX_KEPT_BYTES;
use crate::publisher::{MAX_VERSIONS, Publisher};

/// Changes that are in force and not yet written.
const MAX_LATE: usize = 1024;
/// The table texts of those, in bytes.
const MAX_LATE_BYTES: usize = 64 << 20;
/// Table texts that are written before those that nothing names are removed.
const TEXTS_PER_COLLECTION: usize = 64;
/// How long the journal goes on without a checkpoint that could not be written.
const CHECKPOINT_AGAIN: Span = Span::from_secs(60);
/// What is told about a version takes less: a reason of a thousand characters, a name, a path.
const MAX_ABOUT_BYTES: usize = 32 << 10;
/// A drill and a watch take less: two reasons, and a guard's evidence.
const MAX_RUNNING_BYTES: usize = 64 << 10;
// A checkpoint is one line; were it too long, segments would grow for ever.
const _: () = assert!(
    MAX_KEPT_BYTES + MAX_KEY_BYTES + MAX_VERSIONS * MAX_ABOUT_BYTES + MAX_RUNNING_BYTES < MAX_LINE_BYTES
);

/// Where changes are kept.
#[derive(Debug)]
pub(super) enum Keeping {
    /// In a journal, and texts beside it.
    Journal(Box<Journal<Line>>, Texts),
    /// Nowhere, as this edge was told: a restart forgets everything.
    Nowhere,
    /// Where they should be kept they cannot; it is tried again.
    Broken(Broken),
}

/// A state that cannot be opened.
#[derive(Debug)]
pub(super) struct Broken {
    /// Where it is.
    pub(super) folder: PathBuf,
    /// Why it cannot.
    pub(super) problem: String,
    /// The newest version that was known at the start.
    pub(super) base: u64,
    /// Whether somebody has changed something since.
    pub(super) is_changed: bool,
    /// When it is tried again.
    pub(super) retry: Retry,
}

/// Keeps changes.
pub(super) struct Keeper {
    pub(super) keeping: Keeping,
    /// What is in force and could not be written, oldest first.
    pub(super) late: VecDeque<Unwritten>,
    keeps: Keeps,
    known: SharedKnown,
    /// What runs, as far as it is written.
    pub(super) running: Running,
    /// Texts that were written since they were last collected.
    put: usize,
    /// Not before that a checkpoint is written.
    no_checkpoint_before: Moment,
}

/// Why nothing was written.
pub(super) struct NotWritten {
    pub(super) is_full: bool,
    pub(super) problem: String,
}

impl Broken {
    pub(super) fn new(folder: &Path, problem: String, base: u64, now: Moment) -> Self {
        Self { folder: folder.to_owned(), problem, base, is_changed: false, retry: Retry::after(now) }
    }
}

impl Keeper {
    /// `first` is in force already, and not written.
    pub(super) fn new(
        keeping: Keeping,
        keeps: Keeps,
        known: SharedKnown,
        running: Running,
        first: Vec<Unwritten>,
    ) -> Self {
        let (late, no_checkpoint_before) = (first.into(), Moment::default());
        Self { keeping, late, keeps, known, running, put: 0, no_checkpoint_before }
    }

    /// Writes what is late, and then `new`. The places of the new ones.
    pub(super) fn write(&mut self, new: &[Unwritten]) -> Result<Vec<Stamp>, NotWritten> {
        let (journal, texts) = match &mut self.keeping {
            Keeping::Journal(journal, texts) => (journal, texts),
            Keeping::Nowhere => {
                return Err(NotWritten { is_full: false, problem: "nothing is kept".to_owned() });
            }
            Keeping::Broken(broken) => {
                return Err(NotWritten { is_full: false, problem: broken.problem.clone() });
            }
        };
        let all: Vec<&Unwritten> = self.late.iter().chain(new).collect();
        let put: Vec<&str> = all.iter().filter_map(|unwritten| unwritten.text.as_deref()).collect();
        if !put.is_empty() {
            texts.put(&put).map_err(|error| NotWritten {
                is_full: matches!(error, TextError::Full(_)),
                problem: error.to_string(),
            })?;
            self.put += put.len();
        }
        let entries: Vec<Entry<Line>> = all.iter().map(|unwritten| unwritten.entry.clone()).collect();
        let mut stamps = journal
            .append(&entries)
            .map_err(|error| NotWritten { is_full: error.is_full(), problem: error.to_string() })?;
        entries.iter().for_each(|entry| self.running.note(&entry.data.change));
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

    /// Remembers what is in force and not written, until it can be.
    pub(super) fn remember(&mut self, unwritten: impl Iterator<Item = Unwritten>) {
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

    /// What was found in a state has to be written before anything of this run, unless it waits already.
    pub(super) fn remark(&mut self, remarks: Vec<Unwritten>) {
        for remark in remarks.into_iter().rev() {
            let change = &remark.entry.data.change;
            if !self.late.iter().any(|late| late.entry.data.change == *change) {
                self.late.push_front(remark.late());
            }
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
        self.tell();
    }

    /// Tells whether changes are kept.
    pub(super) fn tell(&self) {
        match &self.keeping {
            Keeping::Journal(journal, _) => {
                self.keeps.set(self.late.is_empty() && journal.poisoned().is_none());
            }
            Keeping::Broken(_) => self.keeps.set(false),
            Keeping::Nowhere => {}
        }
    }

    /// Begins a new segment where the journal wants one, and lets go of texts that nothing names.
    pub(super) fn tidy(&mut self, publisher: &Publisher, keys: &Keys) {
        let Keeping::Journal(journal, texts) = &mut self.keeping else { return };
        let is_due = self.put >= TEXTS_PER_COLLECTION;
        let now = publisher.clock().now();
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
                overlay: publisher.snapshot().overlay.saved(),
                keys: keys.saved(),
                running: self.running.clone(),
            };
            let entry = Entry {
                time: publisher.clock().wall(),
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
        self.put = 0;
        if let Err(error) = texts.collect(&named) {
            tracing::warn!(%error, "table texts that nothing names stay");
        }
    }
}
