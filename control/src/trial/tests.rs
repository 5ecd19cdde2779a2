mod drills;

use std::collections::BTreeMap;

use steer::client::Pop;

use super::*;
use crate::changes::{Made, Start, Started, start};
use crate::clock::Clock;
use crate::overlay::{OverridePatch, Target};
use crate::publisher::Draft;
use crate::share::Samples;
use crate::traffic::Answers;

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

/// Requests as a test says that they came.
#[derive(Default)]
struct Script(Mutex<BTreeMap<(&'static str, &'static str), Answers>>);

impl Script {
    fn came(&self, route: &'static str, requests: u64, errors: u64) {
        let answers = Answers { requests, errors, ..Answers::default() };
        self.0.lock().unwrap().entry((route, "eu")).or_default().add(&answers);
    }
}

impl Traffic for Script {
    fn tell(&self, each: &mut dyn FnMut(&str, &str, &Answers)) {
        for ((route, region), answers) in self.0.lock().unwrap().iter() {
            each(route, region, answers);
        }
    }
}

struct Edge {
    trials: Trials,
    script: Arc<Script>,
    changes: Changes,
    publisher: Arc<Publisher>,
    runtime: tokio::runtime::Runtime,
    clock: Clock,
}

impl Edge {
    fn start() -> Self {
        let clock = Clock::start();
        let (source, author, reason) = ("table.toml".into(), "file".into(), "start".into());
        let Started { publisher, changes, .. } = start(Start {
            state: None,
            file: Ok(Draft { text: TABLE.into(), source, author, reason }),
            pop: Pop::default(),
            workers: 1,
            clock,
            check: Arc::new(|_| Vec::new()),
            samples: Arc::new(Samples::new(1)),
        })
        .unwrap();
        let script = Arc::new(Script::default());
        let trials = Trials::new(changes.clone(), publisher.clone(), script.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { trials, script, changes, publisher, runtime, clock }
    }

    /// An edge that has served a thousand requests well.
    fn serving() -> Self {
        let edge = Self::start();
        edge.script.came("all", 1000, 0);
        edge
    }

    fn make(&self, order: Order, lasts: u64, guards: &str) -> Result<Option<Trial>, NotWatched> {
        let watch = Watch { lasts: Span::from_secs(lasts), guards: Guard::list(guards).unwrap() };
        self.runtime.block_on(self.trials.make(order, watch)).map(|(_, trial)| trial)
    }

    fn watched(&self, what: What, lasts: u64) -> Trial {
        self.make(order(what), lasts, "error_rate=1%").unwrap().unwrap()
    }

    fn submit(&self, what: What) -> Arc<Done> {
        self.runtime.block_on(self.changes.submit(order(what))).unwrap()
    }

    /// Lets so many requests come in each of so many seconds, and looks after each.
    fn seconds(&self, seconds: std::ops::RangeInclusive<u64>, requests: u64, errors: u64) {
        for second in seconds {
            self.script.came("all", requests, errors);
            self.look(second);
        }
    }

    /// Looks so many seconds from now.
    fn look(&self, seconds: u64) {
        let now = self.clock.now() + Span::from_secs(seconds);
        self.runtime.block_on(self.trials.look(now));
    }

    fn version(&self) -> u64 {
        self.publisher.snapshot().version.about.version
    }

    fn last(&self) -> Trial {
        let (running, ended) = self.trials.list();
        assert_eq!(running, None);
        ended[0].clone()
    }

    fn weight(&self) -> Option<(u8, String)> {
        let snapshot = self.publisher.snapshot();
        let weight = snapshot.overlay.region("eu").weight.as_ref();
        weight.map(|weight| (weight.value, weight.author.clone()))
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

fn table(host: &str) -> What {
    let text = TABLE.replace("www.example.com", host);
    What::Publish { text, source: "request body".into(), is_file: false }
}

fn weight(weight: u8) -> What {
    What::Override(OverridePatch {
        target: Target::Region("eu".into()),
        weight: Some(Some(weight)),
        state: None,
        health: None,
        over: None,
        expires_in: None,
        author: "ada".into(),
        reason: "a test".into(),
    })
}

#[test]
fn a_table_that_does_harm_is_taken_back_with_the_evidence_as_its_reason() {
    let edge = Edge::serving();
    let trial = edge.watched(table("bad.example.com"), 60);
    assert_eq!((edge.version(), trial.number), (2, 1));
    assert_eq!(trial.of, Tried::Table { version: 2, before: 1 });
    edge.seconds(1..=1, 100, 100);
    assert_eq!(edge.version(), 2, "proved once");
    edge.seconds(2..=2, 100, 100);
    let about = edge.publisher.snapshot().version.about.clone();
    assert_eq!((about.version, about.author.as_str(), about.source.as_str()), (3, "guard", "version 1"));
    let evidence =
        "error_rate 100 % of 200 requests in 2 s, before 0 % of 1,000; bound 1%; most of them at eu";
    assert_eq!(about.reason, evidence);
    assert_eq!(edge.publisher.snapshot().version.text, TABLE);
    let trial = edge.last();
    assert_eq!((trial.state, trial.evidence[0].to_string().as_str()), (TrialState::RolledBack, evidence));
    assert_eq!((trial.evidence.len(), trial.note.as_str()), (1, "version 3 is what version 1 was"));
    let counts: Vec<_> = edge.trials.counts().ended().filter(|(_, count)| *count > 0).collect();
    assert_eq!((counts, edge.trials.counts().is_running()), (vec![(TrialState::RolledBack, 1)], false));
}

#[test]
fn a_table_that_does_none_passes() {
    let edge = Edge::serving();
    edge.watched(table("good.example.com"), 5);
    edge.seconds(1..=4, 100, 0);
    assert_eq!(edge.trials.list().0.unwrap().evidence[0].requests, 400);
    edge.seconds(5..=6, 100, 1);
    assert_eq!((edge.version(), edge.last().state), (2, TrialState::Passed));
}

#[test]
fn a_repair_stays_though_much_still_fails() {
    let edge = Edge::start();
    edge.script.came("all", 1000, 700);
    edge.watched(table("repaired.example.com"), 5);
    edge.seconds(1..=6, 100, 40);
    assert_eq!((edge.version(), edge.last().state), (2, TrialState::Passed));
}

#[test]
fn what_failed_in_one_moment_is_one_piece_of_evidence() {
    let edge = Edge::serving();
    edge.watched(table("good.example.com"), 10);
    edge.seconds(1..=1, 100, 30);
    edge.seconds(2..=9, 0, 0);
    assert_eq!(edge.version(), 2);
    edge.seconds(10..=11, 5000, 0);
    assert_eq!((edge.version(), edge.last().state), (2, TrialState::Passed));
}

#[test]
fn usual_failures_after_one_moment_prove_nothing_more() {
    let edge = Edge::serving();
    edge.watched(table("good.example.com"), 10);
    edge.seconds(1..=1, 100, 30);
    // One in a hundred and less, as the bound allows.
    edge.seconds(2..=2, 100, 1);
    edge.seconds(3..=9, 200, 1);
    edge.seconds(10..=11, 200, 0);
    assert_eq!((edge.version(), edge.last().state), (2, TrialState::Passed));
}

#[test]
fn an_override_that_expires_is_watched_until_then() {
    let edge = Edge::serving();
    let What::Override(patch) = weight(10) else { unreachable!() };
    edge.watched(What::Override(OverridePatch { expires_in: Some(Span::from_secs(5)), ..patch }), 60);
    edge.seconds(1..=4, 100, 0);
    assert!(edge.trials.list().0.is_some());
    edge.seconds(6..=6, 100, 0);
    assert_eq!(edge.last().state, TrialState::Passed);
}

#[test]
fn an_order_that_is_known_begins_no_second_watch() {
    let edge = Edge::serving();
    let key = Key { name: "ada\nk".into(), order: crate::journal::Digest::of(b"order") };
    let keyed = || Order { key: Some(key.clone()), ..order(table("one.example.com")) };
    edge.runtime.block_on(edge.changes.submit(keyed())).unwrap();
    assert_eq!(edge.make(keyed(), 60, "error_rate=1%").unwrap(), None, "what it replaced is not known");
    assert_eq!((edge.version(), edge.trials.list().0), (2, None));
}

#[test]
fn one_route_among_many_requests_is_enough() {
    let edge = Edge::serving();
    edge.script.came("small", 100, 0);
    edge.watched(table("bad.example.com"), 60);
    for second in 1..=3 {
        edge.script.came("small", 10, 10);
        edge.seconds(second..=second, 10_000, 0);
    }
    edge.look(4);
    let trial = edge.last();
    assert_eq!((trial.state, trial.evidence[0].route.as_deref()), (TrialState::RolledBack, Some("small")));
    assert_eq!((edge.version(), trial.evidence[0].bad), (3, 30));
}

#[test]
fn what_somebody_else_has_changed_is_not_taken_back() {
    let edge = Edge::serving();
    edge.watched(table("bad.example.com"), 60);
    edge.seconds(1..=1, 100, 100);
    edge.submit(table("other.example.com"));
    edge.seconds(2..=3, 100, 100);
    let trial = edge.last();
    assert_eq!((edge.version(), trial.state), (3, TrialState::Superseded));
    assert_eq!(trial.note, "ada has published version 3: a test");
}

#[test]
fn overrides_are_put_back_as_they_were() {
    let edge = Edge::serving();
    let mut first = order(weight(70));
    first.author = "grace".into();
    if let What::Override(patch) = &mut first.what {
        patch.author = "grace".into();
    }
    edge.runtime.block_on(edge.changes.submit(first)).unwrap();
    let mut events = edge.changes.events();
    let trial = edge.watched(weight(10), 60);
    assert_eq!(trial.of, Tried::Override { target: Target::Region("eu".into()), version: 1 });
    assert_eq!(edge.weight(), Some((10, "ada".into())));
    edge.seconds(1..=2, 100, 100);
    assert_eq!(edge.weight(), Some((70, "grace".into())));
    assert_eq!(edge.last().note, "eu is overridden as before");
    let mut told = Vec::new();
    while let Ok(done) = events.try_recv() {
        told.push((matches!(done.made, Made::Watch(_)), done.author.clone()));
    }
    let who = |is_note, author: &str| (is_note, author.to_owned());
    assert_eq!(told, [who(false, "ada"), who(true, "ada"), who(false, "guard"), who(true, "guard")]);
    // Changed by somebody meanwhile.
    edge.watched(weight(20), 60);
    edge.submit(weight(30));
    edge.seconds(3..=5, 100, 100);
    assert_eq!((edge.last().state, edge.weight()), (TrialState::Superseded, Some((30, "ada".into()))));
}

#[test]
fn one_change_is_watched_at_a_time_and_a_repeated_order_is_the_same() {
    let edge = Edge::serving();
    let key = Key { name: "ada\nk".into(), order: crate::journal::Digest::of(b"order") };
    let keyed = || Order { key: Some(key.clone()), ..order(table("one.example.com")) };
    let first = edge.make(keyed(), 60, "error_rate=1%").unwrap().unwrap();
    let refused = edge.make(order(table("two.example.com")), 60, "error_rate=1%");
    let Err(NotWatched::Occupied(Some(running))) = &refused else { panic!("{refused:?}") };
    assert_eq!((running.number, edge.version()), (1, 2));
    let again = edge.make(keyed(), 60, "error_rate=1%").unwrap().unwrap();
    assert_eq!((again.number, again.since, edge.version()), (1, first.since, 2));
    let ended = edge.runtime.block_on(edge.trials.end(1, "grace", "admin", "enough")).unwrap();
    assert_eq!((ended.state, ended.note.as_str()), (TrialState::Ended, "grace has ended the watch: enough"));
    let over = |number| edge.runtime.block_on(edge.trials.end(number, "grace", "admin", "enough"));
    assert_eq!((over(1), over(7)), (Err(NotEnded::Over), Err(NotEnded::Unknown)));
    assert_eq!(edge.make(keyed(), 60, "error_rate=1%").unwrap().unwrap().state, TrialState::Ended);
    // What is refused leaves the seat free.
    let wrong = What::Publish { text: "what?".into(), source: "request body".into(), is_file: false };
    let refused = edge.make(order(wrong), 60, "error_rate=1%");
    assert!(matches!(refused, Err(NotWatched::Refused(Refused::Table(_)))), "{refused:?}");
    assert_eq!(edge.watched(table("two.example.com"), 60).number, 2);
}

#[test]
fn too_little_to_judge_by_is_said() {
    let edge = Edge::serving();
    edge.watched(table("quiet.example.com"), 5);
    edge.seconds(1..=6, 2, 2);
    let trial = edge.last();
    assert_eq!((edge.version(), trial.state), (2, TrialState::Inconclusive));
    assert_eq!(trial.note, "10 requests are too few to judge by; 20 are the fewest");
    let edge = Edge::start();
    edge.make(order(table("new.example.com")), 5, "error_rate=+1%").unwrap();
    edge.seconds(1..=6, 200, 2);
    assert_eq!(edge.last().state, TrialState::Inconclusive, "{:?}", edge.last());
    assert!(edge.last().note.contains("0 requests before"), "{}", edge.last().note);
}

#[test]
fn lateness_is_harm_too() {
    let edge = Edge::start();
    let took = |bucket: usize, requests: u64| {
        let mut answers = Answers { requests, ..Answers::default() };
        answers.durations[bucket] = requests;
        edge.script.0.lock().unwrap().entry(("all", "eu")).or_default().add(&answers);
    };
    took(3, 1000);
    edge.make(order(table("slow.example.com")), 60, "error_rate=1%,p99=+50ms").unwrap();
    for second in 1..=3 {
        took(3, 400);
        took(9, 100);
        edge.look(second);
    }
    let trial = edge.last();
    assert_eq!((edge.version(), trial.state), (3, TrialState::RolledBack));
    assert!(trial.evidence[0].to_string().contains("took longer than 100 ms"), "{}", trial.evidence[0]);
}
