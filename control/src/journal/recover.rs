//! What a journal says after a restart: read, judged, and nothing changed yet.
//!
//! The newest segment has all that is needed, as it begins with a checkpoint. Where its very beginning is damaged, the one
//! before leads to the same state, and so on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::entry::{Record, Stamp, Written};
use super::error::OpenError;
use super::fault::{Broken, Fault};
use super::folder::{Opened, Segment};
use super::line::Kind;
use super::scan::{Chain, Scan, Step};
use super::tail::{Repair, Rest};

/// What was found when a journal was opened.
#[derive(Debug)]
pub struct Recovered<T: Record> {
    /// The newest checkpoint that can be read. None if the journal has only its first segment.
    pub checkpoint: Option<Written<T::State>>,
    /// What was written after it, oldest first. All that was ever acknowledged, unless there is damage.
    pub entries: Vec<Written<T>>,
    /// A line that was being written when the process or the machine stopped. Nobody was told that it is there, so nothing
    /// is lost; it is kept in a `.torn` file, up to 1 MiB.
    pub torn: Option<Torn>,
    /// The worst: something that may have been acknowledged cannot be trusted any more. What stands before it is here; the
    /// rest is set aside in a `.broken` file and needs a person.
    pub damage: Option<Damage>,
    /// What was set aside as damaged until now, by this start and by former ones. It stays until a person removes it, and
    /// whoever shows alarms can shout as long.
    pub aside: Vec<PathBuf>,
}

/// An unfinished line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Torn {
    /// In which file.
    pub file: PathBuf,
    /// In which line of it.
    pub line: u64,
    /// How much of it is there.
    pub bytes: u64,
}

/// What was set aside because it could not be trusted. Numbers go on after the last line that could, so those of what was set
/// aside are given again, and an anchor of it will not be found any more.
#[derive(Debug)]
pub struct Damage {
    /// Where it begins, and what is wrong there.
    pub broken: Broken,
    /// How many lines were set aside, whole or not.
    pub lines: u64,
    /// How much that is.
    pub bytes: u64,
    /// Where it is now; nowhere as long as it could not be set aside.
    pub files: Vec<PathBuf>,
}

/// Where the next line goes.
#[derive(Debug)]
pub(super) struct End {
    pub(super) journal: String,
    pub(super) file: PathBuf,
    pub(super) len: u64,
    pub(super) head: Stamp,
}

/// What was found, where to go on (nothing to go on with in a new folder), and what has to be moved out of the way first.
pub(super) struct Found<T: Record> {
    pub(super) recovered: Recovered<T>,
    pub(super) end: Option<End>,
    pub(super) repair: Repair,
}

pub(super) fn recover<T: Record>(segments: &[Segment]) -> Result<Found<T>, OpenError> {
    let recovered =
        Recovered { checkpoint: None, entries: Vec::new(), torn: None, damage: None, aside: Vec::new() };
    let mut found = Found { recovered, end: None, repair: Repair::default() };
    for segment in segments.iter().rev() {
        if found.take(segment)? {
            return Ok(found);
        }
        found.repair.segments.push(segment.file.clone());
    }
    Ok(found)
}

impl<T: Record> Found<T> {
    /// Takes what a segment says. Whether that is anything at all.
    fn take(&mut self, segment: &Segment) -> Result<bool, OpenError> {
        let file = &segment.file;
        let opened = Opened::of(segment.clone()).map_err(OpenError::io(file))?;
        let mut scan = Scan::over(opened, Chain::default());
        loop {
            let (number, end) = (scan.line + 1, scan.end);
            let rest = segment.bytes.saturating_sub(end);
            let fault = match scan.step() {
                // A bad block: what stands before it is known, and what is there may yet be read.
                Err(error) => {
                    let same = io::Error::new(error.kind(), error.to_string());
                    self.repair.unread = Some((file.clone(), same));
                    Some(Fault::Unreadable(error))
                }
                Ok(Step::Line(line)) => {
                    let read = match line.kind {
                        Kind::Checkpoint => {
                            line.written().map(|checkpoint| self.recovered.checkpoint = Some(checkpoint))
                        }
                        Kind::Change => line.written().map(|entry| self.recovered.entries.push(entry)),
                        Kind::Start | Kind::Unknown => Ok(()),
                    };
                    read.map_err(|error| foreign(file, number, error.to_string()))?;
                    continue;
                }
                Ok(Step::Broken(Fault::Foreign(problem))) => return Err(foreign(file, number, problem)),
                Ok(Step::Broken(fault)) => Some(fault),
                // The first line was on the disk before the file had its name, so no crash cuts it short.
                Ok(Step::Torn { .. } | Step::End) if number == 1 => Some(Fault::NotALine),
                Ok(Step::Torn { bytes }) => {
                    self.repair.rest = Rest::Torn;
                    self.recovered.torn = Some(Torn { file: file.clone(), line: number, bytes });
                    None
                }
                Ok(Step::End) => None,
            };
            if let Some(fault) = fault {
                self.damaged(file, (number, end), rest, fault);
            }
            let Some(head) = scan.chain.last else { return Ok(false) };
            let journal = scan.chain.journal;
            self.end = Some(End { journal, file: file.clone(), len: end, head });
            return Ok(true);
        }
    }

    fn damaged(&mut self, file: &Path, (line, end): (u64, u64), bytes: u64, fault: Fault) {
        if line > 1 {
            self.repair.rest = Rest::Broken;
        }
        // Segments are read from the newest to the oldest: what is found last comes first in the chain.
        let (more_lines, more_bytes) =
            self.recovered.damage.as_ref().map_or((0, 0), |damage| (damage.lines, damage.bytes));
        let (lines, bytes) = (lines_after(file, end) + more_lines, bytes + more_bytes);
        let broken = Broken { file: file.to_owned(), line, fault };
        self.recovered.damage = Some(Damage { broken, lines, bytes, files: Vec::new() });
    }
}

/// How many lines begin after a place of a file, as far as it can be read. What is damaged may be one line without end, so none
/// is held.
fn lines_after(file: &Path, place: u64) -> u64 {
    let Ok(mut content) = File::open(file) else { return 0 };
    if content.seek(SeekFrom::Start(place)).is_err() {
        return 0;
    }
    let mut content = BufReader::new(content);
    let (mut lines, mut is_begun) = (0, false);
    while let Ok(read @ [.., last]) = content.fill_buf() {
        lines += read.split(|byte| *byte == b'\n').count() as u64 - 1;
        is_begun = *last != b'\n';
        let bytes = read.len();
        content.consume(bytes);
    }
    lines + u64::from(is_begun)
}

fn foreign(file: &Path, line: u64, problem: String) -> OpenError {
    OpenError::Foreign(Broken { file: file.to_owned(), line, fault: Fault::Foreign(problem) })
}
