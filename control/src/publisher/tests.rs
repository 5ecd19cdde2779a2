use std::sync::Arc;

use steer::client::{Client, Pop};
use steer::decide::decide;
use steer::ids::LaneId;
use steer::ranking::Ranked;
use steer::signals::{Health, Observed, Signals};
use steer::spec::State;
use steer::{Defect, KeyPath, Span, Table};

use super::{Draft, Publisher, RegionPatch};
use crate::clock::Clock;

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
    let check = Box::new(|table: &Table| {
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

fn patch(weight: Option<Option<u8>>, state: Option<Option<State>>, expires_in: Option<Span>) -> RegionPatch {
    RegionPatch { weight, state, author: "a".to_owned(), reason: "r".to_owned(), expires_in }
}

#[test]
fn a_change_is_in_force_when_the_call_returns() {
    let publisher = publisher();
    assert_eq!(region(&publisher), "eu");
    publisher.patch("eu", patch(Some(Some(0)), None, None)).unwrap();
    assert_eq!(region(&publisher), "us");
    publisher.patch("eu", patch(Some(None), None, None)).unwrap();
    assert_eq!(region(&publisher), "eu");
    assert!(publisher.patch("mars", patch(Some(None), None, None)).is_err());
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
    publisher.patch("eu", patch(None, Some(Some(State::Drain)), None)).unwrap();
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
    publisher.patch("eu", patch(Some(Some(0)), None, Some(Span::from_millis(1)))).unwrap();
    publisher.patch("eu", patch(None, Some(Some(State::Standby)), None)).unwrap();
    assert_eq!(region(&publisher), "us");
    while publisher.expire_overrides().is_some() {}
    let overrides = publisher.snapshot().overlay.region("eu");
    assert!(overrides.weight.is_none() && overrides.state.is_some(), "{overrides:?}");
}

#[test]
fn old_snapshots_are_freed_here_and_not_by_a_reader() {
    let publisher = publisher();
    let held = publisher.snapshot();
    for weight in 0..10 {
        publisher.patch("eu", patch(Some(Some(weight)), None, None)).unwrap();
    }
    publisher.expire_overrides();
    assert_eq!(publisher.lock().retired.len(), 1, "only the one that is still held");
    drop(held);
    publisher.expire_overrides();
    assert_eq!(publisher.lock().retired.len(), 0);
}

#[test]
fn versions_are_kept_up_to_a_bound() {
    let publisher = publisher();
    for _ in 0..100 {
        publisher.publish(draft(TABLE)).unwrap();
    }
    let versions = publisher.versions();
    assert_eq!((versions.len(), versions.last().unwrap().about.version), (64, 101));
}

#[test]
fn what_was_current_is_kept_as_long_as_its_table() {
    let publisher = publisher();
    let first = publisher.snapshot();
    publisher.patch("eu", patch(Some(Some(0)), None, None)).unwrap();
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
