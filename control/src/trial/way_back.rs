//! What a change replaced, and the order that puts it in force again.

use std::sync::Arc;

use steer::Moment;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::report::Tried;
use crate::changes::{Done, Made, Order, Seen, What};
use crate::drill::Drill;
use crate::overlay::Change;
use crate::snapshot::Snapshot;

/// The author of what a guard does.
pub(super) const GUARD: &str = "guard";

/// A change that is in force, and what it replaced.
#[derive(Clone, Debug)]
pub(super) enum WayBack {
    Table {
        version: u64,
        before: u64,
    },
    Override {
        /// The table version.
        version: u64,
        before: Box<Change>,
        after: Box<Change>,
    },
    Drill(Arc<Drill>),
}

impl WayBack {
    /// What a change replaced: what was in force in `seen`, unless others have changed it between that and the change. `others`
    /// have told of everything since `seen`. `None` if that cannot be known, or is no change that can be taken back.
    pub(super) fn of(done: &Arc<Done>, seen: &Snapshot, others: &mut Receiver<Arc<Done>>) -> Option<Self> {
        let mut before = seen.version.about.version;
        let mut overridden = match &done.made {
            Made::Override(after) => {
                let overrides = seen.overlay.of(&after.target).clone();
                Some(Change { target: after.target.clone(), overrides })
            }
            _ => None,
        };
        loop {
            let other = match others.try_recv() {
                Ok(other) if Arc::ptr_eq(&other, done) => break,
                Ok(other) => other,
                // A drill replaces nothing, whatever was lost.
                Err(TryRecvError::Lagged(_)) if matches!(done.made, Made::Drill(_)) => continue,
                // An order that was known already is not told of again, and what it replaced is not known any more; nor is it if
                // too much was told beside it.
                Err(TryRecvError::Empty | TryRecvError::Closed | TryRecvError::Lagged(_)) => return None,
            };
            match (&other.made, &mut overridden) {
                (Made::Table(about), _) => before = about.version,
                (Made::Override(change), Some(overridden)) if change.target == overridden.target => {
                    *overridden = Change::clone(change);
                }
                _ => {}
            }
        }
        match (&done.made, overridden) {
            (Made::Table(about), _) => Some(Self::Table { version: about.version, before }),
            (Made::Override(after), Some(before)) => {
                Some(Self::Override { version: done.version, before: Box::new(before), after: after.clone() })
            }
            (Made::Drill(drill), _) => Some(Self::Drill(drill.clone())),
            _ => None,
        }
    }

    /// As it is told.
    pub(super) fn tried(&self) -> Tried {
        match self {
            Self::Table { version, before } => Tried::Table { version: *version, before: *before },
            Self::Override { version, after, .. } => {
                Tried::Override { target: after.target.clone(), version: *version }
            }
            Self::Drill(drill) => Tried::Drill { region: drill.region.clone() },
        }
    }

    /// Whether it is known by the number of a table version. A drill runs on under any.
    pub(super) const fn names_version(&self) -> bool {
        !matches!(self, Self::Drill(_))
    }

    /// What becomes of it, and of its watch, if this edge is started anew.
    pub(super) const fn at_a_restart(&self) -> &'static str {
        match self {
            Self::Drill(_) => "a restart ends both, the watch and the drill",
            _ => "a restart ends the watch, and leaves what was changed in force",
        }
    }

    /// When it ends by itself.
    pub(super) fn ends(&self) -> Option<Moment> {
        match self {
            Self::Drill(drill) => Some(drill.ends),
            Self::Override { after, .. } => after.overrides.expires(),
            Self::Table { .. } => None,
        }
    }

    /// Whether what was changed is in force as it was changed, and the table with it.
    pub(super) fn is_in_force(&self, snapshot: &Snapshot) -> bool {
        let current = snapshot.version.about.version;
        match self {
            Self::Table { version, .. } => current == *version,
            Self::Override { version, after, .. } => {
                current == *version && *snapshot.overlay.of(&after.target) == after.overrides
            }
            Self::Drill(drill) => snapshot.drill.as_ref().is_some_and(|other| Arc::ptr_eq(other, drill)),
        }
    }

    /// What is in force instead, in words.
    pub(super) fn instead(&self, snapshot: &Snapshot) -> String {
        let about = &snapshot.version.about;
        match self {
            Self::Table { version, .. } | Self::Override { version, .. } if about.version != *version => {
                format!("{} has published version {}: {}", about.author, about.version, about.reason)
            }
            Self::Table { .. } => "another table is in force".to_owned(),
            Self::Override { after, .. } => {
                format!("what is overridden of {} was changed, or has expired", after.target)
            }
            Self::Drill(_) => "the drill was ended".to_owned(),
        }
    }

    /// The order that puts in force again what was, unless somebody else has changed it. No guard keeps it from that: what was in
    /// force before, with no harm, is better than what does harm now. Nor does a full disk.
    pub(super) fn order(&self, reason: String) -> Order {
        let (what, version) = match self {
            Self::Table { version, before } => (What::Rollback { version: *before }, Some(*version)),
            Self::Override { version, before, after } => {
                (What::Restore { from: after.clone(), to: before.clone() }, Some(*version))
            }
            Self::Drill(drill) => (What::EndDrill { region: Some(drill.region.clone()) }, None),
        };
        Order {
            what,
            author: GUARD.to_owned(),
            role: GUARD.to_owned(),
            reason,
            expects: version.map(Seen::table),
            forces: version.map(Seen::table),
            volatile: true,
            key: None,
        }
    }
}
