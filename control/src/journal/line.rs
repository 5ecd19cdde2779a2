//! One line of a journal: JSON that ends with the hash of the line before and its own.
//!
//! ```text
//! {"seq":7,"kind":"change","time":…,"author":…,"role":…,"reason":…,"data":…,"prev":"<hash of 6>","hash":"<hash of 7>"}
//! ```
//! The hash is over the exact bytes before `,"hash":`, in which the former line's hash stands, so that anybody can compute it:
//! `sed 's/,"hash":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum`.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::digest::{Digest, HEX};
use super::entry::{Entry, Stamp, Written};
use super::error::AppendError;
use super::fault::Fault;

/// How lines are written today. A higher number is somebody's future.
pub(super) const FORMAT: u32 = 1;
/// The longest line, in bytes with its end. Whoever reads keeps one line in memory.
pub const MAX_BYTES: usize = 16 << 20;

const BEFORE_PREV: &[u8] = b",\"prev\":\"";
const AFTER_PREV: &[u8] = b"\"";
const BEFORE_HASH: &[u8] = b",\"hash\":\"";
const AFTER_HASH: &[u8] = b"\"}";
/// Bytes from `,"hash":` to the end.
pub(super) const HASH_BYTES: usize = BEFORE_HASH.len() + HEX + AFTER_HASH.len();
const PREV_BYTES: usize = BEFORE_PREV.len() + HEX + AFTER_PREV.len();

/// What a line is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The first of all.
    Start,
    /// The first of a later segment.
    Checkpoint,
    /// Any other.
    Change,
    #[serde(other)]
    Unknown,
}

/// A line that is whole and has the hash that it says.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) stamp: Stamp,
    pub(super) prev: Digest,
    pub(super) kind: Kind,
    pub(super) journal: Option<String>,
    pub(super) format: Option<u32>,
    text: &'a [u8],
}

#[derive(Serialize)]
struct Out<'a, D> {
    seq: u64,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a D>,
}

#[derive(Deserialize)]
struct Head {
    seq: u64,
    kind: Kind,
    journal: Option<String>,
    format: Option<u32>,
}

#[derive(Deserialize)]
struct Body<D> {
    time: Timestamp,
    author: String,
    role: String,
    reason: String,
    data: D,
}

impl<'a> Line<'a> {
    /// Takes a line apart, given without its end.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        let at = text.len().checked_sub(HASH_BYTES).ok_or(Fault::NotALine)?;
        let (hashed, end) = text.split_at(at);
        let hash = between(end, BEFORE_HASH, AFTER_HASH).ok_or(Fault::NotALine)?;
        if Digest::of(hashed) != hash {
            return Err(Fault::Edited);
        }
        let at = hashed.len().checked_sub(PREV_BYTES).ok_or(Fault::NotALine)?;
        let prev = between(&hashed[at..], BEFORE_PREV, AFTER_PREV).ok_or(Fault::NotALine)?;
        let head: Head = serde_json::from_slice(text).map_err(|error| Fault::Foreign(error.to_string()))?;
        let stamp = Stamp { seq: head.seq, hash };
        Ok(Self { stamp, prev, kind: head.kind, journal: head.journal, format: head.format, text })
    }

    /// Whether some text ends with a line's end that says that hash.
    pub(super) fn ends_with(text: &[u8], hash: Digest) -> bool {
        let end = text.strip_suffix(b"\n").and_then(|text| text.get(text.len().checked_sub(HASH_BYTES)?..));
        end.and_then(|end| between(end, BEFORE_HASH, AFTER_HASH)) == Some(hash)
    }

    /// What somebody wrote into it.
    pub(super) fn written<D: DeserializeOwned>(&self) -> serde_json::Result<Written<D>> {
        let Body { time, author, role, reason, data } = serde_json::from_slice(self.text)?;
        Ok(Written { stamp: self.stamp, entry: Entry { time, author, role, reason, data } })
    }
}

/// The first line of a new journal.
pub(super) fn start(journal: &str) -> Result<(Vec<u8>, Stamp), AppendError> {
    let out: Out<'_, ()> = Out {
        seq: 0,
        kind: Kind::Start,
        journal: Some(journal),
        format: Some(FORMAT),
        time: None,
        author: None,
        role: None,
        reason: None,
        data: None,
    };
    let mut line = Vec::new();
    let stamp = write(&mut line, &out, Digest::NONE)?;
    Ok((line, stamp))
}

/// The first line of a further segment.
pub(super) fn checkpoint<D: DeserializeOwned + Serialize>(
    journal: &str,
    after: Stamp,
    entry: &Entry<D>,
) -> Result<(Vec<u8>, Stamp), AppendError> {
    let out = Out { journal: Some(journal), format: Some(FORMAT), ..out(Kind::Checkpoint, after, entry) };
    let mut line = Vec::new();
    let stamp = write(&mut line, &out, after.hash)?;
    can_be_read::<D>(&line)?;
    Ok((line, stamp))
}

/// Adds the line of a change to `lines`.
pub(super) fn change<D: DeserializeOwned + Serialize>(
    lines: &mut Vec<u8>,
    after: Stamp,
    entry: &Entry<D>,
) -> Result<Stamp, AppendError> {
    let begin = lines.len();
    let stamp = write(lines, &out(Kind::Change, after, entry), after.hash)?;
    can_be_read::<D>(&lines[begin..])?;
    Ok(stamp)
}

fn out<D>(kind: Kind, after: Stamp, entry: &Entry<D>) -> Out<'_, D> {
    Out {
        seq: after.seq + 1,
        kind,
        journal: None,
        format: None,
        time: Some(entry.time),
        author: Some(&entry.author),
        role: Some(&entry.role),
        reason: Some(&entry.reason),
        data: Some(&entry.data),
    }
}

fn write<D: Serialize>(lines: &mut Vec<u8>, out: &Out<'_, D>, prev: Digest) -> Result<Stamp, AppendError> {
    let begin = lines.len();
    serde_json::to_writer(&mut *lines, out).map_err(AppendError::Unreadable)?;
    lines.pop(); // the closing brace
    lines.extend_from_slice(BEFORE_PREV);
    lines.extend_from_slice(prev.to_string().as_bytes());
    lines.extend_from_slice(AFTER_PREV);
    let hash = Digest::of(&lines[begin..]);
    lines.extend_from_slice(BEFORE_HASH);
    lines.extend_from_slice(hash.to_string().as_bytes());
    lines.extend_from_slice(AFTER_HASH);
    lines.push(b'\n');
    let bytes = lines.len() - begin;
    if bytes > MAX_BYTES {
        return Err(AppendError::TooLarge { bytes });
    }
    Ok(Stamp { seq: out.seq, hash })
}

/// A value that is written but cannot be read back (not a number among them) would stop the next start.
fn can_be_read<D: DeserializeOwned>(line: &[u8]) -> Result<(), AppendError> {
    serde_json::from_slice::<Body<D>>(line).map(drop).map_err(AppendError::Unreadable)
}

/// How long a value is where it is written, in bytes; nothing is kept of it.
pub fn json_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be written is refused when it is; here it counts as far as it came.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

fn between(text: &[u8], before: &[u8], after: &[u8]) -> Option<Digest> {
    Digest::from_hex(text.strip_prefix(before)?.strip_suffix(after)?).ok()
}
