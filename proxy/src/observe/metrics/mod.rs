//! The metrics page.
//!
//! The `prometheus` crate is the registry and the encoder; the numbers stand behind one collector that adds up the workers'
//! shards when somebody asks. Labels come from the table and from short fixed lists, never from requests.

mod certificates;
mod families;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use control::admin::Counts;
use control::publisher::Publisher;
use control::share::Samples;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Encoder, Registry, TextEncoder};
use steer::ids::RegionId;
use steer::signals::Health;
use steer::spec::State;

use families::{Families, counter, gauge, histogram, labels};

use super::reason::Reason;
use super::series::{BOUNDS, CLASSES, KINDS, OUTCOMES, RegionSeries, RequestSeries, Shard};
use crate::edge::Publishes;
use crate::locate::{Locator, Told};
use crate::probe::{PROBE_RESULTS, ProbeSeries};
use crate::tls::TlsListeners;

/// Where the numbers are.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) samples: Arc<Samples>,
    pub(crate) locator: Arc<Locator>,
    pub(crate) shards: Vec<Arc<Shard>>,
    pub(crate) probes: Arc<ProbeSeries>,
    pub(crate) admin: Arc<Counts>,
    pub(crate) publishes: Arc<Publishes>,
    pub(crate) tls: Arc<TlsListeners>,
}

/// The registry with everything in it.
pub(crate) fn registry(sources: Sources) -> Registry {
    let registry = Registry::new();
    registry.register(Box::new(Numbers(sources))).expect("nothing else is registered");
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process)).expect("its names are its own");
    registry
}

/// The page, in Prometheus' text format.
pub(crate) fn page(registry: &Registry) -> Vec<u8> {
    let mut page = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut page).expect("a vector takes everything");
    page
}

struct Numbers(Sources);

impl Collector for Numbers {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Families::default();
        self.requests(&mut families);
        self.regions(&mut families);
        self.connections(&mut families);
        self.observed(&mut families);
        self.control(&mut families);
        families.all()
    }
}

/// The sums of all workers for one route and region.
#[derive(Default)]
struct Requests {
    plain: [u64; CLASSES.len()],
    reasoned: BTreeMap<(usize, Reason), u64>,
    buckets: [u64; BOUNDS.len() + 1],
    sum_nanos: u64,
}

impl Requests {
    fn add(&mut self, series: &RequestSeries) {
        for (sum, tally) in self.plain.iter_mut().zip(&series.plain) {
            *sum += tally.get();
        }
        for (key, count) in series.reasoned.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *self.reasoned.entry(*key).or_default() += count;
        }
        for (sum, tally) in self.buckets.iter_mut().zip(&series.durations.buckets) {
            *sum += tally.get();
        }
        self.sum_nanos += series.durations.sum_nanos.get();
    }
}

