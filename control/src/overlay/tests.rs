use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;
use steer::effective::Forced;
use steer::spec::{Spec, State};
use steer::{Moment, Span, Table};

use super::*;

const TABLE: &str = r#"
regions = [
  { name = "eu", latitude = 50.1, longitude = 8.7, weight = 80 },
  { name = "us", latitude = 37.4, longitude = -79.8 },
]
routes = [{ name = "all", hosts = ["www.example.com"], pool = "web" }]
[[pools]]
name = "web"
placements = [
  { region = "eu", origins = ["10.0.0.1:80"], weight = 50 },
  { region = "us", origins = ["10.0.1.1:80"] },
]
"#;

fn table() -> &'static Table {
    static COMPILED: LazyLock<Table> = LazyLock::new(|| {
        let none = |_: &str| None;
        let compiled = crate::document::read("t", TABLE, &none, |spec: Spec| Table::compile(&spec));
        compiled.unwrap_or_else(|findings| panic!("{findings:?}"))
    });
    &COMPILED
}

fn wall(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn at(secs: u64) -> Moment {
    Moment::from_millis(1000 * (1000 + secs))
}

fn eu() -> Target {
    Target::Region("eu".to_owned())
}

fn web_in(region: &str) -> Target {
    Target::Placement { pool: "web".to_owned(), region: region.to_owned() }
}

fn nothing(target: Target) -> OverridePatch {
    OverridePatch {
        target,
        weight: None,
        state: None,
        health: None,
        over: None,
        expires_in: None,
        author: "ada".to_owned(),
        reason: "test".to_owned(),
    }
}

/// Resolves and applies a change, `secs` after the beginning.
fn patch(overlay: &mut Overlay, patch: OverridePatch, secs: u64) -> Result<(), PatchRefused> {
    let change = patch.resolve(table(), overlay, wall(i64::try_from(secs).unwrap()), at(secs))?;
    overlay.apply(change);
    overlay.at = at(secs);
    Ok(())
}

/// State, dial and forced health of the two placements.
fn standings(overlay: &Overlay, secs: u64) -> [(State, u32, Option<Forced>); 2] {
    let effective = overlay.effective_at(table(), at(secs));
    [0, 1].map(|index| {
        let standing = effective.of_placement(steer::ids::PlacementId::new(index).unwrap());
        (standing.state, standing.dial, standing.forced)
    })
}

#[test]
fn region_and_placement_combine() {
    let mut overlay = Overlay::default();
    assert_eq!(standings(&overlay, 0), [(State::Active, 4000, None), (State::Active, 10_000, None)]);
    let region = OverridePatch { weight: Some(Some(40)), state: Some(Some(State::Standby)), ..nothing(eu()) };
    patch(&mut overlay, region, 0).unwrap();
    let placement =
        OverridePatch { weight: Some(Some(30)), health: Some(Some(Forced::Up)), ..nothing(web_in("eu")) };
    patch(&mut overlay, placement, 0).unwrap();
    assert_eq!(standings(&overlay, 0)[0], (State::Standby, 1200, Some(Forced::Up)));
    patch(&mut overlay, OverridePatch { health: Some(Some(Forced::Down)), ..nothing(eu()) }, 0).unwrap();
    assert_eq!(standings(&overlay, 0)[0].2, Some(Forced::Down), "down before up");
    let drained = OverridePatch { state: Some(Some(State::Drain)), ..nothing(web_in("eu")) };
    patch(&mut overlay, drained, 0).unwrap();
    assert_eq!(standings(&overlay, 0)[0].0, State::Drain, "the less willing");
    assert_eq!(standings(&overlay, 0)[1], (State::Active, 10_000, None));
    let end =
        OverridePatch { weight: Some(None), state: Some(None), health: Some(None), ..nothing(web_in("eu")) };
    patch(&mut overlay, end, 0).unwrap();
    assert_eq!((overlay.len(), overlay.number), (1, 5));
    assert_eq!(standings(&overlay, 0)[0], (State::Standby, 2000, Some(Forced::Down)));
}

#[test]
fn a_drain_over_time_holds_the_weight_down_and_then_drains() {
    let mut overlay = Overlay::default();
    patch(&mut overlay, OverridePatch { state: Some(Some(State::Standby)), ..nothing(eu()) }, 0).unwrap();
    let over = Some(Span::from_secs(80));
    let drain = OverridePatch { state: Some(Some(State::Drain)), over, ..nothing(eu()) };
    patch(&mut overlay, drain, 10).unwrap();
    let ramp = overlay.region("eu").state.as_ref().unwrap().ramp.clone().unwrap();
    assert_eq!((ramp.from, ramp.to, ramp.ends_at), (80, 0, wall(90)), "from the configured 80");
    let stands = |overlay: &Overlay, secs| standings(overlay, secs)[0];
    assert_eq!(stands(&overlay, 10), (State::Standby, 80 * 50, None), "the state before it still counts");
    assert_eq!(stands(&overlay, 50), (State::Standby, 40 * 50, None));
    assert_eq!(stands(&overlay, 89).1, 50);
    assert_eq!(stands(&overlay, 90), (State::Drain, 80 * 50, None));
    assert_eq!(overlay.next(at(10)), Some(at(11)));
    assert!(overlay.is_moving(at(89)) && !overlay.is_moving(at(90)));

    // A weight that is set meanwhile does not bring traffic back.
    let mut raised = overlay.clone();
    patch(&mut raised, OverridePatch { weight: Some(Some(100)), ..nothing(eu()) }, 50).unwrap();
    assert_eq!(stands(&raised, 50).1, 40 * 50);
    // Whoever ends it has everything back at once, or in a ramp from nothing.
    let mut back = overlay.clone();
    patch(&mut back, OverridePatch { state: Some(None), ..nothing(eu()) }, 50).unwrap();
    assert_eq!(stands(&back, 50), (State::Active, 80 * 50, None));
    let return_slowly =
        OverridePatch { weight: Some(Some(100)), state: Some(Some(State::Active)), over, ..nothing(eu()) };
    patch(&mut overlay, return_slowly, 100).unwrap();
    assert_eq!([100, 140, 180].map(|secs| stands(&overlay, secs).1), [0, 50 * 50, 100 * 50]);
}

#[test]
fn values_expire_one_by_one_and_the_tables_count_again() {
    let mut overlay = Overlay::default();
    let expires_in = Some(Span::from_secs(60));
    patch(&mut overlay, OverridePatch { weight: Some(Some(0)), expires_in, ..nothing(eu()) }, 0).unwrap();
    patch(&mut overlay, OverridePatch { health: Some(Some(Forced::Down)), ..nothing(eu()) }, 0).unwrap();
    assert_eq!(overlay.next(at(0)), Some(at(60)));
    assert!(overlay.expire(at(59)).is_empty());
    assert_eq!(overlay.expire(at(60)), [eu()]);
    assert_eq!(standings(&overlay, 60)[0], (State::Active, 4000, Some(Forced::Down)));
    assert_eq!(overlay.next(at(60)), None);
}

#[test]
fn what_no_table_has_stays_and_applies_to_nothing() {
    let mut overlay = Overlay::default();
    let mars = Target::Region("mars".to_owned());
    let set = OverridePatch { weight: Some(Some(1)), ..nothing(mars.clone()) };
    assert_eq!(patch(&mut overlay, set.clone(), 0), Err(PatchRefused::Unknown(mars.clone())));
    let nowhere = OverridePatch { weight: Some(Some(1)), ..nothing(web_in("mars")) };
    assert_eq!(patch(&mut overlay, nowhere, 0).unwrap_err(), PatchRefused::Unknown(web_in("mars")));
    // As after a publish of a table without it.
    let elsewhere = Table {
        regions: vec![steer::table::Region { name: "mars".to_owned(), ..table().regions[0].clone() }],
        ..Table::default()
    };
    overlay.apply(set.clone().resolve(&elsewhere, &overlay, wall(0), at(0)).unwrap());
    patch(&mut overlay, OverridePatch { weight: Some(Some(1)), ..nothing(eu()) }, 0).unwrap();
    let listed = overlay.list(table());
    let told: Vec<(String, bool)> = listed.iter().map(|it| (it.target.to_string(), it.applies)).collect();
    assert_eq!(told, [("eu".to_owned(), true), ("mars".to_owned(), false)]);
    assert_eq!(patch(&mut overlay, set, 0), Err(PatchRefused::Unknown(mars.clone())), "not set anew");
    patch(&mut overlay, OverridePatch { weight: Some(None), ..nothing(mars) }, 0).unwrap();
    assert_eq!(overlay.len(), 1, "it can be ended");
}

#[test]
fn what_makes_no_sense_is_refused_and_names_the_field() {
    let over = Some(Span::from_secs(1));
    let weight = Some(Some(50));
    let drain = Some(Some(State::Drain));
    for (asked, field) in [
        (nothing(eu()), "weight"),
        (OverridePatch { weight: Some(Some(101)), ..nothing(eu()) }, "weight"),
        (OverridePatch { weight, reason: " ".to_owned(), ..nothing(eu()) }, "reason"),
        (OverridePatch { weight, expires_in: Some(Span::ZERO), ..nothing(eu()) }, "expires_in"),
        (OverridePatch { weight, over: Some(Span::ZERO), ..nothing(eu()) }, "over"),
        (OverridePatch { weight, over: Some(Span::from_secs(100_000)), ..nothing(eu()) }, "over"),
        (OverridePatch { weight, over, expires_in: Some(Span::from_millis(1)), ..nothing(eu()) }, "over"),
        (OverridePatch { weight, state: drain, over, ..nothing(eu()) }, "over"),
        (OverridePatch { weight: Some(None), over, ..nothing(eu()) }, "over"),
        (OverridePatch { state: Some(Some(State::Standby)), over, ..nothing(eu()) }, "over"),
        (OverridePatch { health: Some(Some(Forced::Up)), over, ..nothing(eu()) }, "over"),
    ] {
        let refused = patch(&mut Overlay::default(), asked.clone(), 0).unwrap_err();
        assert!(
            matches!(refused, PatchRefused::Field { field: named, .. } if named == field),
            "{asked:?}: {refused}"
        );
    }
}

#[test]
fn overrides_are_bounded() {
    let mut overlay = Overlay::default();
    for index in 0..MAX_TARGETS {
        let target = Target::Region(format!("r{index}"));
        let overrides = Overrides {
            health: Some(nothing(target.clone()).resolved_for_tests(Forced::Up)),
            ..Overrides::NONE
        };
        overlay.apply(Change { target, overrides });
    }
    let one_more = OverridePatch { weight: Some(Some(1)), ..nothing(eu()) };
    assert_eq!(patch(&mut overlay, one_more.clone(), 0), Err(PatchRefused::TooMany));
    let mut saved = overlay.saved();
    saved.overrides.push(Change { target: eu(), overrides: saved.overrides[0].overrides.clone() });
    assert_eq!(Overlay::restore(saved, wall(0), at(0)).len(), MAX_TARGETS);
    let end = OverridePatch { health: Some(None), ..nothing(Target::Region("r7".to_owned())) };
    patch(&mut overlay, end, 0).unwrap();
    patch(&mut overlay, one_more, 0).unwrap();
}

impl OverridePatch {
    fn resolved_for_tests<T>(&self, value: T) -> Overridden<T> {
        Overridden {
            value,
            author: self.author.clone(),
            reason: self.reason.clone(),
            since: wall(0),
            expires_at: None,
            ramp: None,
            expires: None,
        }
    }
}

fn any_patch() -> impl Strategy<Value = OverridePatch> {
    let target = prop_oneof![Just(eu()), Just(web_in("eu")), Just(web_in("us"))];
    let weight = proptest::option::of(proptest::option::weighted(0.8, 0..=100u8));
    let states = vec![State::Active, State::Standby, State::Drain, State::Off];
    let state = proptest::option::of(proptest::option::weighted(0.8, proptest::sample::select(states)));
    let healths = proptest::sample::select(vec![Forced::Up, Forced::Down]);
    let health = proptest::option::of(proptest::option::weighted(0.8, healths));
    let span = |most| proptest::option::of((1..most).prop_map(Span::from_secs));
    (target, weight, state, health, span(50u64), span(100u64)).prop_map(
        |(target, weight, state, health, over, expires_in)| OverridePatch {
            weight,
            state,
            health,
            over,
            expires_in,
            ..nothing(target)
        },
    )
}

#[test]
fn steps_of_a_ramp_are_no_change_to_whoever_has_seen_it_begin() {
    let mut overlay = Overlay::default();
    let over = Some(Span::from_secs(100));
    patch(&mut overlay, OverridePatch { weight: Some(Some(0)), over, ..nothing(eu()) }, 0).unwrap();
    let seen = overlay.number;
    assert!(overlay.step(table(), at(50)) && overlay.number > seen);
    assert!(overlay.is_as_changed_at(seen) && overlay.is_as_changed_at(overlay.number));
    assert!(!overlay.is_as_changed_at(seen - 1) && !overlay.is_as_changed_at(overlay.number + 1));
    patch(&mut overlay, OverridePatch { weight: Some(Some(9)), ..nothing(web_in("eu")) }, 50).unwrap();
    assert!(!overlay.is_as_changed_at(seen) && overlay.is_as_changed_at(overlay.number));
}

#[test]
fn overrides_take_no_more_than_they_may_where_they_are_kept() {
    // A quotation mark takes two bytes there.
    let reason = "\"".repeat(1000);
    let names: Vec<String> = (0..1600).map(|index| format!("r{index}")).collect();
    let regions: String = names
        .iter()
        .map(|name| format!("[[regions]]\nname = \"{name}\"\nlatitude = 1.0\nlongitude = 1.0\n"))
        .collect();
    let placements: String = names
        .iter()
        .map(|name| format!("[[pools.placements]]\nregion = \"{name}\"\norigins = [\"10.0.0.1:80\"]\n"))
        .collect();
    let text = format!(
        "{regions}[[pools]]\nname = \"web\"\n{placements}[[routes]]\nname = \"all\"\nhosts = [\"a.test\"]\npool = \"web\"\n"
    );
    let none = |_: &str| None;
    let table = crate::document::read("t", &text, &none, |spec: Spec| Table::compile(&spec)).unwrap();
    let mut overlay = Overlay::default();
    let everything = |target| OverridePatch {
        weight: Some(Some(1)),
        state: Some(Some(State::Active)),
        health: Some(Some(Forced::Up)),
        reason: reason.clone(),
        ..nothing(target)
    };
    let refused = names.iter().find_map(|name| {
        let target = Target::Region(name.clone());
        match everything(target).resolve(&table, &overlay, wall(0), at(0)) {
            Ok(change) => {
                overlay.apply(change);
                None
            }
            Err(refused) => Some((name.clone(), refused)),
        }
    });
    let (name, refused) = refused.expect("1,600 of them are too long");
    assert_eq!(refused, PatchRefused::TooLong);
    let bytes = serde_json::to_vec(&overlay.saved()).unwrap().len();
    assert!(bytes <= MAX_KEPT_BYTES + 64 && bytes > MAX_KEPT_BYTES - 20_000, "{bytes}");
    // What makes it shorter is taken, and then there is room again.
    let end = OverridePatch { health: Some(None), ..nothing(Target::Region(names[0].clone())) };
    overlay.apply(end.resolve(&table, &overlay, wall(0), at(0)).unwrap());
    let short = OverridePatch { weight: Some(Some(1)), ..nothing(Target::Region(name)) };
    overlay.apply(short.resolve(&table, &overlay, wall(0), at(0)).unwrap());
    let all: Vec<Target> = overlay.list(&table).into_iter().map(|listed| listed.target).collect();
    for target in all {
        overlay.apply(Change { target, overrides: Overrides::NONE });
    }
    assert_eq!(overlay.kept_bytes, 0);
}

proptest! {
    /// What is kept and taken back in another process, whose clock began elsewhere, says the same at every second after.
    #[test]
    fn a_restart_changes_nothing(patches in proptest::collection::vec(any_patch(), 0..8), kept_at in 0..20u64, down in 0..60u64) {
        let mut live = Overlay::default();
        for asked in patches {
            // Some are refused.
            let _ = patch(&mut live, asked, 0);
        }
        live.expire(at(kept_at));
        let text = serde_json::to_string(&live.saved()).unwrap();
        let saved: Saved = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(saved.number, live.number);
        // The new process counts from a second before its start.
        let started = |secs: u64| Moment::from_millis(1000 + 1000 * secs);
        let up_at = kept_at + down;
        let mut restored = Overlay::restore(saved, wall(i64::try_from(up_at).unwrap()), started(0));
        for later in 0..120 {
            live.expire(at(up_at + later));
            restored.expire(started(later));
            let is = restored.effective_at(table(), started(later));
            prop_assert_eq!(&is, &live.effective_at(table(), at(up_at + later)), "{} s later", later);
        }
        prop_assert_eq!(restored.effective_at_the_end(table()), live.effective_at_the_end(table()));
    }

    /// Stepping whenever it is due misses nothing, and is due four times a second at most, expiry and ends aside.
    #[test]
    fn what_is_due_is_told(patches in proptest::collection::vec(any_patch(), 1..6)) {
        let mut overlay = Overlay::default();
        for asked in patches {
            let _ = patch(&mut overlay, asked, 0);
        }
        let (mut now, mut steps) = (at(0), 0);
        while let Some(next) = overlay.next(now) {
            prop_assert!(next > now);
            let just_before = Moment::from_nanos(next.as_nanos() - 1);
            if next.since(now) > STEP_PAUSE {
                prop_assert_eq!(overlay.effective_at(table(), just_before), overlay.effective_at(table(), now));
            }
            overlay.expire(next);
            overlay.step(table(), next);
            (now, steps) = (next, steps + 1);
            prop_assert!(steps < 4 * 150 + 20);
        }
        prop_assert_eq!(overlay.effective_at(table(), now), overlay.effective_at_the_end(table()));
    }
}

#[test]
fn a_temporary_weight_ended_a_permanent_one_and_nobody_was_told() {
    let mut overlay = Overlay::default();
    let weight = |weight, expires_in_s: Option<u64>| OverridePatch {
        weight: Some(Some(weight)),
        expires_in: expires_in_s.map(Span::from_secs),
        ..nothing(eu())
    };
    let told = |overlay: &Overlay, asked: OverridePatch| {
        let change = asked.resolve(table(), overlay, wall(10), at(10)).unwrap();
        change.afterwards(overlay.region("eu"), table())
    };
    assert_eq!(told(&overlay, weight(70, Some(2))), [""; 0], "it takes nobody's place");
    patch(&mut overlay, weight(70, None), 0).unwrap();
    let says = format!(
        "afterwards, from {:.0} on, the table's weight 80 counts: the weight 70 by ada ends with this change",
        wall(12)
    );
    assert_eq!(told(&overlay, weight(85, Some(2))), [says]);
    assert_eq!(told(&overlay, weight(85, None)), [""; 0], "it stays");
    let other = OverridePatch { state: Some(Some(State::Standby)), ..weight(0, Some(2)) };
    assert_eq!(told(&overlay, OverridePatch { weight: None, ..other }), [""; 0], "the weight is left alone");
    patch(&mut overlay, weight(60, Some(60)), 0).unwrap();
    assert_eq!(told(&overlay, weight(85, Some(2))).len(), 1, "it would have lasted longer");
    assert_eq!(told(&overlay, weight(85, Some(50))), [""; 0]);
}
