//! `[[pools]]`: the origins that serve one application, per region.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, OriginTlsSpec, RetryBudgetSpec, State, full_weight};
use crate::moment::Span;

/// All origins that serve one application, across regions.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// The pool's name in logs, metrics and commands.
    pub name: Name,
    /// How the origins are checked.
    #[serde(default)]
    pub probe: ProbeSpec,
    /// Present: origins are reached over TLS (1.3 unless `profile` says otherwise) and their certificates are verified. Absent: plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<OriginTlsSpec>,
    /// What is spoken to the origins, probes included.
    #[serde(default)]
    pub protocol: Protocol,
    /// How much of its requests may be sent again.
    #[serde(default)]
    pub retry_budget: RetryBudgetSpec,
    /// The pool's presence in each region.
    pub placements: Vec<PlacementSpec>,
}

/// What is spoken to origins.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("examples" = ["http2"]))]
pub enum Protocol {
    /// With `tls`, HTTP/2 where the origin takes it (ALPN), else HTTP/1.1. Without, HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone; without `tls` by prior knowledge, as gRPC servers speak it.
    Http2,
}

impl Protocol {
    /// The word an operator writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

/// One pool's presence in one region.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementSpec {
    /// The region, by name.
    pub region: Name,
    /// The origins, each as `host:port`. A host is an IPv4 address, an IPv6 address in brackets, or a DNS name, which is
    /// resolved again as its time to live runs out.
    #[schemars(length(min = 1), extend("examples" = [["10.0.0.1:8080", "origin.example.com:80"]]))]
    pub origins: Vec<String>,
    /// As a region's weight, for this pool alone; the two multiply.
    #[serde(default = "full_weight")]
    #[schemars(range(min = 0, max = 100), extend("examples" = [50]))]
    pub weight: u8,
    /// As a region's state, for this pool alone; the less willing of the two counts.
    #[serde(default)]
    pub state: State,
    /// How many requests this edge may have running here at once. Above it, requests go to the next region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("examples" = [500]))]
    pub max_in_flight: Option<u32>,
}

/// How origins of a pool are checked, from this edge.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// `http`: a request over a warm connection; gives health and latency. `grpc`: the same with the call
    /// `grpc.health.v1.Health/Check`, for pools that speak HTTP/2. `tcp`: a connection; gives health alone, so the region's
    /// latency is what its distance suggests.
    #[serde(default)]
    pub kind: ProbeKind,
    /// The path that a probe asks for (http only). Default `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"), extend("x-wanted" = "a path that begins with `/`"), extend("examples" = ["/healthz"]))]
    pub path: Option<String>,
    /// The service that is asked about (grpc only). Default: the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[!-~]{1,127}$"), extend("x-wanted" = "the name of a gRPC service"), extend("examples" = ["shop.v1.Orders"]))]
    pub service: Option<String>,
    /// The Host that a probe sends (http and grpc). Default: the origin's own `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[!-~]{1,253}$"), extend("x-wanted" = "a host name"), extend("examples" = ["www.example.com"]))]
    pub host: Option<String>,
    /// The answers that count as healthy, as codes or ranges (http only). Default `200-399`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        inner(regex(pattern = r"^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$")),
        extend("examples" = [["200-299"]])
    )]
    pub statuses: Option<Vec<String>>,
    /// How often an origin is asked. A dead region is noticed within about this time plus a round trip.
    #[serde(default = "default_interval")]
    pub interval: Span,
}

pub(crate) fn default_interval() -> Span {
    Span::from_millis(100)
}

impl Default for ProbeSpec {
    fn default() -> Self {
        Self {
            kind: ProbeKind::default(),
            path: None,
            service: None,
            host: None,
            statuses: None,
            interval: default_interval(),
        }
    }
}

/// What a probe does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["http"]))]
pub enum ProbeKind {
    /// Ask for a page.
    #[default]
    Http,
    /// Call the health check of a gRPC server.
    Grpc,
    /// Open a connection.
    Tcp,
}
