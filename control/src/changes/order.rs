//! What somebody wants changed, on which conditions, and what became of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::seen::Seen;
use crate::access::TokenChanges;
use crate::document::Finding;
use crate::drill::{Drill, DrillDraft, DrillRefused};
use crate::effect::TakenAway;
use crate::journal::{Digest, Stamp};
use crate::log_level::{LevelDraft, LevelSet};
use crate::overlay::{Change, OverridePatch, PatchRefused};
use crate::trial::Trial;
use crate::version::About;

/// The author of what is in force because the table's file says so; nobody else has this name.
pub const FILE: &str = "file";

/// A change that somebody wants.
#[derive(Clone, Debug)]
pub struct Order {
    /// What.
    pub what: What,
    /// Who.
    pub author: String,
    /// In which role.
    pub role: String,
    /// Why.
    pub reason: String,
    /// What he has seen; if something else is in force, he is told so instead.
    pub expects: Option<Seen>,
    /// What he overrules the guard of.
    pub forces: Option<Seen>,
    /// Whether it may be forgotten at a restart, if it cannot be kept.
    pub volatile: bool,
    /// By which it is known if it comes again.
    pub key: Option<Key>,
}

impl Order {
    /// Whether somebody has decided here what shall be in force: files say again what they said, and notes change nothing.
    pub(super) fn is_decided(&self) -> bool {
        match &self.what {
            What::Publish { .. } => self.author != FILE,
            What::FileRead { .. } | What::Watch(_) | What::Tokens(_) | What::LogLevel(_) => false,
            What::Rollback { .. }
            | What::Override(_)
            | What::Restore { .. }
            | What::Drill(_)
            | What::EndDrill { .. } => true,
        }
    }
}

/// What somebody wants changed.
#[derive(Clone, Debug)]
pub enum What {
    /// Another table.
    Publish {
        /// As written.
        text: String,
        /// What messages call it.
        source: String,
        /// Whether it was read from the table's file.
        is_file: bool,
    },
    /// Nothing but a note that the table's file was read, whatever became of it: a start takes it for a change otherwise.
    FileRead {
        /// Of its text.
        fingerprint: String,
    },
    /// A former table again, as a new version.
    Rollback {
        /// Which.
        version: u64,
    },
    /// An override.
    Override(OverridePatch),
    /// Overrides as they were, unless they have changed again.
    Restore {
        /// What is overridden of a target.
        from: Box<Change>,
        /// What shall be overridden of it instead.
        to: Box<Change>,
    },
    /// A drill; there is one at a time.
    Drill(DrillDraft),
    /// The end of the drill that runs.
    EndDrill {
        /// Of which region it is, as far as whoever orders it has seen; another one does not end.
        region: Option<String>,
    },
    /// Another log level, for a while.
    LogLevel(LevelDraft),
    /// Nothing but a note of how a change under watch stands.
    Watch(Box<Trial>),
    /// Nothing but a note of what has changed in the file of tokens.
    Tokens(Box<TokenChanges>),
}

/// By which an order is known if it comes again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[schema(as = IdempotencyKey)]
pub struct Key {
    /// Whose it is, and what he calls it.
    pub name: String,
    /// Of the whole order: a key does not stand for two.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub order: Digest,
}

/// A change that is in force.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Done {
    /// What came of it.
    pub made: Made,
    /// Who ordered it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The table version in force since.
    pub version: u64,
    /// The overlay's number since.
    #[serde(default)]
    pub overlay: u64,
    /// Where it stands in the journal; `None` if it is not kept.
    pub kept: Option<Stamp>,
}

/// What came of an order.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Made {
    /// A table is in force.
    Table(About),
    /// Overrides are.
    Override(Box<Change>),
    /// A drill runs.
    Drill(Arc<Drill>),
    /// A drill has ended before its time.
    DrillEnd(Arc<Drill>),
    /// A table's file with this fingerprint was read.
    FileRead(String),
    /// A change under watch stands so.
    Watch(Box<Trial>),
    /// A log level is, or will be at once.
    LogLevel(Arc<LevelSet>),
    /// Other tokens open the API.
    Tokens(Box<TokenChanges>),
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// The table is wrong.
    Table(Vec<Finding>),
    /// That version is not held.
    UnknownVersion(u64),
    /// The override makes no sense.
    Patch(PatchRefused),
    /// The drill makes no sense.
    Drill(DrillRefused),
    /// No such drill runs.
    NoDrill,
    /// A drill of that region runs already.
    Drilled(String),
    /// What it would restore was changed again.
    Overtaken,
    /// Something else is in force than the order expects, or forces.
    Moved {
        /// What the order names.
        expected: Seen,
        /// What is in force.
        current: Seen,
    },
    /// It would take away more than a guard lets anybody take away unawares.
    Guarded {
        /// What to name if it is meant.
        seen: Seen,
        /// What it would take away.
        violations: Vec<TakenAway>,
    },
    /// An order with the same key was another one.
    KeyReused,
    /// It cannot be kept.
    NotKept {
        /// Because there is no space.
        is_full: bool,
        /// In words.
        problem: String,
    },
    /// Too many orders wait.
    Busy,
    /// This edge stops.
    Stopping,
}
