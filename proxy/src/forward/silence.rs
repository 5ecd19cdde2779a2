//! How long an attempt hears nothing of its origin before it gives up.
//!
//! The attempt says when its silence ends; the time is kept by whoever runs it, who has one timer for all that a request waits
//! for. Timers that hardly ever go off would be a good part of what a small request costs.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// The silence of one attempt.
pub(super) struct Silence {
    /// From the dispatch of the request to the head of the answer, while the request's body makes no progress.
    at_most: Duration,
    ends_at: Cell<Option<Instant>>,
    /// What of the body had been sent when it was last looked at.
    body_bytes: Cell<u64>,
    /// The time, if it has been told since the attempt last looked.
    now: Cell<Option<Instant>>,
}

impl Silence {
    pub(super) const fn new(at_most: Duration) -> Self {
        Self { at_most, ends_at: Cell::new(None), body_bytes: Cell::new(0), now: Cell::new(None) }
    }

    /// The request was dispatched at `now`, with so much of its body on the way.
    pub(super) fn begins(&self, now: Instant, body_bytes: u64) {
        self.ends_at.set(now.checked_add(self.at_most));
        self.body_bytes.set(body_bytes);
        self.now.set(None);
    }

    /// The origin was heard.
    pub(super) fn is_broken(&self) {
        self.ends_at.set(None);
    }

    /// When the attempt should be told the time; `None` while it waits for nothing.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.ends_at.get()
    }

    /// When it ends at the earliest, if the request is dispatched at `now` or later.
    pub(super) fn ends_at_soonest(&self, now: Instant) -> Option<Instant> {
        self.ends_at().or_else(|| now.checked_add(self.at_most))
    }

    /// Tells the time. Whether the attempt must be polled, for its silence may be over.
    pub(super) fn tell(&self, now: Instant) -> bool {
        let is_due = self.ends_at().is_some_and(|ends| ends <= now);
        self.now.set(is_due.then_some(now));
        is_due
    }

    /// Whether it has lasted too long, by the time that was told last. An upload that takes long is not an origin that takes
    /// long.
    pub(super) fn is_over(&self, body_bytes: impl FnOnce() -> u64) -> bool {
        let Some(now) = self.now.take() else { return false };
        let bytes = body_bytes();
        if self.body_bytes.replace(bytes) == bytes {
            return true;
        }
        self.ends_at.set(now.checked_add(self.at_most));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MOST: Duration = Duration::from_secs(3);

    #[tokio::test]
    async fn it_is_over_when_the_time_is_told_and_the_body_stands_still() {
        let start = Instant::now();
        let silence = Silence::new(AT_MOST);
        assert_eq!(silence.ends_at(), None);
        assert_eq!(silence.ends_at_soonest(start), Some(start + AT_MOST));
        silence.begins(start, 5);
        assert!(!silence.is_over(|| 5), "nobody told the time");
        assert!(!silence.tell(start + Duration::from_secs(2)));
        assert!(!silence.is_over(|| 5));
        let late = start + AT_MOST;
        assert!(silence.tell(late));
        assert!(!silence.is_over(|| 9), "the body moves");
        assert_eq!(silence.ends_at(), Some(late + AT_MOST));
        assert!(silence.tell(late + AT_MOST));
        assert!(silence.is_over(|| 9));
        silence.is_broken();
        assert!(!silence.tell(late + AT_MOST + AT_MOST));
    }
}
