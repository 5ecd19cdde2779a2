//! The journal: what was changed, by whom and why, on disk before anybody is told that it is in force.
//!
//! One JSON line per change, which `jq` reads; each has the hash of the line before it, so that a line cannot be edited, removed
//! or moved without the next one saying so ([`verify`]). One `fdatasync` covers a whole batch: whoever appends many changes
//! at once pays for one. After `kill -9` or a power cut, everything that was acknowledged is there, and nothing by halves.
//!
//! ```text
//! folder/                                0700, ours alone, one process at a time
//!   00000000000000000000.jsonl           start, change, change, …
//!   00000000000000004711.jsonl           checkpoint, change, …     named after the number of its first line
//!   00000000000000004711.jsonl.torn      a line that was being written when the power went
//!   00000000000000004711.jsonl.broken    what could not be trusted any more
//!   lock                                 who has it open
//!   tables/<sha256>.toml                 table texts, which changes name by their hash
//! ```
//! A segment that is long enough is followed by another, which begins with the whole state, so that a start reads one segment
//! and old ones can go.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use control::journal::{Entry, Journal, Limits, Record, verify};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, Serialize)]
//! struct Weight {
//!     region: String,
//!     percent: u8,
//! }
//!
//! impl Record for Weight {
//!     type State = BTreeMap<String, u8>;
//! }
//!
//! fn by_ada<D>(data: D) -> Entry<D> {
//!     let time = "2026-03-01T03:00:00Z".parse().unwrap();
//!     let reason = "maintenance".to_owned();
//!     Entry { time, author: "ada".to_owned(), role: "operator".to_owned(), reason, data }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::TempDir::new()?;
//! # let folder = temporary.path().join("journal");
//! let (mut journal, _) = Journal::<Weight>::open(&folder, Limits::default())?;
//! // A batch: all of it is on the disk when this returns, or none of it ever was. Then it may be applied, then answered.
//! let stamps = journal.append(&[
//!     by_ada(Weight { region: "eu".to_owned(), percent: 50 }),
//!     by_ada(Weight { region: "us".to_owned(), percent: 80 }),
//! ])?;
//! // Once all that was appended is applied, and if it is time:
//! if journal.wants_checkpoint() {
//!     let state = BTreeMap::from([("eu".to_owned(), 50), ("us".to_owned(), 80)]);
//!     journal.checkpoint(&Entry { author: "nearside".to_owned(), ..by_ada(state) })?;
//! }
//! drop(journal);
//!
//! // The next start: the state, then what came after it.
//! let (journal, recovered) = Journal::<Weight>::open(&folder, Limits::default())?;
//! let mut weights = recovered.checkpoint.map(|written| written.entry.data).unwrap_or_default();
//! for Weight { region, percent } in recovered.entries.into_iter().map(|written| written.entry.data) {
//!     weights.insert(region, percent);
//! }
//! assert_eq!(weights["us"], 80);
//! assert_eq!(journal.head(), stamps[1]);
//!
//! // An auditor, with what he noted last time.
//! assert_eq!(verify(&folder, Some(stamps[0]))?.entries, 2);
//! # Ok(())
//! # }
//! ```
//!
//! Left out: what changes mean, and clocks: callers bring times. Signatures: whoever can write the files can write a whole new
//! chain, and only an anchor kept elsewhere tells. Nothing here is async; a journal has a thread of its own.

mod digest;
mod entry;
mod error;
mod fault;
mod file;
mod folder;
mod history;
mod line;
mod owner;
mod recover;
mod scan;
mod tail;
mod texts;
mod verify;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use digest::{Digest, NotADigest};
pub use entry::{Entry, NotAStamp, Record, Stamp, Written};
pub use error::{AppendError, OpenError};
pub use fault::{Broken, Fault};
pub use history::History;
pub use line::{MAX_BYTES as MAX_LINE_BYTES, json_bytes};
pub use recover::{Damage, Recovered, Torn};
pub use texts::{TextError, TextReader, Texts};
pub use verify::{Verified, verify};

use file::NotCreated;
use owner::Owner;
use recover::{End, Found, recover};
use tail::{Opener, Tail, put_aside};

