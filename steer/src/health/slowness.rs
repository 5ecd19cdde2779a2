//! Are a placement's answers later than they used to be? Then it costs more; it is not ill.
//!
//! Workers say of each good answer whether it is slow for its kind, and by how much it is later than is usual. A [`Cusum`] with
//! `q0` = 5 % and `q1` = 50 % proves the change; the mean lateness of the last answers becomes the placement's
//! [`Excess`], a term of its cost, and cost decides. Below 5 ms it is what latencies vary by anyway, and nothing. So a slow region that is still the nearest keeps its clients, and errors,
//! which are no latency, never come in here.
//!
//! ```text
//!     usual ──── proved ───► held (10 s, twice as long each time, 300 s at most) ───► trial ──── ten good seconds ───► usual
//!                              ▲                                                        │
//!                              └─────────────────────── proved again ───────────────────┘
//! ```
//!
//! **The trial** gives the excess up for a tenth of the keys, then for more and more of them while the answers stay good. Giving
//! it up for all at once, or halving it until a threshold is crossed, would move all clients there and back at every try;
//! answers under way when the slowness shows again would be slow for a tenth of them, not for all.
//!
//! **A pause is no slowness.** A process that stands still for a moment answers all that waited in a bunch afterwards. So answers
//! of the same hundredth of a second count as one at most, and what proves slowness spans a tenth of a second.
//!
//! Where most of the pool is as slow, the application is, and nothing would be gained elsewhere ([`super::is_common`]): the
//! caller then lets [`Slowness::forgive`] end what there is.

use super::cusum::{Cusum, Recent, threshold};
use crate::draw::{Purpose, falls_below, lot};
use crate::moment::{Moment, Span};
use crate::ranking::MIN_DIFFERENCE_MS;
use crate::signals::RAMP_WHOLE;

/// The share of slow answers that is usual: slow is what one in twenty is.
const USUAL: f64 = 0.05;
/// The share that is not.
const SLOW: f64 = 0.50;
/// Answers that come within this time may have one cause.
const BUNCH: Span = Span::from_millis(10);
/// How fast the mean lateness forgets, in answers: what came before the slow ones must not hide how late those are.
const MEAN_OVER: f64 = 8.0;
/// More than this is not told apart.
const MAX_EXCESS_MS: f64 = 2000.0;
const HOLD: Span = Span::from_secs(10);
const MAX_HOLD: Span = Span::from_secs(300);
/// A placement that was usual for so long is held for [`HOLD`] again.
const FORGOTTEN_AFTER: Span = Span::from_secs(600);
/// How long a trial takes to come from the least share to all.
const TRIAL: Span = Span::from_secs(10);
const LEAST_TRIAL: f64 = 0.10;

/// What a placement costs more because its answers are late.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Excess {
    /// In ms; 0 is nothing.
    pub ms: u16,
    /// The keys that do not see it, in [`RAMP_WHOLE`]ths.
    pub spared: u8,
}

impl Excess {
    /// What a key sees of it, in ms. `subject` is the region's hash.
    #[inline]
    #[must_use]
    pub fn ms_for(self, key: u64, subject: u64) -> f64 {
        let is_spared =
            |spared| falls_below(lot(key, subject, Purpose::Trial), u32::from(spared), u32::from(RAMP_WHOLE));
        if self.ms == 0 || (self.spared > 0 && is_spared(self.spared)) { 0.0 } else { f64::from(self.ms) }
    }
}

/// The lateness of one placement's answers.
#[derive(Clone, Debug)]
pub struct Slowness {
    cusum: Cusum,
    recent: Recent,
    /// What came in the current bunch, which began at `bunch_at`: judged, slow, and how late in microseconds.
    bunch: (u64, u64, u64),
    bunch_at: Moment,
    /// The mean lateness of the last answers since the sum was last at rest, and the weight that they have in it.
    excess_ms: f64,
    weight: f64,
    stage: Stage,
    hold: Span,
    usual_since: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Usual,
    Held { ms: u16, until: Moment },
    Trial { ms: u16, grown: Span, at: Moment },
}

impl Default for Slowness {
    fn default() -> Self {
        Self {
            cusum: Cusum::between(USUAL, SLOW),
            recent: Recent::default(),
            bunch: (0, 0, 0),
            bunch_at: Moment::default(),
            excess_ms: 0.0,
            weight: 0.0,
            stage: Stage::Usual,
            hold: HOLD,
            usual_since: None,
        }
    }
}

impl Slowness {
    /// The share of slow answers above which they prove something in the end.
    #[must_use]
    pub fn least_proved_share() -> f64 {
        Cusum::between(USUAL, SLOW).least_proved_share()
    }

