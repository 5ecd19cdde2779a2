//! Properties of every decision, over random worlds. A failing case prints its seed and shrinks.

use proptest::prelude::*;
use steer::affinity::Kept;
use steer::client::Client;
use steer::decide::{Basis, Cause};
use steer::draw::{Purpose, falls_below, lot, name_hash};
use steer::effective::Override;
use steer::health::Excess;
use steer::ids::RegionId;
use steer::plan::MAX_HOPS;
use steer::signals::{Health, Observed, RAMP_WHOLE};
use steer::spec::{Failback, OnAllDown, State, Steering};
use steer::{Moment, failback};

use crate::world::{REGIONS, Setup, at, from, spec};

const STEERINGS: [Steering; 5] =
    [Steering::Nearest, Steering::Latency, Steering::Geo, Steering::Weighted, Steering::ActivePassive];

fn any_steering() -> impl Strategy<Value = Steering> {
    proptest::sample::select(STEERINGS.to_vec())
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..400.0f64,
        1 => proptest::sample::select(vec![f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX]),
    ]
}

fn any_observed() -> impl Strategy<Value = Observed> {
    (proptest::sample::select(Health::ALL.to_vec()), 0..=RAMP_WHOLE).prop_map(|(health, ramp)| Observed {
        health,
        ramp: match health {
            Health::Recovering => ramp,
            Health::Down | Health::Held => ramp & 1,
            Health::Unknown | Health::Up | Health::Suspect => 0,
        },
    })
}

pub(crate) fn any_client() -> impl Strategy<Value = Client> {
    let kept = proptest::option::weighted(0.3, (0..12usize, 0.0..200.0f64));
    (any_stranger(), kept).prop_map(|(mut client, kept)| {
        client.kept =
            kept.map(|(region, within_ms)| Kept { region: RegionId::new(region).unwrap(), within_ms });
        client
    })
}

fn any_stranger() -> impl Strategy<Value = Client> {
    prop_oneof![
        any::<u64>().prop_map(Client::unknown),
        (any::<u64>(), -90.0..90.0f64, -180.0..180.0f64)
            .prop_map(|(key, latitude, longitude)| at(key, latitude, longitude)),
        (any::<u64>(), proptest::sample::select(vec!["DE", "US", "BR", "ZZ"]))
            .prop_map(|(key, country)| from(key, country)),
        (any::<u64>(), 0.0..3000.0f64).prop_map(|(key, accuracy_km)| {
            let mut client = at(key, 50.0, 9.0);
            client.spot.as_mut().unwrap().accuracy_km = accuracy_km;
            client
        }),
    ]
}

/// For such a client latency may choose the head among near regions, or the region that he was in heads the plan, so the rest
/// of the order says little about it.
pub(crate) fn is_vague(client: &Client) -> bool {
    client.kept.is_some() || client.spot.as_ref().is_some_and(|spot| spot.accuracy_km > 0.0)
}

