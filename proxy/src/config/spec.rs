//! `nearside.toml`, as its author writes it: this edge, and nothing of the world.
//!
//! Each doc comment below is shown to operators. A key that nothing enforces has no place here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steer::Span;
use steer::geo::{Country, Place};
use steer::spec::Name;

use super::admin_spec::AdminSection;
use super::listener_spec::ListenerSection;

/// This edge: where it listens, where it stands, and what it allows.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSpec {
    /// Who and where this edge is.
    pub edge: EdgeSection,
    /// Where clients connect.
    pub listeners: Vec<ListenerSection>,
    /// What the cookies of routes with `affinity` are signed with.
    #[serde(default)]
    pub affinity: AffinitySection,
    /// How a client's address is found behind other proxies.
    #[serde(default)]
    pub client_address: ClientAddressSection,
    /// How a client's place is found.
    #[serde(default)]
    pub geo: GeoSection,
    /// Bounds of everything that a client or an origin could use up.
    #[serde(default)]
    pub limits: LimitsSection,
    /// Where operators connect, and who they are.
    #[serde(default)]
    pub admin: AdminSection,
    /// Where load balancers and Prometheus connect.
    #[serde(default)]
    pub health: HealthSection,
    /// One JSON line per request.
    #[serde(default)]
    pub access_log: AccessLogSection,
    /// What answers tell of their way.
    #[serde(default)]
    pub headers: HeadersSection,
    /// Present: spans of requests are sent to an OpenTelemetry collector. Absent: traces that pass by are passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<TracingSection>,
}

/// Who and where this edge is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSection {
    /// The PoP's name, in logs and in the headers `X-Nearside-Pop` and `CDN-Loop` to origins. A request that comes back to a PoP
    /// of the same name is refused: 508, reason `LD`. So PoPs that forward to each other need names of their own.
    #[schemars(extend("examples" = ["fra1"]))]
    pub name: Name,
    /// Where the PoP stands. Without it, GeoIP of `public_address` says; without both, clients are steered almost by their
    /// own distance alone, and latencies are unknown until measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"latitude": 50.11, "longitude": 8.68}]))]
    pub place: Option<Place>,
    /// The address that the internet sees, to find the PoP's place by GeoIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["203.0.113.7"]))]
    pub public_address: Option<String>,
    /// Threads that serve clients. Default: one per processor that this process may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256), extend("examples" = [4]))]
    pub workers: Option<u16>,
    /// The file of the routing table, relative to this file. It is watched and published when it changes.
    #[serde(default = "default_table")]
    #[schemars(length(min = 1), extend("examples" = ["table.toml"]))]
    pub table: String,
}

/// What the cookies of routes with `affinity` are signed with.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AffinitySection {
    /// The file of the key, relative to this file; made at the first start, readable by its owner only. Edges that serve the
    /// same clients need the same one: copy it. A cookie signed with another key counts as none.
    #[schemars(length(min = 1), extend("examples" = ["affinity.key"]))]
    pub key_file: String,
}

impl Default for AffinitySection {
    fn default() -> Self {
        Self { key_file: "affinity.key".to_owned() }
    }
}

/// How a client's address is found behind other proxies.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAddressSection {
    /// Prefixes of proxies whose `X-Forwarded-For` is believed: the client is the right-most address that is not one of
    /// them. If they are edges too, their attempts and deadlines (`X-Nearside-Attempt`, `X-Nearside-Deadline-Ms`) are shared, so
    /// that edges behind each other do not multiply attempts. Empty: the client is whoever connects, and the header is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["10.0.0.0/8"]]))]
    pub trusted_hops: Vec<String>,
}

/// How a client's place is found: your prefixes, then the databases in order, then built-in country data.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GeoSection {
    /// MaxMind-format files (`.mmdb`), relative to this file; the first that knows an address decides. Watched, and taken
    /// over when they change and are sound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["GeoLite2-City.mmdb"]]))]
    pub databases: Vec<String>,
    /// Places of prefixes that you know better; the longest prefix wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [[{"prefix": "10.1.0.0/16", "country": "DE"}]]))]
    pub prefixes: Vec<PrefixSection>,
}

