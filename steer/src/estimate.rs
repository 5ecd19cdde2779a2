//! The latency of one probe target, from its samples.
//!
//! Two exponentially weighted averages with time constants of 10 s and 1 s (half-lives of 6.9 s and 0.7 s). The slow one
//! orders regions; the fast one shows what is going on. A sample far above the average is clipped before it enters, so that
//! one spike moves nothing while a lasting shift still gets in within seconds (a Huber-like rule: the clip follows the mean
//! deviation, which the same samples raise). Sample times are part of the input: an estimate never asks the clock, and
//! reading it changes nothing. It does not decay towards zero when samples stop, which would make an unwatched far region
//! look near; [`Estimate::certainty`] fades instead, and whoever ranks falls back to a prior.
//!
//! A path that has become slower by more than noise is not waited for: samples beyond slow + 4 deviations + 20 ms add up (a
//! [`Cusum`]), and once about eight in a row have proved a shift, the averages start anew from what those samples say
//! ([`Estimate::shifted_at`]). Answers that came only after they had been given up count here too. Answers that pile up behind
//! a pause and arrive together are one piece of evidence and not many: the pause is over.
//!
//! Start-up: the first value is the least of the first three samples, because a first answer over a cold path is slow.
//! Left out: errors and connect times. Neither is a latency sample.

use arrayvec::ArrayVec;

use crate::health::{Cusum, threshold};
use crate::moment::{Moment, Span};

/// Time constant of the average that orders regions.
pub const SLOW_TAU: Span = Span::from_secs(10);
/// Time constant of the average that shows a change early.
pub const FAST_TAU: Span = Span::from_secs(1);
/// A sample loses its say over this time constant.
pub const FADE_TAU: Span = Span::from_secs(300);
/// Samples before an estimate counts as measured.
pub const MIN_SAMPLES: f64 = 3.0;

/// The share of slow samples that is usual, and the one that proves a shift.
const USUALLY_SLOW: f64 = 0.05;
const SHIFTED: f64 = 0.50;
/// Samples a second, as what proves a shift depends on it a little.
const PER_SECOND: f64 = 20.0;
/// The deviation after a shift, as a share of the average, at least.
const LEAST_NEW_DEVIATION: f64 = 1.0 / 16.0;
/// The last slow samples, which say where the path has shifted to.
const SHIFT_SAMPLES: usize = 8;

/// What is known of one target's latency.
#[derive(Clone, Debug)]
pub struct Estimate {
    slow_ms: f64,
    fast_ms: f64,
    deviation_ms: f64,
    /// Samples, each fading by `exp(-age / FADE_TAU)`, as of `at`.
    samples: f64,
    at: Moment,
    shift: Cusum,
    slow_samples: ArrayVec<f64, SHIFT_SAMPLES>,
    /// When the last sample was asked for, and came.
    last: (Moment, Moment),
    shifted_at: Option<Moment>,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            slow_ms: 0.0,
            fast_ms: 0.0,
            deviation_ms: 0.0,
            samples: 0.0,
            at: Moment::default(),
            shift: Cusum::between(USUALLY_SLOW, SHIFTED),
            slow_samples: ArrayVec::new(),
            last: (Moment::default(), Moment::default()),
            shifted_at: None,
        }
    }
}

impl Estimate {
    /// Adds a successful probe's round trip. Samples that are not a finite, non-negative number are ignored. Whether it proves
    /// that the path has become slower.
    pub fn add(&mut self, rtt_ms: f64, at: Moment) -> bool {
        if !rtt_ms.is_finite() || rtt_ms < 0.0 {
            return false;
        }
        if self.has_shifted(rtt_ms, at) {
            self.start_anew(at);
            return true;
        }
        self.average(rtt_ms, at);
        false
    }

    fn average(&mut self, rtt_ms: f64, at: Moment) {
        let gap = at.since(self.at);
        if self.samples < MIN_SAMPLES - 0.5 {
            let least = if self.samples == 0.0 { rtt_ms } else { self.slow_ms.min(rtt_ms) };
            self.slow_ms = least;
            self.fast_ms = least;
        } else {
            let clipped = rtt_ms.min(self.most_usual_ms());
            let slow = 1.0 - decay(gap, SLOW_TAU);
            self.deviation_ms += slow * ((rtt_ms - self.slow_ms).abs() - self.deviation_ms);
            self.slow_ms += slow * (clipped - self.slow_ms);
            self.fast_ms += (1.0 - decay(gap, FAST_TAU)) * (rtt_ms - self.fast_ms);
        }
        self.samples = self.samples * decay(gap, FADE_TAU) + 1.0;
        self.at = self.at.max(at);
    }

    /// As [`Estimate::add`], for an answer that came after it had been given up. It tells nothing of how far the target usually is,
    /// but how much that varies: the next ones are waited for longer. What piled up behind a pause does not count.
    pub fn add_late(&mut self, rtt_ms: f64, at: Moment) -> bool {
        let (asked, came) = self.last;
        let is_piled_up = is_piled_up(rtt_ms, at, asked, came);
        let in_time = rtt_ms.min(self.most_usual_ms());
        if !rtt_ms.is_finite() || rtt_ms < 0.0 {
            return false;
        }
        if self.has_shifted(rtt_ms, at) {
            self.start_anew(at);
            return true;
        }
        if self.samples >= MIN_SAMPLES - 0.5 && !is_piled_up {
            let slow = 1.0 - decay(at.since(self.at), SLOW_TAU);
            self.deviation_ms += slow * (in_time - self.slow_ms - self.deviation_ms);
            self.at = self.at.max(at);
        }
        false
    }