/// How much is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long a segment gets before a checkpoint is due, in bytes. A start reads about that much.
    pub segment_bytes: u64,
    /// How many segments are kept. Two at least are, so that a start can fall back upon the one before.
    pub segments: usize,
    /// How much all segments together may have, in bytes, once the newest is begun. The newest two stay whatever they have.
    pub bytes: u64,
}

impl Default for Limits {
    /// Some 500,000 changes of half a kilobyte.
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, segments: 64, bytes: 256 << 20 }
    }
}

/// A journal that this process owns until it drops it.
#[derive(Debug)]
pub struct Journal<T: Record> {
    folder: PathBuf,
    limits: Limits,
    /// Its own name, drawn when it was made.
    id: String,
    tail: Tail,
    head: Stamp,
    /// The same for others.
    shown: Arc<ArcSwap<Stamp>>,
    /// After damage, the next segment begins from what could be saved.
    was_damaged: bool,
    history: History<T>,
    _owner: Owner,
}

impl<T: Record> Journal<T> {
    /// Opens the journal in a folder, and makes both if they are not there.
    ///
    /// Damage does not stop it: what can be trusted is recovered, and the rest set aside. Where even that cannot be done, on a
    /// disk that is full, cannot be written or not wholly be read, the journal is open and [poisoned](Self::poisoned): what it said is known, and
    /// appending tries again to put things right.
    ///
    /// # Errors
    /// If another process has it open, the folder cannot be trusted, or the system refuses; or if another version wrote what
    /// this one does not understand, which is left as it is.
    pub fn open(folder: &Path, limits: Limits) -> Result<(Self, Recovered<T>), OpenError> {
        Self::open_with(folder, limits, tail::plain())
    }

    fn open_with(folder: &Path, limits: Limits, open: Opener) -> Result<(Self, Recovered<T>), OpenError> {
        folder::claim(folder)?;
        let owner = Owner::of(folder)?;
        if let Err(error) = folder::clear(folder) {
            tracing::warn!(folder = %folder.display(), %error, "what a former run left unfinished stays");
        }
        let segments = folder::segments(folder).map_err(OpenError::io(folder))?;
        let aside_before = folder::set_aside(folder).map_err(OpenError::io(folder))?;
        let Found { mut recovered, end, repair } = recover(&segments)?;
        warn(&recovered);
        let (end, repair) = match end {
            Some(end) => (end, repair),
            None => {
                if let Some((file, error)) = repair.unread {
                    return Err(OpenError::Io { file, error });
                }
                repair.segments.iter().try_for_each(|file| put_aside(file).map_err(OpenError::io(file)))?;
                (begin(folder)?, tail::Repair::default())
            }
        };
        let shown = Arc::new(ArcSwap::from_pointee(end.head));
        let mut journal = Self {
            folder: folder.to_owned(),
            limits,
            id: end.journal,
            tail: Tail::of(end.file, end.len, repair, open),
            head: end.head,
            history: History::new(folder.to_owned(), shown.clone()),
            shown,
            was_damaged: recovered.damage.is_some(),
            _owner: owner,
        };
        if let Err(error) = journal.tail.mend(journal.head) {
            tracing::error!(folder = %folder.display(), %error, "the journal was read and cannot be written");
        }
        recovered.aside = folder::set_aside(folder).map_err(OpenError::io(folder))?;
        if let Some(damage) = &mut recovered.damage {
            let is_new = |file: &&PathBuf| !aside_before.contains(file);
            damage.files = recovered.aside.iter().filter(is_new).cloned().collect();
        }
        Ok((journal, recovered))
    }

    /// Appends a batch: when this returns, all of it is on the disk. Their places, in order.
    ///
    /// # Errors
    /// Nothing of the batch counts, now or after a restart. If the disk is full, [`AppendError::is_full`] says so. Where the disk
    /// does not even let the batch be cut off again, the journal is [poisoned](Self::poisoned); only if the process ends in that
    /// state may a start find entries that were refused.
    pub fn append(&mut self, batch: &[Entry<T>]) -> Result<Vec<Stamp>, AppendError> {
        let mut lines = Vec::new();
        let mut last = self.head;
        let mut stamps = Vec::with_capacity(batch.len());
        for entry in batch {
            last = line::change(&mut lines, last, entry)?;
            stamps.push(last);
        }
        if !stamps.is_empty() {
            self.tail.mend(self.head)?;
            self.tail.append(&lines)?;
            self.advance(last);
        }
        Ok(stamps)
    }

