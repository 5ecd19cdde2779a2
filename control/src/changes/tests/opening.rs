//! What a start finds: a file that was changed meanwhile, a state that cannot be opened and can be later.

mod numbers;
mod told;

use super::*;
use crate::changes::opening::FIRST_PAUSE;
use crate::journal::Entry;
use crate::log_level::{Level, LevelDraft};
use crate::traffic::{Answers, Traffic};
use crate::trial::{Guard, Trials, Watch};

/// Without the other two.
fn only_us() -> String {
    let placed =
        |region: &str, host: &str| format!("  {{ region = \"{region}\", origins = [\"{host}:80\"] }},\n");
    TABLE.replace(&placed("eu", "10.0.0.1"), "").replace(&placed("ap", "10.0.2.1"), "")
}

/// Waits for what another thread does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}");
}

impl Edge {
    fn keeps(&self) -> Option<bool> {
        self.started.changes.keeps().get()
    }

    fn is_kept(&self) {
        until("changes are kept", || self.keeps() == Some(true));
    }

    /// What the journal has.
    fn lines(&self) -> Vec<Entry<Line>> {
        let written = self.started.changes.history().unwrap().read(0, 100).unwrap();
        written.into_iter().map(|written| written.entry).collect()
    }
}

/// A former process, which has recorded a weight of 40 for `eu`, holds the state; and one that has started without it.
fn handover(text: &str) -> (tempfile::TempDir, Edge, Edge) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let former = Edge::start(Some(&state), TABLE);
    former.submit(publish(&other_table())).unwrap();
    former.submit(weight("eu", 40)).unwrap();
    former.is_kept();
    let edge = Edge::start(Some(&state), text);
    assert_eq!((edge.version(), edge.weight("eu"), edge.keeps()), (1, None, Some(false)));
    (folder, former, edge)
}

#[test]
fn what_was_recorded_counts_once_the_state_can_be_opened() {
    let (folder, former, edge) = handover(TABLE);
    assert!(edge.started.changes.history().is_none());
    former.submit(weight("us", 30)).unwrap();
    former.stop();
    edge.is_kept();
    assert_eq!((edge.version(), edge.text()), (2, other_table()), "the file has not changed since");
    assert_eq!((edge.weight("eu"), edge.weight("us")), (Some(40), Some(30)));
    assert!(edge.started.changes.history().is_some());
    assert_eq!(edge.started.changes.text(1).as_deref(), Some(TABLE));
    assert_eq!(edge.submit(weight("ap", 20)).unwrap().version, 2);
    assert_eq!(edge.submit(publish(TABLE)).unwrap().version, 3);
    edge.stop();
    let edge = Edge::start(Some(&folder.path().join("state")), TABLE);
    assert_eq!((edge.version(), edge.weight("eu"), edge.weight("ap")), (3, Some(40), Some(20)));
    edge.stop();
}

#[test]
fn a_file_that_has_changed_since_is_a_version_behind_what_was_recorded() {
    let newer = TABLE.replace("www", "newer");
    let (folder, former, edge) = handover(&newer);
    former.stop();
    edge.is_kept();
    assert_eq!((edge.version(), edge.text(), edge.weight("eu")), (3, newer.clone(), Some(40)));
    edge.stop();
    let edge = Edge::start(Some(&folder.path().join("state")), &newer);
    assert_eq!((edge.version(), edge.text(), edge.weight("eu")), (3, newer, Some(40)));
    edge.stop();
}

#[test]
fn a_file_that_would_leave_nobody_beside_what_was_recorded_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let former = Edge::start(Some(&state_folder), TABLE);
    former.submit(state("us", State::Drain)).unwrap();
    let edge = Edge::start(Some(&state_folder), &only_us());
    assert_eq!(edge.text(), only_us());
    former.stop();
    edge.is_kept();
    assert_eq!((edge.version(), edge.text()), (2, TABLE.to_owned()), "the first was another here");
    edge.stop();
    let edge = Edge::start(Some(&state_folder), &only_us());
    assert_eq!((edge.version(), edge.text()), (2, TABLE.to_owned()), "it was refused, which was noted");
    edge.stop();
}

