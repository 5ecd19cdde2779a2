//! The metrics page.
//!
//! The `prometheus` crate is the registry and the encoder; the numbers stand behind one collector that adds up the workers'
//! shards when somebody asks. Labels come from the table and from short fixed lists, never from requests.

mod catalogue;
mod certificates;
mod families;
mod workers;

use std::sync::Arc;

use control::access::Access;
use control::admin::Counts;
use control::changes::Keeps;
use control::layers;
use control::publisher::Publisher;
use control::share::Samples;
use control::trial::TrialCounts;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Registry, TextEncoder};
use steer::ids::RegionId;
use steer::signals::Health;
use steer::spec::State;

pub(crate) use catalogue::ALL as CATALOGUE;
use families::{Families, counter, gauge, labels};

use super::outlets::OutletCounts;
use super::series::Shard;
use crate::edge::Publishes;
use crate::locate::Locator;
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
    pub(crate) trials: Arc<TrialCounts>,
    pub(crate) access: Arc<Access>,
    pub(crate) keeps: Keeps,
    pub(crate) publishes: Arc<Publishes>,
    pub(crate) outlets: OutletCounts,
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

impl Numbers {
    fn observed(&self, families: &mut Families) {
        let snapshot = self.0.publisher.snapshot();
        let table = snapshot.table();
        let now = self.0.publisher.clock().now();
        let shares = self.0.samples.predict(&snapshot);
        let (mut states, mut weights, mut rtt, mut share) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (id, region) in (0..).map_while(RegionId::new).zip(&table.regions) {
            let effective = layers::of_region(&snapshot, id);
            let name = region.name.as_str();
            let configured = (region.state, region.weight);
            let effective = (effective.state, effective.weight);
            for (layer, (state, weight)) in [("configured", configured), ("effective", effective)] {
                states.push(gauge(labels([("region", name), ("layer", layer)]), state_number(state)));
                weights.push(gauge(labels([("region", name), ("layer", layer)]), f64::from(weight) / 100.0));
            }
            let ranked = snapshot.ranking.regions.get(id.index()).copied().unwrap_or_default();
            rtt.extend(ranked.latency_ms.map(|ms| gauge(labels([("region", name)]), ms / 1000.0)));
            let predicted = shares.of.get(&id).copied().unwrap_or(0.0);
            share.push(gauge(labels([("region", name)]), predicted));
        }
        families.add(&catalogue::REGION_STATE, states);
        families.add(&catalogue::REGION_WEIGHT, weights);
        families.add(&catalogue::ORIGIN_RTT, rtt);
        families.add(&catalogue::REGION_SHARE, share);
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
        families.add(&catalogue::REGION_HEALTH, health);
        families.add(&catalogue::REGION_IN_FLIGHT, in_flight);
        let ttfb = snapshot.vitals.origins.iter().filter_map(|origin| {
            let key = &origin.key;
            let labels = labels([
                ("pool", key.placement.pool.as_str()),
                ("region", key.placement.region.as_str()),
                ("origin", key.address.as_str()),
            ]);
            Some(gauge(labels, origin.ttfb_ms(now)? / 1000.0))
        });
        families.add(&catalogue::ORIGIN_TTFB, ttfb.collect());
        let probes = self.0.probes.probes().into_iter().flat_map(|(region, counts)| {
            let row = move |(result, count): (&&str, u64)| {
                counter(labels([("region", region.as_str()), ("result", result)]), count as f64)
            };
            PROBE_RESULTS.iter().zip(counts).map(row).collect::<Vec<_>>()
        });
        families.add(&catalogue::PROBES, probes.collect());
        let (late_seconds, sent) = self.0.probes.lateness();
        families.add(&catalogue::PROBE_LATENESS, vec![counter(Vec::new(), late_seconds)]);
        families.add(&catalogue::PROBE_ROUNDS, vec![counter(Vec::new(), sent as f64)]);
        let probes = &self.0.probes;
        for (family, label, counts) in [
            (&catalogue::HEALTH_TRANSITIONS, "to", probes.transitions()),
            (&catalogue::ACCRUAL_TRIPS, "kind", probes.trips()),
            (&catalogue::EJECTIONS_PREVENTED, "guard", probes.prevented_ejections()),
        ] {
            let rows = counts.into_iter().map(|((pool, region, word), count)| {
                let labels = labels([("pool", pool.as_str()), ("region", region.as_str()), (label, word)]);
                counter(labels, count as f64)
            });
            families.add(family, rows.collect());
        }
        let excesses = snapshot.vitals.placements.iter().enumerate().map(|(index, placement)| {
            let key = &placement.key;
            let labels = labels([("pool", key.pool.as_str()), ("region", key.region.as_str())]);
            let excess = snapshot.ranking.excesses.get(index).copied().unwrap_or_default();
            gauge(labels, f64::from(excess.ms) / 1000.0)
        });
        families.add(&catalogue::REGION_EXCESS, excesses.collect());
        let is_suspected = self.0.publisher.uplink().is_suspected();
        families
            .add(&catalogue::UPLINK_SUSPECTED, vec![gauge(Vec::new(), f64::from(u8::from(is_suspected)))]);
    }

