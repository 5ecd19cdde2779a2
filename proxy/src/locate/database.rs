//! MaxMind-format databases: files that are read whole, checked, and asked.
//!
//! A file is read into memory and checked before it is believed: it may be replaced under a running process, and a
//! memory map of a file that shrinks ends the process. What a record means is `record`'s to say.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::de::IgnoredAny;

use super::record::{Entry, Record};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 2 << 30;

/// One sound database.
pub(crate) struct Database {
    /// The file it came from.
    pub(crate) file: PathBuf,
    /// When its data was made, in seconds since 1970.
    pub(crate) built: u64,
    stamp: Option<Stamp>,
    reader: Reader<Vec<u8>>,
}

/// What tells that a file is another one now.
type Stamp = (u64, std::time::SystemTime);

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Database {
    /// Reads and checks a file.
    pub(crate) fn open(file: &Path) -> Result<Self, String> {
        let size = fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?.len();
        if size > MAX_BYTES {
            return Err(format!("has {size} bytes, more than the {MAX_BYTES} that are read"));
        }
        let stamp = stamp(file);
        let bytes = fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
        let reader =
            Reader::from_source(bytes).map_err(|error| format!("is no MaxMind database: {error}"))?;
        let strange = check(&reader).map_err(|error| format!("is damaged: {error}"))?;
        if strange > 0 {
            tracing::warn!(file = %file.display(), records = strange, "records of a shape that is not understood; their networks count as unknown");
        }
        Ok(Self { file: file.to_owned(), built: reader.metadata().build_epoch, stamp, reader })
    }

    /// Whether the file is still the one that was read.
    pub(crate) fn is_as_read(&self) -> bool {
        self.stamp.is_some() && self.stamp == stamp(&self.file)
    }

    /// What it knows of an address. An IPv4 database knows nothing of IPv6.
    pub(crate) fn look_up(&self, address: IpAddr) -> Option<Entry> {
        match self.reader.lookup(address).and_then(|found| found.decode::<Record>()) {
            Ok(record) => record.map(Entry::from).filter(|entry| *entry != Entry::default()),
            Err(MaxMindDbError::InvalidInput { .. }) => None,
            Err(error) => {
                // Told of when the file was read; not once more for each client.
                tracing::debug!(file = %self.file.display(), %address, %error, "record not understood");
                None
            }
        }
    }
}

/// Walks the whole tree and reads each record once; answers how many records have a shape that is not understood.
///
/// Not `Reader::verify`: it also refuses what does no harm, such as the empty description that files in the wild have.
fn check(reader: &Reader<Vec<u8>>) -> Result<usize, MaxMindDbError> {
    // Each node has two branches, and IPv6 trees name the IPv4 part again; a tree that goes on beyond is a circle.
    let most = reader.metadata().node_count as usize * 3;
    let mut records = HashSet::new();
    let mut strange = 0;
    for (count, network) in reader.networks(WithinOptions::default())?.enumerate() {
        let network = network?;
        if count >= most {
            return Err(MaxMindDbError::invalid_database("the search tree runs in a circle"));
        }
        let is_new = network.offset().is_some_and(|offset| records.insert(offset));
        if is_new && network.decode::<Record>().is_err() {
            network.decode::<IgnoredAny>()?;
            strange += 1;
        }
    }
    Ok(strange)
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
