//! Why a journal could not be opened or written.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::fault::Broken;
use super::line::MAX_BYTES;

/// Why a journal was not opened. Nothing was changed on disk.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    Owned {
        /// The lock file.
        file: PathBuf,
        /// That process, if it could be told.
        pid: Option<u32>,
    },
    /// The folder is a link, or no folder.
    NotAFolder(PathBuf),
    /// The folder belongs to somebody else.
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others than its owner can write to the folder, so anything in it may be theirs.
    OthersCanWrite {
        /// The folder.
        folder: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What stands there was written by another version of this program, and is left as it is.
    Foreign(Broken),
    /// The system refused.
    Io {
        /// What was worked on.
        file: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// Why nothing of a batch was appended.
#[derive(Debug)]
#[non_exhaustive]
pub enum AppendError {
    /// No space, no quota, or the file may not grow. The journal is as it was; the next append may succeed.
    Full(io::Error),
    /// The system refused in another way. The journal is as it was, or says that it is poisoned and tries again next time.
    Io(io::Error),
    /// What an earlier failure left behind could not be put right, so nothing is written until it can.
    Poisoned(String),
    /// An entry is longer than a line may be.
    TooLarge {
        /// How long.
        bytes: usize,
    },
    /// An entry could not be written as JSON, or not be read back from it.
    Unreadable(serde_json::Error),
}

impl OpenError {
    pub(super) fn io(file: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |error| Self::Io { file, error }
    }
}

impl AppendError {
    /// Whether space is what is missing. Then an operator can still make it.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error) } else { Self::Io(error) }
    }
}

/// Whether an error means that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned { file, pid: Some(pid) } => {
                write!(
                    f,
                    "process {pid} has this journal open (it holds {}): stop it first, or use another folder",
                    file.display()
                )
            }
            Self::Owned { file, pid: None } => {
                write!(
                    f,
                    "another process has this journal open (it holds {}): stop it first, or use another folder",
                    file.display()
                )
            }
            Self::NotAFolder(folder) => {
                write!(
                    f,
                    "{} is not a folder; links are not followed here: name the folder itself",
                    folder.display()
                )
            }
            Self::NotOurs { folder, owner, user } => {
                write!(
                    f,
                    "{} belongs to user {owner} and this is user {user}: chown it, or use a new folder inside it",
                    folder.display()
                )
            }
            Self::OthersCanWrite { folder, mode } => {
                write!(
                    f,
                    "others can write to {} (mode {mode:03o}), so nothing in it can be trusted: chmod 700 it after a look, or use a new folder inside it",
                    folder.display()
                )
            }
            Self::Foreign(broken) => write!(f, "{broken}; use that version, or move the file away"),
            Self::Io { file, error } => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(error) => write!(f, "the journal's disk is full: {error}"),
            Self::Io(error) => write!(f, "the journal could not be written: {error}"),
            Self::Poisoned(why) => write!(f, "the journal cannot be written until this is put right: {why}"),
            Self::TooLarge { bytes } => {
                write!(f, "an entry of {bytes} bytes; at most {MAX_BYTES} are kept in one")
            }
            Self::Unreadable(error) => write!(f, "an entry that could not be read back: {error}"),
        }
    }
}

impl std::error::Error for AppendError {}