    fn control(&self, families: &mut Families) {
        let snapshot = self.0.publisher.snapshot();
        let about = &snapshot.version.about;
        let one = |value: f64| vec![gauge(Vec::new(), value)];
        families.add(&catalogue::TABLE_VERSION, one(about.version as f64));
        families.add(&catalogue::TABLE_PUBLISHED, one(about.published_at.as_second() as f64));
        families.add(&catalogue::RANKING_NUMBER, one(snapshot.ranking.number as f64));
        families.add(&catalogue::OVERLAY_NUMBER, one(snapshot.overlay.number as f64));
        let kept = self.0.keeps.get().map(|are_kept| gauge(Vec::new(), f64::from(u8::from(are_kept))));
        families.add(&catalogue::CHANGES_KEPT, kept.into_iter().collect());
        let publishes = &self.0.publishes;
        let result = |result: &str, count: u64| counter(labels([("result", result)]), count as f64);
        families.add(
            &catalogue::TABLE_PUBLISH,
            vec![result("ok", publishes.ok()), result("refused", publishes.refused())],
        );
        families.add(&catalogue::LAST_RELOAD, one(f64::from(u8::from(publishes.last_succeeded()))));
        let reloads = self.0.locator.reloads();
        families.add(
            &catalogue::GEO_RELOAD,
            vec![result("ok", reloads.ok()), result("refused", reloads.refused())],
        );
        let built = self.0.locator.databases().into_iter();
        let built = built.map(|(file, built)| gauge(labels([("database", file.as_str())]), built as f64));
        families.add(&catalogue::GEO_BUILT, built.collect());
        certificates::collect(&self.0.tls, families);
        let trials = &self.0.trials;
        families.add(&catalogue::WATCH_RUNNING, one(f64::from(u8::from(trials.is_running()))));
        let ended = trials.ended();
        let ended = ended.map(|(state, count)| counter(labels([("state", state.as_str())]), count as f64));
        families.add(&catalogue::WATCH_ENDED, ended.collect());
        let calls = self.0.admin.all().into_iter();
        let calls = calls.map(|(role, verb, result, count)| {
            counter(labels([("role", role), ("verb", verb), ("result", result)]), count as f64)
        });
        families.add(&catalogue::ADMIN_REQUESTS, calls.collect());
        let (ok, refused) = self.0.access.reloads();
        families.add(&catalogue::ADMIN_TOKENS_RELOAD, vec![result("ok", ok), result("refused", refused)]);
        let refused = self.0.access.refused().into_iter();
        let refused = refused
            .map(|(file, is_refused)| gauge(labels([("file", file)]), f64::from(u8::from(is_refused))));
        families.add(&catalogue::ADMIN_TOKENS_REFUSED, refused.collect());
        let build = labels([("version", env!("CARGO_PKG_VERSION"))]);
        families.add(&catalogue::BUILD_INFO, vec![gauge(build, 1.0)]);
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
