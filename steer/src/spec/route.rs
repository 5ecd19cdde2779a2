//! `[[routes]]`: which requests go where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AffinitySpec, ConditionSpec, HeaderRulesSpec, Name, RedirectSpec, RespondSpec, RetrySpec, RewriteSpec,
    Steering, TimeoutsSpec,
};

/// A rule that leads requests to a pool, to another address, or to an answer of the edge's own.
///
/// Of all routes that match a request one is chosen, in this order: an exact host before a wildcard, a longer wildcard
/// before a shorter one, `*` last; then `path` before `path_regex` before `path_prefix`, a longer prefix before a shorter
/// one, regular expressions in the order of the table; then a route with `methods` before one without, more `headers` before
/// fewer, more `query` before fewer; then the order of the table. The host is chosen first and alone: a request never falls
/// back to a less exact host.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// The route's name in logs and metrics.
    pub name: Name,
    /// The hosts it serves, as clients name them, without a port. `*.example.com` covers every name below `example.com`, not
    /// `example.com` itself; `*` covers every host. A request for a host that no route serves is refused.
    #[schemars(length(min = 1), inner(length(min = 1, max = 253)), extend("examples" = [["www.example.com"]]))]
    pub hosts: Vec<String>,
    /// The paths it serves: this one and everything below it. `/api` covers `/api` and `/api/x`, not `/apix`. The longest
    /// prefix wins. Default `/`. Not together with `path` or `path_regex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/api"]))]
    pub path_prefix: Option<String>,
    /// The one path it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/login"]))]
    pub path: Option<String>,
    /// The paths it serves, as a regular expression that the whole path must match. Looked at after exact paths and before
    /// prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), extend("examples" = ["/users/[0-9]+/avatar"]))]
    pub path_regex: Option<String>,
    /// The methods it serves. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(regex(pattern = r"^[A-Z][A-Z-]{0,31}$")), extend("examples" = [["GET", "HEAD"]]))]
    pub methods: Vec<String>,
    /// What header fields a request must have. All of them count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("examples" = [[{"name": "x-canary", "value": "1"}]]))]
    pub headers: Vec<ConditionSpec>,
    /// What query parameters a request must have, compared as sent, without decoding. All of them count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("examples" = [[{"name": "beta"}]]))]
    pub query: Vec<ConditionSpec>,
    /// The pool that answers, by name. A route has exactly one of `pool`, `redirect` and `respond`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Name>,
    /// Where clients are sent instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"scheme": "https"}]))]
    pub redirect: Option<RedirectSpec>,
    /// What this edge answers itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"status": 503, "body": "back at noon\n"}]))]
    pub respond: Option<RespondSpec>,
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
    /// What keeps a client at one region and origin. Without it the region follows from place and latency alone, and the
    /// origin in it is the less loaded of two. A weight leaves those alone who are kept, unless it is 0; a drain over time takes
    /// them along, step by step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"by": "cookie"}]))]
    pub affinity: Option<AffinitySpec>,
    /// What is changed of a request's target before an origin sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"prefix": "/"}]))]
    pub rewrite: Option<RewriteSpec>,
    /// What is changed of a request's header before an origin sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"set": {"x-env": "prod"}}]))]
    pub request_headers: Option<HeaderRulesSpec>,
    /// What is changed of an answer's header before a client sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"set": {"strict-transport-security": "max-age=31536000"}}]))]
    pub response_headers: Option<HeaderRulesSpec>,
    /// How long its requests may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"first_byte": "2s"}]))]
    pub timeouts: Option<TimeoutsSpec>,
    /// When and where its requests are sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"attempts": 2}]))]
    pub retry: Option<RetrySpec>,
}
