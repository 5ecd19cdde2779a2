//! What is written of a change, and of all changes before a point.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::{Done, Key};
use super::running::Running;
use crate::access::TokenChanges;
use crate::drill::Drill;
use crate::journal::{Digest, Record};
use crate::log_level::LevelSet;
use crate::overlay::{Change, Saved};
use crate::trial::Trial;
use crate::version::About;

/// What a line of the journal says, beside who wrote it, when and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = AuditLine)]
pub struct Line {
    /// What was changed.
    #[serde(flatten)]
    pub change: Recorded,
    /// By which its order is known if it comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// It was in force before it could be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// What was changed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(tag = "change", rename_all = "kebab-case")]
#[schema(as = AuditedChange)]
pub enum Recorded {
    /// A table came into force.
    Table {
        /// What is told about it.
        about: About,
        /// Its text.
        #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
        text: Digest,
        /// Whether it was read from the table's file.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_file: bool,
    },
    /// The table's file was read and did not come into force: the reason says whether it was in force already, or was refused.
    FileRead {
        /// Of its text.
        fingerprint: String,
    },
    /// Overrides did.
    Override {
        /// All that is overridden of its target since.
        #[serde(flatten)]
        set: Box<Change>,
    },
    /// A drill began. A restart ends it.
    Drill {
        /// Which.
        drill: Arc<Drill>,
    },
    /// A drill ended before its time, by somebody or by a restart.
    DrillEnd {
        /// Which.
        drill: Arc<Drill>,
    },
    /// A change came under watch, or its watch was over. A restart ends it.
    Watch {
        /// How it stands.
        watch: Box<Trial>,
    },
    /// A log level was set for a while. A restart ends it.
    LogLevel {
        /// Which.
        set: Arc<LevelSet>,
    },
    /// Other tokens open the API.
    Tokens {
        /// What has changed in their file.
        tokens: Box<TokenChanges>,
    },
    /// A start has found the journal damaged: these lines are not part of it any more, and need a person.
    SetAside {
        /// Where they are: files of the journal's folder.
        files: Vec<String>,
        /// How many lines.
        lines: u64,
        /// How much that is.
        bytes: u64,
    },
}

impl Record for Line {
    type State = Kept;
}

/// Everything that changes have led to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Kept {
    /// The published versions that are held, oldest first.
    pub versions: Vec<KeptVersion>,
    /// The fingerprint of the table's file as it was last read.
    pub file: Option<String>,
    /// The overrides.
    pub overlay: Saved,
    /// Orders that are known if they come again, oldest first.
    pub keys: Vec<(Key, Arc<Done>)>,
    /// What runs, and ends with the process.
    #[serde(default)]
    pub running: Running,
}

/// A version that is held.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct KeptVersion {
    /// What is told about it.
    pub about: About,
    /// Its text.
    pub text: Digest,
}
