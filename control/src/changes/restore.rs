//! What was in force when the process before ended, as its journal tells.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::keys::Keys;
use super::known::{Known, KnownVersion, Text};
use super::order::{Done, Made};
use super::record::{Kept, KeptVersion, Line, Recorded};
use super::running::Running;
use super::unwritten::Unwritten;
use crate::journal::{Damage, Entry, Recovered, Stamp};
use crate::overlay::{Change, Saved};

/// What a start goes on from.
#[derive(Debug, Default)]
pub(super) struct Boot {
    pub(super) known: Known,
    pub(super) keys: Keys,
    /// The overrides.
    pub(super) overlay: Saved,
    /// What the process before had begun and not ended.
    pub(super) running: Running,
    /// What of its journal counts no more.
    damage: Option<Damage>,
}

impl Boot {
    /// The number of the version that was in force last; 0 if none was.
    pub(super) fn last_version(&self) -> u64 {
        self.known.versions().next_back().map_or(0, |known| known.about.version)
    }

    /// What a start, at `now`, has to write before anything else: what was set aside of the journal, and what has ended with the
    /// process before.
    pub(super) fn remarks(&self, now: Timestamp) -> Vec<Unwritten> {
        let aside = self.damage.as_ref().map(|Damage { broken, lines, bytes, files }| {
            let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let files = files.iter().map(name).collect();
            let change = Recorded::SetAside { files, lines: *lines, bytes: *bytes };
            Unwritten::own(change, &format!("the journal was damaged: {broken}"), now)
        });
        aside.into_iter().chain(self.running.clone().ends(now)).collect()
    }
}

/// What a journal says that was in force.
pub(super) fn restore(recovered: Recovered<Line>) -> Boot {
    let mut boot = Boot { damage: recovered.damage, ..Boot::default() };
    if let Some(checkpoint) = recovered.checkpoint {
        let Kept { versions, file, overlay, keys, running } = checkpoint.entry.data;
        for KeptVersion { about, text } in versions {
            boot.known.add(KnownVersion { about, is_volatile: false, text: Text::Kept(text) });
        }
        boot.known.file = file;
        (boot.overlay, boot.running) = (overlay, running);
        keys.into_iter().for_each(|(key, done)| boot.keys.add(key, done));
    }
    let mut overlay = Overlaid(std::mem::take(&mut boot.overlay));
    for written in recovered.entries {
        let Entry { author, reason, data, .. } = written.entry;
        boot.running.note(&data.change);
        let made = match data.change {
            Recorded::Table { about, text, is_file } => {
                if is_file {
                    boot.known.file = Some(about.fingerprint.clone());
                }
                let made = Made::Table(about.clone());
                boot.known.add(KnownVersion { about, is_volatile: false, text: Text::Kept(text) });
                made
            }
            Recorded::FileRead { fingerprint } => {
                boot.known.file = Some(fingerprint.clone());
                Made::FileRead(fingerprint)
            }
            Recorded::Override { set } => {
                overlay.set(Change::clone(&set));
                Made::Override(set)
            }
            // A process that has just started does not play dead.
            Recorded::Drill { drill } => Made::Drill(drill),
            Recorded::DrillEnd { drill } => Made::DrillEnd(drill),
            Recorded::Watch { watch } => Made::Watch(watch),
            Recorded::LogLevel { set } => Made::LogLevel(set),
            Recorded::Tokens { tokens } => Made::Tokens(tokens),
            // Nobody has ordered it.
            Recorded::SetAside { .. } => continue,
        };
        if let Some(key) = data.key {
            let version = boot.last_version();
            let kept: Option<Stamp> = Some(written.stamp);
            let overlay = overlay.0.number;
            boot.keys.add(key, Arc::new(Done { made, author, reason, version, overlay, kept }));
        }
    }
    boot.overlay = overlay.0;
    boot
}

/// Overrides as they are kept.
struct Overlaid(Saved);

impl Overlaid {
    fn set(&mut self, change: Change) {
        self.0.number += 1;
        self.0.overrides.retain(|other| other.target != change.target);
        self.0.overrides.push(change);
    }
}
