//! The last decisions of this edge, with everything they were taken with.
//!
//! Every worker decides at a [`Desk`] of its own and leaves a [`Record`] of each decision in a ring that only it writes:
//! no lock, no allocation, no line that another thread writes. The record's place is its name ([`DecisionId`]), which clients
//! and the access log may be told. Whoever asks for it later gets the record, and [`repeat`] takes the decision again with the
//! table, overrides and ranking of its time.
//!
//! A record has 20 words and one for eight placements of its pool; with a choice between origins some seven more. So most
//! take 192 or 256 bytes.

mod desk;
mod id;
mod record;
mod repeat;
mod ring;

use std::sync::Arc;

use jiff::Timestamp;
use steer::Moment;

pub use desk::{Asking, Decided, Desk, Tries, numbers};
pub use id::{DecisionId, NotADecision};
pub use record::{Before, Numbers, Placed, Record, Seen};
pub use repeat::{Recorded, repeat};
use ring::Ring;
pub use ring::SEGMENT_BYTES;

/// Sixteenths of a second.
const STARTS_PER_SECOND: i128 = 16;

/// The decisions of all workers.
#[derive(Debug)]
pub struct Decisions {
    start: u64,
    started_at: Timestamp,
    rings: Box<[Arc<Ring>]>,
}

/// Why a decision is not held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotHeld {
    /// It was taken by another edge, or before this one was started.
    OtherStart {
        /// When this one was started.
        started_at: Timestamp,
    },
    /// Nobody has ever taken it.
    Never,
    /// Later ones have taken its place.
    Overwritten {
        /// When the oldest decision was taken that its worker still has.
        oldest: Option<Moment>,
    },
}

impl Decisions {
    /// When this edge was started.
    #[must_use]
    pub const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Empty rings for that many workers, which share so many bytes; `started_at` tells this start of the edge from others.
    #[must_use]
    pub fn new(workers: usize, bytes: usize, started_at: Timestamp) -> Self {
        let ring = |_| Arc::new(Ring::new(bytes / workers.max(1)));
        let start = started_at.as_nanosecond() * STARTS_PER_SECOND / 1_000_000_000;
        Self { start: u64::try_from(start).unwrap_or(0), started_at, rings: (0..workers).map(ring).collect() }
    }

    /// Where a worker decides; `None` if it has its desk already, or is none of those that there are rings for.
    #[must_use]
    pub fn desk(&self, worker: usize) -> Option<Desk> {
        let writer = self.rings.get(worker)?.writer()?;
        Some(Desk::new(self.start, worker.try_into().ok()?, writer))
    }

    /// The record of a decision.
    ///
    /// # Errors
    /// [`NotHeld`], and why.
    pub fn find(&self, id: DecisionId) -> Result<Record, NotHeld> {
        if id.start != self.start {
            return Err(NotHeld::OtherStart { started_at: self.started_at });
        }
        let ring = self.rings.get(usize::from(id.worker)).ok_or(NotHeld::Never)?;
        let mut words = Vec::new();
        match ring.read(id.line, &mut words) {
            Ok(()) => Record::decode(&words).ok_or(NotHeld::Never),
            Err(ring::Lost::Never) => Err(NotHeld::Never),
            Err(ring::Lost::Overwritten) => {
                let oldest = ring.oldest().and_then(|line| {
                    ring.read(line, &mut words).ok()?;
                    Some(Record::decode(&words)?.at)
                });
                Err(NotHeld::Overwritten { oldest })
            }
        }
    }

    /// The decisions of a request that are held, oldest first. Looks at every record: some milliseconds.
    #[must_use]
    pub fn of_request(&self, id: &str) -> Vec<DecisionId> {
        let hash = request_hash(id.as_bytes());
        let mut found: Vec<(Moment, DecisionId)> = Vec::new();
        for (worker, ring) in (0..).zip(&self.rings) {
            let ids = ring.find(record::REQUEST_WORD, hash).into_iter();
            let ids = ids.map(|line| DecisionId { start: self.start, worker, line });
            // Read once more, as a whole: what only looked like it is none.
            let read =
                ids.filter_map(|id| Some((self.find(id).ok().filter(|it| it.request == hash)?.at, id)));
            found.extend(read);
        }
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }
}

/// The hash by which a request's decisions are found: eight bytes at a time, as it is taken of every request.
#[inline]
#[must_use]
pub fn request_hash(id: &[u8]) -> u64 {
    id.chunks(8).fold(id.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}
