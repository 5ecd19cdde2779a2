//! How far origins are, and what is published of it: an estimate per origin, a published latency per region.

use std::collections::BTreeMap;

use control::publisher::Publisher;
use control::snapshot::Snapshot;
use control::vitals::OriginKey;
use steer::estimate::Estimate;
use steer::geo::Place;
use steer::ranking::{RegionState, tick};
use steer::{Moment, Span};

#[derive(Default)]
pub(super) struct Latencies {
    origins: BTreeMap<OriginKey, Measured>,
    regions: BTreeMap<String, (Place, RegionState)>,
}

#[derive(Default)]
struct Measured {
    estimate: Estimate,
    /// Whether it tells how far the origin is. How long connecting takes does not: it may end at somebody's front near us.
    /// It only tells how long to wait for the next connection.
    is_latency: bool,
}

impl Latencies {
    /// Forgets what the current table does not mention.
    pub(super) fn reconcile(&mut self, snapshot: &Snapshot) {
        let table = snapshot.table();
        self.origins.retain(|key, _| snapshot.vitals.origins.iter().any(|origin| origin.key == *key));
        self.regions.retain(|name, (place, _)| {
            table.region_named(name).is_some_and(|id| table.region(id).place == *place)
        });
    }

    /// How long a probe of an origin may take.
    pub(super) fn probe_timeout(&self, key: &OriginKey) -> Span {
        let known = self.origins.get(key);
        known
            .map_or_else(|| Estimate::default().probe_timeout(), |measured| measured.estimate.probe_timeout())
    }

    /// A probe took so long, in time or not. Whether that proves the way there to have become much slower.
    pub(super) fn add(&mut self, key: &OriginKey, took: Took, was_late: bool, now: Moment) -> bool {
        let measured = self.origins.entry(key.clone()).or_default();
        let span = match took {
            Took::RoundTrip(span) => {
                if !std::mem::replace(&mut measured.is_latency, true) {
                    measured.estimate = Estimate::default();
                }
                span
            }
            Took::Connecting(span) if measured.is_latency => {
                measured.is_latency = false;
                measured.estimate = Estimate::default();
                span
            }
            Took::Connecting(span) => span,
        };
        let ms = span.as_millis_f64();
        let has_shifted =
            if was_late { measured.estimate.add_late(ms, now) } else { measured.estimate.add(ms, now) };
        has_shifted && measured.is_latency
    }

    /// Nothing could be measured for a while.
    pub(super) fn resume(&mut self, now: Moment) {
        self.origins.values_mut().for_each(|measured| measured.estimate.resume(now));
    }

    /// Advances the ranking.
    pub(super) fn rank(&mut self, publisher: &Publisher, now: Moment) {
        let Self { origins, regions } = self;
        publisher.rank(|table, pop| {
            let rank = |region: &steer::table::Region| {
                let (_, state) = regions
                    .entry(region.name.clone())
                    .or_insert_with(|| (region.place, RegionState::default()));
                let targets = origins.iter().filter_map(|(key, measured)| {
                    let is_target = measured.is_latency && key.placement.region == region.name;
                    is_target.then_some(&measured.estimate)
                });
                tick(state, pop, &region.point, targets, now)
            };
            table.regions.iter().map(rank).collect()
        });
    }
}

/// What a probe took.
#[derive(Clone, Copy, Debug)]
pub(super) enum Took {
    /// From request to answer.
    RoundTrip(Span),
    /// To connect.
    Connecting(Span),
}

impl Took {
    pub(super) const fn span(self) -> Span {
        match self {
            Self::RoundTrip(span) | Self::Connecting(span) => span,
        }
    }
}
