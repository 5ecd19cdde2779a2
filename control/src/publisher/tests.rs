use std::sync::Arc;

use steer::client::{Client, Pop};
use steer::decide::decide;
use steer::effective::Forced;
use steer::guard::Violation;
use steer::ids::LaneId;
use steer::ranking::Ranked;
use steer::signals::{Health, Observed, Signals};
use steer::spec::State;
use steer::{Defect, KeyPath, Moment, Span, Table};

use super::{Draft, Publisher, Resumed, Step};
use crate::clock::Clock;
use crate::drill::{Drill, DrillDraft, DrillRefused};
use crate::effect;
use crate::layers::{self, Layer};
use crate::overlay::{Change, OverridePatch, Target};
use crate::share::Samples;
use crate::snapshot::Snapshot;

const TABLE: &str = r#"
regions = [
  { name = "eu", latitude = 50.1, longitude = 8.7 },
  { name = "us", latitude = 37.4, longitude = -79.8 },
]
routes = [{ name = "all", hosts = ["www.example.com"], pool = "web" }]
[[pools]]
name = "web"
placements = [
  { region = "eu", origins = ["10.0.0.1:80"] },
  { region = "us", origins = ["10.0.1.1:80"] },
]
"#;

fn draft(text: &str) -> Draft {
    Draft { text: text.to_owned(), source: "t".to_owned(), author: "a".to_owned(), reason: "r".to_owned() }
}

fn publisher() -> Publisher {
    let check = Arc::new(|table: &Table| {
        let bad = table.regions.iter().any(|region| region.name == "refused");
        let defect = || Defect {
            path: KeyPath::of("regions"),
            problem: "no".to_owned(),
            consequence: String::new(),
            example: String::new(),
        };
        bad.then(defect).into_iter().collect()
    });
    let publisher = Publisher::start(draft(TABLE), Pop::default(), 2, Clock::start(), check).unwrap();
    publisher.rank(|table, _| {
        let measured = |ms| Ranked { latency_ms: Some(ms), rise_ms: 0.0, measured: true };
        (0..table.regions.len()).map(|index| measured(10.0 + index as f64)).collect()
    });
    publisher
}

fn region(publisher: &Publisher) -> String {
    let snapshot = publisher.snapshot();
    let decision = decide(&snapshot.world(), LaneId::default(), &Client::unknown(1), &mut ()).unwrap();
    snapshot.table().region(snapshot.table().placement(decision.first).region).name.clone()
}

pub(super) fn patch(
    region: &str,
    weight: Option<Option<u8>>,
    state: Option<Option<State>>,
    expires_in: Option<Span>,
) -> OverridePatch {
    OverridePatch {
        target: Target::Region(region.to_owned()),
        weight,
        state,
        health: None,
        over: None,
        expires_in,
        author: "a".to_owned(),
        reason: "r".to_owned(),
    }
}

#[test]
fn a_change_is_in_force_when_the_call_returns() {
    let publisher = publisher();
    assert_eq!(region(&publisher), "eu");
    publisher.patch(patch("eu", Some(Some(0)), None, None)).unwrap();
    assert_eq!(region(&publisher), "us");
    publisher.patch(patch("eu", Some(None), None, None)).unwrap();
    assert_eq!(region(&publisher), "eu");
    assert!(publisher.patch(patch("mars", Some(None), None, None)).is_err());
}

#[test]
fn a_refused_table_changes_nothing() {
    let publisher = publisher();
    let before = publisher.snapshot();
    assert_eq!(publisher.publish(draft("regions = 7")).unwrap_err()[0].key, "pools");
    let refused = TABLE
        .replace("name = \"us\"", "name = \"refused\"")
        .replace("region = \"us\"", "region = \"refused\"");
    assert_eq!(publisher.publish(draft(&refused)).unwrap_err()[0].problem, "no");
    assert!(Arc::ptr_eq(&before, &publisher.snapshot()));
}

