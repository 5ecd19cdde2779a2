//! The last records of one worker, readable by others while it writes.
//!
//! The ring is an array of lines of 64 bytes. A record takes as many as it needs, one after the other, and is found by the
//! number of its first line, which counts up for ever. One thread writes; it never waits and takes no lock. Others read at any
//! time and may come too late: the writer says which lines it is about to overwrite before it touches them, and a reader looks
//! there once more after it has copied a record. What was or may have been touched meanwhile counts as gone, so nobody ever
//! sees half a record (a seqlock, after Boehm, "Can seqlocks get along with programming language memory models?", 2012).
//!
//! Memory is taken a segment at a time, as the ring first fills, so an edge that serves little keeps little. A record never
//! lies in two segments; one that does not fit into the rest of one begins in the next.
//!
//! Left out: what the words mean.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// Words of a line: one line of the processor's cache.
const LINE: usize = 8;
/// Lines of a segment: 32 KiB.
const SEGMENT: usize = 512;
/// Bytes of a segment.
pub const SEGMENT_BYTES: usize = SEGMENT * LINE * size_of::<u64>();
/// The most words that a record has, its head included.
pub(super) const MAX_WORDS: usize = SEGMENT * LINE;
/// What the first word of a record looks like, so that a line in the middle of one is not taken for another.
const MARK: u64 = 0xdec1 << 48;

/// One worker's ring. Its counters share no line with those of another.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Ring {
    /// Records begin at lines below this; those that begin before it are whole, unless they are gone.
    written: AtomicU64,
    /// Lines below this, less those that the ring has, are gone or going.
    claimed: AtomicU64,
    segments: Box<[OnceLock<Box<[AtomicU64]>>]>,
    has_writer: AtomicBool,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lost {
    /// No record begins there.
    Never,
    /// Others have taken its place.
    Overwritten,
}

/// The end of a ring that is written to. There is one.
#[derive(Debug)]
pub(super) struct Writer(std::sync::Arc<Ring>);

impl Ring {
    /// An empty ring of about so many bytes, a segment at least.
    pub(super) fn new(bytes: usize) -> Self {
        let segments = (bytes / SEGMENT_BYTES).max(1);
        Self {
            written: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
            segments: (0..segments).map(|_| OnceLock::new()).collect(),
            has_writer: AtomicBool::new(false),
        }
    }

    /// The end to write to; `None` if somebody has it.
    pub(super) fn writer(self: &std::sync::Arc<Self>) -> Option<Writer> {
        (!self.has_writer.swap(true, Ordering::AcqRel)).then(|| Writer(self.clone()))
    }

    fn lines(&self) -> u64 {
        (self.segments.len() * SEGMENT) as u64
    }

    /// The segment of a line, and the line's place in it.
    fn place(&self, line: u64) -> (&OnceLock<Box<[AtomicU64]>>, usize) {
        let at = (line % self.lines()) as usize;
        (&self.segments[at / SEGMENT], at % SEGMENT * LINE)
    }

    /// Copies the record that begins at a line.
    pub(super) fn read(&self, line: u64, words: &mut Vec<u64>) -> Result<(), Lost> {
        words.clear();
        // What was written before this is visible from here on.
        let written = self.written.load(Ordering::Acquire);
        if line >= written {
            return Err(Lost::Never);
        }
        if self.is_gone(line) {
            return Err(Lost::Overwritten);
        }
        let (segment, from) = self.place(line);
        let Some(cells) = segment.get() else { return Err(Lost::Never) };
        let head = cells[from].load(Ordering::Relaxed);
        let length = length_of(head, line).filter(|length| from + length <= MAX_WORDS);
        if let Some(length) = length {
            words.extend(cells[from..from + length].iter().map(|cell| cell.load(Ordering::Relaxed)));
        }
        // If one of these loads saw a word of a later record, then what the writer claimed before is seen below.
        fence(Ordering::Acquire);
        if self.is_gone(line) {
            words.clear();
            return Err(Lost::Overwritten);
        }
        if length.is_some() { Ok(()) } else { Err(Lost::Never) }
    }

    fn is_gone(&self, line: u64) -> bool {
        self.claimed.load(Ordering::Relaxed) > line.saturating_add(self.lines())
    }

    /// The lines at which whole records begin, oldest first, of those whose word at `index` is this one.
    pub(super) fn find(&self, index: usize, word: u64) -> Vec<u64> {
        self.starts()
            .filter(|(_, record)| record.get(index).is_some_and(|cell| cell.load(Ordering::Relaxed) == word))
            .map(|(line, _)| line)
            .collect()
    }

    /// The line of the oldest record.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.starts().next().map(|(line, _)| line)
    }

    /// Where records seem to begin; whoever reads one learns whether that is so.
    fn starts(&self) -> impl Iterator<Item = (u64, &[AtomicU64])> {
        let written = self.written.load(Ordering::Acquire);
        let mut line = self.claimed.load(Ordering::Relaxed).saturating_sub(self.lines());
        std::iter::from_fn(move || {
            while line < written {
                let at = line;
                let (segment, from) = self.place(at);
                let cells = segment.get()?;
                let length = length_of(cells[from].load(Ordering::Relaxed), at);
                line += length.map_or(1, |length| length.div_ceil(LINE) as u64);
                if let Some(length) = length.filter(|length| from + length <= MAX_WORDS) {
                    return Some((at, &cells[from..from + length]));
                }
            }
            None
        })
    }
}

/// How many words a record has that begins at this line with this word; `None` if none begins so.
fn length_of(head: u64, line: u64) -> Option<usize> {
    let length = (head >> 32 & 0xffff) as usize;
    (head == head_of(length, line) && length > 0).then_some(length)
}

