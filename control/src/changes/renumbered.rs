//! The numbers of this run's versions after a state was opened late: they go on behind the recorded ones.
//!
//! Whatever names a version of this run by its number is told the new one: lines that wait to be written, answers that may be
//! asked for again, watches that are over. What was said of a watch in words stays as it was said, and how much higher the
//! numbers are now is said behind it.

use std::sync::Arc;

use super::order::{Done, Made};
use super::record::Recorded;
use super::unwritten::Unwritten;
use crate::trial::{Trial, Tried};
use crate::version::About;

/// By how much the numbers of this run's versions were raised; by nothing, as long as no state was opened late.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Renumbered {
    /// Versions after it are this run's.
    base: u64,
    further: u64,
}

impl Renumbered {
    /// Those after `base` go on behind `last`.
    pub(super) const fn behind(last: u64, base: u64) -> Self {
        Self { base, further: last.saturating_sub(base) }
    }

    /// How much higher they are now.
    pub(super) const fn further(self) -> u64 {
        self.further
    }

    const fn version(self, version: &mut u64) {
        if *version > self.base {
            *version += self.further;
        }
    }

    /// Of a version; and the one that it was before, if it came by a rollback.
    pub(super) fn about(self, about: &mut About) {
        self.version(&mut about.version);
        let former = about.source.strip_prefix("version ").and_then(|version| version.parse().ok());
        if let Some(mut former) = former {
            self.version(&mut former);
            about.source = format!("version {former}");
        }
    }

    /// Of what became of an order.
    pub(super) fn done(self, done: &Done) -> Arc<Done> {
        let mut done = done.clone();
        self.version(&mut done.version);
        if let Made::Table(about) = &mut done.made {
            self.about(about);
        }
        Arc::new(done)
    }

    /// Of a line that waits to be written.
    pub(super) fn line(self, line: &mut Unwritten) {
        match &mut line.entry.data.change {
            Recorded::Table { about, .. } => self.about(about),
            Recorded::Watch { watch } => {
                self.trial(watch);
                self.words(&mut line.entry.reason);
            }
            Recorded::FileRead { .. }
            | Recorded::Override { .. }
            | Recorded::Drill { .. }
            | Recorded::DrillEnd { .. }
            | Recorded::LogLevel { .. }
            | Recorded::Tokens { .. }
            | Recorded::SetAside { .. } => {}
        }
    }

    /// Of a watch.
    pub(crate) fn trial(self, trial: &mut Trial) {
        match &mut trial.of {
            Tried::Table { version, before } => {
                self.version(version);
                self.version(before);
            }
            Tried::Override { version, .. } => self.version(version),
            Tried::Drill { .. } => {}
        }
        self.words(&mut trial.note);
    }

    fn words(self, words: &mut String) {
        if self.further > 0 && words.contains("version ") {
            *words =
                format!("{words}; the versions of then have numbers that are {} higher now", self.further);
        }
    }
}
