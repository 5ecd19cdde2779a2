//! The end of the newest segment: where lines are added, and cut off again when that fails.
//!
//! What stands before `len` is on the disk. What stands after it was never acknowledged, or is damaged, and goes before
//! anything else is written. While that is not possible the tail is poisoned, and tries again each time it is asked to write.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::entry::Stamp;
use super::error::{AppendError, is_full};
use super::file::{self, NotCreated};
use super::folder::{BROKEN, TORN};
use super::line::{HASH_BYTES, Line};

/// The most of a torn line that is kept to look at.
const MAX_TORN_BYTES: u64 = 1 << 20;

/// What a tail does to its file. Tests bring files that fail.
pub(super) trait Medium: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// How long it is; nothing if it has no name any more.
    fn len(&self) -> io::Result<Option<u64>>;
}

/// Opens the file of a tail.
pub(super) type Opener = Box<dyn Fn(&Path) -> io::Result<Box<dyn Medium>> + Send>;

/// What has to be moved out of the way before anything is written.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// Segments that cannot be used at all.
    pub(super) segments: Vec<PathBuf>,
    /// What follows the tail's end.
    pub(super) rest: Rest,
    /// What could not even be read. It may be whole, so nothing is moved and nothing written until another start can read it.
    pub(super) unread: Option<(PathBuf, io::Error)>,
}

/// What follows the end of a tail.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Rest {
    /// What was not acknowledged to anybody, and its caller knows.
    #[default]
    Refused,
    /// What was not acknowledged when the process or the machine stopped. A bounded part is kept.
    Torn,
    /// What may have been acknowledged. All of it is kept.
    Broken,
}

pub(super) struct Tail {
    file: PathBuf,
    open: Opener,
    /// Nothing while poisoned.
    medium: Option<Box<dyn Medium>>,
    len: u64,
    repair: Repair,
    poison: String,
}

