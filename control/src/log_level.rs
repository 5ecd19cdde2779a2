//! How much this edge says in its log, and for how long more than usual.
//!
//! A level that somebody sets ends by itself, because nobody remembers in the morning to turn off what he turned on at night. Whoever
//! has the log says how to change it; here is who wanted it, and until when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::{Moment, Span};
use utoipa::ToSchema;

use crate::clock::Clock;

/// The longest that a level may be set for.
pub const MAX_LEVEL: Span = Span::from_secs(24 * 3600);

/// How much is said.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What keeps this edge from doing its work.
    Error,
    /// Also what somebody should look at.
    Warn,
    /// Also what happens.
    Info,
    /// Also why.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// All, from the quietest.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A level as it is asked for.
#[derive(Clone, Debug)]
pub struct LevelDraft {
    /// How much.
    pub level: Level,
    /// For how long.
    pub lasts: Span,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// A level that somebody has set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct LevelSet {
    /// How much.
    pub level: Level,
    /// Who wanted it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// By which it is known which of two was ordered first: the wall clock may be put back.
    #[serde(skip)]
    begun: Moment,
    #[serde(skip)]
    ends: Moment,
}

impl LevelDraft {
    /// The level, set now.
    pub(crate) fn begun(self, clock: &Clock) -> LevelSet {
        let Self { level, lasts, author, reason } = self;
        let (since, begun, lasts) = (clock.wall(), clock.now(), lasts.min(MAX_LEVEL));
        let expires_at = since + std::time::Duration::from(lasts);
        LevelSet { level, author, reason, since, expires_at, begun, ends: begun + lasts }
    }
}

type Change = Box<dyn Fn(Level) + Send + Sync>;

/// How much the log says.
pub struct LogLevels {
    usual: Level,
    /// Changes it; `None` where this process has no log of its own.
    change: Option<Change>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    set: Option<Arc<LevelSet>>,
    /// When the newest was begun, be it over: an older one does not come after it, though it may hold for longer.
    newest: Moment,
}

impl std::fmt::Debug for LogLevels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogLevels")
            .field("usual", &self.usual)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl LogLevels {
    /// A log that usually says so much, and how that is changed.
    #[must_use]
    pub fn new(usual: Level, change: Option<Change>) -> Self {
        Self { usual, change, state: Mutex::default() }
    }

    /// What it usually says.
    #[must_use]
    pub const fn usual(&self) -> Level {
        self.usual
    }

    /// What somebody has set.
    #[must_use]
    pub fn set_by_somebody(&self) -> Option<Arc<LevelSet>> {
        self.lock().set.clone()
    }

    /// Whether it can be changed.
    #[must_use]
    pub const fn is_changeable(&self) -> bool {
        self.change.is_some()
    }

    /// Puts a level in force, unless it is over, or it or a newer one was in force before.
    pub fn put(&self, set: &Arc<LevelSet>, now: Moment) {
        let mut state = self.lock();
        if set.ends <= now || set.begun <= state.newest {
            return;
        }
        if let Some(change) = &self.change {
            // At the usual level as well, or a quiet log would not tell who made it quiet.
            tracing::warn!(level = ?set.level, author = set.author, reason = set.reason, expires_at = %set.expires_at, "log level set");
            change(set.level);
            *state = State { set: Some(set.clone()), newest: set.begun };
        }
    }

    /// Ends what is over at `now`: whether something has ended, and when to look again.
    pub fn advance(&self, now: Moment) -> (bool, Option<Moment>) {
        let mut state = self.lock();
        let over = state.set.take_if(|set| set.ends <= now);
        if let (Some(_), Some(change)) = (&over, &self.change) {
            change(self.usual);
            tracing::warn!(level = ?self.usual, "log level as usual again");
        }
        (over.is_some(), state.set.as_ref().map(|set| set.ends))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(level: Level, lasts: Span) -> LevelDraft {
        LevelDraft { level, lasts, author: "ann".to_owned(), reason: "test".to_owned() }
    }

    /// Levels, and what was said of them.
    fn levels() -> (LogLevels, Arc<Mutex<Vec<Level>>>) {
        let said: Arc<Mutex<Vec<Level>>> = Arc::default();
        let here = said.clone();
        let change: Change = Box::new(move |level| here.lock().unwrap().push(level));
        (LogLevels::new(Level::Info, Some(change)), said)
    }

    #[test]
    fn a_level_ends_by_itself_and_an_old_one_does_not_come_back() {
        let (clock, (levels, said)) = (Clock::start(), levels());
        let first = Arc::new(draft(Level::Debug, Span::from_secs(60)).begun(&clock));
        levels.put(&first, first.begun);
        let second = Arc::new(draft(Level::Warn, Span::from_secs(10)).begun(&clock));
        levels.put(&second, second.begun);
        levels.put(&first, second.begun);
        assert_eq!(levels.set_by_somebody(), Some(second.clone()));
        assert_eq!(levels.advance(second.begun), (false, Some(second.ends)));
        assert_eq!(levels.advance(second.ends), (true, None));
        levels.put(&second, second.ends);
        assert_eq!(levels.set_by_somebody(), None, "it is over");
        levels.put(&first, second.ends);
        assert_eq!(
            levels.set_by_somebody(),
            None,
            "what replaced it is over, and it is replaced all the same"
        );
        assert_eq!(*said.lock().unwrap(), [Level::Debug, Level::Warn, Level::Info]);
    }

    #[test]
    fn a_wall_clock_that_was_put_back_kept_a_new_level_out() {
        let (clock, (levels, said)) = (Clock::start(), levels());
        let first = Arc::new(draft(Level::Debug, Span::from_secs(60)).begun(&clock));
        let second = draft(Level::Warn, Span::from_secs(60)).begun(&clock);
        let since = first.since - std::time::Duration::from_secs(3600);
        let second = Arc::new(LevelSet { since, ..second });
        levels.put(&first, second.begun);
        levels.put(&second, second.begun);
        assert_eq!(levels.set_by_somebody(), Some(second));
        assert_eq!(*said.lock().unwrap(), [Level::Debug, Level::Warn]);
    }
}
