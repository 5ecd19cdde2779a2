use std::sync::Arc;

use proptest::prelude::*;
use steer::spec::State;
use steer::{Pop, Span};

use super::*;
use crate::clock::Clock;
use crate::overlay::OverridePatch;
use crate::publisher::{Draft, Publisher, Step};

/// `eu` serves, `us` is off, `ap` serves.
const TABLE: &str = r#"
regions = [
  { name = "eu", latitude = 50.1, longitude = 8.7 },
  { name = "us", latitude = 37.4, longitude = -79.8, state = "off" },
  { name = "ap", latitude = 1.3, longitude = 103.8 },
]
routes = [{ name = "all", hosts = ["www.example.com"], pool = "web" }]
[[pools]]
name = "web"
placements = [
  { region = "eu", origins = ["10.0.0.1:80"] },
  { region = "us", origins = ["10.0.1.1:80"] },
  { region = "ap", origins = ["10.0.2.1:80"] },
]
"#;

fn publisher(text: &str) -> Publisher {
    let [text, source, author, reason] = [text, "t", "a", "r"].map(str::to_owned);
    let draft = Draft { text, source, author, reason };
    Publisher::start(draft, Pop::default(), 1, Clock::start(), Arc::new(|_| Vec::new()))
        .expect("a good table")
}

fn state(region: &str, state: State, expires_in_s: Option<u64>) -> OverridePatch {
    OverridePatch {
        target: Target::Region(region.to_owned()),
        weight: None,
        state: Some(Some(state)),
        health: None,
        over: None,
        expires_in: expires_in_s.map(Span::from_secs),
        author: "ada".to_owned(),
        reason: "test".to_owned(),
    }
}

/// What is in force, and what would be.
fn sides(publisher: &Publisher, patch: OverridePatch) -> (Arc<Snapshot>, Snapshot) {
    let before = publisher.snapshot();
    let change = publisher.resolved(&before, patch).unwrap();
    let after = publisher.stepped(&before, &Step::Override(Box::new(change)));
    (before, after)
}

/// What a guard says: of which overrides it waits for the end, and what goes then.
fn said(publisher: &Publisher, patch: OverridePatch) -> Vec<(Vec<String>, bool)> {
    let (before, after) = sides(publisher, patch);
    let said = refused(&before, &after).into_iter().map(|taken| {
        let waits_for = taken.once.into_iter().flat_map(|expiry| expiry.overrides);
        let is_all = matches!(taken.violation, Violation::NothingUsable { .. });
        (waits_for.map(|target| target.to_string()).collect(), is_all)
    });
    said.collect()
}

#[test]
fn the_last_region_was_drained_for_good_while_another_served_for_eight_seconds() {
    let publisher = publisher(TABLE);
    publisher.patch(state("ap", State::Off, None)).unwrap();
    let us = state("us", State::Active, Some(8));
    assert_eq!(said(&publisher, us.clone()), [], "it comes and goes, and nothing is worse than before");
    publisher.patch(us).unwrap();
    let once_us = (vec!["us".to_owned()], true);
    let drain = state("eu", State::Drain, None);
    assert_eq!(said(&publisher, drain.clone())[0], once_us);
    let (before, after) = sides(&publisher, drain);
    let words = refused(&before, &after)[0].to_string();
    assert!(words.starts_with("once the override of us expires (at 2"), "{words}");
    assert!(
        words.contains("Z), route all (pool web) would have no usable region: before eu; then "),
        "{words}"
    );
    assert_eq!(said(&publisher, state("eu", State::Drain, Some(4))), [], "it is back in time");
    assert_eq!(said(&publisher, state("eu", State::Drain, Some(12)))[0], once_us, "not before us goes");
}

