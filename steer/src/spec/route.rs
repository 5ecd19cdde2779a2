//! `[[routes]]`: which requests go to which pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, Steering};

/// A rule that leads requests to a pool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// The route's name in logs and metrics.
    pub name: Name,
    /// The hosts it serves, exactly as clients name them, without a port. A request for any other host is refused.
    #[schemars(length(min = 1), inner(length(min = 1, max = 253)), extend("examples" = [["www.example.com"]]))]
    pub hosts: Vec<String>,
    /// The paths it serves: this one and everything below it. `/api` covers `/api` and `/api/x`, not `/apix`. The longest
    /// prefix wins.
    #[serde(default = "root")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/api"]))]
    pub path_prefix: String,
    /// The pool that answers, by name.
    pub pool: Name,
    /// The policy that chooses the region, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Name>,
    /// The steering, where no policy is needed. Not together with `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steering: Option<Steering>,
    /// Only regions of these jurisdictions may ever serve this route: not when all of them are down either. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1, max = 63)), extend("examples" = [["EU"]]))]
    pub jurisdictions: Vec<String>,
}

fn root() -> String {
    "/".to_owned()
}