prop_compose! {
    /// The twelve regions in a random state of affairs.
    pub(crate) fn any_setup()(
        steering in any_steering(),
        pop in 0..12usize,
        latencies in proptest::collection::vec(proptest::option::weighted(0.9, any_number()), 12),
        rises in proptest::collection::vec(any_number(), 12),
        observed in proptest::collection::vec(any_observed(), 12),
        weights in proptest::collection::vec(prop_oneof![Just(0u8), Just(100), 0..=100u8], 12),
        states in proptest::collection::vec(
            proptest::sample::select(vec![State::Active, State::Active, State::Standby, State::Drain, State::Off]), 12),
        in_flight in proptest::collection::vec(0..20u32, 12),
        limits in proptest::collection::vec(proptest::option::of(1..20u32), 12),
        jurisdictions in proptest::collection::vec(proptest::sample::select(vec!["EU", "US"]), 12),
        demanded in proptest::option::of(proptest::sample::select(vec!["EU", "US"])),
        fail_fast in any::<bool>(),
        excesses in proptest::collection::vec((prop_oneof![Just(0u16), 0..=2000u16], 0..=RAMP_WHOLE), 0..=12),
    ) -> Setup {
        let mut spec = spec(&REGIONS, steering);
        for (index, (region, placement)) in spec.regions.iter_mut().zip(&mut spec.pools[0].placements).enumerate() {
            region.jurisdiction = Some(jurisdictions[index].to_owned());
            placement.max_in_flight = limits[index];
        }
        let demanded = demanded.filter(|wanted| jurisdictions.contains(wanted));
        spec.routes[0].jurisdictions = demanded.into_iter().map(str::to_owned).collect();
        if fail_fast {
            spec.policies[0].on_all_down = OnAllDown::FailFast;
        }
        let mut setup = Setup::of(spec);
        setup.ranking.pop = Setup::twelve(steering, pop).ranking.pop;
        setup.ranking.excesses = excesses.into_iter().map(|(ms, spared)| Excess { ms, spared }).collect();
        for index in 0..12 {
            setup.ranking.regions[index].latency_ms = latencies[index];
            setup.ranking.regions[index].rise_ms = rises[index];
            let over = Override { weight: Some(weights[index]), state: Some(states[index]), ..Override::default() };
            setup.overrides.insert(index, over);
            setup.observe(index, observed[index]);
            setup.seen.in_flight.insert(setup.placement(index), in_flight[index]);
            setup.seen.last_success.insert(setup.placement(index), Moment::from_millis(u64::from(in_flight[index])));
        }
        setup
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn equal_inputs_decide_equally(setup in any_setup(), client in any_client()) {
        let again = setup.clone();
        prop_assert_eq!(setup.decide(&client), again.decide(&client));
    }

    #[test]
    fn what_is_forbidden_is_never_in_a_plan(setup in any_setup(), client in any_client()) {
        let demanded = &setup.spec.routes[0].jurisdictions;
        if let Ok(decision) = setup.decide(&client) {
            let plan = setup.placements(&client);
            prop_assert_eq!(plan.first(), Some(&decision.first), "the head alone and the whole plan differ");
            for region in setup.plan(&client) {
                let over = setup.overrides[&region];
                prop_assert!(!matches!(over.state, Some(State::Off | State::Drain)), "{region} is {over:?}");
                prop_assert_ne!(over.weight, Some(0));
                let at = setup.table.regions[region].jurisdiction.clone().unwrap();
                prop_assert!(demanded.is_empty() || demanded.contains(&at), "{region} is in {at}");
                let observed = setup.seen.observed[&setup.placement(region)];
                let is_as_said = match decision.basis {
                    Basis::Ranked | Basis::Unranked => observed.is_usable(),
                    Basis::LastResort => observed.is_last_resort(),
                    Basis::AllDown => !observed.is_usable() && !observed.is_last_resort(),
                };
                prop_assert!(is_as_said, "{:?} on the basis of {:?}", observed, decision.basis);
            }
        }
    }

    #[test]
    fn a_plan_names_nobody_twice_and_is_bounded(setup in any_setup(), client in any_client()) {
        let mut plan = setup.plan(&client);
        prop_assert!(plan.len() <= MAX_HOPS);
        let length = plan.len();
        plan.sort_unstable();
        plan.dedup();
        prop_assert_eq!(plan.len(), length);
    }

    /// A request that fails over goes where the next one will go.
    #[test]
    fn without_its_head_a_plan_stays_in_place(setup in any_setup(), client in any_client()) {
        if setup.decide(&client).is_err() {
            return Ok(());
        }
        if setup.plan(&client).len() < 2 || is_vague(&client) {
            return Ok(());
        }
        let plan = setup.plan(&client);
        let mut without = setup;
        without.observe(plan[0], Observed::plain(Health::Down));
        prop_assert_eq!(&without.plan(&client)[..plan.len() - 1], &plan[1..]);
    }

    #[test]
    fn a_full_placement_spills_to_the_next_and_never_out_of_bounds(setup in any_setup(), client in any_client()) {
        if let Ok(decision) = setup.decide(&client) {
            for placement in &setup.placements(&client) {
                let limit = setup.table.placement(*placement).max_in_flight.unwrap_or(u32::MAX);
                prop_assert!(setup.seen.in_flight[placement] < limit || decision.basis == Basis::AllDown);
            }
            if let Some(from) = decision.spilled_from {
                prop_assert!(!setup.placements(&client).contains(&from));
                if is_vague(&client) {
                    return Ok(());
                }
                let mut roomy = setup;
                roomy.seen.in_flight.insert(from, 0);
                prop_assert_eq!(roomy.decide(&client).unwrap().first, from);
            }
        }
    }

    /// Raising a weight from `low` to `high` moves only keys whose lot lies between, and only to that region. (A key between
    /// stays where it is if a region before this one keeps it. Weight 0 also gives up the keys that nobody keeps.)
    #[test]
    fn the_dial_moves_exactly_the_keys_between_two_weights(
        steering in proptest::sample::select(vec![Steering::Nearest, Steering::Latency, Steering::Geo]),
        region in 0..12usize,
        weights in (0..=100u8, 0..=100u8),
        others in proptest::collection::vec(1..=100u8, 12),
        keys in proptest::collection::vec(any::<u64>(), 64),
    ) {
        let (low, high) = (weights.0.min(weights.1), weights.0.max(weights.1));
        let mut setup = Setup::twelve(steering, 5);
        for (index, weight) in others.iter().enumerate() {
            setup.overrides.insert(index, Override { weight: Some(*weight), ..Override::default() });
        }
        let head = |weight, client: &Client| {
            let mut setup = setup.clone();
            setup.overrides.insert(region, Override { weight: Some(weight), ..Override::default() });
            setup.plan(client)[0]
        };
        for key in keys {
            let client = at(key, 20.0, 70.0);
            let drawn = lot(key, name_hash(REGIONS[region].0), Purpose::Dial);
            let between = !falls_below(drawn, u32::from(low), 100) && falls_below(drawn, u32::from(high), 100);
            let (before, after) = (head(low, &client), head(high, &client));
            if between {
                prop_assert!(after == region || after == before, "{key}: {before} -> {after}");
            } else if low > 0 {
                prop_assert_eq!(before, after);
            }
        }
    }

    #[test]
    fn a_ramp_only_ever_adds_keys(key in any::<u64>(), low in 1..RAMP_WHOLE) {
        let head = |ramp| {
            let mut setup = Setup::twelve(Steering::Latency, 5);
            setup.observe(5, Observed { health: Health::Recovering, ramp });
            setup.plan(&Client::unknown(key))[0]
        };
        if head(low) == 5 {
            prop_assert_eq!(head(low + 1), 5);
        }
        prop_assert_eq!(head(RAMP_WHOLE), 5);
    }
}

#[test]
fn shares_of_the_dial_are_what_the_formula_says() {
    // For the order r1, r2, r3 with weights 50, 30, 100: w1, (1-w1)w2, the rest.
    let mut setup = Setup::twelve(Steering::Latency, 5);
    for (index, weight) in [(5, 50), (4, 30), (0, 100)] {
        setup.overrides.insert(index, Override { weight: Some(weight), ..Override::default() });
    }
    let mut shares = [0usize; 12];
    for key in 0..100_000u64 {
        shares[setup.plan(&Client::unknown(key))[0]] += 1;
    }
    for (index, expected) in [(5, 0.5), (4, 0.5 * 0.3), (0, 0.5 * 0.7)] {
        assert!((shares[index] as f64 / 100_000.0 - expected).abs() < 0.005, "{shares:?}");
    }
}

#[test]
fn keys_that_nobody_keeps_go_to_the_nearest() {
    // 50 and 50 of two regions: half, a quarter, and the leftover quarter again to the nearest.
    let mut setup = Setup::new(&REGIONS[4..6], Steering::Latency);
    setup.ranking.regions[0].latency_ms = Some(28.0);
    setup.ranking.regions[1].latency_ms = Some(1.0);
    for index in 0..2 {
        setup.overrides.insert(index, Override { weight: Some(50), ..Override::default() });
    }
    let near = (0..100_000u64).filter(|key| setup.plan(&Client::unknown(*key))[0] == 1).count();
    assert!((near as f64 / 100_000.0 - 0.75).abs() < 0.005, "{near}");
}

#[test]
fn weighted_shares_are_proportional_and_losing_a_region_moves_only_its_keys() {
    let mut setup = Setup::new(&REGIONS[..3], Steering::Weighted);
    for (index, weight) in [(0, 10), (1, 30), (2, 60)] {
        setup.overrides.insert(index, Override { weight: Some(weight), ..Override::default() });
    }
    let heads = |setup: &Setup| -> Vec<usize> {
        (0..50_000u64).map(|key| setup.plan(&Client::unknown(key))[0]).collect()
    };
    let before = heads(&setup);
    for (index, share) in [(0, 0.1), (1, 0.3), (2, 0.6)] {
        let got = before.iter().filter(|head| **head == index).count() as f64 / 50_000.0;
        assert!((got - share).abs() < 0.01, "{index}: {got}");
    }
    setup.observe(2, Observed::plain(Health::Down));
    let after = heads(&setup);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == 2));
}