#[test]
fn what_expires_does_not_hide_what_is_below() {
    let publisher = publisher(TABLE);
    publisher.patch(state("us", State::Active, None)).unwrap();
    publisher.patch(state("ap", State::Off, None)).unwrap();
    publisher.patch(state("eu", State::Off, None)).unwrap();
    let same_but_for_a_while = state("us", State::Active, Some(8));
    assert_eq!(said(&publisher, same_but_for_a_while)[0], (vec!["us".to_owned()], true));
}

#[test]
fn between_two_expiries_nothing_may_be_left_either() {
    let publisher = publisher(TABLE);
    publisher.patch(state("us", State::Active, Some(10))).unwrap();
    publisher.patch(state("ap", State::Off, Some(12))).unwrap();
    // First us carries, and at the end ap does.
    assert_eq!(said(&publisher, state("eu", State::Drain, None))[0], (vec!["us".to_owned()], true));
}

#[test]
fn what_goes_at_once_is_not_told_again_at_every_expiry() {
    let publisher = publisher(TABLE);
    publisher.patch(state("us", State::Active, Some(8))).unwrap();
    publisher.patch(state("us", State::Drain, Some(9))).unwrap();
    publisher.patch(state("ap", State::Off, None)).unwrap();
    assert_eq!(said(&publisher, state("eu", State::Off, None)), [(vec![], true), (vec![], false)]);
}

#[test]
fn a_change_is_judged_at_so_many_expiries_and_no_more() {
    let regions = (0..40).map(|n| format!("{{ name = \"r{n}\", latitude = {n}.0, longitude = 8.0 }},\n"));
    let placements = (0..40).map(|n| format!("{{ region = \"r{n}\", origins = [\"10.0.1.{n}:80\"] }},\n"));
    let (regions, placements) = (regions.collect::<String>(), placements.collect::<String>());
    let (head, _) = TABLE.split_once("routes = ").unwrap();
    let routes = &TABLE[head.len()..TABLE.find("placements").unwrap()];
    let publisher = publisher(&format!("regions = [\n{regions}]\n{routes}placements = [\n{placements}]\n"));
    for n in 0..40 {
        publisher.patch(state(&format!("r{n}"), State::Standby, Some(10 + n))).unwrap();
    }
    let snapshot = publisher.snapshot();
    let turns = turns(&snapshot.overlay, &snapshot.overlay);
    assert_eq!(turns.len(), 2 * MAX_TURNS, "and before each");
    let last = turns[2 * MAX_TURNS - 1].1.as_ref().unwrap();
    assert_eq!((last.overrides.len(), last.more_overrides), (9, 0), "the last one, and those before it");
    assert!(last.to_string().starts_with("the overrides of r31, r32, "), "{last}");
}

#[test]
fn a_script_that_set_forty_at_once_left_the_later_ones_unjudged() {
    let at = |ms: u64| (Moment::default() + Span::from_millis(ms), (Timestamp::UNIX_EPOCH, BTreeSet::new()));
    let script = (0..40).map(|n| at(10_000 + 20 * n));
    let all = together(script.chain([at(10_999), at(11_001), at(60_000)]).collect());
    let moments: Vec<Moment> = all.into_keys().collect();
    assert_eq!(moments, [10_999, 11_001, 60_000].map(|ms| at(ms).0));
}

fn ramp(region: &str, patch: OverridePatch, over_s: u64) -> OverridePatch {
    OverridePatch { target: Target::Region(region.to_owned()), over: Some(Span::from_secs(over_s)), ..patch }
}

#[test]
fn a_ramp_that_had_just_begun_counted_as_over() {
    let publisher = publisher(TABLE);
    publisher.patch(state("eu", State::Drain, None)).unwrap();
    let weight = OverridePatch { state: None, weight: Some(Some(100)), ..state("eu", State::Active, None) };
    publisher.patch(OverridePatch { weight: Some(Some(0)), ..weight.clone() }).unwrap();
    publisher.patch(OverridePatch { state: Some(None), ..state("eu", State::Active, None) }).unwrap();
    publisher.patch(ramp("eu", weight, 3600)).unwrap();
    assert_eq!(said(&publisher, state("ap", State::Drain, None))[0], (vec![], true), "eu is at 0 for now");
}

