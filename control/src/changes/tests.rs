mod audited;
mod opening;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use steer::client::Pop;
use steer::spec::State;
use steer::{Moment, Span};

use super::*;
use crate::clock::Clock;
use crate::document::Finding;
use crate::drill::DrillDraft;
use crate::journal::{Digest, verify};
use crate::overlay::{OverridePatch, Target};
use crate::publisher::Draft;

const TABLE: &str = r#"
regions = [
  { name = "eu", latitude = 50.1, longitude = 8.7 },
  { name = "us", latitude = 37.4, longitude = -79.8 },
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

fn other_table() -> String {
    TABLE.replace("www.example.com", "other.example.com")
}

fn file(text: &str) -> Result<Draft, Box<Finding>> {
    let text = text.to_owned();
    Ok(Draft { text, source: "table.toml".into(), author: "file".into(), reason: "start".into() })
}

fn begin(state: Option<&Path>, file: Result<Draft, Box<Finding>>) -> Result<Started, NotStarted> {
    start(Start {
        state,
        file,
        pop: Pop::default(),
        workers: 1,
        clock: Clock::start(),
        check: Arc::new(|_| Vec::new()),
        samples: Arc::new(Samples::new(1)),
    })
}

/// A control plane of one thread of execution.
struct Edge {
    started: Started,
    runtime: tokio::runtime::Runtime,
}

impl Edge {
    fn start(state: Option<&Path>, text: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { started: begin(state, file(text)).unwrap(), runtime }
    }

    fn submit(&self, order: Order) -> Result<Arc<Done>, Refused> {
        self.runtime.block_on(self.started.changes.submit(order))
    }

    /// All at once, as from many callers.
    fn submit_all(&self, orders: Vec<Order>) -> Vec<Result<Arc<Done>, Refused>> {
        self.runtime.block_on(async {
            let ordered = |order| {
                let changes = self.started.changes.clone();
                tokio::spawn(async move { changes.submit(order).await })
            };
            let tasks: Vec<_> = orders.into_iter().map(ordered).collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap());
            }
            answers
        })
    }

    fn version(&self) -> u64 {
        self.started.publisher.snapshot().version.about.version
    }

    fn text(&self) -> String {
        self.started.publisher.snapshot().version.text.clone()
    }

    fn weight(&self, region: &str) -> Option<u8> {
        let snapshot = self.started.publisher.snapshot();
        snapshot.overlay.region(region).weight.as_ref().map(|weight| weight.value)
    }

    /// As a process that ends in good order.
    fn stop(self) {
        let Self { started: Started { publisher, changes, thread }, runtime } = self;
        drop((publisher, changes, runtime));
        thread.join().unwrap();
    }
}

fn order(what: What) -> Order {
    Order {
        what,
        author: "ada".into(),
        role: "admin".into(),
        reason: "a test".into(),
        expects: None,
        forces: None,
        volatile: false,
        key: None,
    }
}

fn publish(text: &str) -> Order {
    order(What::Publish { text: text.into(), source: "request body".into(), is_file: false })
}

fn patch(region: &str) -> OverridePatch {
    OverridePatch {
        target: Target::Region(region.into()),
        weight: None,
        state: None,
        health: None,
        over: None,
        expires_in: None,
        author: "ada".into(),
        reason: "a test".into(),
    }
}

fn weight(region: &str, weight: u8) -> Order {
    order(What::Override(OverridePatch { weight: Some(Some(weight)), ..patch(region) }))
}

fn state(region: &str, state: State) -> Order {
    order(What::Override(OverridePatch { state: Some(Some(state)), ..patch(region) }))
}

#[test]
fn what_was_answered_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    assert_eq!(edge.version(), 1);
    let done = edge.submit(publish(&other_table())).unwrap();
    assert_eq!((done.version, edge.version()), (2, 2));
    let done = edge.submit(weight("eu", 40)).unwrap();
    let kept = done.kept.expect("there is a journal");
    assert_eq!((done.version, edge.weight("eu")), (2, Some(40)));
    edge.stop();

    // The file is as it was: what was published since goes on, under the same number.
    let edge = Edge::start(Some(&state), TABLE);
    assert_eq!((edge.version(), edge.text()), (2, other_table()));
    assert_eq!(edge.weight("eu"), Some(40));
    let versions: Vec<u64> =
        edge.started.changes.known().versions().map(|known| known.about.version).collect();
    assert_eq!(versions, [1, 2]);
    edge.submit(weight("eu", 50)).unwrap();
    edge.stop();

    // The file has changed meanwhile: it counts.
    let newer = TABLE.replace("www", "newer");
    let edge = Edge::start(Some(&state), &newer);
    assert_eq!((edge.version(), edge.text(), edge.weight("eu")), (3, newer, Some(50)));
    edge.stop();
    assert!(verify(&state, Some(kept)).is_ok());
}

