//! What operators do beside the table: forced health, drains over time, drills, and what a guard sees in a change.

use proptest::prelude::*;
use steer::client::Client;
use steer::decide::{Basis, Decision};
use steer::drill::Drill;
use steer::effective::{DIAL_WHOLE, Effective, Forced, Override};
use steer::guard::{Side, Violation, violations, without_region};
use steer::ids::RegionId;
use steer::plan::MAX_HOPS;
use steer::ramp::Ramp;
use steer::signals::{Health, Observed};
use steer::spec::{State, Steering};
use steer::{Moment, Span, Table};

use crate::laws::{any_client, any_setup, is_vague};
use crate::world::{REGIONS, Setup, at, spec};

fn any_forced() -> impl Strategy<Value = Option<Forced>> {
    proptest::sample::select(vec![None, None, Some(Forced::Up), Some(Forced::Down)])
}

fn sound(decision: &Decision) -> bool {
    matches!(decision.basis, Basis::Ranked | Basis::Unranked)
}

/// The same with room everywhere, for what only health, state and weight should decide.
fn roomy(mut setup: Setup) -> Setup {
    setup.seen.in_flight.clear();
    setup
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Forced up is as if probes said so; forced down as if they said that, and it is not even a last resort.
    #[test]
    fn forced_health_counts_instead_of_what_is_seen(
        setup in any_setup(),
        client in any_client(),
        forced in proptest::collection::vec(any_forced(), 12),
    ) {
        let (mut told, mut seen) = (setup.clone(), setup.clone());
        for (index, forced) in forced.iter().enumerate() {
            told.overrides.get_mut(&index).unwrap().health = *forced;
            match forced {
                Some(Forced::Up) => seen.observe(index, Observed::plain(Health::Up)),
                Some(Forced::Down) => seen.observe(index, Observed::out_of_use(Health::Down, false)),
                None => {}
            }
        }
        let (by_word, by_sight) = (told.decide(&client), seen.decide(&client));
        if by_sight.as_ref().is_ok_and(|decision| decision.basis == Basis::AllDown) {
            let forbidden = |decision: &Decision| forced[told.table.placement(decision.first).region.index()] == Some(Forced::Down);
            prop_assert!(!by_word.as_ref().is_ok_and(forbidden));
        } else {
            prop_assert_eq!(&by_word, &by_sight);
        }
        prop_assert!(told.plan(&client).iter().all(|region| forced[*region] != Some(Forced::Down)));
        if let (Ok(with), Ok(without)) = (&by_word, &setup.decide(&client)) {
            prop_assert_eq!(with.natural, without.natural, "health does not change whose key it is");
        }
    }

    /// A drill touches no other key, loses nobody, and otherwise does what the region's death would.
    #[test]
    fn a_drill_is_a_death_that_fails_nothing(
        setup in any_setup(),
        client in any_client(),
        region in 0..12usize,
        parts in prop_oneof![Just(0u32), Just(DIAL_WHOLE), 0..=DIAL_WHOLE],
    ) {
        let mut drilled = setup.clone();
        let drill = Drill::of(REGIONS[region].0, parts);
        drilled.drill = Some(drill);
        let (before, after) = (setup.decide(&client), drilled.decide(&client));
        if !drill.hits(client.key) {
            prop_assert_eq!(before, after);
            return Ok(());
        }
        let (before, after) = match (before, after) {
            (Ok(before), Ok(after)) => (before, after),
            (before, after) => {
                prop_assert_eq!(before, after, "it fails what was served");
                return Ok(());
            }
        };
        prop_assert_eq!(after.natural, before.natural);
        prop_assert_eq!(sound(&after), sound(&before));
        prop_assert_eq!(after.basis == Basis::AllDown, before.basis == Basis::AllDown);
        prop_assert_eq!(after.drilled, after.first != before.first);
        prop_assert!(before.first == after.first || before.first == setup.placement(region), "only its own keys move");
        let plan = drilled.plan(&client);
        if before.basis != Basis::AllDown {
            let sorted = |mut plan: Vec<usize>| { plan.sort_unstable(); plan };
            if plan.len() < MAX_HOPS {
                prop_assert_eq!(sorted(plan.clone()), sorted(setup.plan(&client)), "a later attempt may still go there");
            }
            prop_assert!(plan[0] != region || plan.len() == 1, "{:?}", plan);
            prop_assert!(!plan.contains(&region) || plan.last() == Some(&region), "{:?}", plan);
        }
        if plan[0] != region && sound(&after) && !is_vague(&client) {
            let mut dead = setup;
            dead.overrides.get_mut(&region).unwrap().health = Some(Forced::Down);
            prop_assert_eq!(dead.decide(&client).map(|decision| decision.first), Ok(after.first));
        }
    }

    /// Over a drain each key of the region moves once, away, and no other moves at all.
    #[test]
    fn a_drain_over_time_moves_each_key_once(
        setup in any_setup(),
        client in any_client(),
        region in 0..12usize,
        from in 1..=100u8,
        over_ms in 1..100_000u64,
    ) {
        let mut setup = roomy(setup);
        let ramp = Ramp { from, to: 0, over: Span::from_millis(over_ms), ends: Moment::from_millis(over_ms) };
        let over = Override { weight: Some(from), ..setup.overrides[&region] };
        setup.overrides.insert(region, over);
        // Why nothing serves a key may change with what others have left; that nothing does must not.
        let head = |setup: &Setup| setup.decide(&client).ok().map(|decision| decision.first);
        let (mut now, mut heads) = (Moment::default(), vec![head(&setup)]);
        while let Some(next) = ramp.next(now, Span::ZERO) {
            now = next;
            let way = Override { at_most: Some(ramp.at(now)), staying: Some(ramp.left(now)), ..over };
            setup.overrides.insert(region, way);
            heads.push(head(&setup));
        }
        setup.overrides.insert(region, Override { state: Some(State::Drain), ..over });
        heads.push(head(&setup));
        heads.dedup();
        prop_assert!(heads.len() <= 2, "{:?}", heads);
        if heads.len() == 2 {
            prop_assert_eq!(heads[0], Some(setup.placement(region)));
        }
    }

    /// The guard says that a route is left alone exactly when decisions had something usable and then have nothing.
    #[test]
    fn the_guard_sees_what_decisions_will(setup in any_setup(), later in any_setup(), client in any_client()) {
        let before = roomy(setup);
        let mut after = before.clone();
        (after.overrides, after.seen.observed) = (later.overrides, later.seen.observed);
        let sides = |from: &Setup, to: &Setup| {
            let (was, is) = (from.effective(), to.effective());
            violations(
                Side { table: &from.table, effective: &was, signals: &from.seen },
                Side { table: &to.table, effective: &is, signals: &to.seen },
            )
        };
        prop_assert_eq!(sides(&before, &before), vec![]);
        let found = sides(&before, &after);
        let serves = |setup: &Setup| setup.decide(&client).as_ref().is_ok_and(sound);
        let left_alone = found.iter().any(|violation| matches!(violation, Violation::NothingUsable { .. }));
        prop_assert_eq!(left_alone, serves(&before) && !serves(&after));
        let weight = |setup: &Setup| -> u64 {
            // Of the regions that may serve this route, and no others.
            let laws = &setup.spec.routes[0].jurisdictions;
            let may = |index: &usize| laws.is_empty() || setup.spec.regions[*index].jurisdiction.as_ref().is_some_and(|at| laws.contains(at));
            let usable = (0..12).filter(may).filter(|index| {
                let over = setup.overrides[index];
                matches!(over.state, Some(State::Active | State::Standby)) && setup.seen.observed[&setup.placement(*index)].is_usable()
            });
            usable.map(|index| u64::from(setup.overrides[&index].weight.unwrap())).sum()
        };
        let halved = found.iter().any(|violation| matches!(violation, Violation::MoreThanHalf { .. }));
        prop_assert_eq!(halved, 2 * weight(&after) < weight(&before));
    }
}