#[test]
fn what_was_changed_here_meanwhile_stays_and_nothing_comes_back_beside_it() {
    let (folder, former, edge) = handover(TABLE);
    edge.submit(Order { volatile: true, ..weight("us", 5) }).unwrap();
    let third = TABLE.replace("www", "third");
    assert_eq!(edge.submit(Order { volatile: true, ..publish(&third) }).unwrap().version, 2);
    former.stop();
    edge.is_kept();
    let expect = |edge: &Edge| {
        // Two versions were recorded, so those of here are the third and the fourth.
        assert_eq!((edge.version(), edge.text()), (4, third.clone()));
        assert_eq!((edge.weight("eu"), edge.weight("us")), (None, Some(5)));
        let known = edge.started.changes.known();
        let known: Vec<(u64, bool)> =
            known.versions().map(|known| (known.about.version, known.is_volatile)).collect();
        assert_eq!(known, [(1, false), (2, false), (3, false), (4, false)]);
        assert_eq!(edge.started.changes.text(2).as_deref(), Some(other_table().as_str()));
        assert_eq!(edge.started.changes.text(3).as_deref(), Some(TABLE));
    };
    expect(&edge);
    edge.stop();
    let edge = Edge::start(Some(&folder.path().join("state")), TABLE);
    expect(&edge);
    edge.stop();
}

/// Nobody asks anything.
struct Silence;

impl Traffic for Silence {
    fn tell(&self, _: &mut dyn FnMut(&str, &str, &Answers)) {}
}

/// Trials of an edge that can be stopped once they are dropped; and the number of the first, of such a change.
fn watched(edge: &Edge, order: Order) -> (Trials, u64) {
    let Started { publisher, changes, .. } = &edge.started;
    let trials = Trials::new(changes.clone(), publisher.clone(), Arc::new(Silence));
    let watch = Watch { lasts: Span::from_secs(600), guards: Guard::USUAL.to_vec() };
    let (_, trial) = edge.runtime.block_on(trials.make(Order { volatile: true, ..order }, watch)).unwrap();
    (trials, trial.unwrap().number)
}

#[test]
fn a_watch_is_not_over_because_the_state_could_be_opened() {
    let (_folder, former, edge) = handover(TABLE);
    let (trials, watch) = watched(&edge, weight("us", 5));
    former.stop();
    let clock = *edge.started.publisher.clock();
    let due = clock.now() + FIRST_PAUSE;
    until("it is time to try again", || clock.now() > due);
    // The thread looks after the state before it looks at an order.
    edge.submit(Order { volatile: true, ..weight("ap", 5) }).unwrap();
    edge.runtime.block_on(trials.look(clock.now()));
    assert_eq!((edge.keeps(), edge.version()), (Some(false), 1));
    assert!(trials.list().0.is_some());
    edge.runtime.block_on(trials.end(watch, "ada", "admin", "enough")).unwrap();
    edge.is_kept();
    assert_eq!((edge.version(), edge.weight("us"), edge.weight("ap")), (3, Some(5), Some(5)));
    drop(trials);
    edge.stop();
}

#[test]
fn a_drill_that_is_watched_keeps_no_state_from_being_opened() {
    let (_folder, former, edge) = handover(TABLE);
    let drill = DrillDraft {
        region: "eu".into(),
        percent: 10.0,
        lasts: Span::from_secs(600),
        author: "ada".into(),
        reason: "a test".into(),
    };
    let (trials, _) = watched(&edge, order(What::Drill(drill)));
    former.stop();
    edge.is_kept();
    edge.runtime.block_on(trials.look(edge.started.publisher.clock().now()));
    assert_eq!(edge.version(), 3);
    assert!(trials.list().0.is_some(), "it is under watch still");
    drop(trials);
    edge.stop();
}

#[test]
fn a_log_level_that_was_set_meanwhile_stays_in_the_audit_and_its_order_known() {
    let (folder, former, edge) = handover(TABLE);
    let level = || {
        let (author, reason) = ("ada".into(), "a test".into());
        let draft = LevelDraft { level: Level::Debug, lasts: Span::from_secs(60), author, reason };
        let key = Key { name: "ada/1".into(), order: Digest::of(b"debug") };
        Order { volatile: true, key: Some(key), ..order(What::LogLevel(draft)) }
    };
    let set = edge.submit(level()).unwrap();
    former.stop();
    edge.is_kept();
    assert_eq!((edge.version(), edge.weight("eu")), (2, Some(40)), "a log level changes nothing of that");
    assert_eq!(edge.submit(level()).unwrap(), set);
    let last = edge.lines().pop().unwrap();
    assert!(last.data.late && matches!(last.data.change, Recorded::LogLevel { .. }), "{last:?}");
    edge.stop();
    let edge = Edge::start(Some(&folder.path().join("state")), TABLE);
    let since = |done: &Done| match &done.made {
        Made::LogLevel(set) => set.since,
        other => panic!("{other:?}"),
    };
    assert_eq!(since(&edge.submit(level()).unwrap()), since(&set));
    edge.stop();
}

