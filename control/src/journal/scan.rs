//! Reading a segment line by line, with one line in memory, and following the chain.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use super::digest::Digest;
use super::entry::Stamp;
use super::fault::Fault;
use super::folder::Opened;
use super::line::{FORMAT, Kind, Line, MAX_BYTES};

/// How far the chain was followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// Which journal it is; empty before the first line.
    pub(super) journal: String,
    /// The last line that is right.
    pub(super) last: Option<Stamp>,
}

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct Scan {
    reader: BufReader<File>,
    first: u64,
    text: Vec<u8>,
    /// The line that was read last, counted from 1.
    pub(super) line: u64,
    /// Where the last right line ends, in bytes.
    pub(super) end: u64,
    pub(super) chain: Chain,
}

/// What comes next in a segment.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A line that follows upon the one before.
    Line(Line<'a>),
    /// Nothing.
    End,
    /// The beginning of a line, and no more.
    Torn { bytes: u64 },
    /// Something that does not belong here.
    Broken(Fault),
}

impl Scan {
    pub(super) fn over(opened: Opened, chain: Chain) -> Self {
        let reader = BufReader::new(opened.content);
        Self { reader, first: opened.segment.first, text: Vec::new(), line: 0, end: 0, chain }
    }

    /// The next line. After anything but a line, the scan is over.
    pub(super) fn step(&mut self) -> io::Result<Step<'_>> {
        self.read()?;
        let Some((&last, before)) = self.text.split_last() else { return Ok(Step::End) };
        self.line += 1;
        if last != b'\n' {
            if self.text.len() > MAX_BYTES {
                return Ok(Step::Broken(Fault::TooLong));
            }
            // A whole line whose end is something else was not torn: a torn one is shorter.
            let is_whole = !matches!(Line::parse(before), Err(Fault::NotALine | Fault::Edited));
            let torn = Step::Torn { bytes: self.text.len() as u64 };
            return Ok(if is_whole { Step::Broken(Fault::Edited) } else { torn });
        }
        Ok(match Line::parse(before).and_then(|line| follows(&self.chain, self.line, self.first, line)) {
            Ok(line) => {
                if let Some(journal) = &line.journal {
                    self.chain.journal.clone_from(journal);
                }
                self.chain.last = Some(line.stamp);
                self.end += self.text.len() as u64;
                Step::Line(line)
            }
            Err(fault) => Step::Broken(fault),
        })
    }

    /// Whether the line of that number stands further on, and where.
    pub(super) fn find(&mut self, seq: u64) -> io::Result<Option<u64>> {
        loop {
            self.read()?;
            let Some((_, before)) = self.text.split_last() else { return Ok(None) };
            self.line += 1;
            if Line::parse(before).is_ok_and(|line| line.stamp.seq == seq) {
                return Ok(Some(self.line));
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.text.clear();
        (&mut self.reader).take(MAX_BYTES as u64 + 1).read_until(b'\n', &mut self.text)?;
        Ok(())
    }
}

/// Whether a line belongs where it stands.
fn follows<'a>(chain: &Chain, number: u64, first: u64, line: Line<'a>) -> Result<Line<'a>, Fault> {
    if line.format.is_some_and(|format| format > FORMAT) || line.kind == Kind::Unknown {
        return Err(Fault::Foreign("a newer format".to_owned()));
    }
    let Stamp { seq, .. } = line.stamp;
    match chain.last {
        Some(Stamp { seq: before, .. }) if seq > before + 1 => {
            return Err(Fault::Removed { first: before + 1, last: seq - 1 });
        }
        Some(Stamp { seq: before, .. }) if seq < before + 1 => {
            return Err(Fault::Inserted { belongs: before + 1, found: seq });
        }
        Some(before) if line.prev != before.hash => return Err(Fault::Replaced),
        _ => {}
    }
    let is_first = number == 1;
    let is_placed = match line.kind {
        Kind::Start => is_first && seq == 0 && line.prev == Digest::NONE,
        Kind::Checkpoint => is_first,
        Kind::Change | Kind::Unknown => !is_first,
    };
    if !is_placed || is_first != line.journal.is_some() {
        return Err(Fault::Misplaced);
    }
    if is_first && seq != first {
        return Err(Fault::WrongName);
    }
    let other = line.journal.as_ref().is_some_and(|journal| *journal != chain.journal);
    if other && chain.last.is_some() { Err(Fault::OtherJournal) } else { Ok(line) }
}
