//! Who has a journal open. Two writers would tear each other's lines.
//!
//! The lock is the system's and ends with the process, however that ends. The number in the file is for people.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::error::OpenError;
use super::file;

const NAME: &str = "lock";

/// As long as this lives, nobody else opens the journal.
#[derive(Debug)]
pub(super) struct Owner(File);

impl Owner {
    pub(super) fn of(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(NAME);
        let mut lock = file::lock(&path).map_err(OpenError::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::Owned { file: path, pid });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::Io { file: path, error }),
        }
        // On a full disk the number is missing, and the lock holds all the same.
        let numbered = lock
            .set_len(0)
            .and_then(|()| lock.seek(SeekFrom::Start(0)))
            .and_then(|_| lock.write_all(format!("{}\n", std::process::id()).as_bytes()));
        if let Err(error) = numbered {
            tracing::warn!(file = %path.display(), %error, "the journal's lock does not say who holds it");
        }
        Ok(Self(lock))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // A child that is just being started has a copy of the file, which would hold the lock a moment longer.
        let _ = self.0.unlock();
    }
}
