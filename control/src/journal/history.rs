//! What a journal holds, for whoever asks while it is written: the audit log.
//!
//! Nothing is shown that was not acknowledged. Every line that is read is checked on the way.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::entry::{Record, Stamp, Written};
use super::fault::{Broken, Fault};
use super::folder::Opened;
use super::line::Kind;
use super::scan::{Chain, Scan, Step};

/// Reads a journal that somebody else writes. A clone reads the same.
pub struct History<T> {
    folder: PathBuf,
    head: Arc<ArcSwap<Stamp>>,
    of: PhantomData<fn() -> T>,
}

impl<T: Record> History<T> {
    pub(super) const fn new(folder: PathBuf, head: Arc<ArcSwap<Stamp>>) -> Self {
        Self { folder, head, of: PhantomData }
    }

    /// The last line that was acknowledged: the anchor to show.
    #[must_use]
    pub fn head(&self) -> Stamp {
        **self.head.load()
    }

    /// The changes after number `after`, oldest first and at most `most`; those that are kept. The numbers of checkpoints are
    /// skipped. The newest hundred, or a few less, are `read(head().seq.saturating_sub(100), 100)`.
    ///
    /// Blocks: not for a thread that serves others.
    ///
    /// # Errors
    /// Where the journal is broken.
    pub fn read(&self, after: u64, most: usize) -> Result<Vec<Written<T>>, Broken> {
        // The head first: what it stands for is in the segments that are opened after it.
        let head = self.head().seq;
        let segments = Opened::all(&self.folder)?;
        let is_before = |opened: &Opened| opened.segment.first <= after.saturating_add(1);
        let begin = segments.iter().rposition(is_before).unwrap_or(0);
        let mut entries = Vec::new();
        let mut chain = Chain::default();
        for opened in segments.into_iter().skip(begin) {
            if opened.segment.first > head || entries.len() >= most {
                break;
            }
            chain = read_into(&mut entries, opened, chain, after, head, most)?;
        }
        Ok(entries)
    }
}

fn read_into<T: Record>(
    entries: &mut Vec<Written<T>>,
    opened: Opened,
    chain: Chain,
    after: u64,
    head: u64,
    most: usize,
) -> Result<Chain, Broken> {
    let file = opened.segment.file.clone();
    let mut scan = Scan::over(opened, chain);
    while entries.len() < most && scan.chain.last.is_none_or(|last| last.seq < head) {
        let line = scan.line + 1;
        let broken = |fault| Broken { file: file.clone(), line, fault };
        match scan.step().map_err(Opened::unreadable(&file))? {
            Step::Line(line) if line.kind == Kind::Change && line.stamp.seq > after => {
                let read = line.written().map_err(|error| broken(Fault::Foreign(error.to_string())))?;
                entries.push(read);
            }
            Step::Line(_) => {}
            Step::End => break,
            Step::Torn { .. } => return Err(broken(Fault::CutShort)),
            Step::Broken(fault) => return Err(broken(fault)),
        }
    }
    Ok(scan.chain)
}

impl<T> Clone for History<T> {
    fn clone(&self) -> Self {
        Self { folder: self.folder.clone(), head: self.head.clone(), of: PhantomData }
    }
}

impl<T> std::fmt::Debug for History<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("folder", &self.folder).finish_non_exhaustive()
    }
}
