//! `retry` of a route and `retry_budget` of a pool: what may be sent again, where, and how much of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::retry::{Budgets, Retry};

/// When and where requests of a route are sent again. What no origin has looked at is sent again whatever it is, within the
/// number of attempts; what may have run only as these keys say, and otherwise as far as it is safe by definition (GET, HEAD,
/// OPTIONS). Jurisdictions and states hold for every attempt.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySpec {
    /// The most attempts that one request makes, hedges included; 1 is never again. More of them survive more failures at once,
    /// and weigh on what is left of your origins.
    #[schemars(range(min = 1, max = 5), extend("examples" = [2]))]
    pub attempts: u32,
    /// Statuses of an origin's answer after which another origin is asked. A request that may not run twice, such as a POST,
    /// goes on only after a 503 with `Retry-After`, by which the origin says that it has declined it. Empty: every answer is
    /// passed on.
    #[schemars(length(max = 16), inner(range(min = 500, max = 599)), extend("examples" = [[503]]))]
    pub statuses: Vec<u16>,
    /// Whether PUT and DELETE are sent again after they may have run, to any permitted region. By definition they have the
    /// effect of one, but on one copy of the data: with `true`, a region whose copy lags may get a change that another has
    /// already overtaken.
    #[schemars(extend("examples" = [true]))]
    pub idempotent_methods: bool,
    /// Where a request with an `Idempotency-Key` is sent again after it may have run: as far as your store of keys reaches. If
    /// you say more than that, an origin that does not know the key pays a second time.
    pub idempotency_key: KeyScope,
    /// How far later attempts may go. With `region`, a request fails when the region of its first attempt does.
    pub scope: RetryScope,
    /// The part of a request's body that is kept so that it can be sent again, in bytes. A larger one can move only as long as
    /// none of it was read. Default: `limits.replay_bytes` of the edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_048_576), extend("examples" = [262_144]))]
    pub replay_bytes: Option<u32>,
    /// Whether a GET, HEAD or OPTIONS without a body goes to a second origin too when the first takes longer than nearly all
    /// requests of the route. The first answer counts, the other attempt is cancelled. `false`: where two at once are dearer than
    /// a late one.
    #[schemars(extend("examples" = [false]))]
    pub hedge: bool,
}

impl Default for RetrySpec {
    fn default() -> Self {
        let Retry { attempts, statuses, idempotent_methods, idempotency_key, scope, replay_bytes, hedge } =
            Retry::default();
        Self { attempts, statuses, idempotent_methods, idempotency_key, scope, replay_bytes, hedge }
    }
}

/// How much of a pool's requests may be sent again, for each region alone: the one that failed pays. It keeps an outage from
/// multiplying the load of what is left. Requests that were never sent cost nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBudgetSpec {
    /// Repetitions per hundred requests of the last ten seconds. A request beyond them fails as
    /// its last attempt did.
    #[schemars(range(min = 0, max = 100), extend("examples" = [10]))]
    pub percent: u32,
    /// Repetitions per second that are allowed however few requests there are, from this edge.
    #[schemars(range(min = 0, max = 1000), extend("examples" = [5]))]
    pub per_second: u32,
    /// Hedges per hundred requests of the last ten seconds; 0 is none.
    #[schemars(range(min = 0, max = 50), extend("examples" = [2]))]
    pub hedge_percent: u32,
}

impl Default for RetryBudgetSpec {
    fn default() -> Self {
        let Budgets { retry_percent, retry_per_second, hedge_percent } = Budgets::default();
        Self { percent: retry_percent, per_second: retry_per_second, hedge_percent }
    }
}

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
