//! Has the share of bad outcomes changed? A cumulative sum (Page 1954), and what is recent of the outcomes that it sums.
//!
//! Each bad outcome adds what it speaks for the bad share `q1` and against the usual one `q0`, each good one takes off what it
//! speaks against; the sum never falls below zero. It crosses `h = ln(rate * T)` by chance about once in `T`, whatever the rate
//! of outcomes (Lorden 1971), and within the fewest outcomes that such a promise allows after the share has changed. A window
//! with a threshold in percent promises neither.

use crate::moment::{Moment, Span};

/// How often chance alone may prove a change of one placement: once in 30 days.
const FALSE_ALARM: Span = Span::from_secs(30 * 24 * 3600);
/// The least sum that proves anything, however rare outcomes are.
const LEAST_THRESHOLD: f64 = 12.0;
/// Outcomes are recent with this time constant.
const RECENT_TAU: Span = Span::from_secs(10);
/// Shares of fewer recent outcomes than this say nothing.
const FEWEST_OUTCOMES: f64 = 20.0;

/// A sum that grows once the share of bad outcomes is nearer to `q1` than to `q0`.
#[derive(Clone, Copy, Debug)]
pub struct Cusum {
    sum: f64,
    per_bad: f64,
    per_good: f64,
}

impl Cusum {
    /// A sum for a usual share `q0` and a bad one `q1`, both between 0 and 1.
    #[must_use]
    pub fn between(q0: f64, q1: f64) -> Self {
        Self { sum: 0.0, per_bad: libm::log(q1 / q0), per_good: libm::log((1.0 - q1) / (1.0 - q0)) }
    }

    /// Takes in outcomes whose order is not known: as if they came evenly.
    pub fn add(&mut self, good: u64, bad: u64) {
        self.sum = (self.sum + self.per_bad * bad as f64 + self.per_good * good as f64).max(0.0);
    }

    /// As [`Cusum::add`], and however bad they are, they count for no more than one bad outcome: they came together, and what
    /// has one cause is one piece of evidence.
    pub fn add_together(&mut self, good: u64, bad: u64) {
        let most = self.sum + self.per_bad;
        self.add(good, bad);
        self.cap(most);
    }

    /// The sum; 0 is nothing suspicious.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// Whether anything is left of past bad outcomes.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.sum <= 0.0
    }

    /// Starts anew.
    pub fn rest(&mut self) {
        self.sum = 0.0;
    }

    /// Lets the sum not stand above `most`: what was proved is not proved twice.
    pub fn cap(&mut self, most: f64) {
        self.sum = self.sum.min(most);
    }

    /// The share above which bad outcomes add up to a proof in the end; a share below it never does.
    #[must_use]
    pub fn least_proved_share(&self) -> f64 {
        self.per_good / (self.per_good - self.per_bad)
    }
}

/// The sum that proves a change, at so many outcomes a second.
#[must_use]
pub fn threshold(per_second: f64) -> f64 {
    libm::log((per_second * FALSE_ALARM.as_secs_f64()).max(1.0)).max(LEAST_THRESHOLD)
}

/// Recent outcomes, each fading with time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    good: f64,
    bad: f64,
    at: Moment,
    first: Option<Moment>,
}

impl Recent {
    /// Takes in outcomes.
    pub fn add(&mut self, good: u64, bad: u64, now: Moment) {
        let kept = self.kept(now);
        self.good = self.good * kept + good as f64;
        self.bad = self.bad * kept + bad as f64;
        self.at = self.at.max(now);
        if good + bad > 0 {
            self.first.get_or_insert(now);
        }
    }

    /// Outcomes a second.
    #[must_use]
    pub fn per_second(&self, now: Moment) -> f64 {
        let Some(first) = self.first else { return 0.0 };
        // Fewer than a time constant's worth has had a chance to come at first.
        let age = now.since(first).as_secs_f64().max(1.0);
        let tau = RECENT_TAU.as_secs_f64();
        (self.good + self.bad) * self.kept(now) / (tau * (1.0 - libm::exp(-age / tau)))
    }

    /// The share of bad ones; `None` where too few are recent.
    #[must_use]
    pub fn bad_share(&self, now: Moment) -> Option<f64> {
        let all = self.good + self.bad;
        (all * self.kept(now) >= FEWEST_OUTCOMES).then(|| self.bad / all)
    }

