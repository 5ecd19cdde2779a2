//! What a route does with a request, apart from choosing where it goes: redirect, answer, rewrite, limit.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moment::Span;

/// Where a client is sent. What is not named stays as it was.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RedirectSpec {
    /// 301, 302, 303, 307 or 308. With 307 and 308 a client repeats its method and body.
    #[serde(default = "permanent")]
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]), extend("examples" = [308]))]
    pub status: u16,
    /// The scheme to go on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The host to go on with, without a port. With `host` or `scheme` the port is dropped unless `port` says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("examples" = ["www.example.com"]))]
    pub host: Option<String>,
    /// The port to go on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535), extend("examples" = [8443]))]
    pub port: Option<u16>,
    /// The path instead of the whole old one. After `path_regex`, `$1` and `${name}` stand for its groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/new"]))]
    pub path: Option<String>,
    /// The prefix instead of the route's `path_prefix`; the rest of the path stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/v2"]))]
    pub prefix: Option<String>,
    /// `false`: the query is dropped.
    #[serde(default = "yes")]
    #[schemars(extend("examples" = [false]))]
    pub keep_query: bool,
}

fn permanent() -> u16 {
    308
}

fn yes() -> bool {
    true
}

impl Default for RedirectSpec {
    fn default() -> Self {
        Self {
            status: permanent(),
            scheme: None,
            host: None,
            port: None,
            path: None,
            prefix: None,
            keep_query: true,
        }
    }
}

/// A scheme.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("examples" = ["https"]))]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// An answer of the edge's own: a maintenance page, a health check, a refusal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RespondSpec {
    /// The status that clients get.
    #[schemars(range(min = 200, max = 599), extend("examples" = [503]))]
    pub status: u16,
    /// The text that clients get.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 65536), extend("examples" = ["back at noon\n"]))]
    pub body: String,
    /// What the text is, as a media type.
    #[serde(default = "plain_text")]
    #[schemars(regex(pattern = r"^[ -~]{1,128}$"), extend("x-wanted" = "a media type"), extend("examples" = ["application/json"]))]
    pub content_type: String,
}

fn plain_text() -> String {
    "text/plain; charset=utf-8".to_owned()
}

/// What is changed of a request's target.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteSpec {
    /// The prefix instead of the route's `path_prefix`; the rest of the path and the query stay. `/` takes the prefix away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/"]))]
    pub prefix: Option<String>,
    /// The path instead of the whole old one; the query stays. After `path_regex`, `$1` and `${name}` stand for its groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/profile/$1"]))]
    pub path: Option<String>,
    /// The host that origins see in `Host`, with a port if it needs one. `X-Forwarded-Host` keeps the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[!-~]{1,253}$"), extend("x-wanted" = "a host name"), extend("examples" = ["internal.example.com"]))]
    pub host: Option<String>,
}

/// What is changed of a header: first fields are removed, then set, then added.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRulesSpec {
    /// Fields that are taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("examples" = [["x-internal"]]))]
    pub remove: Vec<String>,
    /// Fields with the one value that they have afterwards.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64), extend("examples" = [{"x-env": "prod"}]))]
    pub set: BTreeMap<String, String>,
    /// Fields with a value that they have besides the values that they had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64), extend("examples" = [{"vary": "x-canary"}]))]
    pub add: BTreeMap<String, String>,
}

/// How long requests of a route may take. What is not named is as `[limits]` of the edge says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TimeoutsSpec {
    /// To connect to an origin, and again to shake hands. Default: twice the measured latency and 50 ms, 100 ms to 1 s.
    /// Exceeded: reason `CT`, and the request goes to the next origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["500ms"]))]
    pub connect: Option<Span>,
    /// For an origin to begin its answer, while the request's body makes no progress. Exceeded: reason `UT`, 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["5s"]))]
    pub first_byte: Option<Span>,
    /// For the next byte of an answer that has begun, or of a tunnel. Exceeded: reason `SI`, and the answer breaks off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["1m"]))]
    pub idle: Option<Span>,
    /// For everything, from the request's head to the answer's end, all attempts included. A request's `grpc-timeout` and a
    /// trusted hop's `X-Nearside-Deadline-Ms` shorten it. Origins are told in the same fields what is left. Default: no limit but
    /// theirs. Exceeded: reason `DT`; 504 if the answer has not begun, else it breaks off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["30s"]))]
    pub total: Option<Span>,
}
