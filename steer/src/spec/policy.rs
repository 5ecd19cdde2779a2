//! `[[policies]]`: how a region is chosen.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::geo::{Continent, Country};

/// How regions are ordered for the routes that name this policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// The policy's name, for routes to refer to.
    pub name: Name,
    /// What makes one region better than another.
    #[serde(default)]
    pub steering: Steering,
    /// The regions in order of preference (`active-passive` only). A region that is not listed gets nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = [["eu-central", "us-east"]]))]
    pub order: Option<Vec<Name>>,
    /// Whether traffic returns to an earlier region of `order` when that recovers (`active-passive` only). Default `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<Failback>,
    /// Regions that clients of a country use before all others (`geo` only). A preference: it forbids nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<Name>>", extend("propertyNames" = {"pattern": "^[A-Z]{2}$"}), extend("examples" = [{"DE": ["eu-central"]}]))]
    pub countries: BTreeMap<Country, Vec<Name>>,
    /// As `countries`, for the countries of a continent that have no list of their own (`geo` only). Codes: `AF AN AS EU NA
    /// OC SA`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<Name>>", extend("propertyNames" = {"enum": ["AF", "AN", "AS", "EU", "NA", "OC", "SA"]}), extend("examples" = [{"EU": ["eu-central"]}]))]
    pub continents: BTreeMap<Continent, Vec<Name>>,
    /// What happens to a request when no region is usable.
    #[serde(default)]
    pub on_all_down: OnAllDown,
}

/// What makes one region better than another.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["nearest"]))]
pub enum Steering {
    /// A client of this PoP's own area gets the region measured fastest from here; a client far from this PoP the region
    /// nearest to him, corrected when the path there gets slower.
    #[default]
    Nearest,
    /// The region measured fastest from this PoP, wherever the client is.
    Latency,
    /// The regions listed for the client's country or continent, then the region nearest to him by distance alone.
    Geo,
    /// A share of the clients per region, in proportion to the weights.
    Weighted,
    /// The first usable region of `order`.
    ActivePassive,
}

impl Steering {
    /// The word an operator writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Latency => "latency",
            Self::Geo => "geo",
            Self::Weighted => "weighted",
            Self::ActivePassive => "active-passive",
        }
    }
}

/// Whether traffic returns by itself to an earlier region of an `active-passive` policy.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["manual"]))]
pub enum Failback {
    /// As soon as it has recovered.
    #[default]
    Auto,
    /// When an operator drains the region in use.
    Manual,
}

/// What happens to a request when no region is usable.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(inline, extend("examples" = ["fail_fast"]))]
pub enum OnAllDown {
    /// One attempt at the permitted region that answered most recently, then 503.
    #[default]
    TryLeastBad,
    /// 503 at once.
    FailFast,
}

impl OnAllDown {
    /// The word an operator writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TryLeastBad => "try_least_bad",
            Self::FailFast => "fail_fast",
        }
    }
}