    /// Nothing was measured for a while, and that was nobody's fault here: time starts again at `now`.
    pub fn resume(&mut self, now: Moment) {
        self.at = self.at.max(now);
    }

    /// When the path last became slower at once.
    #[must_use]
    pub const fn shifted_at(&self) -> Option<Moment> {
        self.shifted_at
    }

    fn has_shifted(&mut self, rtt_ms: f64, at: Moment) -> bool {
        let asked = at - Span::from_millis_f64(rtt_ms);
        let (last_asked, last_came) = std::mem::replace(&mut self.last, (asked, at));
        if self.samples < MIN_SAMPLES - 0.5 || rtt_ms <= self.most_usual_ms() {
            self.shift.add(1, 0);
            if self.shift.is_at_rest() {
                self.slow_samples.clear();
            }
            return false;
        }
        if is_piled_up(rtt_ms, at, last_asked, last_came) {
            return false;
        }
        self.shift.add(0, 1);
        if self.slow_samples.is_full() {
            self.slow_samples.remove(0);
        }
        self.slow_samples.push(rtt_ms);
        self.shift.sum() >= threshold(PER_SECOND)
    }

    fn start_anew(&mut self, at: Moment) {
        let mut samples = std::mem::take(&mut self.slow_samples);
        samples.sort_by(f64::total_cmp);
        let median = samples[(samples.len() - 1) / 2];
        let deviation = samples.iter().map(|ms| (ms - median).abs()).sum::<f64>() / samples.len() as f64;
        // A few samples say little of how much they vary, and a timeout too short would lose what comes after them.
        let deviation = deviation.max(median * LEAST_NEW_DEVIATION);
        (self.slow_ms, self.fast_ms, self.deviation_ms) = (median, median, deviation);
        self.at = self.at.max(at);
        self.shift.rest();
        self.shifted_at = Some(at);
    }

    /// What a sample is at most unless the path has become slower.
    fn most_usual_ms(&self) -> f64 {
        self.slow_ms + 4.0 * self.deviation_ms + 20.0
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

/// Whether an answer came so soon after the one before, compared with when they were asked for, that something held both up.
fn is_piled_up(rtt_ms: f64, at: Moment, last_asked: Moment, last_came: Moment) -> bool {
    let asked = at - Span::from_millis_f64(rtt_ms);
    at.since(last_came).as_nanos() < asked.since(last_asked).as_nanos() / 2
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

    /// Probes sent every 50 ms and answered after `ms`, for `millis`. When a shift was proved, in ms after the first was sent.
    fn probe(estimate: &mut Estimate, from: u64, millis: u64, ms: f64) -> Option<u64> {
        let came = |step: u64| Moment::from_millis(from + step * 50) + Span::from_millis_f64(ms);
        let shifts = (0..millis / 50).filter(|step| estimate.add_late(ms, came(*step))).collect::<Vec<_>>();
        shifts.first().map(|step| came(*step).since(Moment::from_millis(from)).as_nanos() / 1_000_000)
    }

    #[test]
    fn a_path_eight_times_as_long_is_known_within_a_second() {
        for ms in [5.0, 30.0, 80.0] {
            let mut estimate = Estimate::default();
            feed(&mut estimate, 0, 30, |_| ms);
            let known = probe(&mut estimate, 30_000, 2000, ms * 8.0);
            let bound = 350 + (ms * 8.0) as u64;
            assert!(known.is_some_and(|at| at <= bound), "{ms}: {known:?}");
            assert!((estimate.slow_ms().unwrap() - ms * 8.0).abs() < 1.0, "{estimate:?}");
            assert!(estimate.probe_timeout() >= Span::from_millis_f64((ms * 8.0 + 9.0).min(1000.0)));
        }
    }

    #[test]
    fn a_pause_is_no_longer_path() {
        let mut estimate = Estimate::default();
        feed(&mut estimate, 0, 30, |_| 5.0);
        let (paused, resumed) = (30_000, 30_800);
        for sent in (paused..resumed).step_by(50) {
            let at = Moment::from_millis(resumed) + Span::from_nanos(sent - paused);
            assert!(!estimate.add_late((resumed - sent) as f64, at));
        }
        assert_eq!(estimate.shifted_at(), None);
        assert!(estimate.slow_ms().unwrap() < 6.0);
    }

    #[test]
    fn answers_that_are_often_late_are_waited_for_longer() {
        let mut estimate = Estimate::default();
        feed(&mut estimate, 0, 30, |_| 5.0);
        let before = estimate.probe_timeout();
        for step in 0..600_u64 {
            let at = Moment::from_millis(30_000 + step * 50);
            if step % 5 == 0 {
                estimate.add_late(70.0, at)
            } else {
                estimate.add(5.0, at)
            };
        }
        assert!(estimate.probe_timeout() >= before + Span::from_millis(20), "{:?}", estimate.probe_timeout());
        assert_eq!(estimate.shifted_at(), None);
    }

    #[test]
    fn noise_is_no_shift() {
        let mut rng = crate::draw::Rng::new(3);
        let mut estimate = Estimate::default();
        for step in 0..20 * 3600 * 24 {
            let noise = f64::from(rng.below(8000)) / 1000.0;
            let spike = if rng.below(20) == 0 { 60.0 } else { 0.0 };
            let is_shift = estimate.add(30.0 + noise + spike, Moment::from_millis(step * 50));
            assert!(!is_shift, "{step}");
        }
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
