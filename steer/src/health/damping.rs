//! Flap damping: a placement that keeps failing is held back for a while.
//!
//! Each fall costs 1000 points, points halve every 60 s, above 2000 the placement is held until they are below 750, for
//! 300 s at most: the third fall within a minute holds it for about a minute and a half. After BGP route damping (RFC 2439)
//! with Cisco's defaults divided by 15, since a return here is ramped and costs nobody a global convergence.

use crate::moment::{Moment, Span};

const PER_FALL: f64 = 1000.0;
const HALF_LIFE: Span = Span::from_secs(60);
const HOLD_ABOVE: f64 = 2000.0;
const RELEASE_BELOW: f64 = 750.0;
const MAX_HOLD: Span = Span::from_secs(300);

/// The penalty of one placement.
#[derive(Clone, Debug, Default)]
pub struct Damping {
    penalty: f64,
    at: Moment,
    held_since: Option<Moment>,
}

impl Damping {
    /// The placement fell at `now`. Whether it is to be held.
    pub fn fell(&mut self, now: Moment) -> bool {
        self.penalty = self.penalty_at(now) + PER_FALL;
        self.at = now;
        if self.penalty > HOLD_ABOVE && self.held_since.is_none() {
            self.held_since = Some(now);
        }
        self.held_since.is_some()
    }

    /// Whether the placement is held at `now`; releases it when its time has come.
    pub fn is_held(&mut self, now: Moment) -> bool {
        let Some(since) = self.held_since else {
            return false;
        };
        if self.penalty_at(now) < RELEASE_BELOW || now.since(since) >= MAX_HOLD {
            self.held_since = None;
        }
        self.held_since.is_some()
    }

    /// The decayed penalty.
    #[must_use]
    pub fn penalty_at(&self, now: Moment) -> f64 {
        self.penalty * libm::exp2(-now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_fall_within_a_minute_holds_for_about_a_minute_and_a_half() {
        let mut damping = Damping::default();
        let at = |secs: u64| Moment::from_millis(secs * 1000);
        assert!(!damping.fell(at(0)));
        assert!(!damping.fell(at(4)));
        assert!(damping.fell(at(8)));
        let released = (9..400).find(|secs| !damping.is_held(at(*secs))).unwrap();
        assert!((8 + 80..8 + 130).contains(&released), "{released}");
    }

    #[test]
    fn no_hold_lasts_for_ever() {
        let mut damping = Damping::default();
        for secs in 0..100 {
            damping.fell(Moment::from_millis(secs * 10_000));
        }
        assert!(!damping.is_held(Moment::from_millis(1_000_000 + 300_000)));
    }
}