#[test]
fn suspects_come_after_the_healthy_and_standbys_after_both() {
    let mut setup = Setup::twelve(Steering::Latency, 5);
    setup.observe(5, Observed::plain(Health::Suspect));
    setup.overrides.insert(4, Override { state: Some(State::Standby), ..Override::default() });
    let plan = setup.plan(&Client::unknown(1));
    assert_eq!(plan[0], 0, "{plan:?}");
    assert_eq!(&plan[10..], [5, 4], "{plan:?}");
}

#[test]
fn a_standby_serves_when_no_active_region_can() {
    let mut setup = Setup::new(&REGIONS[4..6], Steering::Nearest);
    setup.overrides.insert(0, Override { state: Some(State::Standby), ..Override::default() });
    assert_eq!(setup.plan(&Client::unknown(1)), [1, 0]);
    setup.observe(1, Observed::plain(Health::Down));
    assert_eq!(setup.plan(&Client::unknown(1)), [0]);
}

#[test]
fn all_down_tries_the_one_that_answered_last_or_fails_fast() {
    let mut setup = Setup::twelve(Steering::Nearest, 5);
    for index in 0..12 {
        setup.observe(index, Observed::plain(Health::Down));
    }
    setup.seen.last_success.insert(setup.placement(9), Moment::from_millis(5000));
    setup.seen.last_success.insert(setup.placement(5), Moment::from_millis(4000));
    let decision = setup.decide(&Client::unknown(1)).unwrap();
    assert_eq!((setup.plan(&Client::unknown(1)), decision.basis), (vec![9], Basis::AllDown));

    let mut spec = spec(&REGIONS, Steering::Nearest);
    spec.policies[0].on_all_down = OnAllDown::FailFast;
    let fast = Setup { seen: setup.seen, ..Setup::of(spec) };
    assert_eq!(fast.decide(&Client::unknown(1)), Err(Cause::Unhealthy));
}

