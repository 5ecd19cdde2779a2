//! Has a change made answers worse? Two shares of bad answers compared, with a stated chance of being wrong.
//!
//! A change under watch is looked at every second, so that a disaster is taken back within seconds. Whoever looks often enough
//! sees chance do anything, so each look may be wrong only by its part of what the whole trial may be wrong by
//! ([`chance_of_one`]). The bounds are Chernoff's, and Hoeffding's for samples without replacement: they promise for twenty
//! answers what they promise for a million. What they take for granted is that answers fail one by one; what fails together
//! within a moment is one piece of evidence, so who judges should ask for proof at two looks in a row.
//!
//! Two things must be proved of a share that may not be above a bound: that it is above it, and that it was lower before the
//! change. So a repair is not taken back because what it repairs is not well yet.
//!
//! Left out: what a bad answer is, whose answers are counted, and what follows.

use std::f64::consts::LN_2;

/// How often chance alone may prove in a trial that things are worse, though answers are as they were before the change.
pub const FALSE_ALARM: f64 = 1e-3;
/// Fewer answers than this since the change prove nothing; fewer good ones before are as none.
pub const FEWEST_AFTER: u64 = 20;
/// Fewer answers than this before the change say too little of what a rise would begin from, or of what was usual.
pub const FEWEST_BEFORE: u64 = 50;
/// Halvings after which a share is known as well as a number can tell it.
const HALVINGS: u32 = 60;

/// Answers, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// How many there were.
    pub of: u64,
    /// How many of them were bad.
    pub bad: u64,
}

/// What the share of bad answers may come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Not above this share, 0 to 1.
    AtMost(f64),
    /// Not above what it was before by more than this share, 0 to 1.
    Rise(f64),
}

impl Bound {
    /// The highest share that it allows, given what was seen before.
    #[must_use]
    pub fn most(self, before: Tally) -> f64 {
        match self {
            Self::AtMost(most) => most,
            Self::Rise(by) => before.share() + by,
        }
    }
}

