//! The drill that runs: which region looks dead to which part of the keys, until when, and who wanted it.
//!
//! What it does to a decision says [`steer::drill`]. It ends by itself, or when somebody ends it, and is not kept across a
//! restart: a process that has just started should not play dead.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::effective::DIAL_WHOLE;
use steer::{Moment, Span};
use utoipa::ToSchema;

/// The longest that a drill may last.
pub const MAX_DRILL: Span = Span::from_secs(24 * 3600);

/// A drill that runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Drill {
    /// The region that looks dead.
    pub region: String,
    /// To this percentage of the keys.
    pub percent: f64,
    /// Who began it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    #[serde(skip)]
    pub(crate) ends: Moment,
    /// As the decision takes it.
    #[serde(skip)]
    pub(crate) decided: steer::drill::Drill,
}

/// A drill as it is asked for.
#[derive(Clone, Debug)]
pub struct DrillDraft {
    /// The region that shall look dead.
    pub region: String,
    /// To this percentage of the keys, above 0 and up to 100; a hundredth is the least that counts.
    pub percent: f64,
    /// For how long.
    pub lasts: Span,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Why a drill is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DrillRefused {
    /// No region of the current table has that name.
    UnknownRegion,
    /// No such part of the keys can be told apart.
    Percent,
    /// It lasts for nothing, or for more than a day.
    Lasts,
}

impl DrillDraft {
    /// The drill, begun at `now`, when it is `wall`.
    pub(crate) fn begun(self, wall: Timestamp, now: Moment) -> Result<Drill, DrillRefused> {
        let whole = f64::from(DIAL_WHOLE);
        let parts = (self.percent / 100.0 * whole).round();
        if !(1.0..=whole).contains(&parts) {
            return Err(DrillRefused::Percent);
        }
        if self.lasts == Span::ZERO || self.lasts > MAX_DRILL {
            return Err(DrillRefused::Lasts);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and DIAL_WHOLE"
        )]
        let decided = steer::drill::Drill::of(&self.region, parts as u32);
        Ok(Drill {
            region: self.region,
            percent: self.percent,
            author: self.author,
            reason: self.reason,
            since: wall,
            ends_at: wall + std::time::Duration::from(self.lasts),
            ends: now + self.lasts,
            decided,
        })
    }
}

impl DrillRefused {
    /// What of the draft is wrong.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::UnknownRegion => "region",
            Self::Percent => "percent",
            Self::Lasts => "for",
        }
    }
}

impl std::fmt::Display for DrillRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownRegion => "no region has that name",
            Self::Percent => "a drill hits from 0.01 to 100 percent of the keys",
            Self::Lasts => "a drill lasts longer than nothing and at most a day",
        })
    }
}

impl std::error::Error for DrillRefused {}