    /// Puts right what keeps this journal from being written, if that is possible by now. [`Journal::append`] does so by itself; this
    /// is for whoever wants to know beforehand.
    ///
    /// # Errors
    /// What it is.
    pub fn mend(&mut self) -> Result<(), AppendError> {
        self.tail.mend(self.head)
    }

    /// Whether the newest segment is long enough, or follows upon damage. A checkpoint is never needed, but without any, starts
    /// take longer and nothing old is removed.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.was_damaged || self.tail.len() >= self.limits.segment_bytes
    }

    /// Begins a new segment with the state that all changes until now have led to, and removes segments beyond the limits.
    ///
    /// # Errors
    /// If it could not be written. The journal goes on where it was; there is nothing that the caller has to do again at once.
    pub fn checkpoint(&mut self, state: &Entry<T::State>) -> Result<Stamp, AppendError> {
        self.tail.mend(self.head)?;
        let (line, stamp) = line::checkpoint(&self.id, self.head, state)?;
        let name = folder::name_of(stamp.seq);
        let created = file::create(&self.folder, &name, &mut line.as_slice());
        if let Err(NotCreated { is_in_place: false, error }) = created {
            return Err(error.into());
        }
        // It has its name, so a start would go on here, and so must we.
        let opened = self.tail.move_to(self.folder.join(name), line.len() as u64);
        self.advance(stamp);
        self.was_damaged = false;
        opened?;
        if let Err(NotCreated { error, .. }) = created {
            self.tail.poisoned(format!("the folder could not be synced: {error}"));
            return Err(error.into());
        }
        self.remove_old();
        Ok(stamp)
    }

    /// The last line: its number and its hash, to be shown where it outlives this disk.
    #[must_use]
    pub const fn head(&self) -> Stamp {
        self.head
    }

    /// The journal's own name, drawn when it was made.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Why nothing can be written, if that is so. Each append tries again to put it right.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.tail.poison()
    }

    /// What others read.
    #[must_use]
    pub fn history(&self) -> History<T> {
        self.history.clone()
    }

    /// The table texts beside this journal.
    ///
    /// # Errors
    /// If their folder cannot be made or trusted.
    pub fn texts(&self) -> Result<Texts, OpenError> {
        Texts::beside(&self.folder)
    }

    fn advance(&mut self, head: Stamp) {
        self.head = head;
        self.shown.store(Arc::new(head));
    }

    fn remove_old(&self) {
        let removed = folder::segments(&self.folder).and_then(|segments| {
            let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
            for (index, old) in segments.iter().enumerate() {
                let left = segments.len() - index;
                if left <= 2 || (left <= self.limits.segments && bytes <= self.limits.bytes) {
                    break;
                }
                fs::remove_file(&old.file)?;
                tail::remove_torn(&old.file)?;
                bytes -= old.bytes;
            }
            Ok(())
        });
        if let Err(error) = removed {
            tracing::warn!(folder = %self.folder.display(), %error, "old segments of the journal stay");
        }
    }
}

/// Begins the first segment.
fn begin(folder: &Path) -> Result<End, OpenError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| OpenError::io(folder)(io::Error::other(error)))?;
    let journal: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = folder.join(folder::name_of(0));
    let (line, head) =
        line::start(&journal).map_err(|error| OpenError::io(&file)(io::Error::other(error)))?;
    let created = file::create(folder, &folder::name_of(0), &mut line.as_slice());
    created.map_err(|not| OpenError::io(&file)(not.error))?;
    Ok(End { journal, file, len: line.len() as u64, head })
}

fn warn<T: Record>(recovered: &Recovered<T>) {
    if let Some(Torn { file, line, bytes }) = &recovered.torn {
        let file = file.display();
        tracing::warn!(%file, line, bytes, "an unfinished line of the journal is cut off; nobody was told that it was kept");
    }
    if let Some(Damage { broken, lines, bytes, .. }) = &recovered.damage {
        tracing::error!(%broken, lines, bytes, "the journal is damaged: what stands before counts, the rest needs a person");
    }
}

#[cfg(test)]
mod tests;
