//! The health of placements: a machine each, fed with what happens to its origins, and what is published of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use control::events::{Happened, HealthEvent};
use control::publisher::Publisher;
use control::snapshot::Snapshot;
use control::vitals::{AnswerCounts, OriginKey, OriginVitals, PlacementKey, PlacementVitals};
use steer::draw::name_hash;
use steer::health::{
    Accrual, Event, Excess, Guard, OriginHealth, Placement, Slowness, Surroundings, beside, most_recovered,
};
use steer::signals::{Health, Observed};
use steer::{Moment, Span};

use super::series::ProbeSeries;

/// Ramps of this PoP start up to this much later than the health machine says.
const MAX_RAMP_DELAY: Span = Span::from_secs(5);

pub(super) struct Placements {
    pub(super) publisher: Arc<Publisher>,
    pub(super) series: Arc<ProbeSeries>,
    /// Makes this PoP's ramps differ from other PoPs'.
    seed: u64,
    pub(super) kept: BTreeMap<PlacementKey, Kept>,
}

/// What is kept of a placement.
pub(super) struct Kept {
    pub(super) machine: Placement,
    pub(super) origins: Vec<Arc<OriginVitals>>,
    pub(super) vitals: Arc<PlacementVitals>,
    /// What its machine says.
    pub(super) observed: Observed,
    /// What decisions see: its ramp counts beside those of the pool's other placements.
    published: Observed,
    pub(super) accrual: Accrual,
    pub(super) slowness: Slowness,
    /// What has been taken in of its workers' counts.
    pub(super) counted: AnswerCounts,
    /// What it would have been given up for, had nothing spoken against it.
    pub(super) guarded: Option<Guard>,
    /// When and why it was accused; a probe sent after that settles it.
    pub(super) accused: Option<(Moment, String)>,
    /// The same for being slow.
    pub(super) is_slow_like_all: bool,
    pub(super) excess: Excess,
    /// Whether it is probed at its pool's interval.
    pub(super) is_in_demand: bool,
}

impl Kept {
    fn new(vitals: Arc<PlacementVitals>, ramp_delay: Span) -> Self {
        Self {
            machine: Placement::new(0, ramp_delay),
            origins: Vec::new(),
            observed: Observed::UNKNOWN,
            published: vitals.observed(),
            accrual: Accrual::default(),
            slowness: Slowness::default(),
            counted: vitals.counts(),
            guarded: None,
            accused: None,
            is_slow_like_all: false,
            excess: Excess::default(),
            is_in_demand: true,
            vitals,
        }
    }

    pub(super) fn position(&self, key: &OriginKey) -> Option<usize> {
        self.origins.iter().position(|origin| origin.key == *key)
    }

    /// Whether it is healthy and takes requests.
    pub(super) fn serves(&self) -> bool {
        self.observed.is_usable() && matches!(self.observed.health, Health::Up | Health::Recovering)
    }
}

impl Placements {
    pub(super) const fn new(publisher: Arc<Publisher>, series: Arc<ProbeSeries>, seed: u64) -> Self {
        Self { publisher, series, seed, kept: BTreeMap::new() }
    }

    /// Fits what is kept to the current table.
    pub(super) fn reconcile(&mut self, snapshot: &Snapshot) {
        let mut origins: BTreeMap<&PlacementKey, Vec<Arc<OriginVitals>>> = BTreeMap::new();
        for origin in &snapshot.vitals.origins {
            origins.entry(&origin.key.placement).or_default().push(origin.clone());
        }
        self.kept.retain(|key, _| origins.contains_key(key));
        for vitals in &snapshot.vitals.placements {
            let key = &vitals.key;
            let seed = self.seed ^ name_hash(&key.pool) ^ name_hash(&key.region);
            let delay = Span::from_nanos(seed % MAX_RAMP_DELAY.as_nanos());
            let kept = self.kept.entry(key.clone()).or_insert_with(|| Kept::new(vitals.clone(), delay));
            self.series.begin(key);
            if !Arc::ptr_eq(&kept.vitals, vitals) {
                (kept.vitals, kept.counted) = (vitals.clone(), vitals.counts());
            }
            let origins = origins.remove(key).unwrap_or_default();
            let positions: Vec<Option<usize>> =
                origins.iter().map(|origin| kept.position(&origin.key)).collect();
            kept.machine.set_origins(&positions);
            kept.origins = origins;
        }
        self.series.retain(|region| snapshot.table().region_named(region).is_some());
    }

