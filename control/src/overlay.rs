//! The operator's overrides of regions: beside the table, never in it.
//!
//! An override has an author, a reason and perhaps an expiry, and it survives a publish. Weight and state are overridden
//! apart from each other, so that ending one leaves the other alone.
//!
//! Left out: keeping them across a restart. They live in memory, and whoever sets one is told so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::Moment;
use steer::effective::Override;
use steer::spec::State;

/// One overridden value.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Overridden<T> {
    /// What counts instead of the table's.
    pub value: T,
    /// Who set it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` is until it is cleared or this edge restarts.
    pub expires_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) expires: Option<Moment>,
}

/// What is overridden of one region.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RegionOverrides {
    /// Instead of the configured weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Overridden<u8>>,
    /// Instead of the configured state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Overridden<State>>,
}

impl RegionOverrides {
    /// As the decision takes it.
    #[must_use]
    pub fn to_override(&self) -> Override {
        Override {
            weight: self.weight.as_ref().map(|weight| weight.value),
            state: self.state.as_ref().map(|state| state.value),
        }
    }

    fn is_empty(&self) -> bool {
        self.weight.is_none() && self.state.is_none()
    }
}

/// All overrides, by region name.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Counts changes; part of a decision's inputs.
    pub number: u64,
    regions: BTreeMap<String, RegionOverrides>,
}

impl Overlay {
    /// The overrides of a region; none for most.
    #[must_use]
    pub fn region(&self, name: &str) -> RegionOverrides {
        self.regions.get(name).cloned().unwrap_or_default()
    }

    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        // A name, two overridden values, and their authors and reasons.
        const PER_REGION: usize = size_of::<RegionOverrides>() + 256;
        self.regions.len() * PER_REGION
    }

    pub(crate) fn set(&mut self, region: &str, overrides: RegionOverrides) {
        self.number += 1;
        if overrides.is_empty() {
            self.regions.remove(region);
        } else {
            self.regions.insert(region.to_owned(), overrides);
        }
    }

    /// Ends what has expired at `now`. The regions concerned.
    pub(crate) fn expire(&mut self, now: Moment) -> Vec<String> {
        let mut ended = Vec::new();
        for (region, overrides) in &mut self.regions {
            let before = overrides.clone();
            overrides.weight.take_if(|weight| weight.expires.is_some_and(|at| at <= now));
            overrides.state.take_if(|state| state.expires.is_some_and(|at| at <= now));
            if *overrides != before {
                ended.push(region.clone());
            }
        }
        self.regions.retain(|_, overrides| !overrides.is_empty());
        self.number += u64::from(!ended.is_empty());
        ended
    }

    /// When the next override ends.
    pub(crate) fn next_expiry(&self) -> Option<Moment> {
        let of = |overrides: &RegionOverrides| {
            let weight = overrides.weight.as_ref().and_then(|weight| weight.expires);
            let state = overrides.state.as_ref().and_then(|state| state.expires);
            [weight, state].into_iter().flatten().min()
        };
        self.regions.values().filter_map(of).min()
    }
}