#[test]
fn a_drain_that_ends_in_time_is_not_judged_by_the_end_of_a_slow_one() {
    let publisher = publisher(TABLE);
    publisher.patch(ramp("eu", state("eu", State::Drain, None), 600)).unwrap();
    // By then eu has nine tenths, so more than half is taken away; but not all.
    assert_eq!(said(&publisher, state("ap", State::Drain, Some(60))), [(vec![], false)]);
    assert_eq!(said(&publisher, state("ap", State::Drain, Some(2))), [], "eu has nearly all of it");
    assert_eq!(said(&publisher, state("ap", State::Drain, None))[0], (vec![], true));
}

#[test]
fn what_holds_already_may_hold_for_longer() {
    let publisher = publisher(TABLE);
    publisher.patch(state("us", State::Active, None)).unwrap();
    publisher.patch(state("eu", State::Drain, Some(60))).unwrap();
    publisher.patch(state("us", State::Drain, Some(60))).unwrap();
    assert_eq!(said(&publisher, state("eu", State::Drain, Some(120))), []);
    assert_eq!(said(&publisher, state("eu", State::Drain, None)), []);
}

#[test]
fn a_drill_took_no_notice_of_what_expires_before_it_ends() {
    let publisher = publisher(TABLE);
    publisher.patch(state("us", State::Active, Some(20))).unwrap();
    publisher.patch(state("ap", State::Off, None)).unwrap();
    let now = publisher.clock().now();
    let taken = |seconds| if_dead(&publisher.snapshot(), "eu", now + Span::from_secs(seconds));
    assert_eq!(taken(10), [], "us carries it");
    let once: Vec<String> = taken(30)
        .into_iter()
        .flat_map(|taken| taken.once)
        .flat_map(|it| it.overrides)
        .map(|it| it.to_string())
        .collect();
    assert_eq!(once, ["us", "us"], "nothing usable, and more than half");
}

fn any_patch() -> impl Strategy<Value = OverridePatch> {
    let states = prop::sample::select(vec![State::Active, State::Standby, State::Drain, State::Off]);
    let (expiries, ramps) = (prop::option::of(1..10u64), prop::option::of(1..10u64));
    (prop::sample::select(vec!["eu", "us", "ap"]), states, expiries, ramps).prop_map(
        |(region, to, expires_in_s, over_s)| match (to, over_s) {
            (State::Drain | State::Off, Some(over_s)) => ramp(region, state(region, to, None), over_s),
            _ => state(region, to, expires_in_s),
        },
    )
}

proptest! {
    /// Whenever one looks, nothing is gone that the guard has not told of: neither without the change at the same moment, nor now.
    #[test]
    fn nothing_goes_unsaid_whenever_it_goes(
        patches in prop::collection::vec(any_patch(), 0..6),
        change in any_patch(),
    ) {
        let publisher = publisher(TABLE);
        for patch in patches {
            publisher.patch(patch).unwrap();
        }
        let (before, after) = sides(&publisher, change);
        let told = refused(&before, &after);
        let (mut was, mut is) = (Overlay::clone(&before.overlay), Overlay::clone(&after.overlay));
        for seconds in 0..12 {
            let then = after.overlay.at + Span::from_millis(1000 * seconds + 500);
            was.pass(then);
            is.pass(then);
            let (without, with) = (was.effective(before.table()), is.effective(after.table()));
            let than_now = violations(side(&before, &before.effective), side(&after, &with));
            for violation in violations(side(&before, &without), side(&after, &with)) {
                if !than_now.iter().any(|known| known.is_like(&violation)) {
                    continue;
                }
                prop_assert!(
                    told.iter().any(|told| told.violation.is_like(&violation)),
                    "after {} s: {}, and told was {:?}", seconds, violation, told
                );
            }
        }
    }
}
