//! `retry` of a route and `retry_budget` of a pool: what may be sent again, where, and how much of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a request with an `Idempotency-Key` may be sent again after it may have run.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["region"]))]
pub enum KeyScope {
    /// Nowhere: the key says nothing to your origins.
    #[default]
    Off,
    /// To the same region's origins: they share what remembers keys.
    Region,
    /// To any permitted region: all of them share what remembers keys.
    Global,
}

/// How far later attempts may go.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["region"]))]
pub enum RetryScope {
    /// To any permitted region.
    #[default]
    Any,
    /// To other origins of the same region.
    Region,
}
