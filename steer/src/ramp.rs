//! A weight on its way: from one value to another in a steady ramp of whole percents.
//!
//! The value of a moment follows from the ramp alone, so nobody has to write down how far it has come. Whoever publishes
//! values asks when the next one is due. As a dial keeps the keys whose lot is below it, a falling ramp moves each key once,
//! away, and a rising one each key once, here.

use crate::moment::{Moment, Span};

/// A weight on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ramp {
    /// The weight that it left, 0 to 100.
    pub from: u8,
    /// The weight that it comes to.
    pub to: u8,
    /// How long it takes.
    pub over: Span,
    /// When it is there. It began `over` before, be that before this clock's own start.
    pub ends: Moment,
}

impl Ramp {
    /// The weight at a moment: where it left before it began, where it goes after it ended.
    #[must_use]
    pub fn at(&self, now: Moment) -> u8 {
        let left = self.ends.since(now);
        if left == Span::ZERO {
            return self.to;
        }
        let gone = u128::from(self.over.as_nanos().saturating_sub(left.as_nanos()));
        let steps = gone * u128::from(self.steps()) / u128::from(self.over.as_nanos()).max(1);
        // Fewer than 100 steps are gone, or the ramp had ended.
        let steps = u8::try_from(steps).unwrap_or(u8::MAX).min(self.steps());
        if self.to < self.from { self.from - steps } else { self.from + steps }
    }

    /// What is left of the weight that it left, in percent of that: of a way to 0.
    #[must_use]
    pub fn left(&self, now: Moment) -> u8 {
        let part = u16::from(self.at(now)) * 100 / u16::from(self.from).max(1);
        u8::try_from(part.min(100)).unwrap_or(100)
    }

    /// When the weight changes next, but not within `pause` of now unless it ends there. `None` once it has ended.
    #[must_use]
    pub fn next(&self, now: Moment, pause: Span) -> Option<Moment> {
        if self.ends <= now {
            return None;
        }
        let gone = self.at(now).abs_diff(self.from);
        if gone >= self.steps() {
            return Some(self.ends);
        }
        let whole = u128::from(self.over.as_nanos());
        let due = (u128::from(gone) + 1) * whole;
        let due = due.div_ceil(u128::from(self.steps()).max(1));
        let due = self.ends - Span::from_nanos(u64::try_from(whole - due.min(whole)).unwrap_or(u64::MAX));
        Some(due.max(now + pause).min(self.ends))
    }

    fn steps(&self) -> u8 {
        self.to.abs_diff(self.from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAUSE: Span = Span::from_millis(250);

    #[test]
    fn five_minutes_from_everything_to_nothing() {
        let ramp = Ramp { from: 100, to: 0, over: Span::from_secs(300), ends: Moment::from_millis(301_000) };
        let at = |ms| ramp.at(Moment::from_millis(ms));
        assert_eq!((at(0), at(1000), at(3999), at(4000), at(151_000)), (100, 100, 100, 99, 50));
        assert_eq!((at(300_999), at(301_000), at(u64::MAX / 1_000_000)), (1, 0, 0));
        assert_eq!(ramp.next(Moment::from_millis(1000), PAUSE), Some(Moment::from_millis(4000)));
        assert_eq!(ramp.next(Moment::from_millis(298_000), PAUSE), Some(Moment::from_millis(301_000)));
        assert_eq!(ramp.next(Moment::from_millis(301_000), PAUSE), None);
    }

    #[test]
    fn a_ramp_may_have_begun_before_the_clock_did() {
        let ramp = Ramp { from: 0, to: 80, over: Span::from_secs(100), ends: Moment::from_millis(25_000) };
        assert_eq!(ramp.at(Moment::default()), 60);
    }

    #[test]
    fn no_way_to_go_still_takes_its_time() {
        let ramp = Ramp { from: 40, to: 40, over: Span::from_secs(2), ends: Moment::from_millis(2000) };
        assert_eq!(ramp.at(Moment::from_millis(1000)), 40);
        assert_eq!(ramp.next(Moment::from_millis(1000), PAUSE), Some(ramp.ends));
    }

    proptest! {
        /// Followed from step to step, it never turns, never pauses for less than it should, and ends where and when it should.
        #[test]
        fn a_ramp_is_steady(from in 0..=100u8, to in 0..=100u8, over_ms in 1..1_000_000u64, begun in 0..10_000u64) {
            let ends = Moment::from_millis(begun + over_ms);
            let ramp = Ramp { from, to, over: Span::from_millis(over_ms), ends };
            let (mut now, mut value, mut steps) = (Moment::from_millis(begun), from, 0);
            prop_assert_eq!(ramp.at(now), from);
            while let Some(next) = ramp.next(now, PAUSE) {
                prop_assert!(next > now && (next.since(now) >= PAUSE || next == ends));
                let before = Moment::from_nanos(next.as_nanos() - 1);
                // Steps shorter than the pause are taken together.
                let paused = next.since(now) <= PAUSE;
                prop_assert!(paused || ramp.at(before) == value, "it changed before it was due");
                let reached = ramp.at(next);
                let towards = if to < from { reached <= value } else { reached >= value };
                prop_assert!(towards);
                prop_assert!(reached != value || next == ends);
                (now, value, steps) = (next, reached, steps + 1);
            }
            prop_assert_eq!((now, value), (ends, to));
            prop_assert!(steps <= 101);
        }
    }
}
