//! A change to an override: as it is asked for, and as it takes effect.
//!
//! What is asked for is relative (`expires_in`, `over`, "from what counts now"); what takes effect is absolute, so that it
//! can be kept and applied again, and is the same then.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::effective::Forced;
use steer::ids::RegionId;
use steer::spec::State;
use steer::{Moment, Span, Table};
use utoipa::ToSchema;

use super::{Overlay, Overridden, Overrides, WeightRamp};
use crate::reason::reason_problem;

/// The longest that an override may last.
pub const MAX_EXPIRY: Span = Span::from_secs(366 * 24 * 3600);
/// The longest that a ramp may take.
pub const MAX_OVER: Span = Span::from_secs(24 * 3600);

/// What an override applies to.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = OverrideTarget)]
pub enum Target {
    /// A region, and so all that is placed there.
    Region(String),
    /// One pool's presence in one region.
    Placement {
        /// The pool.
        pool: String,
        /// The region.
        region: String,
    },
}

/// A change to the overrides of a region or placement, as it is asked for.
#[derive(Clone, Debug)]
pub struct OverridePatch {
    /// What it applies to.
    pub target: Target,
    /// `Some(Some(_))` overrides, `Some(None)` ends the override, `None` leaves it.
    pub weight: Option<Option<u8>>,
    /// As `weight`.
    pub state: Option<Option<State>>,
    /// As `weight`.
    pub health: Option<Option<Forced>>,
    /// How long the weight takes to get where it goes; for `drain` and `off` that is 0, and then the state counts.
    pub over: Option<Span>,
    /// How long what is set holds; `None` is until it is cleared.
    pub expires_in: Option<Span>,
    /// Who changes it.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// A change as it takes effect: all that is overridden of its target from then on. Kept as it is, and applied again, it
/// means the same, whatever has passed since.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = OverrideChange)]
pub struct Change {
    /// What it applies to.
    pub target: Target,
    /// All that is overridden of it.
    pub overrides: Overrides,
}

/// Why a change to an override is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PatchRefused {
    /// There is no such region or placement, and nothing is overridden of it.
    Unknown(Target),
    /// A value makes no sense.
    Field {
        /// Which one.
        field: &'static str,
        /// Why.
        detail: String,
    },
    /// There are as many overrides as there may be.
    TooMany,
    /// They and their reasons take as much as they may.
    TooLong,
}

impl Target {
    /// The region that it is, or is in.
    #[must_use]
    pub fn region(&self) -> &str {
        match self {
            Self::Region(region) | Self::Placement { region, .. } => region,
        }
    }

    /// The configured weight and state; `None` if the table has no such region or placement.
    #[must_use]
    pub fn configured(&self, table: &Table) -> Option<(u8, State)> {
        match self {
            Self::Region(region) => {
                let region = table.region(table.region_named(region)?);
                Some((region.weight, region.state))
            }
            Self::Placement { pool, region } => {
                let region: RegionId = table.region_named(region)?;
                let pool = table.pools.iter().find(|known| known.name == *pool)?;
                let placements = table.placements.get(pool.placements.clone())?;
                let placement = placements.iter().find(|placement| placement.region == region)?;
                Some((placement.weight, placement.state))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => write!(f, "{region}"),
            Self::Placement { pool, region } => write!(f, "{pool}/{region}"),
        }
    }
}

impl fmt::Display for PatchRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(Target::Region(region)) => write!(f, "no region is named {region:?}"),
            Self::Unknown(Target::Placement { pool, region }) => {
                write!(f, "the pool {pool:?} is not placed in {region:?}")
            }
            Self::Field { field, detail } => write!(f, "{field}: {detail}"),
            Self::TooMany => write!(
                f,
                "{} regions and placements are overridden already: end some first",
                super::MAX_TARGETS
            ),
            Self::TooLong => write!(
                f,
                "the overrides and their reasons take {} MiB already: end some first, or give shorter reasons",
                super::MAX_KEPT_BYTES >> 20
            ),
        }
    }
}

impl std::error::Error for PatchRefused {}

