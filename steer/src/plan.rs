//! The order of candidates: classes, then preference, then cost, then the table's order.
//!
//! A request needs the best candidate at once and the rest only if that fails. A plan therefore keeps a running best, which
//! costs no branch, and sorts the others when somebody asks.

use arrayvec::ArrayVec;

use crate::ids::PlacementId;
use crate::table::Lane;

/// The most placements that a plan names.
pub const MAX_HOPS: usize = 12;

/// Placements to try, best first.
pub type Ordered = ArrayVec<PlacementId, MAX_HOPS>;

/// What a candidate is, best first. Two classes never mix in a plan, however near the worse one is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Healthy, active, and keeps the key.
    Kept,
    /// Healthy and active; its weight gives the key away.
    GivenAway,
    /// Active, with an answer missing or nothing heard yet.
    Suspect,
    /// As `Suspect`, and its weight gives the key away.
    SuspectGivenAway,
    /// Healthy, standing by, and keeps the key.
    Standby,
    /// Healthy, standing by; its weight gives the key away.
    StandbyGivenAway,
    /// Active and recovering; its ramp has not reached the key.
    Ramping,
    /// Standing by, with an answer missing or nothing heard yet.
    StandbySuspect,
    /// Standing by and recovering; its ramp has not reached the key.
    StandbyRamping,
    /// It looks dead to this key, for a drill; better than nothing.
    Drilled,
}

/// No lane has more candidates: region ids have 16 bits.
pub(crate) const MAX_CANDIDATES: usize = 1 << 16;

/// A cost with the precision that orders.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the precision is stated at `Key`")]
pub(crate) const fn rounded(cost: f64) -> f32 {
    cost as f32
}

/// A candidate's place in the order, as one number: class, preference, cost, then position in the lane. The cost has the
/// precision of a single float, 0.02 µs at 200 ms; below that the table's order decides.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key(u64);

impl Key {
    /// Behind everything.
    pub(crate) const LAST: Self = Self(u64::MAX);

    #[inline(always)]
    pub(crate) fn of(class: Class, preference: u8, cost: f32, index: usize) -> Self {
        let tier = u64::from(class as u8) << 2 | u64::from(preference);
        // Floats order like their bits once the sign is folded in (IEEE 754, as in `f32::total_cmp`).
        let bits = cost.to_bits();
        let sign = (bits.cast_signed() >> 31).cast_unsigned();
        let folded = bits ^ (sign | 1 << 31);
        Self(tier << 48 | u64::from(folded) << 16 | index as u64)
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    pub(crate) fn is_unranked(self) -> bool {
        self.cost() == f32::INFINITY
    }

    fn tier(self) -> u64 {
        self.0 >> 48
    }

    pub(crate) fn cost(self) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "the 32 bits of the cost")]
        let folded = (self.0 >> 16) as u32;
        f32::from_bits(if folded >> 31 == 1 { folded & !(1 << 31) } else { !folded })
    }
}

/// The best [`MAX_HOPS`] candidates of a lane.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    head: Key,
    /// As they came, until there are more than fit; sorted from then on.
    keys: [Key; MAX_HOPS],
    len: usize,
    sorted: bool,
}

impl Plan {
    /// A plan of nobody.
    #[inline]
    pub(crate) const fn empty() -> Self {
        Self { head: Key::LAST, keys: [Key::LAST; MAX_HOPS], len: 0, sorted: false }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, key: Key) {
        self.head = self.head.min(key);
        if self.len < MAX_HOPS {
            self.keys[self.len] = key;
            self.len += 1;
        } else {
            self.displace(key);
        }
    }

    fn displace(&mut self, key: Key) {
        if !self.sorted {
            self.keys.sort_unstable();
            self.sorted = true;
        }
        if key < self.keys[MAX_HOPS - 1] {
            let at = self.keys.partition_point(|other| *other < key);
            self.keys.copy_within(at..MAX_HOPS - 1, at + 1);
            self.keys[at] = key;
        }
    }

    /// The cost above which nobody can become the head, by cost or as one of those that `slack` ties with it, nor the
    /// natural one instead of `natural`. There is none before both are of the best tier.
    #[inline(always)]
    pub(crate) fn bound(&self, natural: Key, slack: f64) -> f64 {
        let worse = self.head.max(natural);
        if worse.tier() == 0 { f64::from(worse.cost()) + slack } else { f64::INFINITY }
    }

    /// The best one.
    #[inline]
    pub(crate) fn head(&self) -> Option<Key> {
        (self.len > 0).then_some(self.head)
    }

    /// Of those that differ from the head by `slack` at most, the one with the least `measure` heads the plan.
    pub(crate) fn prefer(&mut self, slack: f64, measure: impl Fn(usize) -> f64) {
        if self.len < 2 {
            return;
        }
        let head = self.head;
        let tied = self.keys[..self.len].iter().filter(|key| {
            key.tier() == head.tier() && f64::from(key.cost()) <= f64::from(head.cost()) + slack
        });
        let least = tied.min_by(|a, b| measure(a.index()).total_cmp(&measure(b.index())).then(a.cmp(b)));
        self.head = least.copied().unwrap_or(head);
    }

    /// This one heads the plan, whatever the order says.
    pub(crate) fn lead(&mut self, key: Key) {
        // It may stand there already, as what it would be without being kept.
        if !self.keys[..self.len].iter().any(|other| other.index() == key.index()) {
            self.push(key);
        }
        self.head = key;
    }

    /// All of them, best first.
    pub(crate) fn ordered(&self, lane: &Lane) -> Ordered {
        let mut rest: ArrayVec<Key, MAX_HOPS> =
            self.keys[..self.len].iter().copied().filter(|key| key.index() != self.head.index()).collect();
        rest.sort_unstable();
        let keys = self.head().into_iter().chain(rest).take(MAX_HOPS);
        keys.map(|key| lane.candidates[key.index()].placement).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(class: Class, cost: f64, index: usize) -> Key {
        Key::of(class, 0, rounded(cost), index)
    }

    #[test]
    fn classes_then_costs_then_the_tables_order() {
        let costs = [f64::NEG_INFINITY, -3.0, -0.5, 0.0, 0.5, 80.0, 1e30, f64::INFINITY];
        for class in [Class::Kept, Class::Suspect, Class::StandbyRamping] {
            for pair in costs.windows(2) {
                assert!(key(class, pair[0], 9) < key(class, pair[1], 3), "{pair:?}");
            }
        }
        assert!(key(Class::Kept, f64::INFINITY, 9) < key(Class::GivenAway, -500.0, 0));
        assert!(key(Class::Kept, 1.0, 1) < key(Class::Kept, 1.0, 2));
        assert!(key(Class::Kept, 1e300, 0).is_unranked(), "beyond a single float is beyond reach");
        assert!((key(Class::Suspect, 81.25, 7).cost() - 81.25).abs() < 1e-6);
        assert_eq!(key(Class::Suspect, 81.25, 7).index(), 7);
    }

    #[test]
    fn the_best_dozen_of_many_in_order() {
        let mut plan = Plan::empty();
        for index in 0..100 {
            plan.push(key(Class::Kept, ((index * 37) % 100) as f64, index));
        }
        let costs: Vec<f32> = plan.keys.iter().map(|key| key.cost()).collect();
        assert_eq!(costs, (0..12u8).map(f32::from).collect::<Vec<_>>());
        assert_eq!(plan.head().unwrap().cost(), 0.0);
    }
}
