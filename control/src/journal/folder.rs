//! The folder of a journal: ours alone, and which segments lie in it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::fault::{Broken, Fault};
use super::file::{self, UNFINISHED, sync_folder};

const MODE: u32 = 0o700;
/// How often segments are listed again because they changed meanwhile. It takes microseconds, and they last for minutes.
const TRIES: usize = 100;
const DIGITS: usize = 20;
const ENDING: &str = ".jsonl";
/// What was set aside because it is unfinished.
pub(super) const TORN: &str = "torn";
/// What was set aside because it is damaged.
pub(super) const BROKEN: &str = "broken";

/// A file of the journal.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The number of its first line, after which it is named.
    pub(super) first: u64,
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
}

/// A segment that can be read even if its owner removes it meanwhile.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) segment: Segment,
    pub(super) content: File,
}

impl Opened {
    pub(super) fn of(segment: Segment) -> io::Result<Self> {
        let content = file::read(&segment.file)?;
        Ok(Self { segment, content })
    }

    /// What could not be read of it.
    pub(super) fn unreadable(file: &Path) -> impl FnOnce(io::Error) -> Broken + use<> {
        let file = file.to_owned();
        move |error| Broken { file, line: 0, fault: Fault::Unreadable(error) }
    }

    /// All segments as they were at one moment, oldest first, while their owner may begin new ones and remove old ones.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>, Broken> {
        let mut tries = 0;
        loop {
            tries += 1;
            let listed = segments(folder).map_err(Self::unreadable(folder))?;
            let opened: Result<Vec<Self>, Broken> = listed
                .iter()
                .map(|segment| Self::of(segment.clone()).map_err(Self::unreadable(&segment.file)))
                .collect();
            let numbers =
                |segments: &[Segment]| segments.iter().map(|segment| segment.first).collect::<Vec<_>>();
            let again = segments(folder).map_err(Self::unreadable(folder))?;
            if numbers(&listed) == numbers(&again) || tries == TRIES {
                return opened;
            }
        }
    }
}

/// Makes a folder, or sees to it that only we can use it.
pub(super) fn claim(folder: &Path) -> Result<(), OpenError> {
    let metadata = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return make(folder).map_err(OpenError::io(folder));
        }
        metadata => metadata.map_err(OpenError::io(folder))?,
    };
    if !metadata.is_dir() {
        return Err(OpenError::NotAFolder(folder.to_owned()));
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(OpenError::NotOurs { folder: folder.to_owned(), owner, user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(OpenError::OthersCanWrite { folder: folder.to_owned(), mode });
    }
    if mode != MODE {
        fs::set_permissions(folder, Permissions::from_mode(MODE)).map_err(OpenError::io(folder))?;
    }
    Ok(())
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(MODE).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(MODE))?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// The segments, oldest first.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(first_of) {
            match fs::symlink_metadata(entry.path()) {
                Ok(metadata) => {
                    segments.push(Segment { first, file: entry.path(), bytes: metadata.len() });
                }
                // The owner may be removing old ones.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

/// What was set aside as damaged.
pub(super) fn set_aside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ending.starts_with(BROKEN) {
            aside.push(path);
        }
    }
    aside.sort();
    Ok(aside)
}

/// Removes what a former run left unfinished.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The name of the segment that begins with that number.
pub(super) fn name_of(first: u64) -> String {
    format!("{first:0DIGITS$}{ENDING}")
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}
