//! What may follow a failed attempt.
//!
//! Two questions, kept apart. *May the request be sent again at all?* That depends on how far it got and on what it is
//! ([`Progress::may_move`]). *Where to?* Another untried origin of the same placement, unless that placement is doubted or
//! this is the last attempt; otherwise the next placement of the plan ([`next_placement`]).
//!
//! Left out: budgets, hedges and the time a request has left.

use crate::ids::PlacementId;
use crate::signals::Health;

/// The most attempts that a request makes.
pub const MAX_ATTEMPTS: u32 = 3;

/// How far an attempt got before it failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Not a byte of the request was written to an origin: it cannot have run.
    NotSent,
    /// Bytes were written and no answer came: it may have run.
    Sent,
}

impl Progress {
    /// Whether the request may be sent again.
    ///
    /// One that was not sent may, whatever it is. One that may have run only if running it twice is harmless by definition
    /// (RFC 9110, 9.2.1: GET, HEAD, OPTIONS), and only while its whole body is still at hand.
    #[must_use]
    pub const fn may_move(self, is_safe: bool, body_is_whole: bool) -> bool {
        match self {
            Self::NotSent => body_is_whole,
            Self::Sent => is_safe && body_is_whole,
        }
    }
}

/// Where the next attempt goes. `plan` is this moment's plan, `failed` the placement that just failed (and its health now),
/// `untried_left` whether that one has an origin that this request has not tried, `tried` the placements where none is left
/// or that were given up, `number` the attempt to come (2 is the first repetition).
#[must_use]
pub fn next_placement(
    plan: &[PlacementId],
    failed: PlacementId,
    health: Health,
    untried_left: bool,
    tried: &[PlacementId],
    number: u32,
) -> Option<PlacementId> {
    if number > MAX_ATTEMPTS {
        return None;
    }
    let elsewhere = plan.iter().copied().find(|placement| *placement != failed && !tried.contains(placement));
    let is_last = number == MAX_ATTEMPTS;
    let here = (plan.contains(&failed) && untried_left).then_some(failed);
    match here {
        Some(here) if health == Health::Up && !is_last => Some(here),
        here => elsewhere.or(here),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>() -> [PlacementId; N] {
        std::array::from_fn(|index| PlacementId::new(index).unwrap())
    }

    #[test]
    fn the_same_placement_first_while_it_is_trusted() {
        let plan @ [a, b, c] = ids();
        assert_eq!(next_placement(&plan, a, Health::Up, true, &[], 2), Some(a));
        assert_eq!(next_placement(&plan, a, Health::Up, false, &[], 2), Some(b));
        assert_eq!(next_placement(&plan, a, Health::Suspect, true, &[], 2), Some(b));
        assert_eq!(next_placement(&plan, b, Health::Down, false, &[a], 3), Some(c));
    }

    #[test]
    fn the_last_attempt_leaves_the_region_if_it_can() {
        let plan @ [a, b] = ids();
        assert_eq!(next_placement(&plan, a, Health::Up, true, &[], 3), Some(b));
        assert_eq!(next_placement(&[a], a, Health::Up, true, &[], 3), Some(a));
        assert_eq!(next_placement(&plan, a, Health::Up, true, &[], 4), None);
    }

    #[test]
    fn a_placement_that_is_no_longer_permitted_is_left() {
        let [a, b] = ids();
        assert_eq!(next_placement(&[b], a, Health::Up, true, &[], 2), Some(b));
        assert_eq!(next_placement(&[], a, Health::Up, true, &[], 2), None);
    }

    #[test]
    fn what_may_have_run_is_repeated_only_if_that_is_harmless() {
        assert!(Progress::NotSent.may_move(false, true));
        assert!(!Progress::NotSent.may_move(true, false));
        assert!(Progress::Sent.may_move(true, true));
        assert!(!Progress::Sent.may_move(false, true));
    }
}
