//! What is overridden of one region or placement, value by value.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::effective::{Forced, Override};
use steer::ramp::Ramp;
use steer::spec::State;
use steer::{Moment, Span};
use utoipa::ToSchema;

use crate::described;

/// One overridden value.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Overridden<T> {
    /// What counts instead of the table's, or of what is observed; where there is a ramp, once that has ended.
    pub value: T,
    /// Who set it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` is until it is cleared.
    pub expires_at: Option<Timestamp>,
    /// How the weight moves to where the value says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<WeightRamp>,
    #[serde(skip)]
    pub(super) expires: Option<Moment>,
}

/// A weight on its way: that of an overridden weight, or the one that a drain takes away.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct WeightRamp {
    /// The weight that it left.
    pub from: u8,
    /// The weight that it comes to.
    pub to: u8,
    /// How long it takes.
    #[schema(value_type = described::Span)]
    pub over: Span,
    /// When it is there.
    pub ends_at: Timestamp,
    /// The overridden state that counts until a drain is there; `None` is the table's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<described::State>)]
    pub meanwhile: Option<State>,
    #[serde(skip)]
    pub(super) ends: Moment,
}

/// What is overridden of one region or placement.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Overrides {
    /// Instead of the configured weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Overridden<u8>>,
    /// Instead of the configured state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Overridden<described::State>>)]
    pub state: Option<Overridden<State>>,
    /// Instead of the observed health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Overridden<described::Forced>>)]
    pub health: Option<Overridden<Forced>>,
}

impl WeightRamp {
    const fn ramp(&self) -> Ramp {
        Ramp { from: self.from, to: self.to, over: self.over, ends: self.ends }
    }

    /// The weight at a moment.
    #[must_use]
    pub fn at(&self, now: Moment) -> u8 {
        self.ramp().at(now)
    }

    pub(super) fn next(&self, now: Moment, pause: Span) -> Option<Moment> {
        self.ramp().next(now, pause)
    }
}

impl<T> Overridden<T> {
    fn has_expired(&self, now: Moment) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    fn expiry(&self) -> Option<(Moment, Timestamp)> {
        Some((self.expires?, self.expires_at.unwrap_or(Timestamp::MAX)))
    }

    /// Computes its moments from its times, for a process in which it is `wall` at `now`. Whether it still holds.
    fn revive(&mut self, wall: Timestamp, now: Moment) -> bool {
        let left = |until: Timestamp| {
            // A clock that was set back does not make it last longer than it was meant to.
            let left = until.duration_since(wall).min(until.duration_since(self.since));
            Span::from(std::time::Duration::try_from(left).unwrap_or_default())
        };
        self.expires = self.expires_at.map(|at| now + left(at));
        let ends = self.ramp.as_ref().map(|ramp| now + left(ramp.ends_at));
        if let (Some(ramp), Some(ends)) = (&mut self.ramp, ends) {
            ramp.ends = ends;
        }
        !self.has_expired(now)
    }
}

impl Overrides {
    /// Nothing is overridden.
    pub const NONE: Self = Self { weight: None, state: None, health: None };

    /// As the decision takes it at a moment.
    #[must_use]
    pub fn at(&self, now: Moment) -> Override {
        let weight = |weight: &Overridden<u8>| weight.ramp.as_ref().map_or(weight.value, |ramp| ramp.at(now));
        let drain = self.state.as_ref().and_then(|state| state.ramp.as_ref());
        let under_way = drain.filter(|ramp| ramp.ends > now);
        Override {
            weight: self.weight.as_ref().map(weight),
            at_most: under_way.map(|ramp| ramp.at(now)),
            staying: under_way.map(|ramp| ramp.ramp().left(now)),
            state: match under_way {
                Some(ramp) => ramp.meanwhile,
                None => self.state.as_ref().map(|state| state.value),
            },
            health: self.health.as_ref().map(|health| health.value),
        }
    }

    /// Whether nothing is overridden.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.weight.is_none() && self.state.is_none() && self.health.is_none()
    }

    /// Whether others are kept in the same words. Moments are a process's own: what was restored has others than what was ordered.
    pub(crate) fn are_kept_as(&self, others: &Self) -> bool {
        serde_json::to_string(self).ok() == serde_json::to_string(others).ok()
    }

    fn ramps(&self) -> impl Iterator<Item = &WeightRamp> {
        let weight = self.weight.as_ref().and_then(|weight| weight.ramp.as_ref());
        weight.into_iter().chain(self.state.as_ref().and_then(|state| state.ramp.as_ref()))
    }

    /// Whether a weight is on its way.
    pub(super) fn is_moving(&self, now: Moment) -> bool {
        self.ramps().any(|ramp| ramp.ends > now)
    }

    /// When its values expire: the moment and the time of each that does.
    pub(super) fn expiries(&self) -> impl Iterator<Item = (Moment, Timestamp)> {
        let expiries = [
            self.weight.as_ref().and_then(Overridden::expiry),
            self.state.as_ref().and_then(Overridden::expiry),
            self.health.as_ref().and_then(Overridden::expiry),
        ];
        expiries.into_iter().flatten()
    }

    /// When its ramps end: the moment and the time of each.
    pub(super) fn ramp_ends(&self) -> impl Iterator<Item = (Moment, Timestamp)> {
        self.ramps().map(|ramp| (ramp.ends, ramp.ends_at))
    }

    /// When the first value expires.
    pub(crate) fn expires(&self) -> Option<Moment> {
        self.expiries().map(|(moment, _)| moment).min()
    }

    /// When a value expires, or a ramp moves on.
    pub(super) fn next(&self, now: Moment, pause: Span) -> Option<Moment> {
        let steps = self.ramps().filter_map(|ramp| ramp.next(now, pause));
        self.expires().into_iter().chain(steps).min()
    }

    /// Whether a value has expired and is still there.
    pub(super) fn has_expired(&self, now: Moment) -> bool {
        self.weight.as_ref().is_some_and(|weight| weight.has_expired(now))
            || self.state.as_ref().is_some_and(|state| state.has_expired(now))
            || self.health.as_ref().is_some_and(|health| health.has_expired(now))
    }

    /// Ends what has expired.
    pub(crate) fn expire(&mut self, now: Moment) {
        self.weight.take_if(|weight| weight.has_expired(now));
        self.state.take_if(|state| state.has_expired(now));
        self.health.take_if(|health| health.has_expired(now));
    }

    /// Computes moments from times, and ends what has expired.
    pub(super) fn revive(&mut self, wall: Timestamp, now: Moment) {
        self.weight.take_if(|weight| !weight.revive(wall, now));
        self.state.take_if(|state| !state.revive(wall, now));
        self.health.take_if(|health| !health.revive(wall, now));
    }
}
