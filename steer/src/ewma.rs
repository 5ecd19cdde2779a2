//! Peak EWMA: the load of one origin, as one worker sees it.
//!
//! An average that jumps to any worse sample at once and decays towards better ones (Finagle's peak EWMA, time constant
//! 10 s). Times the requests in flight plus one it estimates the wait behind this origin, which is what the power of two
//! choices compares. It reacts to one slow answer, which is right between the origins of a placement and wrong between
//! regions; those are ordered by [`crate::ranking`].
//!
//! Reading is pure. An idle origin decays towards the prior that the reader gives (its region's latency), never towards
//! zero, which would make whatever has not been tried look best. A failure counts as a slow answer of at least a second, so
//! that an origin does not win traffic by failing fast.

use crate::moment::{Moment, Span};

const TAU: Span = Span::from_secs(10);
/// What a failed attempt counts as, at least.
pub const FAILURE_PENALTY_MS: f64 = 1000.0;

/// A peak EWMA at a point in time. Two words, so that a worker can keep it in two atomic cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeakEwma {
    /// The average as of `at`, in ms; 0 before the first sample.
    pub ms: f64,
    /// When it was last moved.
    pub at: Moment,
}

impl PeakEwma {
    /// Takes in an answer's time to its first byte. Samples that are not a finite, non-negative number are ignored.
    #[must_use]
    pub fn with(self, sample_ms: f64, at: Moment) -> Self {
        if !sample_ms.is_finite() || sample_ms < 0.0 {
            return self;
        }
        let decayed = self.at(at, sample_ms);
        Self { ms: decayed.max(sample_ms), at: self.at.max(at) }
    }

    /// The average at `now`, decayed towards `prior_ms`.
    #[must_use]
    pub fn at(&self, now: Moment, prior_ms: f64) -> f64 {
        if self.ms == 0.0 {
            return prior_ms;
        }
        let kept = libm::exp(-now.since(self.at).as_secs_f64() / TAU.as_secs_f64());
        prior_ms + (self.ms - prior_ms) * kept
    }

    /// The load to compare: the average, times the requests in flight and this one.
    #[must_use]
    pub fn load(&self, now: Moment, prior_ms: f64, in_flight: u32) -> f64 {
        self.at(now, prior_ms) * (f64::from(in_flight) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_at_once_better_slowly() {
        let at = |secs: u64| Moment::from_millis(secs * 1000);
        let mut ewma = PeakEwma::default().with(20.0, at(0));
        assert_eq!(ewma.ms, 20.0);
        ewma = ewma.with(500.0, at(1));
        assert_eq!(ewma.ms, 500.0);
        ewma = ewma.with(20.0, at(2));
        assert!((450.0..460.0).contains(&ewma.ms), "{ewma:?}");
    }

    #[test]
    fn idleness_leads_to_the_prior_and_not_to_zero() {
        let ewma = PeakEwma::default().with(500.0, Moment::default());
        assert!((ewma.at(Moment::from_millis(600_000), 80.0) - 80.0).abs() < 0.01);
        assert_eq!(PeakEwma::default().at(Moment::default(), 80.0), 80.0);
    }

    #[test]
    fn poison_does_not_enter() {
        let ewma =
            PeakEwma::default().with(f64::NAN, Moment::default()).with(f64::INFINITY, Moment::default());
        assert_eq!(ewma, PeakEwma::default());
    }
}
