//! The read-only view of what was learnt that a decision may use.

use crate::ids::PlacementId;
use crate::moment::Moment;

/// What has been observed of a placement, as one byte: a decision reads one per candidate, and the record of a decision
/// keeps exactly these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Observed {
    /// The placement's health.
    pub health: Health,
    /// While `recovering`: how much of its traffic it takes, in [`RAMP_WHOLE`]ths; 0 takes none. While `down` or `held`: 0
    /// unless it answers all the same. Otherwise meaningless.
    pub ramp: u8,
}

/// A ramp that takes everything.
pub const RAMP_WHOLE: u8 = 31;

/// Health of a placement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// Nothing was heard yet.
    Unknown,
    /// It answers.
    Up,
    /// An answer is missing; nothing is proved. Used only after healthy placements.
    Suspect,
    /// It does not answer. Not used.
    Down,
    /// It answers again: first not used, then a growing share.
    Recovering,
    /// It failed too often. Not used for a while, whether it answers or not.
    Held,
}

impl Health {
    /// Every health, in the order of its byte.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Up, Self::Suspect, Self::Down, Self::Recovering, Self::Held];

    /// The word in metrics, logs and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Recovering => "recovering",
            Self::Held => "held",
        }
    }
}

impl Observed {
    /// Nothing was heard yet.
    pub const UNKNOWN: Self = Self { health: Health::Unknown, ramp: 0 };

    /// A health that has no ramp.
    #[must_use]
    pub const fn plain(health: Health) -> Self {
        Self { health, ramp: 0 }
    }

    /// A health that takes no requests, of a placement that may answer all the same.
    #[must_use]
    pub const fn out_of_use(health: Health, answers: bool) -> Self {
        Self { health, ramp: answers as u8 }
    }

    /// Whether it takes requests, be it only after all others.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        match self.health {
            Health::Unknown | Health::Up | Health::Suspect => true,
            Health::Recovering => self.ramp > 0,
            Health::Down | Health::Held => false,
        }
    }

    /// Whether it is out of use and would answer: ejected, held, or not yet trusted again. Better than nothing at all.
    #[must_use]
    pub const fn is_last_resort(self) -> bool {
        match self.health {
            Health::Unknown | Health::Up | Health::Suspect => false,
            Health::Recovering => self.ramp == 0,
            Health::Down | Health::Held => self.ramp > 0,
        }
    }

    /// The byte: health in the low three bits, ramp in the high five.
    #[inline]
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.health as u8 | self.ramp << 3
    }

    /// The reverse of [`Observed::to_byte`]; bytes that it never gives read as unknown.
    #[inline]
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        let health = match byte & 7 {
            1 => Health::Up,
            2 => Health::Suspect,
            3 => Health::Down,
            4 => Health::Recovering,
            5 => Health::Held,
            _ => Health::Unknown,
        };
        Self { health, ramp: byte >> 3 }
    }
}

/// What a decision may ask.
pub trait Signals {
    /// What has been observed of a placement.
    fn observed(&self, placement: PlacementId) -> Observed;

    /// Requests that this edge has running at a placement. Asked only where a limit is set.
    fn in_flight(&self, placement: PlacementId) -> u32;

    /// When a placement last answered anything; `None` is never. Asked only when all are down.
    fn last_success(&self, placement: PlacementId) -> Option<Moment>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_what_they_hold() {
        for health in Health::ALL {
            for ramp in 0..=RAMP_WHOLE {
                let observed = Observed { health, ramp };
                assert_eq!(Observed::from_byte(observed.to_byte()), observed);
            }
        }
        assert_eq!(Observed::from_byte(7).health, Health::Unknown);
    }
}
