//! Files that hold secrets: read only while nobody but their owner can, and read again when they have changed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// More than a thousand tokens need. A file that is longer is none of ours.
const MAX_BYTES: u64 = 4 << 20;
/// A file that changed this recently may change again without its times telling.
const COARSEST_TIME_NANOS: i128 = 100_000_000;

/// Reads a file that only its owner can read.
///
/// # Errors
/// If others can, or it cannot be read.
pub(super) fn read_own(file: &Path) -> io::Result<String> {
    read(file).map(|(text, _)| text)
}

fn read(file: &Path) -> io::Result<(String, Stamp)> {
    let opened = File::open(file)?;
    // Asked of what was opened: the name may mean something else by now.
    let about = opened.metadata()?;
    let mode = about.mode();
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    if mode & 0o077 != 0 {
        let problem = format!("others can read it (mode {:03o}): chmod 600 it", mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    let mut text = String::new();
    opened.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is longer than {MAX_BYTES} bytes"),
        ));
    }
    Ok((text, Stamp::of(&about)))
}

/// By what a change is noticed without reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            file: (about.dev(), about.ino()),
            bytes: about.size(),
            mode: about.mode(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    /// Whether a further change would show in it.
    fn is_settled(&self, now: Timestamp) -> bool {
        let (seconds, nanos) = self.changed;
        let changed = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        now.as_nanosecond() - changed >= COARSEST_TIME_NANOS
    }
}

/// A file that is looked at again and again.
#[derive(Debug)]
pub(super) struct Looked {
    file: PathBuf,
    seen: Seen,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Seen {
    /// Not yet, or too soon after a change to be sure of the next.
    Nothing,
    Absent,
    As(Stamp),
    /// It could not be read, and why.
    Unreadable(String),
}

/// What a look at a file came to.
#[derive(Debug)]
pub(super) enum Look {
    /// As it was.
    Same,
    /// It is not there.
    Absent,
    /// It may have changed.
    Text(String),
    /// It cannot be read.
    Unreadable(String),
}

impl Looked {
    pub(super) const fn new(file: PathBuf) -> Self {
        Self { file, seen: Seen::Nothing }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Reads it, if it may have changed since it was last looked at.
    pub(super) fn look(&mut self, even_unchanged: bool, now: Timestamp) -> Look {
        if let (false, Seen::As(stamp)) = (even_unchanged, &self.seen)
            && std::fs::metadata(&self.file).is_ok_and(|about| Stamp::of(&about) == *stamp)
        {
            return Look::Same;
        }
        let (seen, look) = match read(&self.file) {
            Ok((text, stamp)) if stamp.is_settled(now) => (Seen::As(stamp), Look::Text(text)),
            Ok((text, _)) => (Seen::Nothing, Look::Text(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Seen::Absent, Look::Absent),
            Err(error) => (Seen::Unreadable(error.to_string()), Look::Unreadable(error.to_string())),
        };
        let before = std::mem::replace(&mut self.seen, seen);
        // What is wrong or missing is told once.
        let is_told = before == self.seen && !matches!(self.seen, Seen::Nothing | Seen::As(_));
        if is_told && !even_unchanged { Look::Same } else { look }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(file: &Path, text: &str) {
        fs::write(file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn files_that_others_can_read_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("tokens");
        write(&file, "x");
        assert_eq!(read_own(&file).unwrap(), "x");
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o660] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let said = read_own(&file).unwrap_err().to_string();
            assert!(said.contains("chmod 600"), "{mode:o}: {said}");
        }
        assert!(read_own(folder.path()).unwrap_err().to_string().contains("regular"));
        write(&file, &"x".repeat((MAX_BYTES + 1) as usize));
        assert!(read_own(&file).unwrap_err().to_string().contains("longer"));
    }

    #[test]
    fn every_change_is_seen_however_soon_it_follows() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("tokens");
        let mut looked = Looked::new(file.clone());
        assert!(matches!(looked.look(false, Timestamp::now()), Look::Absent));
        assert!(matches!(looked.look(false, Timestamp::now()), Look::Same), "told once");
        for round in 0..200 {
            // In place and of the same length: only the times could tell, and they are coarse.
            write(&file, &format!("{round:03}"));
            let Look::Text(text) = looked.look(false, Timestamp::now()) else {
                panic!("round {round} is missed")
            };
            assert_eq!(text, format!("{round:03}"));
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(looked.look(false, Timestamp::now()), Look::Unreadable(_)));
        assert!(matches!(looked.look(false, Timestamp::now()), Look::Same), "told once");
        assert!(matches!(looked.look(true, Timestamp::now()), Look::Unreadable(_)));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(looked.look(false, Timestamp::now()), Look::Text(_)));
        fs::remove_file(&file).unwrap();
        assert!(matches!(looked.look(false, Timestamp::now()), Look::Absent));
    }

    #[test]
    fn what_has_settled_is_not_read_again() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("tokens");
        write(&file, "x");
        let settled = Timestamp::now() + std::time::Duration::from_millis(200);
        let mut looked = Looked::new(file);
        assert!(matches!(looked.look(false, settled), Look::Text(_)));
        assert!(matches!(looked.look(false, settled), Look::Same));
        assert!(matches!(looked.look(true, settled), Look::Text(_)));
    }
}