#[test]
fn what_is_out_of_use_and_would_answer_is_better_than_nothing_at_all() {
    for fail_fast in [false, true] {
        let mut spec = spec(&REGIONS, Steering::Nearest);
        if fail_fast {
            spec.policies[0].on_all_down = OnAllDown::FailFast;
        }
        let mut setup = Setup::of(spec);
        setup.ranking = Setup::twelve(Steering::Nearest, 5).ranking;
        for index in 0..12 {
            setup.observe(index, Observed::plain(Health::Down));
        }
        setup.observe(9, Observed::out_of_use(Health::Down, true));
        setup.observe(0, Observed::out_of_use(Health::Held, true));
        setup.observe(4, Observed::plain(Health::Recovering));
        let decision = setup.decide(&Client::unknown(1)).unwrap();
        assert_eq!((setup.plan(&Client::unknown(1)), decision.basis), (vec![4, 0, 9], Basis::LastResort));
        setup.observe(3, Observed::plain(Health::Suspect));
        assert_eq!(setup.plan(&Client::unknown(1)), [3], "a suspect one is in use");
    }
}

#[test]
fn lateness_costs_where_latency_ranks_and_nowhere_else() {
    for steering in STEERINGS {
        let mut setup = Setup::twelve(steering, 5);
        let client = at(7, 50.0, 9.0);
        let before = setup.plan(&client);
        let first = setup.placement(before[0]);
        setup.ranking.excesses = vec![Excess::default(); 12];
        setup.ranking.excesses[first.index()] = Excess { ms: 2000, spared: 0 };
        let is_ranked = matches!(steering, Steering::Nearest | Steering::Latency | Steering::Geo);
        let after = setup.plan(&client);
        assert_eq!(after[0] != before[0], is_ranked, "{steering:?}");
        setup.ranking.excesses[first.index()].spared = RAMP_WHOLE;
        assert_eq!(setup.plan(&client), before, "{steering:?}");
    }
}