#[test]
fn a_publish_keeps_overrides_ranking_and_health() {
    let publisher = publisher();
    publisher.patch(patch("eu", None, Some(Some(State::Drain)), None)).unwrap();
    let key = publisher.snapshot().vitals.placements[1].key.clone();
    assert_eq!(publisher.observe(&key, Observed::plain(Health::Up)), Some(Observed::UNKNOWN));
    assert_eq!(publisher.observe(&key, Observed::plain(Health::Up)), None);
    let added = TABLE.replace("routes =", "policies = [{ name = \"p\", steering = \"latency\" }]\nroutes =");
    let about = publisher.publish(draft(&added)).unwrap();
    let snapshot = publisher.snapshot();
    assert_eq!((about.version, snapshot.version.about.version), (2, 2));
    assert_eq!(region(&publisher), "us");
    assert_eq!(snapshot.ranking.regions[1].latency_ms, Some(11.0));
    let placement = steer::ids::PlacementId::new(1).unwrap();
    assert_eq!(snapshot.vitals.observed(placement), Observed::plain(Health::Up));
}

#[test]
fn a_region_that_moved_is_measured_anew() {
    let publisher = publisher();
    publisher.publish(draft(&TABLE.replace("latitude = 50.1", "latitude = 51.1"))).unwrap();
    let ranking = publisher.snapshot().ranking.clone();
    assert_eq!(ranking.regions[0], Ranked::default());
    assert_eq!(ranking.regions[1].latency_ms, Some(11.0));
}

#[test]
fn overrides_end_when_they_expire() {
    let publisher = publisher();
    publisher.patch(patch("eu", Some(Some(0)), None, Some(Span::from_millis(1)))).unwrap();
    publisher.patch(patch("eu", None, Some(Some(State::Standby)), None)).unwrap();
    assert_eq!(region(&publisher), "us");
    while publisher.advance().is_some() {}
    let overrides = publisher.snapshot().overlay.region("eu").clone();
    assert!(overrides.weight.is_none() && overrides.state.is_some(), "{overrides:?}");
}

#[test]
fn old_snapshots_are_freed_here_and_not_by_a_reader() {
    let publisher = publisher();
    let held = publisher.snapshot();
    for weight in 0..10 {
        publisher.patch(patch("eu", Some(Some(weight)), None, None)).unwrap();
    }
    publisher.advance();
    assert_eq!(publisher.lock().retired.len(), 1, "only the one that is still held");
    drop(held);
    publisher.advance();
    assert_eq!(publisher.lock().retired.len(), 0);
}

#[test]
fn versions_are_kept_up_to_a_bound() {
    let publisher = publisher();
    for _ in 0..100 {
        publisher.publish(draft(TABLE)).unwrap();
    }
    let versions = &publisher.lock().versions;
    assert_eq!((versions.len(), versions.back().unwrap().about.version), (64, 101));
}

fn decided(publisher: &Publisher, key: u64) -> (String, bool) {
    let snapshot = publisher.snapshot();
    let decision = decide(&snapshot.world(), LaneId::default(), &Client::unknown(key), &mut ()).unwrap();
    let region = snapshot.table().placement(decision.first).region;
    (snapshot.table().region(region).name.clone(), decision.drilled)
}

fn preview(publisher: &Publisher, patch: OverridePatch) -> (Change, Snapshot) {
    let before = publisher.snapshot();
    let change = publisher.resolved(&before, patch).unwrap();
    let after = publisher.stepped(&before, &Step::Override(Box::new(change.clone())));
    (change, after)
}

fn set_drill(publisher: &Publisher, draft: DrillDraft) -> Result<Arc<Drill>, DrillRefused> {
    let drill = Arc::new(publisher.drill(&publisher.snapshot(), draft)?);
    publisher.adopt(&[Step::Drill(drill.clone())]);
    Ok(drill)
}

fn clear_drill(publisher: &Publisher) -> Option<Arc<Drill>> {
    let drill = publisher.snapshot().drill.clone();
    publisher.adopt(&[Step::EndDrill]);
    drill
}

fn drill(region: &str, percent: f64, lasts: Span) -> DrillDraft {
    DrillDraft { region: region.to_owned(), percent, lasts, author: "a".to_owned(), reason: "r".to_owned() }
}

