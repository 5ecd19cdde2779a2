use steer::Pop;
use steer::ranking::Ranked;

use super::*;
use crate::clock::Clock;
use crate::effect::{Effect, preview};
use crate::publisher::{Draft, Publisher};

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
    let [text, source, author, reason] = [text, "t", "a", "r"].map(str::to_owned);
    Draft { text, source, author, reason }
}

/// An edge to which `eu` is nearest.
fn publisher() -> Publisher {
    let publisher =
        Publisher::start(draft(TABLE), Pop::default(), 1, Clock::start(), Arc::new(|_| Vec::new()));
    let publisher = publisher.expect("a good table");
    publisher.rank(|table, _| {
        let measured = |ms| Ranked { latency_ms: Some(ms), rise_ms: 0.0, measured: true };
        (0..table.regions.len()).map(|index| measured(10.0 + index as f64)).collect()
    });
    publisher
}

/// The table with nothing for `eu` any more, and its regions the other way round.
fn without_eu() -> String {
    let eu = "  { name = \"eu\", latitude = 50.1, longitude = 8.7 },\n";
    let table = TABLE.replace(eu, "").replace("-79.8 },\n", &format!("-79.8 }},\n{eu}"));
    table.replace("[\"10.0.0.1:80\"]", "[\"10.0.0.1:80\"], weight = 0")
}

fn second(second: u64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + i64::try_from(second).unwrap()).unwrap()
}

/// Requests under what is in force, one a second from then on.
fn come(samples: &Samples, publisher: &Publisher, from: u64, count: u64) {
    let snapshot = publisher.snapshot();
    samples.meet(&snapshot.version);
    let version = snapshot.version.about.version;
    for key in from..from + count {
        let (at, lane, client) = (second(key), LaneId::default(), Client::unknown(key));
        samples.add(0, Sample { version, at, lane, client });
    }
}

fn told(effect: &Effect) -> Vec<(&str, Option<f64>, Option<f64>)> {
    effect.shares.iter().map(|share| (share.region.as_str(), share.before, share.after)).collect()
}

#[test]
fn a_table_is_previewed_by_the_same_requests() {
    let (publisher, samples) = (publisher(), Samples::new(1));
    come(&samples, &publisher, 0, 100);
    let before = publisher.snapshot();
    publisher.publish(draft(&without_eu())).unwrap();
    let effect = preview(&before, &publisher.snapshot(), &samples);
    assert_eq!(told(&effect), [("eu", Some(1.0), Some(0.0)), ("us", Some(0.0), Some(1.0))]);
    assert_eq!(effect.predicted_from, Basis::RecentRequests(100));
}

#[test]
fn a_rollback_was_previewed_by_two_requests_as_all_others_came_before_the_publish() {
    let (publisher, samples) = (publisher(), Samples::new(1));
    let first = publisher.snapshot();
    come(&samples, &publisher, 10, 60);
    publisher.publish(draft(&without_eu())).unwrap();
    let second_table = publisher.snapshot();
    let back = |before: &Snapshot| preview(before, &first, &samples);
    let effect = back(&second_table);
    assert_eq!(told(&effect), [("eu", Some(0.0), Some(1.0)), ("us", Some(1.0), Some(0.0))]);
    let since = second(10);
    let known = |requests, under_this_table| Basis::FormerRequests { requests, under_this_table, since };
    assert_eq!(effect.predicted_from, known(60, 0));
    come(&samples, &publisher, 100, 2);
    assert_eq!(back(&second_table).predicted_from, known(62, 2));
    assert_eq!(samples.predict(&second_table).basis, known(62, 2), "and again");
    come(&samples, &publisher, 102, 48);
    assert_eq!(back(&second_table).predicted_from, Basis::RecentRequests(50), "its own are enough");
}

#[test]
fn the_newest_tables_are_asked_first_and_those_that_nobody_holds_not_at_all() {
    let (publisher, samples) = (publisher(), Samples::new(1));
    come(&samples, &publisher, 0, 100);
    publisher.publish(draft(TABLE)).unwrap();
    come(&samples, &publisher, 100, 60);
    publisher.publish(draft(TABLE)).unwrap();
    let basis = samples.predict(&publisher.snapshot()).basis;
    assert_eq!(basis, Basis::FormerRequests { requests: 60, under_this_table: 0, since: second(100) });
    // A route by another name is another one.
    publisher.publish(draft(&TABLE.replace("\"all\"", "\"other\""))).unwrap();
    let basis = samples.predict(&publisher.snapshot()).basis;
    assert!(matches!(basis, Basis::ClientsAtThisPop(_)) && basis.is_thin(), "{basis:?}");
    assert_eq!(samples.held().len(), 160);
    drop(publisher);
    assert_eq!(samples.held().len(), 0);
}

#[test]
fn so_many_tables_are_known_and_a_late_worker_drives_none_out() {
    let (publisher, samples) = (publisher(), Samples::new(1));
    let first = publisher.snapshot();
    for second in 0..20 {
        publisher.publish(draft(TABLE)).unwrap();
        come(&samples, &publisher, second, 1);
    }
    samples.meet(&first.version);
    assert_eq!(samples.held().len(), MAX_FORMER + 1);
}
