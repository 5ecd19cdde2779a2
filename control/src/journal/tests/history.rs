//! Reading while somebody writes.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn pages_go_over_segments_and_show_what_is_kept() {
    let (_temporary, folder) = folder();
    let (mut journal, _) = open(&folder);
    let history = journal.history();
    assert!(history.read(0, 10).unwrap().is_empty());
    let mut stamps = Vec::new();
    for number in 0..30 {
        stamps.extend(journal.append(&[weight(number)]).unwrap());
        if journal.wants_checkpoint() {
            journal.checkpoint(&state(number)).unwrap();
        }
    }
    assert!(segments(&folder).len() > 3);
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = history.read(after, 7).unwrap();
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        after = last.stamp.seq;
        seen.extend(page);
    }
    assert_eq!(seen.iter().map(|written| written.stamp).collect::<Vec<_>>(), stamps);
    assert_eq!(seen.last().unwrap().entry, weight(29));
    assert_eq!(history.head(), journal.head());
    assert_eq!(history.read(u64::MAX, 7).unwrap(), []);
}

#[test]
fn readers_see_whole_entries_while_old_segments_go() {
    let (_temporary, folder) = folder();
    let limits = Limits { segments: 3, ..SMALL };
    let (mut journal, _) = Journal::<Weight>::open(&folder, limits).unwrap();
    let history = journal.history();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                let head = history.head().seq;
                let page = history.read(head.saturating_sub(3), 100).unwrap();
                let numbers: Vec<u64> = page.iter().map(|written| written.stamp.seq).collect();
                assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
                // While this thread stood still, what it asked for may have gone.
                // So may all that a listing began with, before it came to the new ones.
                let oldest = folder::segments(&folder).unwrap().first().map(|segment| segment.first);
                let has_gone = oldest.is_none_or(|oldest| oldest > head.saturating_sub(3));
                assert!(
                    page.len() >= 2 || head < 3 || has_gone,
                    "{numbers:?} of {head}, kept from {oldest:?}"
                );
                reads += 1;
                verify(&folder, None).map_err(|broken| broken.to_string()).unwrap();
            }
            reads
        });
        for number in 0..500 {
            journal.append(&[weight(number)]).unwrap();
            if journal.wants_checkpoint() {
                journal.checkpoint(&state(number)).unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}