    fn kept(&self, now: Moment) -> f64 {
        libm::exp(-now.since(self.at).as_secs_f64() / RECENT_TAU.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Rng;

    fn errors() -> Cusum {
        Cusum::between(0.01, 0.20)
    }

    /// Outcomes until the sum reaches `h`, when a share `q` is bad.
    fn run(rng: &mut Rng, q: f64, h: f64, most: u64) -> Option<u64> {
        let mut cusum = errors();
        (1..=most).find(|_| {
            let bad = f64::from(rng.below(1 << 30)) < q * f64::from(1 << 30);
            cusum.add(u64::from(!bad), u64::from(bad));
            cusum.sum() >= h
        })
    }

    #[test]
    fn the_steps_and_thresholds_are_those_of_the_derivation() {
        let cusum = errors();
        assert!((cusum.per_bad - 2.996).abs() < 0.001 && (cusum.per_good + 0.213).abs() < 0.001);
        assert!((cusum.least_proved_share() - 0.066).abs() < 0.001);
        for (rate, h) in [(10.0, 17.1), (200.0, 20.1), (1000.0, 21.7), (10_000.0, 24.0)] {
            assert!((threshold(rate) - h).abs() < 0.1, "{rate}: {}", threshold(rate));
        }
        assert_eq!(threshold(0.0), LEAST_THRESHOLD);
    }

    #[test]
    fn proof_takes_as_many_outcomes_as_the_derivation_says() {
        // h = 17 and 24, mean outcomes to a proof by the share of bad ones.
        for (h, q, wanted) in [
            (17.0, 1.0, 6.0),
            (17.0, 0.5, 13.0),
            (17.0, 0.2, 41.0),
            (17.0, 0.1, 130.0),
            (24.0, 0.5, 18.0),
            (24.0, 0.2, 58.0),
        ] {
            let seed = 0x0c05_u64;
            let mut rng = Rng::new(seed);
            let runs = 2000;
            let total: u64 =
                (0..runs).map(|_| run(&mut rng, q, h, 1_000_000).expect("it is proved in the end")).sum();
            let mean = total as f64 / f64::from(runs);
            assert!((mean / wanted - 1.0).abs() < 0.12, "seed {seed:#x}, h {h}, q {q}: mean {mean}");
        }
    }

    #[test]
    fn usual_outcomes_prove_nothing_in_thirty_days() {
        // A proof by chance may come once in that time; it comes far more seldom, as the sum moves in large steps.
        for (seed, per_second) in [(1, 0.1), (2, 1.0), (3, 10.0)] {
            let outcomes = per_second * FALSE_ALARM.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let proved = run(&mut Rng::new(seed), 0.01, threshold(per_second), outcomes as u64);
            assert_eq!(proved, None, "seed {seed}, {per_second} a second");
        }
    }

    #[test]
    fn chance_proves_as_seldom_as_promised() {
        // At a low threshold chance can be watched: the mean time between proofs is at least e^h outcomes.
        let (seed, h) = (0x10de_u64, 9.0);
        let mut rng = Rng::new(seed);
        let total: u64 =
            (0..300).map(|_| run(&mut rng, 0.01, h, u64::MAX).expect("chance proves in the end")).sum();
        assert!(total as f64 / 300.0 >= libm::exp(h), "seed {seed:#x}: {}", total as f64 / 300.0);
    }

    #[test]
    fn the_usual_share_in_large_batches_adds_up_to_nothing() {
        let mut cusum = Cusum::between(0.05, 0.50);
        for _ in 0..100_000 {
            cusum.add(95, 5);
            assert!(cusum.is_at_rest());
        }
    }

    #[test]
    fn rates_and_shares_follow_what_is_recent() {
        let mut recent = Recent::default();
        assert_eq!((recent.per_second(Moment::default()), recent.bad_share(Moment::default())), (0.0, None));
        for step in 1..=3000_u64 {
            recent.add(8, 2, Moment::from_millis(step * 50));
        }
        let now = Moment::from_millis(150_000);
        assert!((190.0..210.0).contains(&recent.per_second(now)), "{}", recent.per_second(now));
        assert!((recent.bad_share(now).unwrap() - 0.2).abs() < 0.01);
        let later = Moment::from_millis(250_000);
        assert!(recent.per_second(later) < 0.1);
        assert_eq!(recent.bad_share(later), None, "what is old says nothing");
        let mut early = Recent::default();
        early.add(100, 0, Moment::from_millis(1000));
        early.add(100, 0, Moment::from_millis(2000));
        let rate = early.per_second(Moment::from_millis(2000));
        assert!((150.0..250.0).contains(&rate), "{rate}");
    }
}
