//! What the audit says of what nobody ordered: why a file does not serve, which tokens have changed.

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
    let changes = Box::new(TokenChanges::default());
    let done = edge.submit(order(What::Tokens(changes.clone()))).unwrap();
    assert_eq!((&done.made, done.version), (&Made::Tokens(changes), 1));
    edge.stop();
    let is_it = |line: &Entry<Line>| matches!(line.data.change, Recorded::Tokens { .. });
    assert_eq!(lines(&state).iter().filter(|line| is_it(line)).count(), 1);
}