#[test]
fn a_trial_brings_back_a_share_of_the_keys() {
    let mut setup = Setup::twelve(Steering::Latency, 5);
    setup.ranking.excesses = vec![Excess::default(); 12];
    let slow = setup.placement(5).index();
    setup.ranking.excesses[slow] = Excess { ms: 500, spared: 3 };
    let back = (0..10_000).filter(|key| setup.plan(&Client::unknown(*key))[0] == 5).count();
    assert!((900..1050).contains(&back), "{back}");
}

#[test]
fn active_passive_follows_the_list_and_returns_as_the_policy_says() {
    let mut spec = spec(&REGIONS[..3], Steering::ActivePassive);
    spec.policies[0].order = Some(vec!["iowa".into(), "virginia".into()]);
    spec.policies[0].failback = Some(Failback::Manual);
    let mut setup = Setup::of(spec);
    let client = Client::unknown(1);
    let advance = |setup: &mut Setup| {
        let before = setup.incumbents.first().copied().flatten();
        setup.incumbents = failback::incumbents(&setup.table, &setup.effective(), &setup.seen, |_| before);
    };
    advance(&mut setup);
    assert_eq!(setup.plan(&client), [1, 0]);
    setup.observe(1, Observed::plain(Health::Down));
    assert_eq!(setup.plan(&client), [0]);
    advance(&mut setup);
    setup.observe(1, Observed::plain(Health::Up));
    advance(&mut setup);
    assert_eq!(setup.plan(&client), [0, 1], "stays until an operator drains it");
    setup.overrides.insert(0, Override { state: Some(State::Drain), ..Override::default() });
    advance(&mut setup);
    setup.overrides.clear();
    advance(&mut setup);
    assert_eq!(setup.plan(&client), [1, 0]);

    setup.incumbents.clear();
    assert_eq!(setup.plan(&client), [1, 0], "automatic failback keeps to the list");
}

#[test]
fn geo_lists_prefer_and_never_forbid() {
    let mut spec = spec(&REGIONS, Steering::Geo);
    spec.policies[0].countries.insert("DE".parse().unwrap(), vec!["dublin".into()]);
    spec.policies[0].continents.insert(steer::geo::Continent::Eu, vec!["virginia".into()]);
    let mut setup = Setup::of(spec);
    assert_eq!(setup.plan(&from(1, "DE"))[..2], [4, 5]);
    assert_eq!(setup.plan(&from(1, "FR"))[..2], [0, 5]);
    assert_eq!(setup.plan(&from(1, "BR"))[0], 3);
    setup.observe(4, Observed::plain(Health::Down));
    assert_eq!(setup.plan(&from(1, "DE"))[0], 5);
}

#[test]
fn a_vague_place_leaves_near_ties_to_latency() {
    // Between Frankfurt and Dublin, closer to Dublin, seen from a PoP in Virginia.
    let mut setup = Setup::twelve(Steering::Nearest, 0);
    let mut client = at(1, 52.0, -0.5);
    assert_eq!(setup.plan(&client)[..2], [4, 5]);
    setup.ranking.regions[5].latency_ms = Some(70.0);
    assert_eq!(setup.plan(&client)[..2], [4, 5]);
    client.spot.as_mut().unwrap().accuracy_km = 500.0;
    assert_eq!(setup.plan(&client)[..2], [5, 4]);
}

#[test]
fn nothing_known_is_table_order() {
    let setup = Setup::new(&REGIONS, Steering::Nearest);
    let decision = setup.decide(&Client::unknown(1)).unwrap();
    assert_eq!(decision.basis, Basis::Unranked);
    assert_eq!(setup.plan(&Client::unknown(1)), (0..12).collect::<Vec<_>>());
}

#[test]
fn bias_moves_a_border_by_its_milliseconds() {
    let mut spec = spec(&REGIONS, Steering::Latency);
    spec.regions[5].bias_ms = 26.0;
    let ranking = Setup::twelve(Steering::Latency, 5).ranking;
    let setup = Setup { ranking: ranking.clone(), ..Setup::of(spec.clone()) };
    assert_eq!(setup.plan(&Client::unknown(1))[0], 5);
    spec.regions[5].bias_ms = 28.0;
    let setup = Setup { ranking, ..Setup::of(spec) };
    assert_eq!(setup.plan(&Client::unknown(1))[0], 4);
}

