//! What can be wrong with a journal, in words for whoever has to find out who did it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::entry::Stamp;

/// Where a journal is broken, and how.
#[derive(Debug)]
pub struct Broken {
    /// In which file.
    pub file: PathBuf,
    /// In which line of it, counted from 1; 0 is the file as a whole.
    pub line: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Text that is no line of a journal, or only part of one.
    NotALine,
    /// The line does not have the hash that it says.
    Edited,
    /// Lines are missing before this one, from the first to the last of these numbers.
    Removed {
        /// The first that is missing.
        first: u64,
        /// The last that is missing.
        last: u64,
    },
    /// The line that belongs here stands later.
    Reordered {
        /// The number of that line.
        belongs: u64,
        /// In which file it stands.
        file: PathBuf,
        /// In which line of that.
        line: u64,
    },
    /// The number was there before: this line, or the one before it, was put in.
    Inserted {
        /// The number that belongs here.
        belongs: u64,
        /// The number that is here.
        found: u64,
    },
    /// The number is right, but the line follows upon another one than that before it: one of them was put in another's place.
    Replaced,
    /// The file ends in the middle of a line, and it is not the newest.
    CutShort,
    /// The line is longer than any that is written.
    TooLong,
    /// A segment begins without a checkpoint, or one stands in its middle.
    Misplaced,
    /// The segment is another journal's.
    OtherJournal,
    /// The file is not named after the number of its first line.
    WrongName,
    /// The line is whole, but this program does not understand it: another version wrote it.
    Foreign(String),
    /// There is no journal.
    Empty,
    /// The file cannot be read.
    Unreadable(io::Error),
    /// The anchor is older than what is kept.
    AnchorNotHeld {
        /// What was looked for.
        anchor: Stamp,
        /// The oldest number that is kept.
        oldest: u64,
    },
    /// The line with the anchor's number has another hash: everything up to it may have been written anew.
    AnchorDiffers {
        /// What was looked for.
        anchor: Stamp,
    },
    /// The journal ends before the anchor: its end was removed.
    EndRemoved {
        /// What was looked for.
        anchor: Stamp,
        /// The newest number that is there.
        newest: u64,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.fault),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.fault),
        }
    }
}

impl std::error::Error for Broken {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALine => f.write_str("this is no line of a journal, or only part of one"),
            Self::Edited => f.write_str("the line was edited: its hash is not that of its text"),
            Self::Removed { first, last } if first == last => write!(f, "entry {first} was removed before this line"),
            Self::Removed { first, last } => write!(f, "entries {first} to {last} were removed before this line"),
            Self::Reordered { belongs, file, line } => {
                write!(f, "lines were reordered: entry {belongs} belongs here and stands in {}:{line}", file.display())
            }
            Self::Inserted { belongs, found } => {
                write!(f, "a line was inserted here or before: entry {belongs} belongs here, this is {found}")
            }
            Self::Replaced => f.write_str("this line, or the one before it, was put in the place of another: they do not follow upon each other"),
            Self::CutShort => f.write_str("the file ends in the middle of this line, though newer ones exist"),
            Self::TooLong => f.write_str("the line is longer than any that is written"),
            Self::Misplaced => f.write_str("a segment begins with a checkpoint and has only one"),
            Self::OtherJournal => f.write_str("this file belongs to another journal"),
            Self::WrongName => f.write_str("the file is not named after the number of its first line"),
            Self::Foreign(problem) => {
                write!(f, "the line is whole, but this version does not understand it ({problem}): another version wrote it")
            }
            Self::Empty => f.write_str("there is no journal here"),
            Self::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Self::AnchorNotHeld { anchor, oldest } => {
                write!(f, "anchor {} is older than what is kept, which begins with {oldest}", anchor.seq)
            }
            Self::AnchorDiffers { anchor } => {
                write!(f, "entry {} has another hash than the anchor: it, or one before it, was written anew", anchor.seq)
            }
            Self::EndRemoved { anchor, newest } => {
                write!(f, "the end was removed: anchor {} is missing, the newest entry is {newest}", anchor.seq)
            }
        }
    }
}