#[test]
fn a_broken_table_file_does_not_keep_an_edge_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    Edge::start(Some(&state), TABLE).stop();
    let edge = Edge::start(Some(&state), "regions = 7");
    assert_eq!((edge.version(), edge.text()), (1, TABLE.to_owned()));
    edge.stop();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let missing = Box::new(Finding::of_file("table.toml", "it cannot be read".into(), "", ""));
    let edge = Edge { started: begin(Some(&state), Err(missing.clone())).unwrap(), runtime };
    assert_eq!(edge.text(), TABLE);
    edge.stop();
    let nothing = begin(Some(&folder.path().join("new")), Err(missing));
    assert!(matches!(nothing, Err(NotStarted::Table(_))), "nothing was ever in force");
}

#[test]
fn a_rollback_is_not_undone_by_a_file_that_was_read_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    edge.submit(publish(&other_table())).unwrap();
    // The operator writes down what is in force; then he goes back after all.
    let fingerprint = crate::version::fingerprint(&other_table());
    edge.submit(order(What::FileRead { fingerprint })).unwrap();
    edge.submit(order(What::Rollback { version: 1 })).unwrap();
    edge.stop();
    let edge = Edge::start(Some(&state), &other_table());
    assert_eq!((edge.version(), edge.text()), (3, TABLE.to_owned()));
    edge.stop();
}

#[test]
fn orders_at_once_do_not_take_away_together_what_neither_may_alone() {
    let edge = Edge::start(None, TABLE);
    edge.submit(Order { forces: Some(Seen::table(1)), ..state("ap", State::Off) }).unwrap();
    let answers = edge.submit_all(vec![state("eu", State::Drain), state("us", State::Drain)]);
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(Refused::Guarded { seen: Seen { version: 1, .. }, .. })));
    assert!(refused.count() >= 1, "{answers:?}");
    let snapshot = edge.started.publisher.snapshot();
    let usable = |region: &str| snapshot.overlay.region(region).state.is_none();
    assert!(usable("eu") || usable("us"));
    // Whoever names the version means it.
    edge.submit(Order { forces: Some(Seen::table(1)), ..state("eu", State::Drain) }).unwrap();
    edge.submit(Order { forces: Some(Seen::table(1)), ..state("us", State::Drain) }).unwrap();
    edge.stop();
}

#[test]
fn an_order_upon_another_table_than_was_seen_is_refused() {
    let edge = Edge::start(None, TABLE);
    let mut answers = edge.submit_all(vec![
        Order { expects: Some(Seen::table(1)), ..publish(&other_table()) },
        Order { expects: Some(Seen::table(1)), ..publish(&TABLE.replace("www", "third")) },
    ]);
    let seen = |version, overlay| Seen { version, overlay };
    let moved = |expected| Refused::Moved { expected, current: seen(2, Some(0)) };
    assert_eq!(answers.pop().unwrap(), Err(moved(Seen::table(1))));
    assert_eq!(answers.pop().unwrap().unwrap().version, 2);
    let forced = edge.submit(Order { forces: Some(Seen::table(1)), ..weight("eu", 10) });
    assert_eq!(forced, Err(moved(Seen::table(1))));
    // Whoever names the overlay as well means these overrides and no later ones.
    edge.submit(Order { expects: Some(seen(2, Some(0))), ..weight("eu", 10) }).unwrap();
    let late = edge.submit(Order { forces: Some(seen(2, Some(0))), ..state("us", State::Off) });
    let current = seen(2, Some(1));
    assert_eq!(late, Err(Refused::Moved { expected: seen(2, Some(0)), current }));
    let done = edge.submit(Order { forces: Some(current), ..state("us", State::Off) }).unwrap();
    assert_eq!((done.version, done.overlay), (2, 2));
    let never = edge.submit(Order { forces: Some(seen(2, Some(3))), ..weight("eu", 10) });
    assert!(matches!(never, Err(Refused::Moved { .. })), "nobody has seen that yet");
    edge.stop();
}

#[test]
fn an_order_that_comes_again_is_carried_out_once_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let keyed = |mut order: Order, name: &str, of: &str| {
        order.key = Some(Key { name: name.into(), order: Digest::of(of.as_bytes()) });
        order
    };
    let edge = Edge::start(Some(&state), TABLE);
    let first = edge.submit(keyed(publish(&other_table()), "ada/1", "x")).unwrap();
    let again = edge.submit(keyed(publish(&other_table()), "ada/1", "x")).unwrap();
    assert_eq!((first, edge.version()), (again.clone(), 2));
    let reused = edge.submit(keyed(weight("eu", 1), "ada/1", "y"));
    assert_eq!(reused, Err(Refused::KeyReused));
    edge.stop();
    let edge = Edge::start(Some(&state), TABLE);
    let later = edge.submit(keyed(publish(&other_table()), "ada/1", "x")).unwrap();
    assert_eq!((later, edge.version()), (again, 2));
    edge.stop();
}

