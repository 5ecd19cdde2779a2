//! The routing configuration as its author writes it (`table.toml`).
//!
//! These types are the single source of the format: serde reads them, their JSON schema finds structural mistakes with
//! their positions, and the reference documentation is made from both. They may be wrong in every way that types allow;
//! only [`Table::compile`](crate::table::Table::compile) says whether they make sense together.
//!
//! Each doc comment below is shown to operators. A key that nothing enforces has no place here.

mod action;
mod affinity;
mod condition;
mod name;
mod policy;
mod pool;
mod region;
mod retry;
mod route;
mod tls;

pub use action::{HeaderRulesSpec, RedirectSpec, RespondSpec, RewriteSpec, Scheme, TimeoutsSpec};
pub use affinity::{AffinityBy, AffinityMode, AffinitySpec};
pub use condition::ConditionSpec;
pub use name::Name;
pub use policy::{Failback, OnAllDown, PolicySpec, Steering};
pub use pool::{PlacementSpec, PoolSpec, ProbeKind, ProbeSpec, Protocol};
pub use region::{RegionSpec, State};
pub use retry::{KeyScope, RetryBudgetSpec, RetryScope, RetrySpec};
pub use route::RouteSpec;
pub use tls::{OriginTlsSpec, TlsProfile};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The world that this edge routes to: regions, pools of origins in them, and the routes that lead there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The places where origins run.
    pub regions: Vec<RegionSpec>,
    /// The applications: which origins serve them, per region.
    pub pools: Vec<PoolSpec>,
    /// How regions are chosen. A route without a policy steers `nearest`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicySpec>,
    /// Which requests go to which pool.
    pub routes: Vec<RouteSpec>,
}

pub(crate) const FULL_WEIGHT: u8 = 100;

pub(crate) fn full_weight() -> u8 {
    FULL_WEIGHT
}
