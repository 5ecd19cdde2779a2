//! Chance, from a seed: every part of the simulated world has its own, so that one part's draws do not shift another's.

use steer::Span;
use steer::draw::{Rng, name_hash};

#[derive(Clone, Debug)]
pub(super) struct Dice(Rng);

impl Dice {
    /// The dice of one part of the world.
    pub(super) fn new(seed: u64, part: &str) -> Self {
        Self(Rng::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name_hash(part)))
    }

    /// In the half-open interval from 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0.below(bound)
    }

    /// Exponentially distributed.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    pub(super) fn exponential_ms(&mut self, mean: f64) -> Span {
        Span::from_millis_f64(self.exponential(mean))
    }

    pub(super) const fn rng(&mut self) -> &mut Rng {
        &mut self.0
    }
}