impl Numbers {
    fn requests(&self, families: &mut Families) {
        let mut sums: BTreeMap<(String, String), Requests> = BTreeMap::new();
        for shard in &self.0.shards {
            for (key, series) in shard.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                sums.entry(key.clone()).or_default().add(series);
            }
        }
        let mut total = Vec::new();
        let mut durations = Vec::new();
        for ((route, region), sums) in &sums {
            let plain = CLASSES.iter().zip(sums.plain).map(|(class, count)| (*class, Reason::None, count));
            let reasoned =
                sums.reasoned.iter().map(|((class, reason), count)| (CLASSES[*class], *reason, *count));
            for (class, reason, count) in plain.chain(reasoned).filter(|(_, _, count)| *count > 0) {
                let labels = labels([
                    ("route", route),
                    ("region", region),
                    ("code_class", class),
                    ("reason", reason.code()),
                ]);
                total.push(counter(labels, count as f64));
            }
            durations.push(histogram(
                labels([("route", route), ("region", region)]),
                &sums.buckets,
                sums.sum_nanos,
            ));
        }
        families.counter(
            "nearside_requests_total",
            "Requests by route, answering region, status class and reason.",
            total,
        );
        families.add(
            "nearside_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            MetricType::HISTOGRAM,
            durations,
        );
    }

    fn regions(&self, families: &mut Families) {
        let mut by_region: BTreeMap<String, Vec<Arc<RegionSeries>>> = BTreeMap::new();
        for shard in &self.0.shards {
            for (region, series) in shard.regions.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                by_region.entry(region.clone()).or_default().push(series.clone());
            }
        }
        let (mut attempts, mut pool, mut opened, mut reuse, mut spills) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (region, series) in &by_region {
            let sum = |of: &dyn Fn(&RegionSeries) -> u64| {
                series.iter().map(|series| of(series)).sum::<u64>() as f64
            };
            for (kind, kind_name) in KINDS.iter().enumerate() {
                for (outcome, outcome_name) in OUTCOMES.iter().enumerate() {
                    let count = sum(&|series| series.attempts[kind][outcome].get());
                    if count > 0.0 {
                        let labels =
                            labels([("region", region), ("kind", kind_name), ("outcome", outcome_name)]);
                        attempts.push(counter(labels, count));
                    }
                }
            }
            let active = sum(&|series| series.connections_active.get());
            let idle = sum(&|series| series.connections_idle.get());
            pool.push(gauge(labels([("region", region), ("state", "active")]), active));
            pool.push(gauge(labels([("region", region), ("state", "idle")]), idle));
            let fresh = sum(&|series| series.connections_opened.get());
            let reused = sum(&|series| series.connections_reused.get());
            opened.push(counter(labels([("region", region)]), fresh));
            if reused > 0.0 {
                // A connection opened to warm up and then used counts as reused, which is what warming up is for.
                let used =
                    sum(&|series| series.attempts.iter().flatten().map(super::series::Tally::get).sum());
                reuse.push(gauge(labels([("region", region)]), (reused / used.max(reused)).min(1.0)));
            }
            let mut to: BTreeMap<String, u64> = BTreeMap::new();
            for series in series {
                for (other, count) in series.spilled_to.lock().unwrap_or_else(PoisonError::into_inner).iter()
                {
                    *to.entry(other.clone()).or_default() += count;
                }
            }
            for (other, count) in &to {
                spills.push(counter(labels([("from", region), ("to", other)]), *count as f64));
            }
        }
        families.counter(
            "nearside_attempts_total",
            "Attempts at origins by region, kind and outcome.",
            attempts,
        );
        families.gauge("nearside_pool_connections", "Connections to origins by region and state.", pool);
        families.counter("nearside_pool_connections_opened_total", "Connections opened to origins.", opened);
        families.gauge("nearside_pool_reuse_ratio", "Attempts that found a warm connection.", reuse);
        families.counter(
            "nearside_spill_total",
            "Requests sent on because the nearer region was full.",
            spills,
        );
    }

    fn connections(&self, families: &mut Families) {
        let sum = |of: fn(&Shard) -> u64| self.0.shards.iter().map(|shard| of(shard)).sum::<u64>() as f64;
        let client = || labels([("side", "client")]);
        families.gauge(
            "nearside_connections",
            "Open connections.",
            vec![gauge(client(), sum(|s| s.connections.get()))],
        );
        families.counter(
            "nearside_connections_total",
            "Connections accepted.",
            vec![counter(client(), sum(|s| s.connections_total.get()))],
        );
        families.counter(
            "nearside_tls_handshakes_failed_total",
            "TLS handshakes with clients that failed or took too long.",
            vec![counter(Vec::new(), sum(|s| s.handshakes_failed.get()))],
        );
        families.counter(
            "nearside_proxy_headers_refused_total",
            "Connections closed because their PROXY header was wrong, missing or late.",
            vec![counter(Vec::new(), sum(|s| s.proxy_headers_refused.get()))],
        );
        families.counter(
            "nearside_upgrades_total",
            "Requests that switched protocols and became tunnels.",
            vec![counter(Vec::new(), sum(|s| s.upgrades.get()))],
        );
        families.counter(
            "nearside_access_log_lines_total",
            "Access log lines handed to the writer.",
            vec![counter(Vec::new(), sum(|s| s.log_lines.get()))],
        );
        families.counter(
            "nearside_access_log_dropped_total",
            "Access log lines dropped because the writer could not keep up.",
            vec![counter(Vec::new(), sum(|s| s.log_dropped.get()))],
        );
        let lookups = (0..Told::NAMES.len()).map(|at| {
            let count: u64 = self.0.shards.iter().map(|shard| shard.lookups[at].get()).sum();
            counter(labels([("result", Told::NAMES[at])]), count as f64)
        });
        families.counter(
            "nearside_geo_lookups_total",
            "Clients located, by what told their place.",
            lookups.collect(),
        );
    }

    fn observed(&self, families: &mut Families) {
        let snapshot = self.0.publisher.snapshot();
        let table = snapshot.table();
        let now = self.0.publisher.clock().now();
        let shares = self.0.samples.predict(&snapshot);
        let (mut states, mut weights, mut rtt, mut share) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (id, region) in (0..).map_while(RegionId::new).zip(&table.regions) {
            let overrides = snapshot.overlay.region(&region.name);
            let name = region.name.as_str();
            let configured = (region.state, region.weight);
            let state = overrides.state.as_ref().map_or(region.state, |state| state.value);
            let weight = overrides.weight.as_ref().map_or(region.weight, |weight| weight.value);
            for (layer, (state, weight)) in [("configured", configured), ("effective", (state, weight))] {
                states.push(gauge(labels([("region", name), ("layer", layer)]), state_number(state)));
                weights.push(gauge(labels([("region", name), ("layer", layer)]), f64::from(weight) / 100.0));
            }
            let ranked = snapshot.ranking.regions.get(id.index()).copied().unwrap_or_default();
            rtt.extend(ranked.latency_ms.map(|ms| gauge(labels([("region", name)]), ms / 1000.0)));
            let predicted = shares.of.get(&id).copied().unwrap_or(0.0);
            share.push(gauge(labels([("region", name)]), predicted));
        }
        families.gauge("nearside_region_state", "State: 0 active, 1 standby, 2 drain, 3 off.", states);
        families.gauge("nearside_region_weight_ratio", "Weight.", weights);
        families.gauge("nearside_origin_rtt_seconds", "Published round trip to the region.", rtt);
        families.gauge("nearside_region_effective_share_ratio", "Predicted part of the traffic.", share);
        let (mut health, mut in_flight) = (Vec::new(), Vec::new());
        for placement in &snapshot.vitals.placements {
            let (pool, region) = (placement.key.pool.as_str(), placement.key.region.as_str());
            let here = placement.observed().health;
            for state in Health::ALL {
                let is = f64::from(u8::from(state == here));
                health.push(gauge(
                    labels([("pool", pool), ("region", region), ("health", state.as_str())]),
                    is,
                ));
            }
            in_flight
                .push(gauge(labels([("pool", pool), ("region", region)]), f64::from(placement.in_flight())));
        }
        families.gauge("nearside_region_health", "Health of each placement: 1 for what it is.", health);
        families.gauge("nearside_region_in_flight", "Requests running at each placement.", in_flight);
        let ttfb = snapshot.vitals.origins.iter().filter_map(|origin| {
            let key = &origin.key;
            let labels = labels([
                ("pool", key.placement.pool.as_str()),
                ("region", key.placement.region.as_str()),
                ("origin", key.address.as_str()),
            ]);
            Some(gauge(labels, origin.ttfb_ms(now)? / 1000.0))
        });
        families.gauge(
            "nearside_origin_ttfb_ewma_seconds",
            "Peak EWMA of the time to the first byte.",
            ttfb.collect(),
        );
        let probes = self.0.probes.probes().into_iter().flat_map(|(region, counts)| {
            let row = move |(result, count): (&&str, u64)| {
                counter(labels([("region", region.as_str()), ("result", result)]), count as f64)
            };
            PROBE_RESULTS.iter().zip(counts).map(row).collect::<Vec<_>>()
        });
        families.counter("nearside_probes_total", "Probes by region and result.", probes.collect());
        let (late_seconds, sent) = self.0.probes.lateness();
        families.counter(
            "nearside_probe_lateness_seconds_total",
            "How late probes were sent, added up; divide by nearside_probe_rounds_total.",
            vec![counter(Vec::new(), late_seconds)],
        );
        families.counter(
            "nearside_probe_rounds_total",
            "Rounds of probes begun.",
            vec![counter(Vec::new(), sent as f64)],
        );
        let transitions = self.0.probes.transitions().into_iter().map(|((pool, region, to), count)| {
            counter(labels([("pool", pool.as_str()), ("region", region.as_str()), ("to", to)]), count as f64)
        });
        families.counter("nearside_health_transitions_total", "Changes of health.", transitions.collect());
    }

    fn control(&self, families: &mut Families) {
        let snapshot = self.0.publisher.snapshot();
        let about = &snapshot.version.about;
        let one = |value: f64| vec![gauge(Vec::new(), value)];
        families.gauge("nearside_table_version", "Version of the table in force.", one(about.version as f64));
        families.gauge(
            "nearside_table_last_publish_timestamp_seconds",
            "When it was published.",
            one(about.published_at.as_second() as f64),
        );
        families.gauge(
            "nearside_ranking_number",
            "Number of the ranking in force.",
            one(snapshot.ranking.number as f64),
        );
        families.gauge(
            "nearside_overlay_number",
            "Number of the overrides in force.",
            one(snapshot.overlay.number as f64),
        );
        let publishes = &self.0.publishes;
        let result = |result: &str, count: u64| counter(labels([("result", result)]), count as f64);
        families.counter(
            "nearside_table_publish_total",
            "Tables read from the file, by result.",
            vec![result("ok", publishes.ok()), result("refused", publishes.refused())],
        );
        families.gauge(
            "nearside_config_last_reload_successful",
            "Whether the last reading of the table file was taken over.",
            one(f64::from(u8::from(publishes.last_succeeded()))),
        );
        let reloads = self.0.locator.reloads();
        families.counter(
            "nearside_geo_reload_total",
            "Readings of the GeoIP databases, by result.",
            vec![result("ok", reloads.ok()), result("refused", reloads.refused())],
        );
        let built = self.0.locator.databases().into_iter();
        let built = built.map(|(file, built)| gauge(labels([("database", file.as_str())]), built as f64));
        families.gauge(
            "nearside_geo_db_build_timestamp_seconds",
            "When a database's data was made.",
            built.collect(),
        );
        certificates::collect(&self.0.tls, families);
        let calls = self.0.admin.all().into_iter();
        let calls = calls
            .map(|(verb, result, count)| counter(labels([("verb", verb), ("result", result)]), count as f64));
        families.counter("nearside_admin_requests_total", "Calls of the admin API.", calls.collect());
        let build = labels([("version", env!("CARGO_PKG_VERSION"))]);
        families.gauge("nearside_build_info", "What is running.", vec![gauge(build, 1.0)]);
    }
}

fn state_number(state: State) -> f64 {
    match state {
        State::Active => 0.0,
        State::Standby => 1.0,
        State::Drain => 2.0,
        State::Off => 3.0,
    }
}
