//! How many trials there were, for the metrics page.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::report::TrialState;

/// How many trials there were, and whether one runs.
#[derive(Debug, Default)]
pub struct TrialCounts {
    is_running: AtomicBool,
    ended: [AtomicU64; TrialState::ENDS.len()],
}

impl TrialCounts {
    pub(super) fn begin(&self) {
        self.is_running.store(true, Relaxed);
    }

    pub(super) fn end(&self, state: TrialState) {
        self.is_running.store(false, Relaxed);
        if let Some(at) = TrialState::ENDS.iter().position(|end| *end == state) {
            self.ended[at].fetch_add(1, Relaxed);
        }
    }

    /// Whether one runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.is_running.load(Relaxed)
    }

    /// Those that are over, by how they ended.
    pub fn ended(&self) -> impl Iterator<Item = (TrialState, u64)> + '_ {
        TrialState::ENDS.into_iter().zip(&self.ended).map(|(state, count)| (state, count.load(Relaxed)))
    }
}
