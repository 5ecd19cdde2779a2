//! Whether a journal is what was written: every line of every segment, with one line in memory.

use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::entry::Stamp;
use super::fault::{Broken, Fault};
use super::folder::{self, Opened};
use super::line::Kind;
use super::recover::Torn;
use super::scan::{Chain, Scan, Step};

/// What holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The journal's own name, drawn when it was made.
    pub journal: String,
    /// From which number on everything was checked. 0 is from the start; later where old segments were removed.
    pub oldest: u64,
    /// The last line. Kept elsewhere, it is the anchor of the next check.
    pub head: Stamp,
    /// Files that were read.
    pub segments: usize,
    /// Changes in them; checkpoints are not counted.
    pub entries: u64,
    /// A line that is being written, or was when the process stopped: it was not acknowledged.
    pub torn: Option<Torn>,
    /// What an earlier start set aside because it was damaged. It is not part of the chain.
    pub aside: Vec<PathBuf>,
}

/// Checks every line that is kept: that it is whole, has its hash, and follows upon the one before it.
///
/// Takes no lock and writes nothing, so it may run beside the process that owns the journal, or over a copy. What that process
/// appends meanwhile may be seen as a torn line.
///
/// **Without an anchor, two things cannot be seen**: that lines were removed from the end, and that somebody wrote a line and all
/// that follow anew, with new hashes; there is no secret in them. An anchor is a [`Stamp`] that was kept elsewhere; whoever
/// changes a line up to it, or removes it, is found out. What is older than the oldest segment cannot be checked any more.
///
/// # Errors
/// The first thing that is wrong, with file and line.
pub fn verify(folder: &Path, anchor: Option<Stamp>) -> Result<Verified, Broken> {
    let segments = Opened::all(folder)?;
    let count = segments.len();
    let mut segments = segments.into_iter().enumerate();
    let mut chain = Chain::default();
    let mut verified: Option<Verified> = None;
    let mut torn = None;
    while let Some((index, opened)) = segments.next() {
        let file = &opened.segment.file.clone();
        let broken = |line, fault| Broken { file: file.clone(), line, fault };
        let mut scan = Scan::over(opened, chain);
        loop {
            let number = scan.line + 1;
            match scan.step().map_err(Opened::unreadable(file))? {
                Step::Line(line) => {
                    let (head, prev) = (line.stamp, line.prev);
                    let entries = u64::from(line.kind == Kind::Change);
                    let verified = verified.get_or_insert_with(|| Verified {
                        journal: line.journal.clone().unwrap_or_default(),
                        oldest: head.seq,
                        head,
                        segments: 0,
                        entries: 0,
                        torn: None,
                        aside: Vec::new(),
                    });
                    (verified.head, verified.entries) = (head, verified.entries + entries);
                    verified.segments = index + 1;
                    agrees(anchor, head, prev).map_err(|fault| broken(number, fault))?;
                }
                Step::End if number == 1 => return Err(broken(0, Fault::NotALine)),
                Step::End => break,
                Step::Torn { bytes } if index + 1 == count && number > 1 => {
                    torn = Some(Torn { file: file.clone(), line: number, bytes });
                    break;
                }
                Step::Torn { .. } => return Err(broken(number, Fault::CutShort)),
                Step::Broken(Fault::Removed { first, last }) => {
                    let fault = stands_later(file, scan, segments.map(|(_, later)| later), first)?;
                    return Err(broken(number, fault.unwrap_or(Fault::Removed { first, last })));
                }
                Step::Broken(fault) => return Err(broken(number, fault)),
            }
        }
        chain = scan.chain;
    }
    let whole = |fault| Broken { file: folder.to_owned(), line: 0, fault };
    let verified = verified.ok_or_else(|| whole(Fault::Empty))?;
    match anchor {
        Some(anchor) if anchor.seq > verified.head.seq => {
            Err(whole(Fault::EndRemoved { anchor, newest: verified.head.seq }))
        }
        Some(anchor) if anchor.seq + 1 < verified.oldest => {
            Err(whole(Fault::AnchorNotHeld { anchor, oldest: verified.oldest }))
        }
        _ => {
            let aside = folder::set_aside(folder).map_err(Opened::unreadable(folder))?;
            Ok(Verified { torn, aside, ..verified })
        }
    }
}

/// Whether a line is, or follows upon, the anchor where it has to.
fn agrees(anchor: Option<Stamp>, line: Stamp, prev: Digest) -> Result<(), Fault> {
    match anchor {
        Some(anchor) if anchor.seq == line.seq && anchor.hash != line.hash => {
            Err(Fault::AnchorDiffers { anchor })
        }
        // The line itself may have gone with its segment; the one after it tells its hash.
        Some(anchor) if anchor.seq.checked_add(1) == Some(line.seq) && anchor.hash != prev => {
            Err(Fault::AnchorDiffers { anchor })
        }
        _ => Ok(()),
    }
}

/// Whether a line that is missing stands further on.
fn stands_later(
    here: &Path,
    mut scan: Scan,
    mut later: impl Iterator<Item = Opened>,
    seq: u64,
) -> Result<Option<Fault>, Broken> {
    let mut file = here.to_owned();
    loop {
        if let Some(line) = scan.find(seq).map_err(Opened::unreadable(&file))? {
            return Ok(Some(Fault::Reordered { belongs: seq, file, line }));
        }
        let Some(opened) = later.next() else { return Ok(None) };
        file.clone_from(&opened.segment.file);
        scan = Scan::over(opened, Chain::default());
    }
}
