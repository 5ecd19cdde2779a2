//! What is told of a state that was opened late, to whoever listens.

use super::*;
use crate::events::{Heard, Listener};

/// What is told of changes, to those within and to those outside.
struct Listening {
    changes: broadcast::Receiver<Arc<Done>>,
    events: Listener,
}

impl Listening {
    fn to(edge: &Edge) -> Self {
        let Started { publisher, changes, .. } = &edge.started;
        Self { changes: changes.events(), events: publisher.events().listen(None).unwrap() }
    }

    /// The next change that nobody ordered: it is kept, and no line is named that says something else.
    fn own(&mut self, edge: &Edge) -> Arc<Done> {
        let done = edge.runtime.block_on(self.changes.recv()).unwrap();
        assert_eq!((done.author.as_str(), done.kept), ("nearside", None), "{done:?}");
        let Heard::Event(event) = edge.runtime.block_on(self.events.next()) else {
            panic!("nothing was missed")
        };
        let told: serde_json::Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!((&told["version"], &told["persisted"]), (&done.version.into(), &true.into()), "{told}");
        assert_eq!((event.name, told.get("anchor")), ("change", None));
        done
    }

    /// Nothing else was told: what comes next is what is ordered now.
    fn and_nothing_else(mut self, edge: &Edge) {
        let ordered = edge.submit(weight("ap", 1)).unwrap();
        assert_eq!(edge.runtime.block_on(self.changes.recv()).unwrap(), ordered);
    }
}

#[test]
fn whoever_listens_is_told_what_is_taken_up() {
    let (_folder, former, edge) = handover(TABLE);
    let mut listening = Listening::to(&edge);
    former.stop();
    edge.is_kept();
    let weight = listening.own(&edge);
    let Made::Override(change) = &weight.made else { panic!("{weight:?}") };
    assert_eq!(change.target, Target::Region("eu".into()));
    assert_eq!(change.overrides.weight.as_ref().unwrap().value, 40);
    let table = listening.own(&edge);
    let Made::Table(about) = &table.made else { panic!("{table:?}") };
    assert_eq!((about.version, about.author.as_str()), (2, "ada"));
    for done in [weight, table] {
        assert_eq!((done.version, done.overlay), (2, 2));
    }
    listening.and_nothing_else(&edge);
    edge.stop();
}

#[test]
fn a_file_that_has_changed_since_is_told_of_once_it_is_written() {
    let (_folder, former, edge) = handover(&TABLE.replace("www", "newer"));
    let mut listening = Listening::to(&edge);
    former.stop();
    edge.is_kept();
    assert!(matches!(listening.own(&edge).made, Made::Override(_)));
    assert_eq!(listening.own(&edge).version, 3);
    listening.and_nothing_else(&edge);
    edge.stop();
}

#[test]
fn whoever_listens_is_told_that_a_table_has_another_number() {
    let (_folder, former, edge) = handover(TABLE);
    edge.submit(Order { volatile: true, ..weight("us", 5) }).unwrap();
    let mut listening = Listening::to(&edge);
    former.stop();
    edge.is_kept();
    let done = listening.own(&edge);
    let Made::Table(about) = &done.made else { panic!("{done:?}") };
    assert_eq!((about.version, done.version, edge.version()), (3, 3, 3));
    listening.and_nothing_else(&edge);
    edge.stop();
}

#[test]
fn an_override_that_was_read_at_the_start_is_not_told_of_again() {
    let folder = tempfile::tempdir().unwrap();
    let (state, aside) = (folder.path().join("state"), folder.path().join("aside"));
    let tables = state.join("tables");
    let edge = Edge::start(Some(&state), TABLE);
    // Its moments are another process's, its times are not.
    let expires_in = Some(Span::from_secs(3600));
    let patch = OverridePatch { weight: Some(Some(7)), expires_in, ..patch("eu") };
    edge.submit(order(What::Override(patch))).unwrap();
    edge.stop();
    std::fs::rename(&tables, &aside).unwrap();
    std::fs::write(&tables, "in the way").unwrap();
    let edge = Edge::start(Some(&state), TABLE);
    assert_eq!((edge.weight("eu"), edge.keeps()), (Some(7), Some(false)));
    let mut listening = Listening::to(&edge);
    std::fs::remove_file(&tables).unwrap();
    std::fs::rename(&aside, &tables).unwrap();
    edge.is_kept();
    assert!(matches!(listening.own(&edge).made, Made::Table(_)));
    listening.and_nothing_else(&edge);
    edge.stop();
}