#[test]
fn what_was_ended_in_a_former_run_is_not_ended_again() {
    let (_folder, former, edge) = handover(TABLE);
    former.submit(order(What::Override(OverridePatch { weight: Some(None), ..patch("eu") }))).unwrap();
    edge.submit(Order { volatile: true, ..weight("us", 5) }).unwrap();
    former.stop();
    edge.is_kept();
    let overridden = |line: &&Entry<Line>| matches!(line.data.change, Recorded::Override { .. });
    let authors: Vec<String> =
        edge.lines().iter().filter(overridden).map(|line| line.author.clone()).collect();
    assert_eq!(authors, ["ada", "ada", "ada"], "set and ended there, set here");
    edge.stop();
}

#[test]
fn an_override_that_was_ended_here_is_not_ended_twice() {
    let (folder, former, edge) = handover(TABLE);
    let volatile = |weight| {
        let patch = OverridePatch { weight: Some(weight), ..patch("eu") };
        Order { volatile: true, ..order(What::Override(patch)) }
    };
    edge.submit(volatile(Some(5))).unwrap();
    edge.submit(volatile(None)).unwrap();
    former.stop();
    edge.is_kept();
    let overridden = |line: &&Entry<Line>| matches!(line.data.change, Recorded::Override { .. });
    let authors: Vec<String> =
        edge.lines().iter().filter(overridden).map(|line| line.author.clone()).collect();
    assert_eq!(authors, ["ada", "ada", "ada"], "set there, set and ended here");
    edge.stop();
    let edge = Edge::start(Some(&folder.path().join("state")), TABLE);
    assert_eq!(edge.weight("eu"), None);
    edge.stop();
}

#[test]
fn a_table_that_was_published_again_here_stays_in_the_audit() {
    let (_folder, former, edge) = handover(TABLE);
    assert_eq!(edge.submit(Order { volatile: true, ..publish(TABLE) }).unwrap().version, 2);
    former.stop();
    edge.is_kept();
    assert_eq!((edge.version(), edge.text(), edge.weight("eu")), (4, TABLE.to_owned(), None));
    let last = edge.lines().pop().unwrap();
    assert_eq!(last.author, "ada");
    assert!(matches!(&last.data.change, Recorded::Table { about, .. } if about.version == 4), "{last:?}");
    edge.stop();
}

#[test]
fn a_folder_that_is_in_the_way_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::write(&state, "a file").unwrap();
    let edge = Edge::start(Some(&state), TABLE);
    let refused = edge.submit(weight("eu", 1));
    assert!(matches!(refused, Err(Refused::NotKept { .. })), "{refused:?}");
    std::fs::remove_file(&state).unwrap();
    edge.is_kept();
    assert_eq!((edge.version(), edge.submit(weight("eu", 1)).unwrap().version), (1, 1));
    edge.stop();
    let edge = Edge::start(Some(&state), TABLE);
    assert_eq!((edge.version(), edge.weight("eu")), (1, Some(1)));
    edge.stop();
    assert_eq!(Edge::start(None, TABLE).keeps(), None, "it was told to keep nothing");
}

#[test]
fn a_file_that_a_start_has_refused_is_not_new_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let edge = Edge::start(Some(&state_folder), TABLE);
    edge.submit(state("us", State::Drain)).unwrap();
    edge.stop();
    let edge = Edge::start(Some(&state_folder), &only_us());
    assert_eq!((edge.version(), edge.text()), (1, TABLE.to_owned()));
    // Beside this one, no guard would refuse it.
    let by_ada = format!("{}# by ada\n", only_us());
    edge.submit(Order { forces: Some(Seen::table(1)), ..publish(&by_ada) }).unwrap();
    edge.stop();
    let edge = Edge::start(Some(&state_folder), &only_us());
    assert_eq!((edge.version(), edge.text()), (2, by_ada));
    edge.stop();
}

