//! `[[regions]]`: the places where origins run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, full_weight};

/// A place where origins run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RegionSpec {
    /// The region's name in logs, metrics, headers and commands.
    pub name: Name,
    /// Degrees north. Distance from here gives the expected latency until it is measured, and the nearness to clients.
    #[schemars(range(min = -90, max = 90), extend("examples" = [50.11]))]
    pub latitude: f64,
    /// Degrees east.
    #[schemars(range(min = -180, max = 180), extend("examples" = [8.68]))]
    pub longitude: f64,
    /// The legal area that data in this region is in, such as `EU`. Routes may demand one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("examples" = ["EU"]))]
    pub jurisdiction: Option<String>,
    /// In ranked steering: the percentage of the traffic that naturally arrives at this region which it keeps; the rest
    /// goes to each client's next region. In `weighted` steering: its relative share. 0 means nothing, in every mode and
    /// in failover too.
    #[serde(default = "full_weight")]
    #[schemars(range(min = 0, max = 100), extend("examples" = [50]))]
    pub weight: u8,
    /// Whether the region takes new requests.
    #[serde(default)]
    pub state: State,
    /// Added to the region's cost in milliseconds: positive repels traffic, negative attracts it.
    #[serde(default)]
    #[schemars(range(min = -500, max = 500), extend("examples" = [10.0]))]
    pub bias_ms: f64,
}

/// What an operator wants of a region or placement. Declared from most to least willing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["drain"]))]
pub enum State {
    /// Takes requests.
    #[default]
    Active,
    /// Takes requests only when no active region is usable.
    Standby,
    /// Takes no new requests; running ones get 30 s, streams and upgraded connections 300 s.
    Drain,
    /// Takes no requests; running ones are closed.
    Off,
}

impl State {
    /// The word an operator writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Drain => "drain",
            Self::Off => "off",
        }
    }
}
