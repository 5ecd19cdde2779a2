//! What the metrics page says of requests, attempts and connections: the workers' numbers, added up when somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::families::{Families, counter, gauge, histogram, labels};
use super::{Numbers, catalogue};
use crate::locate::Told;
use crate::observe::reason::Reason;
use crate::observe::series::{
    BOUNDS, CLASSES, KINDS, OUTCOMES, RegionSeries, RequestSeries, RouteAndRegion, Shard, Tally,
};

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
    pub(super) fn requests(&self, families: &mut Families) {
        let mut sums: BTreeMap<RouteAndRegion, Requests> = BTreeMap::new();
        for shard in &self.0.shards {
            shard.each_request(|key, series| sums.entry(key).or_default().add(series));
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
        families.add(&catalogue::REQUESTS, total);
        families.add(&catalogue::REQUEST_DURATION, durations);
    }

    pub(super) fn regions(&self, families: &mut Families) {
        let mut by_region: BTreeMap<String, Vec<Arc<RegionSeries>>> = BTreeMap::new();
        for shard in &self.0.shards {
            for (region, series) in shard.regions.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                by_region.entry(region.clone()).or_default().push(series.clone());
            }
        }
        let (mut attempts, mut denied, mut pool, mut opened, mut reuse, mut spills) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
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
            let budget_used_up = sum(&|series| series.retries_denied.get());
            denied.push(counter(labels([("region", region)]), budget_used_up));
            let active = sum(&|series| series.connections_active.get());
            let idle = sum(&|series| series.connections_idle.get());
            pool.push(gauge(labels([("region", region), ("state", "active")]), active));
            pool.push(gauge(labels([("region", region), ("state", "idle")]), idle));
            let fresh = sum(&|series| series.connections_opened.get());
            let reused = sum(&|series| series.connections_reused.get());
            opened.push(counter(labels([("region", region)]), fresh));
            if reused > 0.0 {
                // A connection opened to warm up and then used counts as reused, which is what warming up is for.
                let used = sum(&|series| series.attempts.iter().flatten().map(Tally::get).sum());
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
        families.add(&catalogue::ATTEMPTS, attempts);
        families.add(&catalogue::RETRIES_DENIED, denied);
        families.add(&catalogue::POOL_CONNECTIONS, pool);
        families.add(&catalogue::POOL_OPENED, opened);
        families.add(&catalogue::POOL_REUSE, reuse);
        families.add(&catalogue::SPILL, spills);
    }

    pub(super) fn connections(&self, families: &mut Families) {
        let sum = |of: fn(&Shard) -> u64| self.0.shards.iter().map(|shard| of(shard)).sum::<u64>() as f64;
        let client = || labels([("side", "client")]);
        families.add(&catalogue::CONNECTIONS, vec![gauge(client(), sum(|s| s.connections.get()))]);
        families
            .add(&catalogue::CONNECTIONS_TOTAL, vec![counter(client(), sum(|s| s.connections_total.get()))]);
        families.add(
            &catalogue::HANDSHAKES_FAILED,
            vec![counter(
                Vec::new(),
                sum(|s| s.handshakes_failed.get()) + self.0.admin.handshakes_failed() as f64,
            )],
        );
        families.add(
            &catalogue::PROXY_HEADERS_REFUSED,
            vec![counter(Vec::new(), sum(|s| s.proxy_headers_refused.get()))],
        );
        families.add(&catalogue::UPGRADES, vec![counter(Vec::new(), sum(|s| s.upgrades.get()))]);
        families.add(&catalogue::LOG_LINES, vec![counter(Vec::new(), sum(|s| s.log_lines.get()))]);
        families.add(
            &catalogue::LOG_DROPPED,
            vec![counter(Vec::new(), sum(|s| s.log_dropped.get()) + self.0.outlets.log_lost.get() as f64)],
        );
        families.add(
            &catalogue::SPANS_EXPORTED,
            vec![counter(Vec::new(), self.0.outlets.spans.exported.get() as f64)],
        );
        let dropped = [
            ("queue_full", sum(|s| s.spans_dropped.get())),
            ("not_taken", self.0.outlets.spans.failed.get() as f64),
            ("rejected", self.0.outlets.spans.rejected.get() as f64),
        ];
        let dropped = dropped.map(|(cause, count)| counter(labels([("cause", cause)]), count));
        families.add(&catalogue::SPANS_DROPPED, dropped.to_vec());
        let lookups = (0..Told::NAMES.len()).map(|at| {
            let count: u64 = self.0.shards.iter().map(|shard| shard.lookups[at].get()).sum();
            counter(labels([("result", Told::NAMES[at])]), count as f64)
        });
        families.add(&catalogue::GEO_LOOKUPS, lookups.collect());
    }
}
