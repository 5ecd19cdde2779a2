//! What somebody has seen in force when he decided: a table version and, if he wants to be sure, the overrides beside it.
//!
//! The table's version alone says nothing about what operators have changed since: a force that was meant for the overlay of
//! five minutes ago would overrule the guard of now. Steps of ramps are no change: they were ordered before he looked.
//!
//! While an edge runs, no number of what is in force comes again for something else, not even where a state is opened late. What
//! was seen before a restart should not be named after it: versions that could not be kept are gone, and the overlay's number
//! counts steps of ramps and what has expired, too, which no journal has. A start goes on from what was kept.

use std::fmt;
use std::str::FromStr;

use crate::snapshot::Snapshot;

/// What somebody has seen in force. Written `12`, or `12.7` with the overlay's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The table's version.
    pub version: u64,
    /// The overlay's number; `None` if any will do.
    pub overlay: Option<u64>,
}

/// A text that names nothing that could have been seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotSeen;

impl Seen {
    /// A table version, under any overrides.
    #[must_use]
    pub const fn table(version: u64) -> Self {
        Self { version, overlay: None }
    }

    /// All of what a snapshot has.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Self { version: snapshot.version.about.version, overlay: Some(snapshot.overlay.number) }
    }

    /// Whether nobody has changed anything since.
    #[must_use]
    pub fn is_still(self, snapshot: &Snapshot) -> bool {
        let is_overlay = |seen| snapshot.overlay.is_as_changed_at(seen);
        self.version == snapshot.version.about.version && self.overlay.is_none_or(is_overlay)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.overlay {
            None => write!(f, "{}", self.version),
            Some(overlay) => write!(f, "{}.{overlay}", self.version),
        }
    }
}

impl FromStr for Seen {
    type Err = NotSeen;

    fn from_str(text: &str) -> Result<Self, NotSeen> {
        let number = |text: &str| {
            let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_digits.then(|| text.parse().ok()).flatten().ok_or(NotSeen)
        };
        match text.split_once('.') {
            None => Ok(Self::table(number(text)?)),
            Some((version, overlay)) => {
                Ok(Self { version: number(version)?, overlay: Some(number(overlay)?) })
            }
        }
    }
}

impl fmt::Display for NotSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is a table version, or that and the overlay's number: 12, or 12.7")
    }
}

impl std::error::Error for NotSeen {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["12", "12.7", "0.0", "18446744073709551615"] {
            assert_eq!(text.parse::<Seen>().unwrap().to_string(), text);
        }
        for text in ["", ".", "12.", ".7", "12.7.1", "+12", "-1", "1e3", "a", "12,7", "18446744073709551616"]
        {
            assert_eq!(text.parse::<Seen>(), Err(NotSeen), "{text}");
        }
    }
}