    /// So many answers were judged since the last time, of which some were slow; how much later than usual they all were, added
    /// up. Whether that proves the placement slow by an amount that matters, which it does until the caller says what follows:
    /// [`Slowness::hold`] or [`Slowness::forgive`].
    pub fn answered(&mut self, judged: u64, slow: u64, excess_us: u64, now: Moment) -> bool {
        if self.bunch.0 == 0 {
            self.bunch_at = now;
        }
        self.bunch = (self.bunch.0 + judged, self.bunch.1 + slow, self.bunch.2.saturating_add(excess_us));
        if self.bunch.0 == 0 || now.since(self.bunch_at) < BUNCH {
            return false;
        }
        let (judged, slow, excess_us) = std::mem::take(&mut self.bunch);
        // Counters of several threads are read one after the other, so a slow answer may come before its being judged.
        let slow = slow.min(judged);
        self.recent.add(judged - slow, slow, now);
        self.cusum.add_together(judged - slow, slow);
        if self.cusum.is_at_rest() {
            (self.excess_ms, self.weight) = (0.0, 0.0);
            return false;
        }
        let kept = libm::exp(-(judged as f64) / MEAN_OVER);
        self.excess_ms = self.excess_ms * kept + excess_us as f64 / 1000.0 / judged as f64 * (1.0 - kept);
        self.weight = self.weight * kept + 1.0 - kept;
        if self.cusum.sum() < threshold(self.recent.per_second(now)) {
            return false;
        }
        if self.seen_ms() < MIN_DIFFERENCE_MS {
            self.rest();
            return false;
        }
        true
    }

