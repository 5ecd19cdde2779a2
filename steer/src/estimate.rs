//! The latency of one probe target, from its samples.
//!
//! Two exponentially weighted averages with time constants of 10 s and 1 s (half-lives of 6.9 s and 0.7 s). The slow one
//! orders regions; the fast one shows what is going on. A sample far above the average is clipped before it enters, so that
//! one spike moves nothing while a lasting shift still gets in within seconds (a Huber-like rule: the clip follows the mean
//! deviation, which the same samples raise). Sample times are part of the input: an estimate never asks the clock, and
//! reading it changes nothing. It does not decay towards zero when samples stop, which would make an unwatched far region
//! look near; [`Estimate::certainty`] fades instead, and whoever ranks falls back to a prior.
//!
//! Start-up: the first value is the least of the first three samples, because a first answer over a cold path is slow.
//! Left out: errors and connect times. Neither is a latency sample.

use crate::moment::{Moment, Span};

/// Time constant of the average that orders regions.
pub const SLOW_TAU: Span = Span::from_secs(10);
/// Time constant of the average that shows a change early.
pub const FAST_TAU: Span = Span::from_secs(1);
/// A sample loses its say over this time constant.
pub const FADE_TAU: Span = Span::from_secs(300);
/// Samples before an estimate counts as measured.
pub const MIN_SAMPLES: f64 = 3.0;

/// What is known of one target's latency.
#[derive(Clone, Debug, Default)]
pub struct Estimate {
    slow_ms: f64,
    fast_ms: f64,
    deviation_ms: f64,
    /// Samples, each fading by `exp(-age / FADE_TAU)`, as of `at`.
    samples: f64,
    at: Moment,
}

impl Estimate {
    /// Adds a successful probe's round trip. Samples that are not a finite, non-negative number are ignored.
    pub fn add(&mut self, rtt_ms: f64, at: Moment) {
        if !rtt_ms.is_finite() || rtt_ms < 0.0 {
            return;
        }
        let gap = at.since(self.at);
        if self.samples < MIN_SAMPLES - 0.5 {
            let least = if self.samples == 0.0 { rtt_ms } else { self.slow_ms.min(rtt_ms) };
            self.slow_ms = least;
            self.fast_ms = least;
        } else {
            let clipped = rtt_ms.min(self.slow_ms + 4.0 * self.deviation_ms + 20.0);
            let slow = 1.0 - decay(gap, SLOW_TAU);
            self.deviation_ms += slow * ((rtt_ms - self.slow_ms).abs() - self.deviation_ms);
            self.slow_ms += slow * (clipped - self.slow_ms);
            self.fast_ms += (1.0 - decay(gap, FAST_TAU)) * (rtt_ms - self.fast_ms);
        }
        self.samples = self.samples * decay(gap, FADE_TAU) + 1.0;
        self.at = self.at.max(at);
    }

    /// The slow average, in ms. `None` before the first sample.
    #[must_use]
    pub fn slow_ms(&self) -> Option<f64> {
        (self.samples > 0.0).then_some(self.slow_ms)
    }

    /// The fast average, in ms. `None` before the first sample.
    #[must_use]
    pub fn fast_ms(&self) -> Option<f64> {
        (self.samples > 0.0).then_some(self.fast_ms)
    }

    /// The mean deviation from the slow average, in ms.
    #[must_use]
    pub fn deviation_ms(&self) -> f64 {
        self.deviation_ms
    }

    /// The number of samples that still count at `now`: 3 and more are a measurement.
    #[must_use]
    pub fn certainty(&self, now: Moment) -> f64 {
        self.samples * decay(now.since(self.at), FADE_TAU)
    }

    /// How long to wait for a probe's answer before it counts as lost: slow + 4 deviations + 10 ms, 20 ms to 1 s, and the
    /// full second while nothing is known (after RFC 6298's retransmission timer).
    #[must_use]
    pub fn probe_timeout(&self) -> Span {
        match self.slow_ms() {
            Some(slow) => Span::from_millis_f64((slow + 4.0 * self.deviation_ms + 10.0).clamp(20.0, 1000.0)),
            None => Span::from_secs(1),
        }
    }
}

fn decay(gap: Span, tau: Span) -> f64 {
    libm::exp(-gap.as_secs_f64() / tau.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `ms` at 2 Hz for `secs` seconds.
    fn feed(estimate: &mut Estimate, from: u64, secs: u64, ms: impl Fn(u64) -> f64) {
        for step in 0..secs * 2 {
            estimate.add(ms(step), Moment::from_millis(from * 1000 + step * 500));
        }
    }

    #[test]
    fn starts_with_the_least_of_three() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.slow_ms(), None);
        for (index, ms) in (0..).zip([90.0, 41.0, 60.0]) {
            estimate.add(ms, Moment::from_millis(index * 300));
        }
        assert_eq!(estimate.slow_ms(), Some(41.0));
        assert!(estimate.certainty(Moment::from_millis(600)) > 2.9);
    }

    #[test]
    fn a_spike_moves_nothing_and_a_step_gets_in() {
        let mut estimate = Estimate::default();
        feed(&mut estimate, 0, 30, |_| 20.0);
        estimate.add(400.0, Moment::from_millis(30_000));
        assert!(estimate.slow_ms().unwrap() < 22.0);
        feed(&mut estimate, 31, 25, |_| 60.0);
        assert!(estimate.slow_ms().unwrap() > 56.0, "{estimate:?}");
    }

    #[test]
    fn silence_fades_certainty_and_never_the_value() {
        let mut estimate = Estimate::default();
        feed(&mut estimate, 0, 30, |_| 80.0);
        let later = Moment::from_millis(3_600_000);
        assert_eq!(estimate.slow_ms().unwrap().round(), 80.0);
        assert!(estimate.certainty(later) < 0.01);
    }

    #[test]
    fn poison_does_not_enter() {
        let mut estimate = Estimate::default();
        for poison in [f64::NAN, f64::INFINITY, -1.0] {
            estimate.add(poison, Moment::default());
        }
        assert_eq!(estimate.slow_ms(), None);
    }

    #[test]
    fn probe_timeouts_follow_the_path() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.probe_timeout(), Span::from_secs(1));
        feed(&mut estimate, 0, 60, |step| if step % 2 == 0 { 78.0 } else { 82.0 });
        let timeout = estimate.probe_timeout().as_millis_f64();
        assert!((95.0..110.0).contains(&timeout), "{timeout}");
    }
}