const fn head_of(length: usize, line: u64) -> u64 {
    MARK | (length as u64) << 32 | line & 0xffff_ffff
}

impl Writer {
    /// Writes a record, whose first word is the ring's own. The line that it begins at; `None` if it is too long.
    pub(super) fn write(&mut self, words: &[u64]) -> Option<u64> {
        let ring = &*self.0;
        if words.is_empty() || words.len() > MAX_WORDS {
            return None;
        }
        let lines = words.len().div_ceil(LINE) as u64;
        let mut line = ring.written.load(Ordering::Relaxed);
        let left = SEGMENT as u64 - line % SEGMENT as u64;
        if lines > left {
            line += left;
        }
        ring.claimed.store(line + lines, Ordering::Relaxed);
        // Whoever sees a word that is stored below sees the claim as well.
        fence(Ordering::Release);
        let (segment, from) = ring.place(line);
        let cells = segment.get_or_init(|| (0..MAX_WORDS).map(|_| AtomicU64::new(0)).collect());
        let cells = &cells[from..from + words.len()];
        cells[0].store(head_of(words.len(), line), Ordering::Relaxed);
        for (cell, word) in cells[1..].iter().zip(&words[1..]) {
            cell.store(*word, Ordering::Relaxed);
        }
        ring.written.store(line + lines, Ordering::Release);
        Some(line)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.has_writer.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// A record that can be told from every other by each of its words.
    fn record(number: u64) -> Vec<u64> {
        let length = 2 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59) as usize;
        (0..length as u64).map(|index| number << 8 | index).collect()
    }

    fn is_whole(words: &[u64]) -> bool {
        let number = words[1] >> 8;
        words[1..] == record(number)[1..]
    }

    #[test]
    fn what_was_written_is_read_until_it_is_overwritten() {
        let ring = Arc::new(Ring::new(0));
        let mut writer = ring.writer().unwrap();
        assert!(ring.writer().is_none(), "there is one writer");
        let lines: Vec<u64> = (0..2000).map(|number| writer.write(&record(number)).unwrap()).collect();
        let mut words = Vec::new();
        let mut kept = 0;
        for (number, line) in (0..).zip(&lines) {
            match ring.read(*line, &mut words) {
                Ok(()) => {
                    assert_eq!(words[1..], record(number)[1..]);
                    kept += 1;
                }
                Err(lost) => {
                    assert_eq!(lost, Lost::Overwritten);
                    assert_eq!(kept, 0, "the oldest go first");
                }
            }
        }
        assert!((150..512).contains(&kept), "{kept}");
        assert_eq!(ring.oldest(), Some(lines[2000 - kept]));
        assert_eq!(ring.read(lines[1999] + 64, &mut words), Err(Lost::Never));
        let middle = (lines[1000]..lines[1999]).filter(|line| !lines.contains(line));
        middle.for_each(|line| assert!(ring.read(line, &mut words).is_err(), "no record begins at {line}"));
        assert_eq!(ring.find(1, record(1990)[1]), [lines[1990]]);
        assert_eq!(ring.find(1, record(1)[1]), [] as [u64; 0]);
        drop(writer);
        assert!(ring.writer().is_some());
    }

    #[test]
    fn records_fill_segments_and_no_more() {
        let ring = Arc::new(Ring::new(3 * SEGMENT_BYTES));
        let mut writer = ring.writer().unwrap();
        assert_eq!(writer.write(&vec![7; MAX_WORDS + 1]), None);
        assert_eq!(writer.write(&[7; 3]), Some(0));
        assert_eq!(writer.write(&vec![7; MAX_WORDS]), Some(512));
        assert_eq!(writer.write(&vec![7; MAX_WORDS - 9]), Some(1024));
        assert_eq!(writer.write(&[7; 9]), Some(1536), "one line was left");
        let mut words = Vec::new();
        assert_eq!(ring.read(0, &mut words), Err(Lost::Overwritten));
        ring.read(512, &mut words).unwrap();
        assert_eq!(words.len(), MAX_WORDS);
    }

    /// Readers chase a writer round a small ring, at its tail, where records vanish under their hands.
    #[test]
    fn no_reader_ever_sees_half_a_record() {
        const RECORDS: u64 = 400_000;
        let ring = Arc::new(Ring::new(SEGMENT_BYTES));
        let mut writer = ring.writer().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2_u64)
            .map(|seed| {
                let (ring, done) = (ring.clone(), done.clone());
                thread::spawn(move || {
                    let (mut words, mut read, mut lost) = (Vec::new(), 0_u64, 0_u64);
                    let mut dice = steer::draw::Rng::new(seed);
                    while !done.load(Ordering::Relaxed) || read == 0 {
                        let written = ring.written.load(Ordering::Relaxed);
                        // Mostly the oldest few lines, which are the next to go.
                        let back = if dice.below(4) == 0 { dice.below(512) } else { 512 - dice.below(16) };
                        match ring.read(written.saturating_sub(u64::from(back)), &mut words) {
                            Ok(()) => {
                                assert!(is_whole(&words), "{words:x?}");
                                read += 1;
                            }
                            Err(Lost::Overwritten) => lost += 1,
                            Err(Lost::Never) => {}
                        }
                        if dice.below(4096) == 0 {
                            assert!(ring.find(1, u64::MAX).is_empty());
                        }
                    }
                    (read, lost)
                })
            })
            .collect();
        for number in 0..RECORDS {
            writer.write(&record(number)).unwrap();
            if number % 1024 == 0 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            let (read, lost) = reader.join().unwrap();
            assert!(read > 0 && lost > 0, "{read} read, {lost} lost");
        }
    }
}