impl Tally {
    /// What came after an earlier count of the same.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self { of: self.of.saturating_sub(earlier.of), bad: self.bad.saturating_sub(earlier.bad) }
    }

    /// The share of bad answers, 0 to 1; 0 of none.
    #[must_use]
    pub fn share(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.bad.min(self.of) as f64 / self.of as f64 }
    }

    /// How strongly it speaks for a share above `most`: the probability of so many bad answers, were the share `most`, is at
    /// most e to the minus this (Chernoff).
    fn speaks_above(self, most: f64) -> f64 {
        let share = self.share();
        if share <= most { 0.0 } else { self.of as f64 * divergence(share, most) }
    }

    /// The highest share that so few bad answers do not speak against by `needed`.
    fn highest(self, needed: f64) -> f64 {
        let (mut low, mut high) = (self.share(), 1.0);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.of as f64 * divergence(self.share(), middle) > needed {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}

/// The chance of being wrong that one comparison of a trial has, of which there are `comparisons` at each of `looks` looks.
#[must_use]
pub fn chance_of_one(looks: u64, comparisons: u64) -> f64 {
    FALSE_ALARM / (looks.max(1) as f64 * comparisons.max(1) as f64)
}

/// Whether it is proved, but for a `chance` of being wrong, that the share passes its bound and is worse than before.
#[must_use]
pub fn is_worse(before: Tally, after: Tally, bound: Bound, chance: f64) -> bool {
    if after.of < FEWEST_AFTER {
        return false;
    }
    let needed = -libm::log(chance);
    match bound {
        Bound::AtMost(most) => after.speaks_above(most) >= needed && has_risen(before, after, needed),
        Bound::Rise(by) => {
            // Half of the chance goes to how high it may have been before.
            let needed = needed + LN_2;
            before.of >= FEWEST_BEFORE && after.speaks_above(before.highest(needed) + by) >= needed
        }
    }
}

/// As [`is_worse`], at the end, when no more answers can be waited for: the share that was seen must be beyond its bound, and
/// proved is only that it has risen. So a change that has made things worse within its bound may be taken back by chance; one that
/// has made nothing worse is so no more often than [`FALSE_ALARM`] says.
#[must_use]
pub fn ends_worse(before: Tally, after: Tally, bound: Bound, chance: f64) -> bool {
    let is_comparable = after.of >= FEWEST_AFTER && before.of >= FEWEST_BEFORE;
    let is_beyond =
        is_comparable && after.share() > bound.most(before) && has_risen(before, after, -libm::log(chance));
    is_beyond || is_worse(before, after, bound, chance)
}

fn has_risen(before: Tally, after: Tally, needed: f64) -> bool {
    // From next to nothing, nothing is known, and the bound alone decides: else one good answer would hide the end of the world.
    // The bound on a rise holds for however few.
    let is_known = before.of >= FEWEST_AFTER || before.bad > 0;
    if is_known { rise(before, after) >= needed } else { after.bad > 0 }
}

/// How strongly it speaks against an equal share before and after. Were the shares equal, the bad answers altogether would be a
/// sample without replacement of all answers, and so would the good ones; both bounds hold (Hoeffding 1963), so the better does.
fn rise(before: Tally, after: Tally) -> f64 {
    let (all, all_bad) = (before.of + after.of, before.bad + after.bad);
    let part_after = after.of as f64 / all.max(1) as f64;
    let bad = Tally { of: all_bad, bad: after.bad };
    let good = Tally { of: all.saturating_sub(all_bad), bad: before.of.saturating_sub(before.bad) };
    bad.speaks_above(part_after).max(good.speaks_above(1.0 - part_after))
}

/// The Kullback-Leibler divergence of a coin of `p` from one of `q`.
fn divergence(p: f64, q: f64) -> f64 {
    let term = |p: f64, q: f64| if p > 0.0 { p * libm::log(p / q) } else { 0.0 };
    (term(p, q) + term(1.0 - p, 1.0 - q)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANCE: f64 = FALSE_ALARM / 120.0;
    const ONE_PERCENT: Bound = Bound::AtMost(0.01);

    fn of(of: u64, bad: u64) -> Tally {
        Tally { of, bad }
    }

    #[test]
    fn a_disaster_is_proved_by_the_first_answers() {
        assert!(is_worse(of(14_000, 3), of(FEWEST_AFTER, FEWEST_AFTER), ONE_PERCENT, CHANCE));
        assert!(is_worse(of(60, 0), of(FEWEST_AFTER, FEWEST_AFTER), ONE_PERCENT, CHANCE));
        assert!(!is_worse(of(60, 0), of(FEWEST_AFTER - 1, FEWEST_AFTER - 1), ONE_PERCENT, CHANCE));
        // Next to nothing was asked before.
        assert!(is_worse(of(0, 0), of(FEWEST_AFTER, FEWEST_AFTER), ONE_PERCENT, CHANCE));
        assert!(is_worse(of(1, 0), of(FEWEST_AFTER, FEWEST_AFTER), ONE_PERCENT, CHANCE));
    }

    #[test]
    fn little_known_of_before_must_be_outweighed() {
        // A route that always fails every tenth request, and is asked for rarely.
        assert!(!is_worse(of(40, 3), of(300, 31), ONE_PERCENT, CHANCE));
        assert!(!is_worse(of(40, 4), of(2_000, 240), ONE_PERCENT, CHANCE));
        assert!(is_worse(of(10, 0), of(40, 40), ONE_PERCENT, CHANCE));
    }

    #[test]
    fn all_looks_together_may_be_wrong_as_often_as_one_trial() {
        assert!((chance_of_one(60, 2) * 120.0 - FALSE_ALARM).abs() < 1e-12);
    }

    #[test]
    fn a_repair_that_is_not_well_yet_is_not_taken_back() {
        assert!(!is_worse(of(1_000, 600), of(1_000, 300), ONE_PERCENT, CHANCE));
        assert!(!is_worse(of(1_000, 600), of(1_000, 600), ONE_PERCENT, CHANCE));
        assert!(!ends_worse(of(1_000, 600), of(1_000, 600), ONE_PERCENT, CHANCE));
        assert!(!is_worse(of(10, 10), of(100, 90), ONE_PERCENT, CHANCE), "though little is known of before");
        assert!(is_worse(of(10_000, 1_000), of(10_000, 2_000), ONE_PERCENT, CHANCE));
    }

    #[test]
    fn what_is_within_the_bound_is_no_alarm_however_much_it_rose() {
        assert!(!is_worse(of(100_000, 0), of(100_000, 900), ONE_PERCENT, CHANCE));
        assert!(!ends_worse(of(100_000, 0), of(100_000, 900), ONE_PERCENT, CHANCE));
        assert!(is_worse(of(100_000, 0), of(100_000, 900), Bound::Rise(0.005), CHANCE));
        assert!(!is_worse(of(100_000, 500), of(100_000, 900), Bound::Rise(0.005), CHANCE));
        assert!(!is_worse(of(0, 0), of(1_000, 900), Bound::Rise(0.005), CHANCE), "nothing to rise from");
    }

    #[test]
    fn the_end_judges_by_what_was_seen() {
        let (before, after) = (of(10_000, 10), of(10_000, 115));
        assert!(!is_worse(before, after, ONE_PERCENT, CHANCE), "it may be 1 % in truth");
        assert!(ends_worse(before, after, ONE_PERCENT, CHANCE));
        assert!(!ends_worse(of(10, 0), of(20, 1), ONE_PERCENT, CHANCE), "one answer is no evidence");
    }

    #[test]
    fn the_highest_share_is_beyond_what_was_seen() {
        assert!((0.2..0.3).contains(&of(60, 0).highest(16.8)));
        assert!((0.01..0.02).contains(&of(14_000, 140).highest(12.0)));
        assert!((of(10, 10).highest(5.0) - 1.0).abs() < 1e-9);
        assert!((of(0, 0).highest(5.0) - 1.0).abs() < 1e-9, "nothing is known");
    }
}