/// The place of a prefix.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixSection {
    /// An IPv4 or IPv6 prefix.
    #[schemars(extend("examples" = ["10.1.0.0/16"]))]
    pub prefix: String,
    /// The country of its clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Where they are. Without it, the centre of the country's population.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"latitude": 52.52, "longitude": 13.4}]))]
    pub place: Option<Place>,
}

/// Bounds of everything that a client or an origin could use up.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Client connections at once, over all workers. Above it, new ones wait in the kernel's queue.
    #[schemars(range(min = 1, max = 10_000_000), extend("examples" = [20_000]))]
    pub connections: u32,
    /// How long a client may take to send a request's head, to shake hands, and a proxy to send a PROXY header.
    pub header_timeout: Span,
    /// The largest head of a request, in bytes; larger ones get 431.
    #[schemars(range(min = 8192, max = 1_048_576), extend("examples" = [65_536]))]
    pub header_bytes: u32,
    /// How many header fields a request may have; more get 431.
    #[schemars(range(min = 1, max = 10_000), extend("examples" = [100]))]
    pub headers: u32,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Span,
    /// How long a running request or tunnel may go without a byte in either direction.
    pub stream_idle_timeout: Span,
    /// Requests that one HTTP/2 connection may have running.
    #[schemars(range(min = 1, max = 10_000), extend("examples" = [100]))]
    pub http2_streams: u32,
    /// Streams of one HTTP/2 connection that its client may have reset before they were looked at; more end the connection.
    #[schemars(range(min = 1, max = 10_000), extend("examples" = [20]))]
    pub http2_resets: u32,
    /// How long an origin may take to begin its answer.
    pub first_byte_timeout: Span,
    /// The part of a request's body that is kept so that it can be sent again, in bytes.
    #[schemars(range(min = 0, max = 1_048_576), extend("examples" = [65_536]))]
    pub replay_bytes: u32,
    /// The most bytes of bodies that are kept so, over all requests of this edge; its workers have equal parts of it. Beyond it,
    /// bodies are passed on as they come and cannot be sent again, so uploads fail that would have moved.
    #[schemars(range(min = 1_048_576, max = 68_719_476_736_u64), extend("examples" = [67_108_864]))]
    pub replay_total_bytes: u64,
    /// How long an unused connection to an origin is kept. Below what the origins allow, or they close it first.
    pub origin_idle_timeout: Span,
    /// Unused connections to origins that each worker keeps warm for regions likely to be used next.
    #[schemars(range(min = 0, max = 10_000), extend("examples" = [64]))]
    pub warm_connections: u32,
    /// Memory for the last decisions and what they were taken with, over all workers, in bytes: what `nearside explain
    /// --decision` answers from. Taken as it is first needed. Most decisions need 192 or 256 bytes, so that 64 MiB hold those of
    /// ten minutes at 430 requests per second.
    #[schemars(range(min = 1_048_576, max = 68_719_476_736_u64), extend("examples" = [67_108_864]))]
    pub decision_bytes: u64,
    /// How long this edge goes on accepting clients after it was told to stop, while `/readyz` says that it is not ready. Longer
    /// than load balancers take to notice.
    pub readiness_grace: Span,
    /// How long running requests may take after that.
    pub drain_timeout: Span,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            connections: 20_000,
            header_timeout: Span::from_secs(10),
            header_bytes: 64 << 10,
            headers: 100,
            idle_timeout: Span::from_secs(75),
            stream_idle_timeout: Span::from_secs(300),
            http2_streams: 100,
            http2_resets: 20,
            first_byte_timeout: Span::from_secs(30),
            replay_bytes: 64 << 10,
            replay_total_bytes: 64 << 20,
            origin_idle_timeout: Span::from_secs(55),
            warm_connections: 64,
            decision_bytes: 64 << 20,
            readiness_grace: Span::from_secs(5),
            drain_timeout: Span::from_secs(30),
        }
    }
}