#[test]
fn a_placement_is_overridden_apart_from_its_region() {
    let publisher = publisher();
    let placement = |region: &str| Target::Placement { pool: "web".to_owned(), region: region.to_owned() };
    let forced =
        |target, health| OverridePatch { target, health: Some(health), ..patch("", None, None, None) };
    publisher.patch(forced(placement("eu"), Some(Forced::Down))).unwrap();
    assert_eq!(region(&publisher), "us");
    let table = TABLE.replace("pool = \"web\"", "pool = \"web\", steering = \"latency\"");
    publisher.publish(draft(&table)).unwrap();
    assert_eq!(region(&publisher), "us", "a publish keeps it");
    let id = steer::ids::PlacementId::new(0).unwrap();
    let shown = layers::of_placement(&publisher.snapshot(), id, publisher.clock().now());
    assert_eq!((shown.observed.health.as_str(), shown.effective.health.as_str()), ("unknown", "down"));
    assert_eq!((shown.effective.health_by, shown.effective.is_usable), (Layer::PlacementOverride, false));
    publisher.patch(forced(placement("eu"), None)).unwrap();
    publisher.patch(patch("eu", Some(Some(40)), Some(Some(State::Standby)), None)).unwrap();
    let shown = layers::of_placement(&publisher.snapshot(), id, publisher.clock().now());
    assert_eq!((shown.effective.weight, shown.effective.weight_by), (40.0, Layer::RegionOverride));
    assert_eq!((shown.effective.state, shown.effective.state_by), (State::Standby, Layer::RegionOverride));
    assert_eq!(shown.effective.health_by, Layer::Observed);
    assert!(publisher.patch(forced(placement("mars"), None)).is_err());
}

#[test]
fn a_ramp_goes_on_by_itself_and_a_preview_sees_its_end() {
    let publisher = publisher();
    let over = Some(Span::from_millis(1500));
    let drain = OverridePatch { over, ..patch("eu", None, Some(Some(State::Drain)), None) };
    let before = publisher.snapshot();
    let (change, after) = preview(&publisher, drain.clone());
    assert!(Arc::ptr_eq(&before, &publisher.snapshot()), "nothing is changed");
    assert_eq!(change.target, Target::Region("eu".to_owned()));
    let effect = effect::preview(&before, &after, &Samples::new(1));
    let shares: Vec<_> = effect.shares.iter().map(|it| (it.region.as_str(), it.before, it.after)).collect();
    assert_eq!(shares, [("eu", Some(1.0), Some(0.0)), ("us", Some(0.0), Some(1.0))]);
    assert_eq!(effect.violations, [], "the other one can carry it");
    publisher.patch(drain).unwrap();
    let (_, after) = preview(&publisher, patch("us", Some(Some(0)), None, None));
    let found = effect::refused(&publisher.snapshot(), &after);
    let Violation::NothingUsable { routes, .. } = &found[0].violation else { panic!("{found:?}") };
    assert_eq!(*routes, ["all"], "eu will be drained by then");

    let keys = 0..200u64;
    let mut here: Vec<u64> = keys.clone().filter(|key| decided(&publisher, *key).0 == "eu").collect();
    assert!(here.len() > 190, "{}", here.len());
    let mut steps = 0;
    while let Some(next) = publisher.advance() {
        let left: Vec<u64> = keys.clone().filter(|key| decided(&publisher, *key).0 == "eu").collect();
        assert!(left.iter().all(|key| here.contains(key)), "nobody comes back");
        steps += usize::from(left.len() < here.len());
        here = left;
        std::thread::sleep(next.since(publisher.clock().now()).into());
    }
    assert!((4..=7).contains(&steps), "{steps} steps in 1.5 s");
    assert!(!(0..200).any(|key| decided(&publisher, key).0 == "eu"));
    let id = steer::ids::PlacementId::new(0).unwrap();
    assert_eq!(publisher.snapshot().effective.of_placement(id).state, State::Drain);
    let shown = layers::of_region(&publisher.snapshot(), steer::ids::RegionId::new(0).unwrap());
    assert_eq!((shown.state, shown.state_by, shown.weight), (State::Drain, Layer::RegionOverride, 100));
}

