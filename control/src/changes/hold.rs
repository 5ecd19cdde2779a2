//! What keeps a state that could not be opened from being opened: a change that is watched.
//!
//! Opened late, a state gives versions other numbers or puts something else in force. Either would end a watch as if
//! somebody had changed what is watched, and the change would stay in force with nobody looking. Such a watch is over within
//! an hour; until then nothing is kept, as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many keep it. A clone counts the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds(Arc<AtomicUsize>);

/// As long as it lives, a state that could not be opened is not tried again.
#[derive(Debug)]
pub(crate) struct Hold(Holds);

impl Holds {
    /// One more. What is ordered after it finds the state opened already, or not before it ends.
    pub(super) fn hold(&self) -> Hold {
        self.0.fetch_add(1, Relaxed);
        Hold(self.clone())
    }

    pub(super) fn are_any(&self) -> bool {
        self.0.load(Relaxed) > 0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
