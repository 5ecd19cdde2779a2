//! The published versions that are held: what is told about them, and their texts.
//!
//! Texts that were kept are read from the disk when somebody wants them; others stay in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::renumbered::Renumbered;
use crate::journal::{Digest, TextReader};
use crate::publisher::{Draft, MAX_TEXT_BYTES, MAX_VERSIONS};
use crate::version::About;

/// The published versions, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Known {
    versions: VecDeque<KnownVersion>,
    /// The fingerprint of the table's file as it was last read.
    pub(super) file: Option<String>,
    /// By how much the numbers of this run's versions were raised.
    pub(super) renumbered: Renumbered,
}

/// A published version.
#[derive(Clone, Debug)]
pub struct KnownVersion {
    /// What is told about it.
    pub about: About,
    /// Whether a restart forgets it.
    pub is_volatile: bool,
    pub(super) text: Text,
}

/// What is known, shared by the thread that makes changes and whoever asks. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct SharedKnown(Arc<Mutex<Known>>);

/// Where a text is.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Kept(Digest),
    Held(Arc<str>),
}

impl Text {
    pub(super) fn read(&self, texts: Option<&TextReader>) -> Option<Arc<str>> {
        match self {
            Self::Held(text) => Some(text.clone()),
            Self::Kept(digest) => match texts?.get(digest) {
                Ok(text) => Some(text.into()),
                Err(error) => {
                    tracing::error!(%error, "the text of a table version cannot be read");
                    None
                }
            },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Kept(_) => 0,
            Self::Held(text) => text.len(),
        }
    }
}

impl KnownVersion {
    /// What it takes to compile it again, if its text can be read.
    pub(super) fn draft(&self, texts: Option<&TextReader>) -> Option<Draft> {
        let text = self.text.read(texts)?.to_string();
        let About { source, author, reason, .. } = self.about.clone();
        Some(Draft { text, source, author, reason })
    }
}

impl SharedKnown {
    pub(super) fn new(known: Known) -> Self {
        Self(Arc::new(Mutex::new(known)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The versions, oldest first.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = &KnownVersion> {
        self.versions.iter()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, version: u64) -> Option<&KnownVersion> {
        self.versions.iter().rev().find(|known| known.about.version == version)
    }

    /// The fingerprint of the table's file as it was last read, whatever became of it.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    pub(super) fn add(&mut self, version: KnownVersion) {
        self.versions.push_back(version);
        let bytes = |versions: &VecDeque<KnownVersion>| -> usize {
            versions.iter().map(|known| known.text.len()).sum()
        };
        while self.versions.len() > MAX_VERSIONS
            || (self.versions.len() > 1 && bytes(&self.versions) > MAX_TEXT_BYTES)
        {
            self.versions.pop_front();
        }
    }

    /// A version that a restart would have forgotten is kept after all.
    pub(super) fn is_kept(&mut self, version: u64, text: Digest) {
        if let Some(known) = self.versions.iter_mut().find(|known| known.about.version == version) {
            (known.is_volatile, known.text) = (false, Text::Kept(text));
        }
    }
}
