//! How much of a placement's traffic may be sent again.
//!
//! Why a budget and not only a number of attempts: three attempts a request triple the load of whoever is failing already,
//! exactly when all requests fail. A share of recent traffic bounds that whatever happens, and still lets nearly every request
//! of a short fault be repeated. After Finagle's retry budget, with one difference: its tokens can be saved for ten seconds and
//! then be spent together with the next ten seconds' ones; here requests and repetitions of the same last ten seconds are
//! compared, so that the share holds in every such time.
//!
//! A [`Budget`] belongs to one worker and one placement: the placement that failed pays, so one sick region cannot spend the
//! others' budgets. Attempts that were never sent cost nothing.
//!
//! A [`Hedging`] is a budget with a memory of whether hedges help: while fewer than one in twenty wins, a tenth of the budget is
//! left to find out whether that has changed.

use crate::moment::Moment;

/// Whole seconds that are looked back at, beside the running one.
const SECONDS: usize = 10;
const SLOTS: usize = SECONDS + 1;
/// Hedges after which their success is judged.
const JUDGED_AFTER: u32 = 20;

/// What a share is taken of, and what was taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counts {
    requests: u32,
    spent: u32,
}

/// Requests and repetitions of the last ten seconds.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    slots: [Counts; SLOTS],
    /// The second that is running, counted from the beginning of time.
    second: u64,
}

/// How large a budget is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Repetitions per hundred requests.
    pub percent: f64,
    /// Repetitions that are allowed in ten seconds however few requests there are.
    pub at_least: u32,
}

impl Budget {
    /// A request was sent for the first time.
    #[inline]
    pub fn earn(&mut self, now: Moment) {
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Takes one repetition, if there is one left.
    pub fn spend(&mut self, allowance: Allowance, now: Moment) -> bool {
        let is_left = self.left(allowance, now) >= 1.0;
        if is_left {
            self.slot(now).spent += 1;
        }
        is_left
    }

    /// Repetitions that are left at `now`; less than one is none.
    pub fn left(&mut self, allowance: Allowance, now: Moment) -> f64 {
        self.slot(now);
        let sum =
            |count: fn(&Counts) -> u32| self.slots.iter().map(|slot| f64::from(count(slot))).sum::<f64>();
        let allowed = sum(|slot| slot.requests) * allowance.percent / 100.0;
        allowed.max(f64::from(allowance.at_least)) - sum(|slot| slot.spent)
    }

    #[inline]
    fn slot(&mut self, now: Moment) -> &mut Counts {
        let second = now.as_nanos() / 1_000_000_000;
        if second > self.second {
            let passed = usize::try_from(second - self.second).unwrap_or(SLOTS).min(SLOTS);
            for past in 0..passed {
                self.slots[index(second - past as u64)] = Counts::default();
            }
            self.second = second;
        }
        &mut self.slots[index(self.second)]
    }
}

fn index(second: u64) -> usize {
    (second % SLOTS as u64) as usize
}

/// A budget of hedges, and whether they help.
#[derive(Clone, Debug, Default)]
pub struct Hedging {
    budget: Budget,
    made: u32,
    won: u32,
}

impl Hedging {
    /// A request was sent for the first time.
    #[inline]
    pub fn earn(&mut self, now: Moment) {
        self.budget.earn(now);
    }

    /// Takes one hedge, if there is one left.
    pub fn spend(&mut self, percent: f64, now: Moment) -> bool {
        let percent = if self.helps() { percent } else { percent / 10.0 };
        let may = self.budget.spend(Allowance { percent, at_least: 0 }, now);
        self.made += u32::from(may);
        if self.made > 2 * JUDGED_AFTER {
            // What was long ago counts less and less.
            self.made /= 2;
            self.won /= 2;
        }
        may
    }

    /// A hedge was answered first.
    pub fn won(&mut self) {
        self.won += 1;
    }

    fn helps(&self) -> bool {
        self.made < JUDGED_AFTER || self.won * 20 >= self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Allowance = Allowance { percent: 20.0, at_least: 0 };

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn a_fifth_of_the_traffic_in_any_ten_seconds() {
        let mut budget = Budget::default();
        let mut spent: Vec<u64> = Vec::new();
        // Quiet for half a minute, then everything fails.
        for millis in (0..60_000).step_by(10) {
            budget.earn(at(millis));
            if millis >= 30_000 && budget.spend(USUAL, at(millis)) {
                spent.push(millis);
            }
        }
        let worst = (30_000..50_000)
            .step_by(100)
            .map(|from| spent.iter().filter(|millis| (from..from + 10_000).contains(*millis)).count())
            .max()
            .unwrap();
        assert!((195..=220).contains(&worst), "{worst} of 1000");
    }

    #[test]
    fn quiet_placements_may_repeat_too() {
        let mut budget = Budget::default();
        let allowance = Allowance { percent: 20.0, at_least: 3 };
        budget.earn(at(0));
        let spent = (0..10).filter(|_| budget.spend(allowance, at(5))).count();
        assert_eq!(spent, 3);
        assert!(!budget.spend(allowance, at(9_000)));
        assert!(budget.spend(allowance, at(11_000)), "what was ten seconds ago is forgotten");
    }

    #[test]
    fn a_long_silence_forgets_everything() {
        let mut budget = Budget::default();
        (0..100).for_each(|_| budget.earn(at(0)));
        assert!(budget.left(USUAL, at(9_000)) >= 20.0);
        assert!(budget.left(USUAL, at(1_000_000)) < 1.0);
    }

    #[test]
    fn hedges_that_do_not_help_become_rare() {
        let mut hedging = Hedging::default();
        let mut spent = |wins: bool, from: u64| {
            let mut spent = 0;
            for millis in (from..from + 30_000).step_by(10) {
                hedging.earn(at(millis));
                if hedging.spend(5.0, at(millis)) {
                    spent += 1;
                    if wins {
                        hedging.won();
                    }
                }
            }
            spent
        };
        let (helpful, useless, again) = (spent(true, 0), spent(false, 100_000), spent(true, 200_000));
        assert!((140..=160).contains(&helpful), "{helpful}");
        assert!(useless < 100, "{useless}");
        assert!(again > useless, "{again}");
    }
}
