//! The health of one origin: the smaller machine.

use super::placement::Surroundings;
use crate::moment::{Moment, Span};

/// Losses that prove an origin down.
pub(super) const LOSSES_DOWN: u32 = 4;
/// Different connections those losses must be spread over: one broken connection is not a broken origin.
pub(super) const CONNECTIONS_DOWN: u32 = 2;
/// How long ago the first of those must have been sent: a machine that stands still for a moment loses many at once.
pub(super) const SILENCE_DOWN: Span = Span::from_millis(80);
/// The same while nobody else is heard either: rather this PoP stands still than that all fell at once.
pub(super) const SILENCE_OF_ALL: Span = Span::from_millis(500);
/// Consecutive successes that bring an origin back within a placement that stayed up.
pub(super) const SUCCESSES_UP: u32 = 2;

/// What is known of one origin.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    health: OriginHealth,
    /// Since the last success.
    losses: u32,
    /// Different connections among those losses.
    connections: u32,
    last_lost_connection: Option<u64>,
    /// When the first of those losses was sent.
    silent_since: Moment,
    /// Since the last loss.
    successes: u32,
    last_success: Option<Moment>,
    last_refusal: Option<Moment>,
    down_since: Option<Moment>,
}

/// Health of one origin inside a placement.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OriginHealth {
    /// Nothing was heard yet.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// An answer is missing.
    Suspect,
    /// It does not answer.
    Down,
}

impl OriginHealth {
    /// Whether requests may be sent to it as to any other.
    #[must_use]
    pub const fn is_trusted(self) -> bool {
        matches!(self, Self::Unknown | Self::Up)
    }

    /// The word in answers and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

impl Origin {
    /// The origin's health.
    #[must_use]
    pub const fn health(&self) -> OriginHealth {
        self.health
    }

    /// When it last answered anything.
    #[must_use]
    pub const fn last_success(&self) -> Option<Moment> {
        self.last_success
    }

    /// When a connection to it last failed.
    pub(super) const fn last_refusal(&self) -> Option<Moment> {
        self.last_refusal
    }

    /// It answered a probe or a request at `at`.
    pub(super) fn succeeded(&mut self, at: Moment) {
        if self.last_success.is_some_and(|last| at < last) {
            return;
        }
        self.last_success = Some(at);
        self.forget_losses();
        self.successes = self.successes.saturating_add(1);
        if self.health != OriginHealth::Down || self.successes >= SUCCESSES_UP {
            self.health = OriginHealth::Up;
            self.down_since = None;
        }
    }

    /// It answered a probe at `at`, later than it should. So it is not silent; whether it is well, an answer in time will say.
    pub(super) fn answered_late(&mut self, at: Moment) {
        if self.last_success.is_some_and(|last| at < last) {
            return;
        }
        self.last_success = Some(at);
        self.forget_losses();
    }

    /// What fell silent since `since` may not have been at fault: it is doubted, and everything else forgotten.
    pub(super) fn doubt(&mut self, since: Moment) {
        let fell = self.down_since.is_some_and(|at| at >= since);
        if matches!(self.health, OriginHealth::Up | OriginHealth::Suspect) || fell {
            self.health = OriginHealth::Suspect;
            self.down_since = None;
        }
        self.forget_losses();
    }

    fn forget_losses(&mut self) {
        self.losses = 0;
        self.connections = 0;
        self.last_lost_connection = None;
    }

    /// It answered a request at `at`: worth as much as a probe as a veto, but many requests are one piece of evidence. What was
    /// answered before a connection failed says nothing of after.
    pub(super) fn served(&mut self, at: Moment) {
        let is_newer = |before: Option<Moment>| before.is_none_or(|before| at > before);
        if self.health != OriginHealth::Down && is_newer(self.last_success) && is_newer(self.last_refusal) {
            self.succeeded(at);
        }
    }

    /// A probe sent at `sent` over `connection` was not answered in time.
    pub(super) fn lost(&mut self, sent: Moment, connection: u64, around: Surroundings, now: Moment) {
        if self.last_success.is_some_and(|last| last >= sent) {
            return;
        }
        self.successes = 0;
        if self.losses == 0 {
            self.silent_since = sent;
        }
        self.losses = self.losses.saturating_add(1);
        if self.last_lost_connection != Some(connection) {
            self.last_lost_connection = Some(connection);
            self.connections = self.connections.saturating_add(1);
        }
        let is_all_silent = around.heard < self.silent_since;
        let least_silence = if is_all_silent { SILENCE_OF_ALL } else { SILENCE_DOWN };
        let proved = self.losses >= LOSSES_DOWN.saturating_mul(around.patience)
            && self.connections >= CONNECTIONS_DOWN
            && now.since(self.silent_since) >= least_silence;
        self.health = if proved || self.health == OriginHealth::Down {
            self.down_since.get_or_insert(now);
            OriginHealth::Down
        } else {
            OriginHealth::Suspect
        };
    }

    /// A connection attempt at `at` failed, or an established connection broke.
    pub(super) fn refused(&mut self, at: Moment, connection: u64, around: Surroundings) {
        self.last_refusal = Some(at);
        self.lost(at, connection, around, at);
    }
}
