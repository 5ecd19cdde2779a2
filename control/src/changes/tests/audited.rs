//! What the audit says of what nobody ordered: which tokens have changed.

use super::*;
use crate::access::TokenChanges;
use crate::journal::Entry;

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

#[test]
fn what_has_changed_in_the_file_of_tokens_is_kept_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let edge = Edge::start(Some(&state), TABLE);
    let changes = Box::new(TokenChanges::default());
    let done = edge.submit(order(What::Tokens(changes.clone()))).unwrap();
    assert_eq!((&done.made, done.version), (&Made::Tokens(changes), 1));
    edge.stop();
    let is_it = |line: &Entry<Line>| matches!(line.data.change, Recorded::Tokens { .. });
    assert_eq!(lines(&state).iter().filter(|line| is_it(line)).count(), 1);
}
