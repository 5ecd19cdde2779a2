//! Table texts, each in a file that is named after its SHA-256: written before the entry that names it, so that no entry
//! ever names a text that is not there.
//!
//! A text that is published again is the same file. What nothing names any more is collected; a text whose entry was never
//! written is such a one.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::error::{OpenError, is_full};
use super::file;
use super::folder;

const FOLDER: &str = "tables";
const ENDING: &str = "toml";
/// The largest text, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The texts beside a journal. There is one owner, as of the journal; [`TextReader`]s are for everybody else.
#[derive(Debug)]
pub struct Texts(TextReader);

/// Reads texts. A clone reads the same.
#[derive(Clone, Debug)]
pub struct TextReader {
    folder: PathBuf,
}

/// Why a text was not kept, or not had.
#[derive(Debug)]
#[non_exhaustive]
pub enum TextError {
    /// No space, no quota, or files may not be that large.
    Full(io::Error),
    /// The system refused in another way.
    Io(io::Error),
    /// There is no such text, or not any more.
    Missing(Digest),
    /// What is kept under this name is another text.
    Damaged(Digest),
    /// It is larger than any that is kept.
    TooLarge {
        /// The largest, in bytes.
        most: u64,
    },
}

impl Texts {
    pub(super) fn beside(journal: &Path) -> Result<Self, OpenError> {
        let folder = journal.join(FOLDER);
        folder::claim(&folder)?;
        match folder::clear(&folder) {
            // Nothing new can be unfinished there.
            Err(error) if error.kind() != io::ErrorKind::ReadOnlyFilesystem => {
                Err(OpenError::io(&folder)(error))
            }
            _ => Ok(Self(TextReader { folder })),
        }
    }

    /// Keeps texts. When this returns they are on the disk, all of them; their names are in the order of the texts.
    ///
    /// # Errors
    /// If they could not be written. Some may have been; nothing names them.
    pub fn put(&mut self, texts: &[&str]) -> Result<Vec<Digest>, TextError> {
        let mut digests = Vec::with_capacity(texts.len());
        for text in texts {
            if text.len() as u64 > MAX_BYTES {
                return Err(TextError::TooLarge { most: MAX_BYTES });
            }
            let digest = Digest::of(text.as_bytes());
            // What is there but damaged is written anew.
            if self.0.get(&digest).is_err() {
                file::place(&self.0.folder, &name_of(&digest), &mut text.as_bytes())?;
            }
            digests.push(digest);
        }
        // Also for those that were there: the sync after them may be what failed last time.
        file::sync_folder(&self.0.folder)?;
        Ok(digests)
    }

    /// The text of that name.
    ///
    /// # Errors
    /// If it is not there, or is not what its name says.
    pub fn get(&self, digest: &Digest) -> Result<String, TextError> {
        self.0.get(digest)
    }

    /// Removes all texts but those that are named. How many it were.
    ///
    /// To be called by whoever puts texts and appends entries, and not in between.
    ///
    /// # Errors
    /// If the system refuses; some may be removed.
    pub fn collect(&mut self, named: &BTreeSet<Digest>) -> Result<usize, TextError> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.0.folder)? {
            let path = entry?.path();
            let is_unnamed = digest_of(&path).is_some_and(|digest| !named.contains(&digest));
            if is_unnamed {
                fs::remove_file(path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// For others who read.
    #[must_use]
    pub fn reader(&self) -> TextReader {
        self.0.clone()
    }
}

impl TextReader {
    /// The text of that name.
    ///
    /// # Errors
    /// If it is not there, or is not what its name says.
    pub fn get(&self, digest: &Digest) -> Result<String, TextError> {
        let opened = match file::read(&self.folder.join(name_of(digest))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(TextError::Missing(*digest)),
            opened => opened?,
        };
        let mut text = Vec::new();
        opened.take(MAX_BYTES + 1).read_to_end(&mut text)?;
        let is_it = Digest::of(&text) == *digest;
        String::from_utf8(text).ok().filter(|_| is_it).ok_or(TextError::Damaged(*digest))
    }
}

fn name_of(digest: &Digest) -> String {
    format!("{digest}.{ENDING}")
}

fn digest_of(path: &Path) -> Option<Digest> {
    let is_text = path.extension().is_some_and(|ending| ending == ENDING);
    is_text.then(|| path.file_stem()?.to_str()?.parse().ok()).flatten()
}

impl From<io::Error> for TextError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error) } else { Self::Io(error) }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(error) => write!(f, "the disk of the table texts is full: {error}"),
            Self::Io(error) => write!(f, "the table texts could not be used: {error}"),
            Self::Missing(digest) => write!(f, "the table text {digest} is not kept"),
            Self::Damaged(digest) => write!(f, "what is kept as table text {digest} is damaged"),
            Self::TooLarge { most } => write!(f, "a table text has at most {most} bytes"),
        }
    }
}

impl std::error::Error for TextError {}