#[test]
fn one_region_two_equal_regions_and_three_hundred() {
    for steering in STEERINGS {
        let one = Setup::new(&REGIONS[..1], steering);
        assert_eq!(one.plan(&at(1, 0.0, 0.0)), [0]);

        let two = Setup::new(&[("a", 10.0, 10.0), ("b", 10.0, 10.0)], steering);
        let plan = two.plan(&at(1, 0.0, 0.0));
        assert_eq!(plan.len(), 2);
        if steering != Steering::Weighted {
            assert_eq!(plan, [0, 1], "the table's order breaks ties");
        }

        let names: Vec<String> = (0..300).map(|index| format!("r{index}")).collect();
        let regions: Vec<(&str, f64, f64)> = (0..300)
            .zip(&names)
            .map(|(index, name)| {
                (name.as_str(), f64::from(index % 17 * 10 - 80), f64::from(index % 35 * 10 - 170))
            })
            .collect();
        let mut many = Setup::new(&regions, steering);
        let client = at(1, 42.0, 42.0);
        let plan = many.plan(&client);
        assert_eq!(plan.len(), MAX_HOPS);
        for region in &plan {
            many.observe(*region, Observed::plain(Health::Down));
        }
        let next = many.plan(&client);
        assert!(next.iter().all(|region| !plan.contains(region)) && next.len() == MAX_HOPS);
    }
}

#[test]
fn the_natural_region_ignores_health_and_limits() {
    let mut setup = Setup::twelve(Steering::Latency, 5);
    setup.observe(5, Observed::plain(Health::Down));
    let decision = setup.decide(&Client::unknown(1)).unwrap();
    assert_eq!(decision.natural, Some(setup.placement(5)));
    assert_eq!(decision.first, setup.placement(4));
}

#[test]
fn a_full_pool_says_so() {
    let mut spec = spec(&REGIONS[..2], Steering::Latency);
    for placement in &mut spec.pools[0].placements {
        placement.max_in_flight = Some(3);
    }
    let mut setup = Setup::of(spec);
    setup.seen.in_flight.insert(setup.placement(0), 3);
    let decision = setup.decide(&Client::unknown(1)).unwrap();
    assert_eq!(decision.spilled_from, Some(setup.placement(0)));
    setup.seen.in_flight.insert(setup.placement(1), 3);
    assert_eq!(setup.decide(&Client::unknown(1)), Err(Cause::Full));
}

#[test]
fn a_kept_client_stays_until_something_stronger_speaks() {
    let mut setup = Setup::twelve(Steering::Nearest, 0);
    let stranger = at(7, 40.0, -80.0);
    let best = setup.decide(&stranger).unwrap().first;
    let far = (0..12).find(|region| setup.placement(*region) != best).unwrap();
    let kept = |within_ms| {
        let mut client = stranger.clone();
        client.kept = Some(Kept { region: RegionId::new(far).unwrap(), within_ms });
        client
    };
    let first = |setup: &Setup, client: &Client| {
        let decision = setup.decide(client).unwrap();
        (decision.first, decision.kept)
    };
    assert_eq!(first(&setup, &kept(1e6)), (setup.placement(far), true));
    assert_eq!(first(&setup, &kept(0.0)), (best, false), "he has moved too far away");
    setup.overrides.insert(far, Override { weight: Some(1), ..Override::default() });
    assert_eq!(first(&setup, &kept(1e6)), (setup.placement(far), true), "a weight moves those who come");
    for (weight, state) in [(Some(0), None), (None, Some(State::Drain)), (None, Some(State::Standby))] {
        setup.overrides.insert(far, Override { weight, state, ..Override::default() });
        assert_eq!(first(&setup, &kept(1e6)), (best, false), "{weight:?} {state:?}");
    }
    setup.overrides.clear();
    setup.observe(far, Observed::plain(Health::Suspect));
    assert_eq!(first(&setup, &kept(1e6)), (best, false), "a doubtful region keeps nobody");
}
