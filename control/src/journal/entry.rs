//! What is written down: who changed what, when and why, and where that stands in the chain.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// Something that a journal is kept of: single changes, and the state that they add up to.
pub trait Record: DeserializeOwned + Serialize {
    /// Everything that the changes before it have led to, so that those need not be kept for ever.
    type State: DeserializeOwned + Serialize;
}

/// One change, or one checkpoint, as the caller gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<D> {
    /// When, by the wall clock. Order comes from sequence numbers; clocks are set back.
    pub time: Timestamp,
    /// Who.
    pub author: String,
    /// In which role.
    pub role: String,
    /// Why.
    pub reason: String,
    /// What.
    pub data: D,
}

/// Where something stands in the chain: its number and its hash.
///
/// The newest one says, in 64 digits, what the whole chain before it is. Kept elsewhere (in an answer, a metric, a ticket) it
/// is an anchor: a journal that was changed since, or that lost its end, does not hold it any more. Written `812:9f86d0…`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stamp {
    /// Counts up by one per line, checkpoints included. The line that starts a journal is 0.
    pub seq: u64,
    /// Of the line.
    pub hash: Digest,
}

/// Something that stands in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<D> {
    /// Where.
    pub stamp: Stamp,
    /// What.
    pub entry: Entry<D>,
}

/// It is not a number, a colon and a hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAStamp;

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Stamp {
    type Err = NotAStamp;

    fn from_str(text: &str) -> Result<Self, NotAStamp> {
        let (seq, hash) = text.split_once(':').ok_or(NotAStamp)?;
        Ok(Self { seq: seq.parse().map_err(|_| NotAStamp)?, hash: hash.parse().map_err(|_| NotAStamp)? })
    }
}

impl fmt::Display for NotAStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an anchor is a number, a colon and 64 lower-case hex digits, such as 812:9f86d081…")
    }
}

impl std::error::Error for NotAStamp {}
