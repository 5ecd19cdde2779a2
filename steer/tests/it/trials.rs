//! A change under watch: when it is proved to have made answers worse, and how often chance alone proves it.

use proptest::prelude::*;
use steer::draw::Rng;
use steer::trial::{Bound, FALSE_ALARM, Tally, chance_of_one, ends_worse, is_worse};

fn any_tally() -> impl Strategy<Value = Tally> {
    (0..5_000_u64).prop_flat_map(|of| (0..=of).prop_map(move |bad| Tally { of, bad }))
}

fn any_bound() -> impl Strategy<Value = Bound> {
    (0.0..0.5, any::<bool>()).prop_map(|(share, is_rise)| match is_rise {
        true => Bound::Rise(share),
        false => Bound::AtMost(share),
    })
}

proptest! {
    /// What is not worse than before, or within its bound, is no alarm.
    #[test]
    fn only_what_is_worse_is_an_alarm(
        before in any_tally(), after in any_tally(), bound in any_bound(), looks in 1..3_600_u64
    ) {
        let chance = chance_of_one(looks, 2);
        if after.share() <= bound.most(before).max(before.share()) {
            prop_assert!(!is_worse(before, after, bound, chance));
            prop_assert!(!ends_worse(before, after, bound, chance));
        }
        prop_assert!(!is_worse(before, after, bound, chance) || ends_worse(before, after, bound, chance));
    }

    /// More bad answers speak more for an alarm, and more of them before speak less.
    #[test]
    fn evidence_adds_up(
        before in any_tally(), after in any_tally(), bound in any_bound(), less in 0..100_u64, more in 0..100_u64
    ) {
        let chance = chance_of_one(60, 2);
        let worse = Tally { bad: (after.bad + more).min(after.of), ..after };
        let better = Tally { bad: before.bad.saturating_sub(less), ..before };
        let is = is_worse(before, after, bound, chance);
        prop_assert!(!is || is_worse(before, worse, bound, chance));
        prop_assert!(!is || is_worse(better, after, bound, chance));
    }
}

/// Trials of changes that change nothing: a service that fails one request in fifty, with a bound below that, looked at sixty
/// times.
#[test]
fn chance_alone_alarms_less_often_than_promised() {
    let mut rng = Rng::new(7);
    let mut fails = |requests: u64| -> u64 {
        let is_bad = |draw: u64| u64::from(draw.is_multiple_of(50));
        (0..requests).map(|_| is_bad(rng.next_u64())).sum()
    };
    let (trials, looks) = (5_000_u16, 60);
    let chance = chance_of_one(looks, 1);
    let mut alarms = 0_u16;
    for _ in 0..trials {
        let before = Tally { of: 600, bad: fails(600) };
        let mut after = Tally::default();
        let mut is_alarmed = false;
        for _ in 0..looks {
            after = Tally { of: after.of + 10, bad: after.bad + fails(10) };
            is_alarmed |= is_worse(before, after, Bound::AtMost(0.01), chance);
        }
        alarms += u16::from(is_alarmed || ends_worse(before, after, Bound::AtMost(0.01), chance));
    }
    assert!(f64::from(alarms) <= f64::from(trials) * FALSE_ALARM, "{alarms} of {trials}");
}