#[test]
fn a_rollback_is_a_new_version_with_the_former_text() {
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::start(Some(&folder.path().join("state")), TABLE);
    edge.submit(publish(&other_table())).unwrap();
    let done = edge.submit(order(What::Rollback { version: 1 })).unwrap();
    assert_eq!((done.version, edge.text()), (3, TABLE.to_owned()));
    let Made::Table(about) = &done.made else { panic!("{done:?}") };
    assert_eq!((about.source.as_str(), about.author.as_str()), ("version 1", "ada"));
    let missing = edge.submit(order(What::Rollback { version: 9 }));
    assert_eq!(missing, Err(Refused::UnknownVersion(9)));
    edge.stop();
}

#[test]
fn without_a_journal_that_works_only_what_may_be_forgotten_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let occupied = folder.path().join("state");
    std::fs::write(&occupied, "a file").unwrap();
    let edge = Edge::start(Some(&occupied), TABLE);
    let refused = edge.submit(weight("eu", 1));
    assert!(matches!(refused, Err(Refused::NotKept { is_full: false, .. })), "{refused:?}");
    assert_eq!(edge.weight("eu"), None);
    let done = edge.submit(Order { volatile: true, ..weight("eu", 1) }).unwrap();
    assert_eq!((done.kept, edge.weight("eu")), (None, Some(1)));
    edge.stop();
}

#[test]
fn a_drill_is_refused_where_the_others_cannot_carry_it_and_ends_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let edge = Edge::start(Some(&state_folder), TABLE);
    let drill = || {
        order(What::Drill(DrillDraft {
            region: "eu".into(),
            percent: 10.0,
            lasts: Span::from_secs(60),
            author: "ada".into(),
            reason: "a test".into(),
        }))
    };
    assert_eq!(edge.submit(order(What::EndDrill { region: Some("eu".into()) })), Err(Refused::NoDrill));
    edge.submit(drill()).unwrap();
    assert!(edge.started.publisher.snapshot().drill.is_some());
    assert_eq!(edge.submit(drill()), Err(Refused::Drilled("eu".into())), "one at a time");
    assert_eq!(edge.submit(order(What::EndDrill { region: Some("us".into()) })), Err(Refused::NoDrill));
    edge.submit(order(What::EndDrill { region: Some("eu".into()) })).unwrap();
    edge.submit(state("us", State::Drain)).unwrap();
    edge.submit(Order { forces: Some(Seen::table(1)), ..state("ap", State::Drain) }).unwrap();
    let refused = edge.submit(drill());
    assert!(matches!(refused, Err(Refused::Guarded { .. })), "{refused:?}");
    edge.submit(Order { forces: Some(Seen::table(1)), ..drill() }).unwrap();
    edge.stop();
    let edge = Edge::start(Some(&state_folder), TABLE);
    assert!(edge.started.publisher.snapshot().drill.is_none());
    edge.stop();
}

#[test]
fn a_preview_changes_nothing_and_tells_what_a_guard_would() {
    let edge = Edge::start(None, TABLE);
    let effect = edge.started.changes.preview(&state("eu", State::Off)).unwrap();
    let eu = effect.shares.iter().find(|share| share.region == "eu").unwrap();
    assert_eq!(eu.after, Some(0.0));
    assert_eq!(effect.violations, []);
    let one = TABLE.replace("weight", "").replacen(
        "{ region = \"us\", origins = [\"10.0.1.1:80\"] },\n  { region = \"ap\", origins = [\"10.0.2.1:80\"] },",
        "",
        1,
    );
    let effect = edge.started.changes.preview(&publish(&one)).unwrap();
    assert!(!effect.violations.is_empty(), "two of three placements go");
    assert_eq!((edge.version(), edge.weight("eu")), (1, None));
    edge.stop();
}

#[test]
fn overrides_end_by_the_wall_clock_whatever_was_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    let patch =
        OverridePatch { weight: Some(Some(7)), expires_in: Some(Span::from_millis(300)), ..patch("eu") };
    edge.submit(order(What::Override(patch))).unwrap();
    edge.stop();
    let edge = Edge::start(Some(&state), TABLE);
    let mut looked = 0;
    while let Some(next) = edge.started.publisher.advance() {
        let now = edge.started.publisher.clock().now();
        let pause = Duration::from(next.since(now)).max(Duration::from_millis(1));
        thread::sleep(pause);
        looked += 1;
        assert!(looked < 1000, "it ends");
    }
    assert_eq!(edge.weight("eu"), None);
    assert!(edge.started.publisher.clock().now() > Moment::default());
    edge.stop();
}
