//! Drills under watch.

use super::*;
use crate::drill::DrillDraft;

/// Of a minute.
fn drill() -> What {
    let (lasts, author, reason) = (Span::from_secs(60), "ada".into(), "a test".into());
    What::Drill(DrillDraft { region: "eu".into(), percent: 50.0, lasts, author, reason })
}

#[test]
fn a_drill_that_does_harm_ends_and_one_that_does_none_has_passed() {
    let edge = Edge::serving();
    edge.watched(drill(), 60);
    edge.seconds(1..=2, 100, 50);
    assert!(edge.publisher.snapshot().drill.is_none());
    assert_eq!(
        (edge.last().state, edge.last().note.as_str()),
        (TrialState::RolledBack, "the drill of eu was ended")
    );
    edge.script.came("all", 1000, 0);
    edge.watched(drill(), 60);
    edge.submit(What::EndDrill { region: Some("eu".into()) });
    edge.seconds(3..=3, 100, 0);
    assert_eq!(
        (edge.last().state, edge.last().note.as_str()),
        (TrialState::Superseded, "the drill was ended")
    );
    // It ends by itself, and whether that was seen before the look does not matter.
    edge.watched(drill(), 60);
    edge.seconds(4..=4, 100, 0);
    edge.submit(What::EndDrill { region: Some("eu".into()) });
    edge.look(62);
    assert_eq!(edge.last().state, TrialState::Passed);
}

#[test]
fn a_drill_is_watched_however_much_was_told_beside_it() {
    let edge = Edge::serving();
    let (sender, _) = tokio::sync::broadcast::channel(1);
    let seen = edge.publisher.snapshot();
    let drill = edge.submit(drill());
    let weight = edge.submit(weight(70));
    let way_back = |done: &Arc<Done>| {
        let mut others = sender.subscribe();
        for told in [&weight, done] {
            sender.send(told.clone()).unwrap();
        }
        WayBack::of(done, &seen, &mut others)
    };
    assert!(matches!(way_back(&drill), Some(WayBack::Drill(_))));
    assert!(way_back(&weight).is_none(), "what it replaced is lost");
}
