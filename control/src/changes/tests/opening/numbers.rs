//! What the numbers of versions mean after a state was opened late.

use super::*;
use crate::trial::Tried;

fn keyed(order: Order) -> Order {
    let key = Key { name: "ada/1".into(), order: Digest::of(b"x") };
    Order { volatile: true, key: Some(key), ..order }
}

#[test]
fn a_watch_that_is_over_names_the_versions_that_were_watched() {
    let (_folder, former, edge) = handover(TABLE);
    let (trials, watch) = watched(&edge, publish(&TABLE.replace("www", "third")));
    former.stop();
    let clock = *edge.started.publisher.clock();
    let due = clock.now() + FIRST_PAUSE;
    until("it is time to try again", || clock.now() > due);
    // The state could be opened before this is noted, if nothing kept it from that.
    edge.runtime.block_on(trials.end(watch, "ada", "admin", "version 1 will do")).unwrap();
    edge.is_kept();
    assert_eq!(edge.version(), 4);
    let of = Tried::Table { version: 4, before: 3 };
    let note =
        "ada has ended the watch: version 1 will do; the versions of then have numbers that are 2 higher now";
    let told = trials.list().1.remove(0);
    assert_eq!((&told.of, told.note.as_str()), (&of, note));
    let noted = |line: Entry<Line>| match line.data.change {
        Recorded::Watch { watch } => Some(*watch),
        _ => None,
    };
    let noted: Vec<_> = edge.lines().into_iter().filter_map(noted).collect();
    assert_eq!(noted.iter().map(|watch| &watch.of).collect::<Vec<_>>(), [&of, &of], "begun and over");
    assert_eq!(noted[1].note, note);
    drop(trials);
    edge.stop();
}

#[test]
fn a_rollback_names_the_version_that_it_went_back_to() {
    let (_folder, former, edge) = handover(TABLE);
    edge.submit(Order { volatile: true, ..publish(&TABLE.replace("www", "third")) }).unwrap();
    edge.submit(Order { volatile: true, ..order(What::Rollback { version: 1 }) }).unwrap();
    former.stop();
    edge.is_kept();
    let expected = (5, "version 3");
    let version = edge.started.publisher.snapshot().version.clone();
    assert_eq!((version.about.version, version.about.source.as_str()), expected);
    let Recorded::Table { about, .. } = edge.lines().pop().unwrap().data.change else {
        panic!("it is the last line")
    };
    assert_eq!((about.version, about.source.as_str()), expected);
    assert_eq!(edge.started.changes.text(3).as_deref(), Some(TABLE));
    edge.stop();
}

#[test]
fn an_order_that_comes_again_is_told_the_number_that_its_table_has() {
    let (_folder, former, edge) = handover(TABLE);
    let third = || keyed(publish(&TABLE.replace("www", "third")));
    assert_eq!(edge.submit(third()).unwrap().version, 2);
    former.stop();
    edge.is_kept();
    let again = edge.submit(third()).unwrap();
    let about = edge.started.publisher.snapshot().version.about.clone();
    assert_eq!((again.version, about.version), (4, 4));
    assert_eq!(again.made, Made::Table(about));
    edge.stop();
}

#[test]
fn an_order_whose_line_was_not_written_is_not_known() {
    let (_folder, former, edge) = handover(TABLE);
    let newer = TABLE.replace("www", "newer");
    let reread = || Order { author: FILE.into(), ..keyed(publish(&newer)) };
    assert_eq!(edge.submit(reread()).unwrap().version, 2);
    former.stop();
    edge.is_kept();
    assert_eq!((edge.version(), edge.text()), (3, newer.clone()), "behind the recorded two");
    assert_eq!(edge.submit(reread()).unwrap().version, 4);
    edge.stop();
}

#[test]
fn a_number_that_was_seen_here_does_not_come_to_mean_a_recorded_table() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let former = Edge::start(Some(&state_folder), TABLE);
    former.submit(state("us", State::Drain)).unwrap();
    let edge = Edge::start(Some(&state_folder), &only_us());
    let seen = Seen::of(&edge.started.publisher.snapshot());
    former.stop();
    edge.is_kept();
    // The guard refuses what is here; the first that was recorded is another table.
    let about = edge.started.publisher.snapshot().version.about.clone();
    assert_eq!((edge.text(), about.version, about.source.as_str()), (TABLE.to_owned(), 2, "version 1"));
    for seen in [seen, Seen::table(seen.version)] {
        let forced = edge.submit(Order { forces: Some(seen), ..state("eu", State::Off) });
        assert!(matches!(forced, Err(Refused::Moved { .. })), "{forced:?}");
    }
    edge.stop();
}

#[test]
fn an_overlay_that_was_seen_here_is_none_that_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let state_folder = folder.path().join("state");
    let former = Edge::start(Some(&state_folder), TABLE);
    former.submit(weight("eu", 40)).unwrap();
    let edge = Edge::start(Some(&state_folder), TABLE);
    former.stop();
    edge.is_kept();
    // Neither the 0 of here nor the 1 of there.
    assert_eq!(Seen::of(&edge.started.publisher.snapshot()), Seen { version: 1, overlay: Some(2) });
    edge.stop();
}
