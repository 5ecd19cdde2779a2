//! Who asks for what, and when: several hundred client networks, independent of each other, whatever becomes of their
//! requests.

use steer::draw::bytes_hash;
use steer::{Moment, Span};

use super::dice::Dice;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    Get,
    Post,
    /// With an `Idempotency-Key`, which origins of one region know.
    KeyedPost,
}

impl Method {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post | Self::KeyedPost => "POST",
        }
    }
}

/// A request to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) at: Moment,
    pub(super) client: u64,
    pub(super) method: Method,
}

pub(super) struct Clients {
    dice: Dice,
    networks: u32,
    per_second: f64,
    end: Moment,
}

impl Clients {
    pub(super) fn new(seed: u64, networks: u32, per_second: f64, end: Moment) -> Self {
        Self { dice: Dice::new(seed, "clients"), networks, per_second, end }
    }

    /// The next one after `now`.
    pub(super) fn next(&mut self, now: Moment) -> Option<Due> {
        if self.per_second <= 0.0 {
            return None;
        }
        let at = now + Span::from_millis_f64(self.dice.exponential(1000.0 / self.per_second));
        let network = self.dice.below(self.networks);
        let method = match self.dice.unit() {
            share if share < 0.80 => Method::Get,
            share if share < 0.94 => Method::Post,
            _ => Method::KeyedPost,
        };
        (at < self.end).then(|| Due { at, client: bytes_hash(&network.to_le_bytes()), method })
    }
}