fn told(before: &Setup, after: &Setup) -> Vec<String> {
    let (was, is) = (before.effective(), after.effective());
    let found = violations(
        Side { table: &before.table, effective: &was, signals: &before.seen },
        Side { table: &after.table, effective: &is, signals: &after.seen },
    );
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn the_last_usable_region_is_not_taken_away_unseen() {
    let before = Setup::new(&REGIONS[4..6], Steering::Nearest);
    let mut after = before.clone();
    after.overrides.insert(0, Override { state: Some(State::Drain), ..Override::default() });
    assert_eq!(told(&before, &after), [""; 0], "the other one carries exactly half");
    after.overrides.insert(1, Override { state: Some(State::Standby), ..Override::default() });
    assert_eq!(told(&before, &after), [""; 0], "what stands by can carry");
    after.overrides.insert(1, Override { weight: Some(0), ..Override::default() });
    assert_eq!(
        told(&before, &after),
        [
            "route all (pool web) would have no usable region: before dublin, frankfurt; then dublin draining, frankfurt weight 0",
            "route all (pool web) would lose more than half of the usable weight: from 200 % to 0 % of one placement",
        ]
    );
    let mut sick = before;
    sick.observe(1, Observed::plain(Health::Down));
    let mut drained = sick.clone();
    drained.overrides.insert(0, Override { state: Some(State::Off), ..Override::default() });
    let told_of = told(&sick, &drained);
    assert!(told_of[0].ends_with("before dublin; then dublin off, frankfurt down"), "{told_of:?}");
    // What is broken already is not taken away by a change.
    assert_eq!(told(&drained, &drained), [""; 0]);
}

#[test]
fn tables_are_compared_by_name() {
    let before = Setup::new(&REGIONS[4..6], Steering::Nearest);
    let mut elsewhere = spec(&REGIONS[..2], Steering::Latency);
    elsewhere.routes[0].hosts = vec!["other.example.com".to_owned()];
    let mut after = Setup::of(elsewhere.clone());
    assert_eq!(told(&before, &after), [""; 0], "other regions carry the same route");
    after.observe(0, Observed::plain(Health::Down));
    after.observe(1, Observed::plain(Health::Down));
    assert!(
        told(&before, &after)[0]
            .starts_with("route all (pool web) would have no usable region: before dublin")
    );
    let mut renamed = elsewhere.clone();
    renamed.routes[0].name = "another".into();
    let renamed = Setup { table: Table::compile(&renamed).unwrap(), ..after.clone() };
    assert_eq!(told(&before, &renamed), [""; 0], "a route that is gone is gone");
    // A pool by another name carries the same route, and is looked at.
    elsewhere.pools[0].name = "web-2".into();
    elsewhere.routes[0].pool = Some("web-2".into());
    let moved = Setup { table: Table::compile(&elsewhere).unwrap(), ..after };
    let told_of = told(&before, &moved);
    assert_eq!(told_of.len(), 2, "{told_of:?}");
    assert!(told_of.iter().all(|told| told.starts_with("route all (pool web) would")), "{told_of:?}");
}

#[test]
fn half_of_the_weight_is_half_of_what_may_serve_the_route() {
    let mut written = spec(&REGIONS[..9], Steering::Nearest);
    for (index, region) in written.regions.iter_mut().enumerate() {
        region.jurisdiction = Some(if index < 3 { "EU" } else { "US" }.to_owned());
    }
    let mut law = written.routes[0].clone();
    (law.name, law.hosts) = ("eu".into(), vec!["eu.example.com".to_owned()]);
    law.jurisdictions = vec!["EU".to_owned()];
    written.routes.push(law);
    let before = Setup::of(written);
    let off = Override { state: Some(State::Off), ..Override::default() };
    let after = Setup { overrides: [(0, off), (1, off)].into(), ..before.clone() };
    assert_eq!(
        told(&before, &after),
        [
            "route eu (pool web) would lose more than half of the usable weight: from 300 % to 100 % of one placement"
        ],
        "the other six regions of the pool may not serve it"
    );
    let elsewhere = Setup { overrides: [(3, off), (4, off), (5, off)].into(), ..before.clone() };
    assert_eq!(told(&before, &elsewhere), [""; 0]);
}

#[test]
fn the_later_ones_of_an_order_can_carry_and_those_that_are_not_listed_cannot() {
    let mut written = spec(&REGIONS[..6], Steering::ActivePassive);
    written.policies[0].order = Some(REGIONS[..3].iter().map(|(name, _, _)| (*name).into()).collect());
    let before = Setup::of(written);
    let off = Override { state: Some(State::Off), ..Override::default() };
    let first = Setup { overrides: [(0, off)].into(), ..before.clone() };
    assert_eq!(told(&before, &first), [""; 0], "the second takes over");
    let two = Setup { overrides: [(0, off), (1, off)].into(), ..before.clone() };
    assert_eq!(told(&before, &two).len(), 1, "the fourth is no help");
}

#[test]
fn many_routes_of_a_lane_are_told_together() {
    let mut written = spec(&REGIONS[4..6], Steering::Nearest);
    let route = written.routes[0].clone();
    for index in 0..30 {
        let mut more = route.clone();
        more.name = format!("r{index:02}").as_str().into();
        more.hosts = vec![format!("{index}.example.com")];
        written.routes.push(more);
    }
    let before = Setup::of(written);
    let dead = Override { health: Some(Forced::Down), ..Override::default() };
    let after = Setup { overrides: [(0, dead), (1, dead)].into(), ..before.clone() };
    let told = told(&before, &after);
    assert!(
        told[0].starts_with("routes all, r00, ") && told[0].contains(" and 11 more (pool web)"),
        "{told:?}"
    );
    assert!(told[0].ends_with("then dublin forced down, frankfurt forced down"), "{told:?}");
}

#[test]
fn a_drill_needs_others_with_room() {
    let dead = |setup: &Setup| -> Vec<String> {
        let found = setup.with_world(|world| without_region(world, RegionId::new(0).unwrap()));
        found.iter().map(ToString::to_string).collect()
    };
    let mut written = spec(&REGIONS[4..7], Steering::Nearest);
    for placement in &mut written.pools[0].placements {
        placement.max_in_flight = Some(10);
    }
    let mut setup = Setup::of(written);
    for (index, running) in [(0, 8), (1, 7), (2, 5)] {
        setup.seen.in_flight.insert(setup.placement(index), running);
    }
    assert_eq!(dead(&setup), [""; 0]);
    setup.seen.in_flight.insert(setup.placement(2), 6);
    assert_eq!(
        dead(&setup),
        ["pool web has 8 requests running in dublin, and its other regions have room for 7"]
    );
    setup.observe(2, Observed::plain(Health::Down));
    assert!(dead(&setup)[0].ends_with("have room for 3"), "{:?}", dead(&setup));
    setup.observe(1, Observed::plain(Health::Down));
    assert_eq!(dead(&setup).len(), 3, "{:?}", dead(&setup));
    assert_eq!(dead(&Setup::new(&REGIONS[4..7], Steering::Nearest)), [""; 0]);
}

#[test]
fn a_drill_goes_before_affinity_and_after_nothing_else() {
    let mut setup = Setup::new(&REGIONS[4..6], Steering::Latency);
    setup.ranking.regions[0].latency_ms = Some(28.0);
    setup.ranking.regions[1].latency_ms = Some(1.0);
    let mut client = at(1, 50.0, 9.0);
    client.kept = Some(steer::affinity::Kept { region: RegionId::new(1).unwrap(), within_ms: 100.0 });
    assert!(setup.decide(&client).unwrap().kept);
    setup.drill = Some(Drill::of("frankfurt", DIAL_WHOLE));
    let decision = setup.decide(&client).unwrap();
    assert_eq!((decision.first, decision.kept, decision.drilled), (setup.placement(0), false, true));
    assert_eq!(decision.natural, Some(setup.placement(1)));
    // Out of use, but answering: worse than a region that only plays dead.
    setup.observe(0, Observed::out_of_use(Health::Held, true));
    let decision = setup.decide(&client).unwrap();
    assert_eq!(
        (decision.first, decision.drilled, decision.basis),
        (setup.placement(1), false, Basis::Ranked)
    );
    // Both out of use: the one that does not play dead.
    setup.observe(1, Observed::out_of_use(Health::Held, true));
    assert_eq!(setup.plan(&client), [0, 1]);
    setup.observe(0, Observed::plain(Health::Up));
    let unhit = Setup { drill: Some(Drill::of("frankfurt", 0)), ..setup.clone() };
    assert_eq!(unhit.decide(&Client::unknown(1)), Setup { drill: None, ..setup }.decide(&Client::unknown(1)));
}

#[test]
fn a_drain_on_its_way_takes_along_whom_affinity_keeps_and_a_weight_does_not() {
    let mut setup = Setup::new(&REGIONS[4..6], Steering::Latency);
    setup.ranking.regions[0].latency_ms = Some(1.0);
    setup.ranking.regions[1].latency_ms = Some(2.0);
    let kept_part = |setup: &Setup| {
        let stays = |key: &u64| {
            let mut client = Client::unknown(steer::draw::bytes_hash(&key.to_le_bytes()));
            client.kept = Some(steer::affinity::Kept { region: RegionId::new(0).unwrap(), within_ms: 100.0 });
            setup.decide(&client).unwrap().first == setup.placement(0)
        };
        (0..10_000u64).filter(stays).count()
    };
    setup.overrides.insert(0, Override { weight: Some(1), ..Override::default() });
    assert_eq!(kept_part(&setup), 10_000, "a weight leaves them alone");
    // A drain from 40 that has come to 10 has left a quarter of them.
    let ramp = Ramp { from: 40, to: 0, over: Span::from_secs(40), ends: Moment::from_millis(40_000) };
    for (secs, part) in [(0, 10_000), (10, 7_500), (30, 2_500), (40, 0)] {
        let now = Moment::from_millis(secs * 1000);
        let way =
            Override { at_most: Some(ramp.at(now)), staying: Some(ramp.left(now)), ..Override::default() };
        setup.overrides.insert(0, way);
        let stay = kept_part(&setup);
        assert!(stay.abs_diff(part) < 200, "after {secs} s: {stay}");
    }
}

#[test]
fn weights_of_region_and_placement_multiply() {
    let setup = Setup::new(&REGIONS[..2], Steering::Nearest);
    let over = |weight| Override { weight: Some(weight), ..Override::default() };
    let effective =
        Effective::with(&setup.table, |_| over(40), |id| over(if id.index() == 0 { 50 } else { 100 }));
    let dials = [0, 1].map(|index| effective.of_placement(setup.placement(index)).dial);
    assert_eq!(dials, [2000, 4000]);
}