/// Where load balancers and Prometheus connect: `/livez`, `/readyz`, `/metrics`, without a token.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSection {
    /// Address and port.
    #[schemars(extend("examples" = ["127.0.0.1:9190"]))]
    pub listen: String,
    /// Addresses and ports that have nothing to do with your origins, two or more. They are connected to only while no origin
    /// of any pool answers at all. If they answer, this PoP's uplink is well; if they are silent too for 3 s, `/readyz` says
    /// "not ready", so that clients are sent to other PoPs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["1.1.1.1:443", "9.9.9.9:443"]]))]
    pub references: Vec<String>,
    /// What `/readyz` says when no origin of any pool has answered anything for 3 s, not even with an error or a refusal. Only
    /// without `references`; default `stay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readyz_on_all_down: Option<OnAllSilent>,
}

impl Default for HealthSection {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9190".to_owned(), references: Vec::new(), readyz_on_all_down: None }
    }
}

/// What `/readyz` says when nothing answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(inline, extend("examples" = ["fail"]))]
pub enum OnAllSilent {
    /// Ready: it may be the origins, and other PoPs would be no better.
    #[default]
    Stay,
    /// Not ready: that this PoP is cut off is likelier than that all origins are.
    Fail,
}

/// One JSON line per request.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLogSection {
    /// `stdout`, `off`, or a file, relative to this file. SIGUSR1 opens the file anew, after logrotate has renamed it.
    #[schemars(length(min = 1), extend("examples" = ["stdout"]))]
    pub to: String,
    /// The share of ordinary requests that get a line, 0 to 1. Requests with a reason or a status of 500 and above always get
    /// one. The same `X-Request-Id` is kept or left out in every PoP.
    #[schemars(range(min = 0, max = 1), extend("examples" = [0.01]))]
    pub sample: f64,
    /// Whether only the network of a client's address is written: /24 of IPv4, /48 of IPv6. The field `inputs` then leaves
    /// out the client's key, which is made of the address.
    #[schemars(extend("examples" = [true]))]
    pub mask_client_ip: bool,
}

impl Default for AccessLogSection {
    fn default() -> Self {
        Self { to: "stdout".to_owned(), sample: 1.0, mask_client_ip: false }
    }
}

/// What answers tell of their way. Off, since it tells strangers of your regions; meant for clients of your own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadersSection {
    /// Whether answers have `Server-Timing`: `origin`, how long the attempt that was answered took, and `total`, both in
    /// milliseconds up to the head of the answer. Browsers show it.
    #[schemars(extend("examples" = [true]))]
    pub server_timing: bool,
    /// Whether answers have `Proxy-Status` (RFC 9209): the origin's status or what went wrong, the region as `next-hop`, the
    /// reason code as `details` and, where there were several, the `attempts` as `region:outcome`, such as
    /// `attempts="eu:reset us:answered"`.
    #[schemars(extend("examples" = [true]))]
    pub proxy_status: bool,
    /// Whether answers have `X-Nearside-Decision`: the name of the decision that sent the request where it was answered, for
    /// `nearside explain --decision`. Answers that need no region have none. Names count up, so whoever asks twice learns about how
    /// many requests a worker decided in between, and when this edge was started.
    #[schemars(extend("examples" = [true]))]
    pub decision: bool,
}

/// Spans of requests, for an OpenTelemetry collector.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TracingSection {
    /// Where the collector takes OTLP over HTTP (protobuf); `/v1/traces` is added. With `https://`, TLS 1.3 and a verified
    /// certificate. Spans that it does not take in time are dropped and counted.
    #[schemars(extend("examples" = ["http://127.0.0.1:4318"]))]
    pub endpoint: String,
    /// A PEM file of the authorities to trust for `https://`, instead of the system's; relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = ["collector-ca.pem"]))]
    pub ca_file: Option<String>,
    /// The share of requests whose spans are sent, 0 to 1, where no parent decides.
    #[serde(default = "default_sample")]
    #[schemars(range(min = 0, max = 1), extend("examples" = [0.01]))]
    pub sample: f64,
    /// Whose decision in `traceparent` counts before `sample`.
    #[serde(default)]
    pub parent_decision: ParentDecision,
}

/// Whose decision whether spans are recorded is followed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["anyone"]))]
pub enum ParentDecision {
    /// That of `client_address.trusted_hops`. Other clients' traces are continued, but they cannot make you record them.
    #[default]
    TrustedHops,
    /// Everybody's.
    Anyone,
}

fn default_sample() -> f64 {
    0.01
}

fn default_table() -> String {
    "table.toml".to_owned()
}