#[test]
fn a_file_with_mistakes_that_a_start_has_read_is_not_new_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    Edge::start(Some(&state_folder), TABLE).stop();
    let is_read = |line: &&Entry<Line>| {
        matches!(&line.data.change, Recorded::FileRead { fingerprint }
            if *fingerprint == crate::version::fingerprint("regions = 7"))
    };
    for _ in 0..2 {
        let edge = Edge::start(Some(&state_folder), "regions = 7");
        edge.is_kept();
        assert_eq!((edge.version(), edge.text()), (1, TABLE.to_owned()));
        assert_eq!(edge.lines().iter().filter(is_read).count(), 1, "it is noted once");
        edge.stop();
    }
}

#[test]
fn a_file_that_was_changed_while_nobody_ran_is_asked_of_the_guard() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let edge = Edge::start(Some(&state_folder), TABLE);
    edge.submit(state("us", State::Drain)).unwrap();
    edge.stop();
    // Each alone is allowed; together they would leave nobody.
    let only_us = only_us();
    let edge = Edge::start(Some(&state_folder), &only_us);
    assert_eq!((edge.version(), edge.text()), (1, TABLE.to_owned()));
    let done = edge.submit(Order { forces: Some(Seen::table(1)), ..publish(&only_us) }).unwrap();
    assert_eq!((done.version, edge.text()), (2, only_us.clone()));
    edge.stop();
    // What is in force already is protected from nothing.
    let again = format!("{only_us}# again\n");
    let edge = Edge::start(Some(&state_folder), &again);
    assert_eq!((edge.version(), edge.text()), (3, again));
    edge.stop();
    assert_eq!(Edge::start(None, &only_us).version(), 1);
}

#[test]
fn a_harmless_file_was_refused_since_an_override_expired_a_moment_apart() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let edge = Edge::start(Some(&state_folder), &only_us());
    let patch = OverridePatch {
        state: Some(Some(State::Drain)),
        expires_in: Some(Span::from_secs(7200)),
        ..patch("us")
    };
    edge.submit(Order { forces: Some(Seen::table(1)), ..order(What::Override(patch)) }).unwrap();
    edge.stop();
    let again = format!("{}# again\n", only_us());
    let edge = Edge::start(Some(&state_folder), &again);
    assert_eq!((edge.version(), edge.text()), (2, again));
    edge.stop();
}

#[test]
fn what_ran_in_a_former_process_was_forgotten_by_a_state_that_was_opened_late() {
    let (folder, former, edge) = handover(TABLE);
    let drill = DrillDraft {
        region: "us".into(),
        percent: 10.0,
        lasts: Span::from_secs(600),
        author: "ada".into(),
        reason: "test".into(),
    };
    former.submit(order(What::Drill(drill))).unwrap();
    former.stop();
    edge.is_kept();
    let ended = |line: &Entry<Line>| matches!(line.data.change, Recorded::DrillEnd { .. });
    let ends: Vec<String> =
        edge.lines().iter().filter(|line| ended(line)).map(|line| line.reason.clone()).collect();
    assert_eq!(ends, ["a restart ended it"]);
    edge.stop();
    let edge = Edge::start(Some(&folder.path().join("state")), TABLE);
    assert_eq!(edge.lines().iter().filter(|line| ended(line)).count(), 1, "once is enough");
    edge.stop();
}

#[test]
fn why_a_file_was_refused_is_kept_by_a_state_that_is_opened_late() {
    let (_folder, former, edge) = handover(TABLE);
    let noted = Order {
        author: FILE.into(),
        volatile: true,
        reason: "refused: table.toml:1: no".into(),
        ..order(What::FileRead { fingerprint: "0123456789ab".into() })
    };
    edge.submit(noted).unwrap();
    former.stop();
    edge.is_kept();
    let read = |line: &Entry<Line>| matches!(line.data.change, Recorded::FileRead { .. });
    let reasons: Vec<String> =
        edge.lines().iter().filter(|line| read(line)).map(|line| line.reason.clone()).collect();
    assert_eq!(reasons, ["refused: table.toml:1: no"]);
    edge.stop();
}
