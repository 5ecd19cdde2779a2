//! The files that the pools' `tls` in the table in force name: certificates of this edge live shorter than tables do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use control::snapshot::Snapshot;
use sha2::{Digest, Sha256};

/// The files of one version of the table, as they were when it was first looked at.
#[derive(Debug)]
pub(super) struct OriginFiles {
    pub(super) version: u64,
    pub(super) files: BTreeSet<PathBuf>,
    fingerprint: [u8; 32],
}

impl OriginFiles {
    /// Files are relative to `folder`.
    pub(super) fn of(snapshot: &Snapshot, folder: &Path) -> Self {
        let configs = snapshot.table().pools.iter().filter_map(|pool| Some(&pool.tls.as_ref()?.config));
        let files = configs.flat_map(|config| {
            let pair = config.certificate.iter().flat_map(|(chain, key)| [chain, key]);
            pair.chain(&config.ca_file).map(|file| folder.join(file))
        });
        let files = files.collect();
        Self { version: snapshot.version.about.version, fingerprint: fingerprint(&files), files }
    }

    /// Whether they are others than when last asked.
    pub(super) fn have_changed(&mut self) -> bool {
        let now = fingerprint(&self.files);
        std::mem::replace(&mut self.fingerprint, now) != now
    }
}

fn fingerprint(files: &BTreeSet<PathBuf>) -> [u8; 32] {
    let mut sum = Sha256::new();
    for file in files {
        // A file that is gone differs from an empty one.
        let read = std::fs::read(file).ok();
        sum.update(read.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
        sum.update(read.unwrap_or_default());
    }
    sum.finalize().into()
}
