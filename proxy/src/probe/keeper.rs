//! Keeps what the prober learns: one health machine per placement, one latency estimate per origin, one published latency
//! per region. All by name, so that a publish forgets nothing but what it drops.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use control::clock::Clock;
use control::publisher::Publisher;
use control::snapshot::Snapshot;
use control::vitals::{OriginKey, OriginVitals, PlacementKey};
use steer::draw::name_hash;
use steer::estimate::Estimate;
use steer::geo::Place;
use steer::health::{Event, OriginHealth, Placement, beside, most_recovered};
use steer::ranking::{RegionState, tick};
use steer::signals::{Health, Observed};
use steer::{Moment, Span};

use super::series::ProbeSeries;

/// Ramps of this PoP start up to this much later than the health machine says.
const MAX_RAMP_DELAY: Span = Span::from_secs(5);

pub(super) struct Keeper {
    pub(super) publisher: Arc<Publisher>,
    pub(super) series: Arc<ProbeSeries>,
    seed: u64,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    placements: BTreeMap<PlacementKey, Kept>,
    estimates: BTreeMap<OriginKey, Estimate>,
    regions: BTreeMap<String, (Place, RegionState)>,
}

struct Kept {
    machine: Placement,
    origins: Vec<Arc<OriginVitals>>,
    /// What its machine says.
    observed: Observed,
    /// What decisions see: its ramp counts beside those of the pool's other placements.
    published: Observed,
}

impl Keeper {
    pub(super) fn new(publisher: Arc<Publisher>, series: Arc<ProbeSeries>, seed: u64) -> Self {
        Self { publisher, series, seed, inner: RefCell::default() }
    }

    pub(super) fn clock(&self) -> Clock {
        *self.publisher.clock()
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.publisher.snapshot()
    }

    /// Fits what is kept to the current table.
    pub(super) fn reconcile(&self) {
        let snapshot = self.snapshot();
        let mut guard = self.inner.borrow_mut();
        let inner = &mut *guard;
        let mut origins: BTreeMap<PlacementKey, Vec<Arc<OriginVitals>>> = BTreeMap::new();
        for origin in &snapshot.vitals.origins {
            origins.entry(origin.key.placement.clone()).or_default().push(origin.clone());
        }
        inner.placements.retain(|key, _| origins.contains_key(key));
        inner.estimates.retain(|key, _| snapshot.vitals.origins.iter().any(|origin| origin.key == *key));
        for (key, origins) in origins {
            let seed = self.seed ^ name_hash(&key.pool) ^ name_hash(&key.region);
            let delay = Span::from_nanos(seed % MAX_RAMP_DELAY.as_nanos());
            let kept = inner.placements.entry(key).or_insert_with(|| Kept {
                machine: Placement::new(0, delay),
                origins: Vec::new(),
                observed: Observed::UNKNOWN,
                published: Observed::UNKNOWN,
            });
            let former =
                |origin: &Arc<OriginVitals>| kept.origins.iter().position(|old| old.key == origin.key);
            let positions: Vec<Option<usize>> = origins.iter().map(former).collect();
            kept.machine.set_origins(&positions);
            kept.origins = origins;
        }
        let table = snapshot.table();
        inner.regions.retain(|name, (place, _)| {
            table.region_named(name).is_some_and(|id| table.region(id).place == *place)
        });
        self.series.retain(|region| table.region_named(region).is_some());
    }

    /// How long a probe of an origin may take.
    pub(super) fn probe_timeout(&self, key: &OriginKey) -> Span {
        let inner = self.inner.borrow();
        inner.estimates.get(key).map_or_else(|| Estimate::default().probe_timeout(), Estimate::probe_timeout)
    }

    /// A probe was answered well; `rtt` is how long request and answer took, which says how far the origin is. A TCP probe says
    /// nothing of it: the connection may end at somebody's front, far from the origin.
    pub(super) fn answered(&self, origin: &OriginVitals, rtt: Option<Span>) {
        let now = self.clock().now();
        origin.probed(now);
        if let Some(rtt) = rtt {
            let mut inner = self.inner.borrow_mut();
            inner.estimates.entry(origin.key.clone()).or_default().add(rtt.as_millis_f64(), now);
        }
        self.happened(&origin.key, Event::ProbeOk);
    }

