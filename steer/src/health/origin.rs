//! The health of one origin: the smaller machine.

use crate::moment::Moment;

/// Losses that prove an origin down.
pub(super) const LOSSES_DOWN: u32 = 4;
/// Different connections those losses must be spread over: one broken connection is not a broken origin.
pub(super) const CONNECTIONS_DOWN: u32 = 2;
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
    /// Since the last loss.
    successes: u32,
    last_success: Option<Moment>,
    last_refusal: Option<Moment>,
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
        self.losses = 0;
        self.connections = 0;
        self.last_lost_connection = None;
        self.successes = self.successes.saturating_add(1);
        if self.health != OriginHealth::Down || self.successes >= SUCCESSES_UP {
            self.health = OriginHealth::Up;
        }
    }

    /// It answered a request at `at`: worth as much as a probe as a veto, but many requests are one piece of evidence.
    pub(super) fn served(&mut self, at: Moment) {
        if self.health != OriginHealth::Down && self.last_success.is_none_or(|last| at > last) {
            self.succeeded(at);
        }
    }

    /// A probe sent at `sent` over `connection` was not answered in time.
    pub(super) fn lost(&mut self, sent: Moment, connection: u64) {
        if self.last_success.is_some_and(|last| last >= sent) {
            return;
        }
        self.successes = 0;
        self.losses = self.losses.saturating_add(1);
        if self.last_lost_connection != Some(connection) {
            self.last_lost_connection = Some(connection);
            self.connections = self.connections.saturating_add(1);
        }
        let proved = self.losses >= LOSSES_DOWN && self.connections >= CONNECTIONS_DOWN;
        self.health = if proved || self.health == OriginHealth::Down {
            OriginHealth::Down
        } else {
            OriginHealth::Suspect
        };
    }

    /// A connection attempt at `at` failed, or an established connection broke.
    pub(super) fn refused(&mut self, at: Moment, connection: u64) {
        self.last_refusal = Some(at);
        self.lost(at, connection);
    }
}
