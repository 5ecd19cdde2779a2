//! A change before it is written: its line of the journal, and its table's text.

use std::sync::Arc;

use jiff::Timestamp;

use super::order::{Made, Order, What};
use super::record::{Line, Recorded};
use crate::journal::{Digest, Entry};
use crate::overlay::Target;
use crate::publisher::Step;

/// Who did what nobody ordered.
pub const OWN_NAME: &str = "nearside";

/// A change before it is written.
#[derive(Clone, Debug)]
pub(super) struct Unwritten {
    pub(super) entry: Entry<Line>,
    /// The table's, if it is one.
    pub(super) text: Option<Arc<str>>,
}

impl Unwritten {
    pub(super) fn of(order: &Order, step: &Step, made: &Made, time: Timestamp) -> Self {
        let is_file = matches!(order.what, What::Publish { is_file: true, .. });
        let mut text = None;
        let change = match made {
            Made::Table(about) => {
                let written: Arc<str> = match step {
                    Step::Table(version) => version.text.as_str().into(),
                    _ => "".into(),
                };
                let digest = Digest::of(written.as_bytes());
                text = Some(written);
                Recorded::Table { about: about.clone(), text: digest, is_file }
            }
            Made::FileRead(fingerprint) => Recorded::FileRead { fingerprint: fingerprint.clone() },
            Made::Override(set) => Recorded::Override { set: set.clone() },
            Made::Drill(drill) => Recorded::Drill { drill: drill.clone() },
            Made::DrillEnd(drill) => Recorded::DrillEnd { drill: drill.clone() },
            Made::Watch(watch) => Recorded::Watch { watch: watch.clone() },
            Made::LogLevel(set) => Recorded::LogLevel { set: set.clone() },
            Made::Tokens(tokens) => Recorded::Tokens { tokens: tokens.clone() },
        };
        let data = Line { change, key: order.key.clone(), late: false };
        let (author, role, reason) = (order.author.clone(), order.role.clone(), order.reason.clone());
        Self { entry: Entry { time, author, role, reason, data }, text }
    }

    /// What nobody ordered.
    pub(super) fn own(change: Recorded, reason: &str, time: Timestamp) -> Self {
        let (author, role) = (OWN_NAME.to_owned(), OWN_NAME.to_owned());
        let data = Line { change, key: None, late: false };
        Self { entry: Entry { time, author, role, reason: reason.to_owned(), data }, text: None }
    }

    /// Whether it says which table is in force, or that its file was read.
    pub(super) const fn is_of_tables(&self) -> bool {
        matches!(self.entry.data.change, Recorded::Table { .. } | Recorded::FileRead { .. })
    }

    /// Whether it says that the table's file with this fingerprint was read.
    pub(super) fn reads(&self, file: Option<&str>) -> bool {
        matches!(&self.entry.data.change, Recorded::FileRead { fingerprint } if file == Some(fingerprint))
    }

    /// Whether it says what is overridden of a target.
    pub(super) fn overrides(&self, target: &Target) -> bool {
        matches!(&self.entry.data.change, Recorded::Override { set } if set.target == *target)
    }

    /// It was in force before it could be written.
    pub(super) fn late(mut self) -> Self {
        self.entry.data.late = true;
        self
    }
}