#[test]
fn a_drill_hits_its_part_survives_a_publish_and_ends() {
    let publisher = publisher();
    assert_eq!(
        set_drill(&publisher, drill("mars", 50.0, Span::from_secs(1))),
        Err(DrillRefused::UnknownRegion)
    );
    assert_eq!(set_drill(&publisher, drill("eu", 0.0, Span::from_secs(1))), Err(DrillRefused::Percent));
    assert_eq!(set_drill(&publisher, drill("eu", f64::NAN, Span::from_secs(1))), Err(DrillRefused::Percent));
    assert_eq!(set_drill(&publisher, drill("eu", 100.1, Span::from_secs(1))), Err(DrillRefused::Percent));
    assert_eq!(set_drill(&publisher, drill("eu", 50.0, Span::ZERO)), Err(DrillRefused::Lasts));
    assert_eq!(effect::if_dead(&publisher.snapshot(), "eu", Moment::default()), []);
    set_drill(&publisher, drill("eu", 25.0, Span::from_secs(600))).unwrap();
    let hit = |publisher: &Publisher| {
        (0..4000).filter(|key| decided(publisher, *key) == ("us".to_owned(), true)).count()
    };
    let before = hit(&publisher);
    assert!((900..1100).contains(&before), "{before}");
    // Another order of regions gives other ids.
    let table =
        TABLE.replace("regions = [", "regions = [{ name = \"ap\", latitude = 1.3, longitude = 103.8 },");
    publisher.publish(draft(&table)).unwrap();
    assert_eq!(hit(&publisher), before);
    assert!(publisher.advance().is_some(), "it ends");
    assert_eq!(clear_drill(&publisher).map(|drill| drill.percent), Some(25.0));
    assert_eq!((hit(&publisher), clear_drill(&publisher)), (0, None));
    set_drill(&publisher, drill("eu", 100.0, Span::from_millis(20))).unwrap();
    while publisher.advance().is_some() {}
    assert_eq!((hit(&publisher), publisher.snapshot().drill.is_none()), (0, true));
    let us = patch("us", None, Some(Some(State::Off)), None);
    publisher.patch(us).unwrap();
    assert_eq!(
        effect::if_dead(&publisher.snapshot(), "eu", Moment::default()).len(),
        2,
        "nobody is left to carry it"
    );
}

#[test]
fn overrides_that_were_kept_are_taken_back() {
    let kept = publisher();
    kept.patch(patch("eu", Some(Some(0)), None, None)).unwrap();
    let saved = kept.snapshot().overlay.saved();
    let check = Arc::new(|_: &Table| Vec::new());
    let again =
        Publisher::resume(draft(TABLE), Resumed::After(4), saved, (Pop::default(), 1), Clock::start(), check)
            .unwrap();
    assert_eq!(again.snapshot().version.about.version, 5);
    assert_eq!(region(&again), "us");
    assert_eq!(again.snapshot().overlay.number, kept.snapshot().overlay.number);
}

#[test]
fn what_was_current_is_kept_as_long_as_its_table() {
    let publisher = publisher();
    let first = publisher.snapshot();
    publisher.patch(patch("eu", Some(Some(0)), None, None)).unwrap();
    let second = publisher.snapshot();
    assert_eq!(second.number, first.number + 1);
    for _ in 0..63 {
        publisher.publish(draft(TABLE)).unwrap();
        let past = publisher.past(first.number).unwrap();
        assert!(Arc::ptr_eq(&past.version, &first.version) && Arc::ptr_eq(&past.effective, &first.effective));
        assert!(Arc::ptr_eq(&publisher.past(second.number).unwrap().overlay, &second.overlay));
    }
    publisher.publish(draft(TABLE)).unwrap();
    let held = publisher.past(first.number).unwrap_err();
    assert_eq!(held.tables, (2, 65));
    assert!(publisher.past(publisher.snapshot().number).is_ok());
}
