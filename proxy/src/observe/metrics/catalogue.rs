//! Every metric of this edge: its name, kind, labels and help, in the order of the reference page.
//!
//! A metric that does not stand here cannot be shown, and docs/metrics.md is made from this list. Labels take their values from
//! the table or from short fixed lists, never from requests: what clients send cannot make series.

use prometheus::proto::MetricType;

/// A metric.
pub(crate) struct Described {
    /// The heading that it stands under.
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Names, and where their values come from.
    pub(crate) labels: &'static [(&'static str, &'static str)],
    pub(crate) help: &'static str,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It only rises, from 0 at the start.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::COUNTER,
            Kind::Gauge => Self::GAUGE,
            Kind::Histogram => Self::HISTOGRAM,
        }
    }
}

macro_rules! catalogue {
    ($($group:literal: $($id:ident = $kind:ident $name:literal [$($label:literal: $values:literal),*] $help:literal;)*)*) => {
        $($(pub(super) const $id: Described = Described {
            group: $group,
            name: $name,
            kind: Kind::$kind,
            labels: &[$(($label, $values)),*],
            help: $help,
        };)*)*
        /// All of them.
        pub(crate) const ALL: &[Described] = &[$($($id),*),*];
    };
}

catalogue! {
    "Requests":
    REQUESTS = Counter "nearside_requests_total"
        ["route": "routes of the table, `-` for none", "region": "regions of the table, `-` for none", "code_class": "`1xx` to `5xx`, `none` where no answer was sent", "reason": "reason codes, `-` for none"]
        "Requests by route, answering region, status class and reason.";
    REQUEST_DURATION = Histogram "nearside_request_duration_seconds"
        ["route": "routes of the table, `-` for none", "region": "regions of the table, `-` for none"]
        "Time from a request's head to the end of its answer.";
    ATTEMPTS = Counter "nearside_attempts_total"
        ["region": "regions of the table", "kind": "`first`, `retry`, `hedge`", "outcome": "`answered`, `not_sent`, `connect_timeout`, `timeout`, `reset`, `protocol`, `unprocessed`, `gateway_error`, `cancelled`"]
        "Attempts at origins by region, kind and outcome.";
    RETRIES_DENIED = Counter "nearside_retries_denied_total"
        ["region": "regions of the table"]
        "Requests that failed at a region and were not sent again because its retry budget was used up.";
    SPILL = Counter "nearside_spill_total"
        ["from": "regions of the table", "to": "regions of the table"]
        "Requests sent on because the nearer region was full.";
    UPGRADES = Counter "nearside_upgrades_total"
        []
        "Requests that switched protocols and became tunnels.";
    "Connections":
    CONNECTIONS = Gauge "nearside_connections"
        ["side": "`client`"]
        "Open connections.";
    CONNECTIONS_TOTAL = Counter "nearside_connections_total"
        ["side": "`client`"]
        "Connections accepted.";
    HANDSHAKES_FAILED = Counter "nearside_tls_handshakes_failed_total"
        []
        "TLS handshakes with clients that failed or took too long.";
    PROXY_HEADERS_REFUSED = Counter "nearside_proxy_headers_refused_total"
        []
        "Connections closed because their PROXY header was wrong, missing or late.";
    TLS_RELOAD = Counter "nearside_tls_reload_total"
        ["result": "`ok`, `refused`"]
        "Readings of a listener's changed TLS files, by result.";
    TLS_NOT_AFTER = Gauge "nearside_tls_cert_not_after_timestamp_seconds"
        ["listener": "addresses of the configuration", "certificate_file": "files of the configuration"]
        "When a certificate in force expires.";
    POOL_CONNECTIONS = Gauge "nearside_pool_connections"
        ["region": "regions of the table", "state": "`active`, `idle`"]
        "Connections to origins by region and state.";
    POOL_OPENED = Counter "nearside_pool_connections_opened_total"
        ["region": "regions of the table"]
        "Connections opened to origins.";
    POOL_REUSE = Gauge "nearside_pool_reuse_ratio"
        ["region": "regions of the table"]
        "Attempts that found a warm connection.";
    "Regions":
    REGION_STATE = Gauge "nearside_region_state"
        ["region": "regions of the table", "layer": "`configured`, `effective`"]
        "State: 0 active, 1 standby, 2 drain, 3 off.";
    REGION_WEIGHT = Gauge "nearside_region_weight_ratio"
        ["region": "regions of the table", "layer": "`configured`, `effective`"]
        "Part of its natural traffic that a region keeps.";
    ORIGIN_RTT = Gauge "nearside_origin_rtt_seconds"
        ["region": "regions of the table"]
        "Published round trip to the region.";
    REGION_SHARE = Gauge "nearside_region_effective_share_ratio"
        ["region": "regions of the table"]
        "Predicted part of the traffic.";
    REGION_HEALTH = Gauge "nearside_region_health"
        ["pool": "pools of the table", "region": "regions of the table", "health": "`unknown`, `up`, `suspect`, `down`, `recovering`, `held`"]
        "Health of each placement: 1 for what it is.";
    REGION_IN_FLIGHT = Gauge "nearside_region_in_flight"
        ["pool": "pools of the table", "region": "regions of the table"]
        "Requests running at each placement.";
    ORIGIN_TTFB = Gauge "nearside_origin_ttfb_ewma_seconds"
        ["pool": "pools of the table", "region": "regions of the table", "origin": "origins of the table"]
        "Peak EWMA of the time to the first byte.";
    PROBES = Counter "nearside_probes_total"
        ["region": "regions of the table", "result": "`ok`, `bad_answer`, `lost`, `discarded`"]
        "Probes by region and result.";
    PROBE_LATENESS = Counter "nearside_probe_lateness_seconds_total"
        []
        "How late probes were sent, added up; divide by nearside_probe_rounds_total.";
    PROBE_ROUNDS = Counter "nearside_probe_rounds_total"
        []
        "Rounds of probes begun.";
    HEALTH_TRANSITIONS = Counter "nearside_health_transitions_total"
        ["pool": "pools of the table", "region": "regions of the table", "to": "`unknown`, `up`, `suspect`, `down`, `recovering`, `held`"]
        "Changes of health.";
    ACCRUAL_TRIPS = Counter "nearside_accrual_trips_total"
        ["pool": "pools of the table", "region": "regions of the table", "kind": "`errors`, `slowness`"]
        "Placements that were judged to fail or to be slow by what their requests came to.";
    EJECTIONS_PREVENTED = Counter "nearside_ejections_prevented_total"
        ["pool": "pools of the table", "region": "regions of the table", "guard": "`clients`, `common_mode`, `cap`, `last`"]
        "Such judgements that had no consequence, and why.";
    REGION_EXCESS = Gauge "nearside_region_excess_seconds"
        ["pool": "pools of the table", "region": "regions of the table"]
        "How much later than usual a placement's answers are, where that is proved; a part of its cost.";
    UPLINK_SUSPECTED = Gauge "nearside_uplink_suspected"
        []
        "Whether nothing at all has answered for a second.";
    "Tables and operators":
    TABLE_VERSION = Gauge "nearside_table_version"
        []
        "Version of the table in force.";
    TABLE_PUBLISHED = Gauge "nearside_table_last_publish_timestamp_seconds"
        []
        "When it was published.";
    TABLE_PUBLISH = Counter "nearside_table_publish_total"
        ["result": "`ok`, `refused`"]
        "Tables read from the file, by result.";
    LAST_RELOAD = Gauge "nearside_config_last_reload_successful"
        []
        "Whether the last reading of the table file was taken over.";
    RANKING_NUMBER = Gauge "nearside_ranking_number"
        []
        "Number of the ranking in force.";
    OVERLAY_NUMBER = Gauge "nearside_overlay_number"
        []
        "Number of the overrides in force.";
    CHANGES_KEPT = Gauge "nearside_changes_kept"
        []
        "Whether what operators change is being written down: 1 if it is, 0 if a restart would forget it. Absent where nothing is to be kept.";
    WATCH_RUNNING = Gauge "nearside_watch_running"
        []
        "Whether a change is under watch.";
    WATCH_ENDED = Counter "nearside_watch_ended_total"
        ["state": "`passed`, `rolled_back`, `stuck`, `superseded`, `inconclusive`, `ended`"]
        "Watches of changes that are over, by how they ended.";
    ADMIN_REQUESTS = Counter "nearside_admin_requests_total"
        ["role": "`none`, `viewer`, `operator`, `admin`", "verb": "`GET`, `PATCH`, `POST`, `PUT`, `DELETE`, `other`", "result": "`ok`, `unauthorized`, `limited`, `forbidden`, `refused`, `failed`"]
        "Calls of the admin API, by the caller's role; those by nobody have none.";
    ADMIN_TOKENS_RELOAD = Counter "nearside_admin_tokens_reload_total"
        ["result": "`ok`, `refused`"]
        "Readings of the changed file of tokens, by result.";
    ADMIN_TOKENS_REFUSED = Gauge "nearside_admin_tokens_refused"
        ["file": "`token_file`, `tokens_file`"]
        "Whether a file of tokens is refused as it stands: broken, or others can read it. What it held when it was last in order counts.";
    "Clients' places":
    GEO_LOOKUPS = Counter "nearside_geo_lookups_total"
        ["result": "`prefix`, `database`, `built_in`, `unknown`"]
        "Clients located, by what told their place.";
    GEO_RELOAD = Counter "nearside_geo_reload_total"
        ["result": "`ok`, `refused`"]
        "Readings of the GeoIP databases, by result.";
    GEO_BUILT = Gauge "nearside_geo_db_build_timestamp_seconds"
        ["database": "files of `geo.databases`"]
        "When a database's data was made.";
    "This process":
    LOG_LINES = Counter "nearside_access_log_lines_total"
        []
        "Access log lines handed to the writer.";
    LOG_DROPPED = Counter "nearside_access_log_dropped_total"
        []
        "Access log lines dropped because the writer could not keep up, or lost because it could not write.";
    SPANS_EXPORTED = Counter "nearside_spans_exported_total"
        []
        "Spans that the collector took.";
    SPANS_DROPPED = Counter "nearside_spans_dropped_total"
        ["cause": "`queue_full`, `not_taken`, `rejected`"]
        "Spans that were lost, by cause.";
    BUILD_INFO = Gauge "nearside_build_info"
        ["version": "the release"]
        "What is running.";
}