    /// A probe was answered badly or not at all. Whether the origin has just become suspect, so that a burst should settle it.
    pub(super) fn lost(&self, origin: &OriginVitals, sent: Moment, connection: u64) -> bool {
        if let Some(at) = origin.last_served() {
            self.happened(&origin.key, Event::Served { at });
        }
        self.happened(&origin.key, Event::ProbeLost { sent, connection })
    }

    /// A request found no connection, or lost one. The origin, if it has just become suspect.
    pub(super) fn refused(&self, key: &OriginKey, connection: u64) -> Option<OriginKey> {
        self.happened(key, Event::Refused { connection }).then(|| key.clone())
    }

    /// Lets time pass.
    pub(super) fn tick(&self) {
        let now = self.clock().now();
        let keys: Vec<PlacementKey> = self.inner.borrow().placements.keys().cloned().collect();
        for key in keys {
            let mut inner = self.inner.borrow_mut();
            if let Some(kept) = inner.placements.get_mut(&key) {
                let observed = kept.machine.tick(now);
                self.publish(&mut inner.placements, &key, observed);
            }
        }
    }

    /// Whether every placement was heard of or has proved silent.
    pub(super) fn is_first_round_over(&self) -> bool {
        let inner = self.inner.borrow();
        inner
            .placements
            .values()
            .all(|kept| !matches!(kept.observed.health, Health::Unknown | Health::Suspect))
    }

    /// Advances the ranking.
    pub(super) fn rank(&self) {
        let now = self.clock().now();
        self.publisher.rank(|table, pop| {
            let mut guard = self.inner.borrow_mut();
            let Inner { estimates, regions, .. } = &mut *guard;
            let rank = |region: &steer::table::Region| {
                let (_, state) = regions
                    .entry(region.name.clone())
                    .or_insert_with(|| (region.place, RegionState::default()));
                let targets = estimates.iter().filter(|(key, _)| key.placement.region == region.name);
                tick(state, pop, &region.point, targets.map(|(_, estimate)| estimate), now)
            };
            table.regions.iter().map(rank).collect()
        });
    }

    fn happened(&self, key: &OriginKey, event: Event) -> bool {
        let now = self.clock().now();
        let mut inner = self.inner.borrow_mut();
        let is_last = !inner.placements.iter().any(|(other, kept)| {
            other.pool == key.placement.pool
                && *other != key.placement
                && !matches!(kept.observed.health, Health::Down | Health::Held)
                && kept.observed != Observed::plain(Health::Recovering)
        });
        let Some(kept) = inner.placements.get_mut(&key.placement) else { return false };
        let Some(at) = kept.origins.iter().position(|origin| origin.key == *key) else { return false };
        let before = kept.machine.origins()[at].health();
        let observed = kept.machine.on(at, event, now, is_last);
        let after = kept.machine.origins()[at].health();
        if before != after {
            kept.origins[at].set_health(after);
        }
        self.publish(&mut inner.placements, &key.placement, observed);
        before != OriginHealth::Suspect && after == OriginHealth::Suspect
    }

    fn publish(&self, placements: &mut BTreeMap<PlacementKey, Kept>, key: &PlacementKey, observed: Observed) {
        let Some(kept) = placements.get_mut(key) else { return };
        let before = std::mem::replace(&mut kept.observed, observed);
        if before == observed {
            return;
        }
        let of_pool = |(other, _): &(&PlacementKey, &mut Kept)| other.pool == key.pool;
        let whole = most_recovered(placements.iter_mut().filter(of_pool).map(|(_, kept)| kept.observed));
        for (other, kept) in placements.iter_mut().filter(of_pool) {
            let shown = beside(kept.observed, whole);
            if std::mem::replace(&mut kept.published, shown) != shown {
                self.publisher.observe(other, shown);
            }
        }
        if before.health != observed.health {
            let (from, to) = (before.health.as_str(), observed.health.as_str());
            self.series.transition(&key.pool, &key.region, to);
            match observed.health {
                Health::Down | Health::Held => {
                    tracing::warn!(pool = %key.pool, region = %key.region, from, to, "health changed");
                }
                _ => tracing::info!(pool = %key.pool, region = %key.region, from, to, "health changed"),
            }
        }
    }
}