    /// Something happened to an origin. Whether it has just become suspect.
    pub(super) fn happened(
        &mut self,
        key: &OriginKey,
        event: Event,
        around: Surroundings,
        now: Moment,
        cause: &str,
    ) -> bool {
        let is_other = |(other, _): &(&PlacementKey, &Kept)| {
            other.pool == key.placement.pool && **other != key.placement
        };
        let is_last = !self.kept.iter().filter(is_other).any(|(_, kept)| kept.observed.is_usable());
        let Some(kept) = self.kept.get_mut(&key.placement) else { return false };
        let Some(at) = kept.position(key) else { return false };
        let before = kept.machine.origins()[at].health();
        let observed = kept.machine.on(at, event, now, Surroundings { is_last, ..around });
        kept.show_origins(now);
        let after = kept.machine.origins()[at].health();
        self.publish(&key.placement, observed, now, cause);
        before != OriginHealth::Suspect && after == OriginHealth::Suspect
    }

    /// A probe that was sent at `sent` was answered in time: who was accused before that does live, and fails.
    pub(super) fn settle(&mut self, key: &PlacementKey, sent: Moment, now: Moment) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        if let Some((_, cause)) = kept.accused.take_if(|(accused, _)| *accused <= sent) {
            let observed = kept.machine.eject(now);
            self.publish(key, observed, now, &cause);
        }
    }

    /// Lets time pass: ramps grow unless `is_frozen`, holds end.
    pub(super) fn tick(&mut self, now: Moment, is_frozen: bool) {
        let keys: Vec<PlacementKey> = self.kept.keys().cloned().collect();
        for key in keys {
            let Some(kept) = self.kept.get_mut(&key) else { continue };
            let cause = match kept.observed.health {
                Health::Held => "the hold is over",
                _ => "the ramp is over",
            };
            let is_calm = !is_frozen && kept.accrual.is_calm(now);
            let observed = kept.machine.tick(now, is_calm);
            kept.slowness.tick(now);
            self.publish(&key, observed, now, cause);
        }
    }

    /// Nothing has answered since `since`: what fell silent from then on is only doubted.
    pub(super) fn doubt(&mut self, since: Moment, now: Moment) {
        let keys: Vec<PlacementKey> = self.kept.keys().cloned().collect();
        for key in keys {
            let Some(kept) = self.kept.get_mut(&key) else { continue };
            kept.accused = None;
            let observed = kept.machine.doubt(since);
            kept.show_origins(now);
            self.publish(&key, observed, now, "nothing answers at all: it may be this PoP's uplink");
        }
    }

    /// Whether every placement was heard of or has proved silent.
    pub(super) fn is_first_round_over(&self) -> bool {
        let is_over = |kept: &Kept| !matches!(kept.observed.health, Health::Unknown | Health::Suspect);
        self.kept.values().all(is_over)
    }

    pub(super) fn publish(&mut self, key: &PlacementKey, observed: Observed, now: Moment, cause: &str) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        let before = std::mem::replace(&mut kept.observed, observed);
        if before == observed {
            return;
        }
        let is_out = |health| matches!(health, Health::Down | Health::Held);
        if !is_out(before.health) && is_out(observed.health) {
            // What was sent before it fell must not count when it returns.
            kept.accrual.forget(now);
            kept.accused = None;
        }
        let of_pool = |(other, _): &(&PlacementKey, &mut Kept)| other.pool == key.pool;
        let whole = most_recovered(self.kept.iter_mut().filter(of_pool).map(|(_, kept)| kept.observed));
        for (other, kept) in self.kept.iter_mut().filter(of_pool) {
            let shown = beside(kept.observed, whole);
            if std::mem::replace(&mut kept.published, shown) != shown {
                self.publisher.observe(other, shown);
            }
        }
        if before.health != observed.health {
            let (from, to) = (before.health.as_str(), observed.health.as_str());
            self.series.transition(&key.pool, &key.region, to);
            self.publisher.events().add(&Happened::Health(HealthEvent {
                pool: key.pool.clone(),
                region: key.region.clone(),
                from: from.to_owned(),
                to: to.to_owned(),
                cause: cause.to_owned(),
            }));
            match observed.health {
                Health::Down | Health::Held => {
                    tracing::warn!(pool = %key.pool, region = %key.region, from, to, cause, "health changed");
                }
                _ => {
                    tracing::info!(pool = %key.pool, region = %key.region, from, to, cause, "health changed");
                }
            }
        }
    }
}

impl Kept {
    /// Shows workers how its origins are.
    fn show_origins(&self, now: Moment) {
        for (vitals, origin) in self.origins.iter().zip(self.machine.origins()) {
            if vitals.health() != origin.health() {
                vitals.set_health(origin.health(), now);
            }
        }
    }
}
