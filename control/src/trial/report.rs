//! A trial as it is told: to operators, to the audit, to whoever listens for changes.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::Span;
use utoipa::ToSchema;

use super::evidence::Evidence;
use super::guard::Guard;
use crate::described;
use crate::overlay::Target;

/// A change under watch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Trial {
    /// Counts up from 1 while this edge runs.
    pub number: u64,
    /// What was changed.
    pub of: Tried,
    /// Who changed it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// What the change may not do.
    #[schema(value_type = Vec<String>, examples(json!(["error_rate=1%"])))]
    pub guards: Vec<Guard>,
    /// How long it is watched.
    #[schema(value_type = described::Span)]
    pub lasts: Span,
    /// Since when.
    pub since: Timestamp,
    /// When it has passed, if nothing goes wrong.
    pub ends_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it stands.
    pub state: TrialState,
    /// What was seen so far, all requests together; where a guard was tripped, first what tripped it.
    pub evidence: Vec<Evidence>,
    /// What to know about that.
    pub note: String,
}

/// What is watched.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Tried {
    /// A table.
    Table {
        /// Its version.
        version: u64,
        /// The version that was in force before.
        before: u64,
    },
    /// Overrides.
    Override {
        /// Of what.
        target: Target,
        /// The table version in force.
        version: u64,
    },
    /// A drill.
    Drill {
        /// Of which region.
        region: String,
    },
}

/// How a trial stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// The change is watched.
    Running,
    /// Its time is over, and no guard was tripped.
    Passed,
    /// A guard was tripped, and what was before is in force again.
    RolledBack,
    /// A guard was tripped, and what was before could not be put in force again.
    Stuck,
    /// Somebody has changed what was watched.
    Superseded,
    /// Its time is over, and too little was seen.
    Inconclusive,
    /// Somebody has ended the watch, or a restart.
    Ended,
}

impl TrialState {
    /// How a trial can have ended.
    pub const ENDS: [Self; 6] =
        [Self::Passed, Self::RolledBack, Self::Stuck, Self::Superseded, Self::Inconclusive, Self::Ended];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Passed => "passed",
            Self::RolledBack => "rolled_back",
            Self::Stuck => "stuck",
            Self::Superseded => "superseded",
            Self::Inconclusive => "inconclusive",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for TrialState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { version, .. } => write!(f, "table version {version}"),
            Self::Override { target, .. } => write!(f, "the overrides of {target}"),
            Self::Drill { region } => write!(f, "the drill of {region}"),
        }
    }
}
