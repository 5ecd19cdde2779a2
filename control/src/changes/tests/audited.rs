//! What the audit says of what nobody ordered: what a restart ended, what was set aside, why a file does not serve.

use super::*;
use crate::access::TokenChanges;
use crate::journal::Entry;
use crate::traffic::{Answers, Traffic};
use crate::trial::{Guard, NOT_KEPT, Trial, TrialState, Trials, Watch};

/// Nobody asks anything.
struct Silence;

impl Traffic for Silence {
    fn tell(&self, _: &mut dyn FnMut(&str, &str, &Answers)) {}
}

/// What the journal of a folder has, as the next start has left it.
fn lines(state: &Path) -> Vec<Entry<Line>> {
    let edge = Edge::start(Some(state), TABLE);
    let changes = edge.started.changes.clone();
    edge.stop_with(move || {
        let written = changes.history().unwrap().read(0, 100).unwrap();
        written.into_iter().map(|written| written.entry).collect()
    })
}

impl Edge {
    /// Ends in good order, when all that is late is written, and says what there is then.
    fn stop_with<T>(self, then: impl FnOnce() -> T) -> T {
        // An order is looked at when what was late before it is written.
        self.submit(Order { volatile: true, ..weight("ap", 77) }).unwrap();
        let said = then();
        self.stop();
        said
    }
}

fn drill() -> Order {
    order(What::Drill(DrillDraft {
        region: "eu".into(),
        percent: 10.0,
        lasts: Span::from_secs(600),
        author: "ada".into(),
        reason: "a test".into(),
    }))
}

fn end_of_drill() -> Order {
    order(What::EndDrill { region: Some("eu".into()) })
}

/// Begins it under watch.
fn watched(edge: &Edge, order: Order) -> (Trials, Trial) {
    let Started { publisher, changes, .. } = &edge.started;
    let trials = Trials::new(changes.clone(), publisher.clone(), Arc::new(Silence));
    let watch = Watch { lasts: Span::from_secs(600), guards: Guard::USUAL.to_vec() };
    let (_, trial) = edge.runtime.block_on(trials.make(order, watch)).unwrap();
    (trials, trial.unwrap())
}

#[test]
fn a_drill_and_a_watch_that_a_restart_has_ended_do_not_run_on_in_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    let (trials, trial) = watched(&edge, drill());
    assert_eq!(trial.note, "a restart ends both, the watch and the drill");
    drop(trials);
    edge.stop();
    let ends = |lines: &[Entry<Line>]| {
        let own = lines.iter().filter(|line| line.author == OWN_NAME);
        own.map(|line| (line.data.change.clone(), line.reason.clone())).collect::<Vec<_>>()
    };
    let written = ends(&lines(&state));
    let [(Recorded::DrillEnd { drill }, of_drill), (Recorded::Watch { watch }, of_watch)] = &written[..]
    else {
        panic!("{written:?}")
    };
    assert_eq!((drill.region.as_str(), of_drill.as_str()), ("eu", "a restart ended it"));
    assert_eq!((watch.number, watch.state), (trial.number, TrialState::Ended));
    assert_eq!(of_watch, "unjudged: a restart ended the watch");
    assert_eq!(ends(&lines(&state)).len(), 2, "once is enough");
}

#[test]
fn what_ended_in_time_is_not_ended_by_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    let (trials, trial) = watched(&edge, drill());
    edge.submit(end_of_drill()).unwrap();
    let ended = edge.runtime.block_on(trials.end(trial.number, "ada", "admin", "enough")).unwrap();
    assert!(!ended.note.ends_with(NOT_KEPT), "{}", ended.note);
    drop(trials);
    edge.stop();
    assert!(lines(&state).iter().all(|line| line.author != OWN_NAME));
}

#[test]
fn a_drill_and_a_watch_can_be_ended_where_that_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let occupied = folder.path().join("state");
    std::fs::write(&occupied, "a file").unwrap();
    let edge = Edge::start(Some(&occupied), TABLE);
    let (trials, trial) = watched(&edge, Order { volatile: true, ..drill() });
    let done = edge.submit(end_of_drill()).unwrap();
    assert_eq!((done.kept, edge.started.publisher.snapshot().drill.is_none()), (None, true));
    let ended = edge.runtime.block_on(trials.end(trial.number, "ada", "admin", "enough")).unwrap();
    assert!(ended.note.ends_with(NOT_KEPT), "{}", ended.note);
    drop(trials);
    edge.stop();
}

#[test]
fn lines_that_were_set_aside_are_counted_in_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    for percent in [10, 20, 30] {
        edge.submit(weight("eu", percent)).unwrap();
    }
    edge.stop();
    let file = state.join(format!("{:020}.jsonl", 0));
    let text = std::fs::read_to_string(&file).unwrap();
    let edited = text.replace("\"value\":20", "\"value\":99");
    assert_ne!(text, edited);
    std::fs::write(&file, edited).unwrap();
    let written = lines(&state);
    let aside: Vec<_> = written
        .iter()
        .filter_map(|line| match &line.data.change {
            Recorded::SetAside { files, lines, bytes } => Some((files.clone(), *lines, *bytes, &line.reason)),
            _ => None,
        })
        .collect();
    let [(files, 2, bytes, reason)] = &aside[..] else { panic!("{aside:?}") };
    assert_eq!(files, &[format!("{:020}.jsonl.broken", 0)]);
    assert_eq!(*bytes, std::fs::metadata(state.join(&files[0])).unwrap().len());
    assert!(reason.starts_with("the journal was damaged: "), "{reason}");
}

#[test]
fn a_file_that_a_guard_has_refused_at_a_start_is_in_the_audit_with_what_it_would_take_away() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let edge = Edge::start(Some(&state_folder), TABLE);
    edge.submit(state("us", State::Drain)).unwrap();
    edge.submit(Order { forces: Some(Seen::table(1)), ..state("ap", State::Drain) }).unwrap();
    edge.stop();
    let without_eu = TABLE.replace("  { region = \"eu\", origins = [\"10.0.0.1:80\"] },\n", "");
    Edge::start(Some(&state_folder), &without_eu).stop();
    let written = lines(&state_folder);
    let read = written.iter().find(|line| matches!(line.data.change, Recorded::FileRead { .. })).unwrap();
    assert!(read.reason.starts_with("refused by the guard: "), "{}", read.reason);
}

#[test]
fn what_has_changed_in_the_file_of_tokens_is_kept_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    let told = serde_json::json!({
        "added": [{"name": "ann", "role": "operator", "regions": ["eu"]}],
        "removed": [{"name": "bob", "role": "admin"}],
    });
    let changes: Box<TokenChanges> = serde_json::from_value(told).unwrap();
    let done = edge.submit(order(What::Tokens(changes.clone()))).unwrap();
    assert_eq!((&done.made, done.version), (&Made::Tokens(changes.clone()), 1));
    edge.stop();
    let lines = lines(&state);
    let kept = lines.iter().filter_map(|line| match &line.data.change {
        Recorded::Tokens { tokens } => Some(tokens),
        _ => None,
    });
    assert_eq!(kept.collect::<Vec<_>>(), [&changes]);
}