impl OverridePatch {
    /// What the change comes to beside a table and what is overridden already, at `now`, when it is `wall`.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn resolve(
        self,
        table: &Table,
        overlay: &Overlay,
        wall: Timestamp,
        now: Moment,
    ) -> Result<Change, PatchRefused> {
        let configured = self.target.configured(table);
        let before = overlay.of(&self.target);
        if configured.is_none() && (before.is_empty() || !self.only_ends()) {
            return Err(PatchRefused::Unknown(self.target));
        }
        if before.is_empty() && overlay.len() >= super::MAX_TARGETS {
            return Err(PatchRefused::TooMany);
        }
        self.check()?;
        let ramp_from = || self.weight_now(before, configured, now);
        let ramp = |to: u8, meanwhile: Option<State>| {
            self.over.map(|over| WeightRamp {
                from: ramp_from(),
                to,
                over,
                ends_at: later(wall, over).unwrap_or(wall),
                meanwhile,
                ends: now + over,
            })
        };
        let mut after = before.clone();
        if let Some(weight) = self.weight {
            let set = |weight| Overridden { ramp: ramp(weight, None), ..self.overridden(weight, wall, now) };
            after.weight = weight.map(set);
        }
        if let Some(state) = self.state {
            let meanwhile = before.at(now).state;
            let set = |state| Overridden {
                ramp: if is_drain(state) { ramp(0, meanwhile) } else { None },
                ..self.overridden(state, wall, now)
            };
            after.state = state.map(set);
        }
        if let Some(health) = self.health {
            after.health = health.map(|health| self.overridden(health, wall, now));
        }
        let change = Change { target: self.target, overrides: after };
        let bytes = overlay.kept_bytes_with(&change);
        // What makes it shorter is welcome at any time.
        if bytes > super::MAX_KEPT_BYTES && bytes > overlay.kept_bytes {
            return Err(PatchRefused::TooLong);
        }
        Ok(change)
    }

    fn only_ends(&self) -> bool {
        let Self { weight, state, health, .. } = self;
        !matches!(weight, Some(Some(_)))
            && !matches!(state, Some(Some(_)))
            && !matches!(health, Some(Some(_)))
    }

    fn check(&self) -> Result<(), PatchRefused> {
        let wrong =
            |field: &'static str, detail: &str| Err(PatchRefused::Field { field, detail: detail.to_owned() });
        if self.weight.is_none() && self.state.is_none() && self.health.is_none() {
            return wrong(
                "weight",
                "nothing is changed: give weight, state or health; null ends an override",
            );
        }
        if self.weight.flatten().is_some_and(|weight| weight > 100) {
            return wrong("weight", "a weight is a whole number from 0 to 100");
        }
        if let Some(problem) = reason_problem(&self.reason) {
            return wrong("reason", problem);
        }
        if self.expires_in.is_some_and(|span| span == Span::ZERO || span > MAX_EXPIRY) {
            return wrong("expires_in", "an override lasts longer than nothing and at most a year");
        }
        let ends_all = [
            self.weight.flatten().is_none(),
            self.state.flatten().is_none(),
            self.health.flatten().is_none(),
        ];
        if self.expires_in.is_some() && ends_all == [true; 3] {
            return wrong(
                "expires_in",
                "what is ended does not expire; give a weight, state or health that does",
            );
        }
        let Some(over) = self.over else { return Ok(()) };
        if over == Span::ZERO || over > MAX_OVER {
            return wrong("over", "a ramp takes longer than nothing and at most a day");
        }
        if self.expires_in.is_some_and(|span| span < over) {
            return wrong("over", "the ramp would not end before the override does: see expires_in");
        }
        match (self.weight.flatten(), self.state.flatten().filter(|state| is_drain(*state))) {
            (Some(_), Some(_)) => {
                wrong("over", "give a weight or a drain: a drain moves the weight to 0 by itself")
            }
            (None, None) => {
                wrong("over", "only a weight, or the states drain and off, can be reached over time")
            }
            _ => Ok(()),
        }
    }

    /// Where a ramp starts: what counts now. What drains has none left.
    fn weight_now(&self, before: &Overrides, configured: Option<(u8, State)>, now: Moment) -> u8 {
        let (weight, state) = configured.unwrap_or((0, State::Active));
        let over = before.at(now);
        if is_drain(over.state.unwrap_or(state)) { 0 } else { over.weight_over(weight) }
    }

    fn overridden<T>(&self, value: T, wall: Timestamp, now: Moment) -> Overridden<T> {
        Overridden {
            value,
            author: self.author.clone(),
            reason: self.reason.clone(),
            since: wall,
            expires_at: self.expires_in.and_then(|span| later(wall, span)),
            ramp: None,
            expires: self.expires_in.map(|span| now + span),
        }
    }
}

const fn is_drain(state: State) -> bool {
    matches!(state, State::Drain | State::Off)
}

fn later(wall: Timestamp, span: Span) -> Option<Timestamp> {
    wall.checked_add(jiff::SignedDuration::try_from(std::time::Duration::from(span)).ok()?).ok()
}
