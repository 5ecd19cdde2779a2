//! The real clock: the one file of the house that asks what time it is.
//!
//! Everything that decides takes a [`Moment`]; this is where moments come from. A moment counts from the clock's own start,
//! so it never jumps; the wall clock is read only to show times to people.

use std::time::Instant;

use jiff::Timestamp;
use steer::{Moment, Span};

/// A clock that started when it was made. Clones agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now. Moment 0 is one second in the past, so that no real moment is 0.
    #[must_use]
    pub fn start() -> Self {
        let now = Instant::now();
        Self { origin: now.checked_sub(std::time::Duration::from_secs(1)).unwrap_or(now) }
    }

    /// Now.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Moment {
        self.at(Instant::now())
    }

    /// The moment of an instant.
    #[inline]
    #[must_use]
    pub fn at(&self, instant: Instant) -> Moment {
        Moment::default() + Span::from(instant.saturating_duration_since(self.origin))
    }

    /// The instant of a moment.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        self.origin + std::time::Duration::from_nanos(moment.as_nanos())
    }

    /// How long it has run.
    #[must_use]
    pub fn uptime(&self) -> Span {
        // Its moments begin a second before it does.
        self.now().since(Moment::default() + Span::from_secs(1))
    }

    /// The wall clock, for people.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }
}