impl Tail {
    /// The end of a file. It is poisoned until the first [`Tail::mend`].
    pub(super) fn of(file: PathBuf, len: u64, repair: Repair, open: Opener) -> Self {
        Self { file, open, medium: None, len, repair, poison: "not yet opened".to_owned() }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Why nothing can be written; nothing if all is well.
    pub(super) fn poison(&self) -> Option<&str> {
        self.medium.is_none().then_some(self.poison.as_str())
    }

    /// Adds lines: all of them, on the disk, or none.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        let Some(medium) = self.medium.as_mut() else {
            return Err(AppendError::Poisoned(self.poison.clone()));
        };
        let found = medium.len()?;
        if found != Some(self.len) {
            // Somebody's editor was here. What he wrote is kept, and not in the chain.
            self.repair.rest = Rest::Broken;
            let why = format!("{} was changed by somebody else", self.file.display());
            return Err(AppendError::Poisoned(self.poisoned(why)));
        }
        if let Err(error) = medium.append(lines).and_then(|()| medium.sync()) {
            if let Err(worse) = medium.cut(self.len).and_then(|()| medium.sync()) {
                self.poisoned(format!("{error}; and what was written could not be cut off: {worse}"));
            }
            return Err(error.into());
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Goes on in another file.
    pub(super) fn move_to(&mut self, file: PathBuf, len: u64) -> Result<(), AppendError> {
        (self.file, self.len, self.repair) = (file, len, Repair::default());
        match (self.open)(&self.file) {
            Ok(medium) => self.medium = Some(medium),
            Err(error) => {
                self.poisoned(error.to_string());
                return Err(error.into());
            }
        }
        Ok(())
    }

    pub(super) fn poisoned(&mut self, why: String) -> String {
        tracing::error!(file = %self.file.display(), why, "the journal cannot be written until this is put right");
        self.medium = None;
        self.poison.clone_from(&why);
        why
    }

    /// Puts right what an earlier failure, or a former run, left behind. Does nothing if all is well.
    pub(super) fn mend(&mut self, head: Stamp) -> Result<(), AppendError> {
        if self.medium.is_some() {
            return Ok(());
        }
        match self.try_to_mend(head) {
            Ok(medium) => {
                self.medium = Some(medium);
                Ok(())
            }
            Err(error) => {
                self.poison = error.to_string();
                if is_full(&error) {
                    return Err(AppendError::Full(error));
                }
                Err(AppendError::Poisoned(self.poison.clone()))
            }
        }
    }

    fn try_to_mend(&mut self, head: Stamp) -> io::Result<Box<dyn Medium>> {
        if let Some((file, error)) = &self.repair.unread {
            let why = format!("{} could not be read ({error}): start again when it can", file.display());
            return Err(io::Error::other(why));
        }
        while let Some(segment) = self.repair.segments.last() {
            put_aside(segment)?;
            self.repair.segments.pop();
        }
        let mut written = file::read(&self.file)?;
        self.recognise(&mut written, head)?;
        self.keep_rest(&mut written)?;
        let mut medium = (self.open)(&self.file)?;
        medium.cut(self.len)?;
        medium.sync()?;
        file::sync_folder(folder(&self.file))?;
        self.repair.rest = Rest::Refused;
        Ok(medium)
    }

    /// Whether the file is still the one that was written: its last line is the chain's head.
    fn recognise(&self, written: &mut File, head: Stamp) -> io::Result<()> {
        let mut end = [0; HASH_BYTES + 1];
        let at = self.len.checked_sub(end.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
        written.seek(SeekFrom::Start(at))?;
        let is_same = written.read_exact(&mut end).is_ok() && Line::ends_with(&end, head.hash);
        if is_same { Ok(()) } else { Err(io::Error::other("the file is not the one that was written")) }
    }

    /// Keeps what will be cut off, if somebody may want to look at it.
    fn keep_rest(&self, written: &mut File) -> io::Result<()> {
        let bytes = written.metadata()?.len().saturating_sub(self.len);
        let most = if self.repair.rest == Rest::Torn { MAX_TORN_BYTES } else { u64::MAX };
        if bytes == 0 || self.repair.rest == Rest::Refused {
            return Ok(());
        }
        written.seek(SeekFrom::Start(self.len))?;
        let ending = if self.repair.rest == Rest::Torn { TORN.to_owned() } else { unused(&self.file) };
        let kept = file::create(folder(&self.file), &named(&self.file, &ending), &mut written.take(most));
        match kept {
            // Nobody was told that it is there, and cutting it off may make room.
            Err(NotCreated { error, .. }) if self.repair.rest == Rest::Torn && is_full(&error) => {
                tracing::warn!(file = %self.file.display(), bytes, "a torn line is not kept: the disk is full");
                Ok(())
            }
            kept => kept.map_err(|not| not.error),
        }
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("file", &self.file).field("len", &self.len).finish_non_exhaustive()
    }
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn len(&self) -> io::Result<Option<u64>> {
        let metadata = self.metadata()?;
        Ok((metadata.nlink() > 0).then_some(metadata.len()))
    }
}

/// Opens a file as it is.
pub(super) fn plain() -> Opener {
    Box::new(|file| Ok(Box::new(file::append(file)?)))
}

/// Takes a segment that cannot be used out of the chain.
pub(super) fn put_aside(segment: &Path) -> io::Result<()> {
    fs::rename(segment, segment.with_file_name(named(segment, &unused(segment))))?;
    file::sync_folder(folder(segment))
}

/// Removes what was kept of a torn line, with the segment that it belonged to.
pub(super) fn remove_torn(segment: &Path) -> io::Result<()> {
    match fs::remove_file(segment.with_file_name(named(segment, TORN))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What was set aside as damaged is never overwritten.
fn unused(file: &Path) -> String {
    let is_free = |ending: &String| !file.with_file_name(named(file, ending)).exists();
    let further = (2_u32..).map(|number| format!("{BROKEN}{number}"));
    std::iter::once(BROKEN.to_owned()).chain(further).find(is_free).unwrap_or_default()
}

fn named(file: &Path, ending: &str) -> String {
    format!("{}.{ending}", file.file_name().unwrap_or_default().to_string_lossy())
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}