    /// The placement is slow: its excess is held for a while. While it is held already, the excess follows what is seen and
    /// the hold starts again; it grows only when a trial has failed.
    pub fn hold(&mut self, now: Moment) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let seen = libm::ceil(self.seen_ms().clamp(1.0, MAX_EXCESS_MS)) as u16;
        let ms = match self.stage {
            Stage::Held { ms, .. } => ms.max(seen),
            Stage::Trial { ms, .. } => {
                self.lengthen();
                ms.max(seen)
            }
            Stage::Usual => {
                match self.usual_since {
                    Some(since) if now.since(since) < FORGOTTEN_AFTER => self.lengthen(),
                    _ => self.hold = HOLD,
                }
                seen
            }
        };
        self.stage = Stage::Held { ms, until: now + self.hold };
        self.rest();
    }

    /// It is as slow as all: nothing is held against it.
    pub fn forgive(&mut self) {
        self.stage = Stage::Usual;
        self.rest();
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Moment) {
        let is_calm = self.cusum.sum() < threshold(self.recent.per_second(now)) / 3.0;
        match &mut self.stage {
            Stage::Held { ms, until } if now >= *until => {
                self.stage = Stage::Trial { ms: *ms, grown: Span::ZERO, at: now };
                self.rest();
            }
            Stage::Trial { grown, at, .. } => {
                if is_calm {
                    *grown = *grown + now.since(*at);
                }
                *at = now;
                if *grown >= TRIAL {
                    self.stage = Stage::Usual;
                    self.usual_since = Some(now);
                }
            }
            Stage::Held { .. } | Stage::Usual => {}
        }
    }

    /// What is held against the placement.
    #[must_use]
    pub fn excess(&self) -> Excess {
        match self.stage {
            Stage::Usual => Excess::default(),
            Stage::Held { ms, .. } => Excess { ms, spared: 0 },
            Stage::Trial { ms, grown, .. } => {
                let share = (grown.as_secs_f64() / TRIAL.as_secs_f64()).clamp(LEAST_TRIAL, 1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at most RAMP_WHOLE"
                )]
                Excess { ms, spared: (share * f64::from(RAMP_WHOLE)) as u8 }
            }
        }
    }

    /// Whether slow answers have been seen lately that are not yet outweighed, or something is held against the placement.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        !self.cusum.is_at_rest() || self.stage != Stage::Usual
    }

    /// The share of recent answers that were slow; `None` where too few are recent.
    #[must_use]
    pub fn slow_share(&self, now: Moment) -> Option<f64> {
        self.recent.bad_share(now)
    }

    fn seen_ms(&self) -> f64 {
        if self.weight > 0.0 { self.excess_ms / self.weight } else { 0.0 }
    }

    fn lengthen(&mut self) {
        self.hold = (self.hold + self.hold).min(MAX_HOLD);
    }

    fn rest(&mut self) {
        self.cusum.rest();
        (self.excess_ms, self.weight) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Rng;

    struct Bench {
        slowness: Slowness,
        rng: Rng,
        millis: u64,
    }

    impl Bench {
        fn new() -> Self {
            Self { slowness: Slowness::default(), rng: Rng::new(7), millis: 1000 }
        }

        /// Answers come every 2 ms, of which a share is 300 ms late. How often the placement was proved slow.
        fn pass(&mut self, millis: u64, slow_share: f64) -> u32 {
            let mut proofs = 0;
            for _ in 0..millis / 2 {
                self.millis += 2;
                let now = Moment::from_millis(self.millis);
                let is_slow = f64::from(self.rng.below(1 << 30)) < slow_share * f64::from(1 << 30);
                let late = if is_slow { 300_000 } else { 2_000 };
                if self.slowness.answered(1, u64::from(is_slow), late, now) {
                    self.slowness.hold(now);
                    proofs += 1;
                }
                self.slowness.tick(now);
            }
            proofs
        }

        fn wait(&mut self, millis: u64) {
            for _ in 0..millis / 100 {
                self.millis += 100;
                self.slowness.tick(Moment::from_millis(self.millis));
            }
        }
    }

    #[test]
    fn usual_lateness_is_held_against_nobody() {
        let mut bench = Bench::new();
        assert_eq!(bench.pass(600_000, 0.05), 0);
        assert_eq!(bench.slowness.excess(), Excess::default());
    }

    #[test]
    fn slowness_costs_what_it_costs_within_a_fifth_of_a_second() {
        let mut bench = Bench::new();
        bench.pass(10_000, 0.05);
        assert!(bench.pass(200, 1.0) >= 1);
        let excess = bench.slowness.excess();
        assert!((250..=300).contains(&excess.ms) && excess.spared == 0, "{excess:?}");
    }

    #[test]
    fn what_waited_behind_a_pause_proves_nothing() {
        let mut bench = Bench::new();
        bench.pass(10_000, 0.05);
        for _ in 0..100 {
            bench.pass(2000, 0.05);
            // Half a second's worth of answers within 20 ms.
            for _ in 0..20 {
                bench.millis += 1;
                let now = Moment::from_millis(bench.millis);
                assert!(!bench.slowness.answered(12, 12, 12 * 300_000, now));
            }
        }
        assert_eq!(bench.slowness.excess(), Excess::default());
    }

    #[test]
    fn a_hold_ends_in_a_trial_that_grows() {
        let mut bench = Bench::new();
        bench.pass(200, 1.0);
        bench.wait(10_100);
        assert_eq!(bench.slowness.excess().spared, 3);
        bench.pass(5_000, 0.05);
        assert!((14..=16).contains(&bench.slowness.excess().spared), "{:?}", bench.slowness.excess());
        bench.pass(6_000, 0.05);
        assert_eq!(bench.slowness.excess(), Excess::default());
    }

    #[test]
    fn a_failed_trial_doubles_the_hold_to_five_minutes_at_most() {
        let mut bench = Bench::new();
        bench.pass(200, 1.0);
        let mut holds = Vec::new();
        for _ in 0..8 {
            let before = bench.millis;
            while bench.slowness.excess().spared == 0 {
                bench.wait(100);
            }
            holds.push((bench.millis - before) / 1000);
            bench.pass(200, 1.0);
        }
        assert_eq!(holds, [10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn ten_usual_minutes_forget_the_past() {
        let mut bench = Bench::new();
        bench.pass(200, 1.0);
        bench.wait(30_000);
        assert_eq!(bench.slowness.excess(), Excess::default());
        let mut soon = Bench { slowness: bench.slowness.clone(), rng: Rng::new(1), millis: bench.millis };
        soon.pass(200, 1.0);
        soon.wait(15_000);
        assert_eq!(soon.slowness.excess().spared, 0, "held for longer than the first time");
        bench.wait(600_000);
        bench.pass(200, 1.0);
        bench.wait(15_000);
        assert!(bench.slowness.excess().spared > 0);
    }

    #[test]
    fn a_trial_concerns_a_share_of_the_keys() {
        let excess = Excess { ms: 100, spared: 3 };
        let spared = (0..31_000).filter(|key| excess.ms_for(*key, 9) == 0.0).count();
        assert!((2800..3200).contains(&spared), "{spared}");
        assert!((0..1000).all(|key| Excess { ms: 100, spared: RAMP_WHOLE }.ms_for(key, 9) == 0.0));
        assert!((0..1000).all(|key| Excess { ms: 100, spared: 0 }.ms_for(key, 9) == 100.0));
        assert_eq!(Excess::default().ms_for(1, 9), 0.0);
    }
}
