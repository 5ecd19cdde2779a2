//! What the journal says is running: a drill, a watch. Neither outlives the process that began it, so the next start writes how they
//! ended; else whoever reads the audit takes a region for dead, or a change for watched, long after.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Recorded;
use super::unwritten::Unwritten;
use crate::drill::Drill;
use crate::trial::{Trial, TrialState};

const DRILL_ENDED: &str = "a restart ended it";
const WATCH_ENDED: &str = "unjudged: a restart ended the watch";

/// What runs, as far as it is written.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Running {
    /// There is one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drill: Option<Arc<Drill>>,
    /// There is one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watch: Option<Box<Trial>>,
}

impl Running {
    /// Takes in a line.
    pub(super) fn note(&mut self, change: &Recorded) {
        match change {
            Recorded::Drill { drill } => self.drill = Some(drill.clone()),
            Recorded::DrillEnd { .. } => self.drill = None,
            Recorded::Watch { watch } if watch.state == TrialState::Running => {
                self.watch = Some(watch.clone());
            }
            // The end of one may be written when the next has begun.
            Recorded::Watch { watch } => {
                self.watch.take_if(|running| (running.number, running.since) == (watch.number, watch.since));
            }
            _ => {}
        }
    }

    /// What a start, at `now`, has to write of it. A drill whose time is over has ended by itself.
    pub(super) fn ends(self, now: Timestamp) -> impl Iterator<Item = Unwritten> {
        let drill = self.drill.filter(|drill| drill.ends_at > now);
        let drill = drill.map(|drill| Unwritten::own(Recorded::DrillEnd { drill }, DRILL_ENDED, now));
        let watch = self.watch.map(|mut watch| {
            (watch.state, watch.ended_at) = (TrialState::Ended, Some(now));
            WATCH_ENDED.clone_into(&mut watch.note);
            Unwritten::own(Recorded::Watch { watch }, WATCH_ENDED, now)
        });
        drill.into_iter().chain(watch)
    }
}
