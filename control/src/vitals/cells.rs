//! The cells of one worker.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use steer::Moment;
use steer::ewma::PeakEwma;

/// What one worker knows of an origin. Two cache lines, shared with nobody who writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct OriginCells {
    in_flight: AtomicU32,
    ewma_ms: AtomicU64,
    ewma_at: AtomicU64,
    last_success: AtomicU64,
}

impl OriginCells {
    /// A request was sent.
    pub fn begin(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// It ended, one way or the other.
    pub fn end(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// An answer began at `at`, `ms` after its request was sent.
    pub fn answered(&self, ms: f64, at: Moment) {
        self.store(self.ewma().with(ms, at));
        self.last_success.store(at.as_nanos(), Relaxed);
    }

    /// An attempt failed at `at`, after `ms`.
    pub fn failed(&self, ms: f64, at: Moment) {
        self.store(self.ewma().with(ms.max(steer::ewma::FAILURE_PENALTY_MS), at));
    }

    /// Requests running now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// When the last answer began; `None` is never.
    #[must_use]
    pub fn last_success(&self) -> Option<Moment> {
        Some(self.last_success.load(Relaxed)).filter(|nanos| *nanos > 0).map(Moment::from_nanos)
    }

    /// The peak EWMA of times to the first byte. Another thread may see one word older than the other, which shows it an
    /// average that was right a moment ago.
    #[must_use]
    pub fn ewma(&self) -> PeakEwma {
        PeakEwma {
            ms: f64::from_bits(self.ewma_ms.load(Relaxed)),
            at: Moment::from_nanos(self.ewma_at.load(Relaxed)),
        }
    }

    fn store(&self, ewma: PeakEwma) {
        self.ewma_ms.store(ewma.ms.to_bits(), Relaxed);
        self.ewma_at.store(ewma.at.as_nanos(), Relaxed);
    }
}

/// What one worker knows of a placement. Two cache lines, shared with nobody who writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PlacementCells {
    in_flight: AtomicU32,
    answered: AtomicU64,
    judged: AtomicU64,
    slow: AtomicU64,
    excess_us: AtomicU64,
}

/// What workers have counted of a placement's good answers since they started; differences say what happened in between.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AnswerCounts {
    /// Attempts that were answered well. Failures are told one by one, when they happen.
    pub answered: u64,
    /// Answers whose class (route and placement) is known well enough to say what is usual.
    pub judged: u64,
    /// Of those judged, the ones that began later than is usual for their class.
    pub slow: u64,
    /// Of those judged, how much later than the median of their class they began, added up, in microseconds.
    pub excess_us: u64,
}

impl AnswerCounts {
    /// What was counted since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            answered: self.answered.wrapping_sub(before.answered),
            judged: self.judged.wrapping_sub(before.judged),
            slow: self.slow.wrapping_sub(before.slow),
            excess_us: self.excess_us.wrapping_sub(before.excess_us),
        }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            answered: self.answered.wrapping_add(other.answered),
            judged: self.judged.wrapping_add(other.judged),
            slow: self.slow.wrapping_add(other.slow),
            excess_us: self.excess_us.wrapping_add(other.excess_us),
        }
    }
}

/// For cells of which this thread is the only writer.
fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

impl PlacementCells {
    /// A request began here.
    pub fn begin(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// It ended.
    pub fn end(&self) {
        self.in_flight.store(self.in_flight.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// Requests running now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// An attempt was answered well. `lateness` says how it compares with its class, if that is known: whether it is slow, and
    /// by how many microseconds it is later than the median.
    pub fn answered(&self, lateness: Option<(bool, u64)>) {
        add(&self.answered, 1);
        if let Some((is_slow, excess_us)) = lateness {
            self.judged(is_slow, excess_us);
        }
    }

    /// An attempt was given up because another was answered first: what is known of its lateness by then.
    pub fn judged(&self, is_slow: bool, excess_us: u64) {
        add(&self.judged, 1);
        add(&self.slow, u64::from(is_slow));
        add(&self.excess_us, excess_us);
    }

    /// What was counted so far. Another thread may see one number a request older than another.
    #[must_use]
    pub fn counts(&self) -> AnswerCounts {
        AnswerCounts {
            answered: self.answered.load(Relaxed),
            judged: self.judged.load(Relaxed),
            slow: self.slow.load(Relaxed),
            excess_us: self.excess_us.load(Relaxed),
        }
    }
}
