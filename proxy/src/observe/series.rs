//! Counters of one worker, read by whoever shows them.
//!
//! Each number has one writer, so counting is a load and a store, and no cache line moves between processors. The collector
//! adds up the workers' numbers when Prometheus asks.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use steer::Span;

use super::reason::Reason;

/// A number with one writer.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// For gauges.
    pub(crate) fn less(&self) {
        self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the duration buckets, in seconds.
pub(crate) use control::traffic::BOUNDS;

/// Durations in buckets.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    /// Not cumulative; the last one is for everything above the bounds.
    pub(crate) buckets: [Tally; BOUNDS.len() + 1],
    pub(crate) sum_nanos: Tally,
}

impl Durations {
    pub(crate) fn add(&self, span: Span) {
        let seconds = span.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].one();
        self.sum_nanos.add(span.as_nanos());
    }
}

/// Classes of answers: `1xx` to `5xx`, and none at all.
pub(crate) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Requests of one route answered by one region.
#[derive(Debug, Default)]
pub(crate) struct RequestSeries {
    /// Per class, without a reason.
    pub(crate) plain: [Tally; CLASSES.len()],
    /// Per class and reason. Only for requests that had one, so the lock is rare; who adds up shares it for as long as it takes to read
    /// these few.
    pub(crate) reasoned: Mutex<BTreeMap<(usize, Reason), u64>>,
    pub(crate) durations: Durations,
}

impl RequestSeries {
    /// A request ended with this status (0 is none) and reason, after `span`.
    pub(crate) fn add(&self, status: u16, reason: Reason, span: Span) {
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        if reason == Reason::None {
            self.plain[class].one();
        } else {
            let mut reasoned = self.reasoned.lock().unwrap_or_else(PoisonError::into_inner);
            *reasoned.entry((class, reason)).or_default() += 1;
        }
        self.durations.add(span);
    }
}

/// How an attempt was started: first, after a failure, or beside a late one.
pub(crate) const KINDS: [&str; 3] = ["first", "retry", "hedge"];
/// How an attempt ended.
pub(crate) const OUTCOMES: [&str; 9] = [
    "answered",
    "not_sent",
    "connect_timeout",
    "timeout",
    "reset",
    "protocol",
    "unprocessed",
    "gateway_error",
    "cancelled",
];

/// The reason that an outcome would be, were it the last.
pub(crate) fn outcome_reason(outcome: &str) -> Reason {
    match outcome {
        "not_sent" => Reason::ConnectFailure,
        "connect_timeout" => Reason::ConnectTimeout,
        "timeout" => Reason::OriginTimeout,
        "reset" | "unprocessed" => Reason::OriginReset,
        "protocol" => Reason::OriginProtocol,
        _ => Reason::None,
    }
}

/// Attempts and connections of one region.
#[derive(Debug, Default)]
pub(crate) struct RegionSeries {
    pub(crate) attempts: [[Tally; OUTCOMES.len()]; KINDS.len()],
    /// Requests that were not sent again because the budget was used up.
    pub(crate) retries_denied: Tally,
    pub(crate) connections_idle: Tally,
    pub(crate) connections_active: Tally,
    pub(crate) connections_opened: Tally,
    pub(crate) connections_reused: Tally,
    /// Requests that naturally belong to this region and were spilled from it, by the region that answered.
    pub(crate) spilled_to: Mutex<BTreeMap<String, u64>>,
}

/// Series that are looked up at once; meanwhile a worker that meets a route for the first time has to wait.
const PIECE: usize = 256;

/// A route and a region; `-` where there was none.
pub(crate) type RouteAndRegion = (String, String);

/// All numbers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    pub(crate) connections: Tally,
    pub(crate) connections_total: Tally,
    pub(crate) handshakes_failed: Tally,
    pub(crate) proxy_headers_refused: Tally,
    pub(crate) upgrades: Tally,
    pub(crate) lookups: [Tally; 4],
    pub(crate) log_lines: Tally,
    pub(crate) log_dropped: Tally,
    pub(crate) spans_dropped: Tally,
    /// Rounds of its upkeep: a worker whose number stands still serves nobody.
    pub(crate) rounds: Tally,
    requests: Mutex<BTreeMap<RouteAndRegion, Arc<RequestSeries>>>,
    pub(crate) regions: Mutex<BTreeMap<String, Arc<RegionSeries>>>,
}

impl Shard {
    /// The series of a route and region. For handles, not for each request.
    pub(crate) fn requests(&self, route: &str, region: &str) -> Arc<RequestSeries> {
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((route.to_owned(), region.to_owned())).or_default().clone()
    }

    /// Tells all series of routes and regions, in their order. They are told while nothing is locked, or a worker that waits for the lock
    /// would not get it between two pieces either.
    pub(crate) fn each_request(&self, mut each: impl FnMut(RouteAndRegion, &RequestSeries)) {
        let mut piece = self.piece(Bound::Unbounded);
        while let Some((last, _)) = piece.last() {
            let rest = Bound::Excluded(last.clone());
            piece.into_iter().for_each(|(key, series)| each(key, &series));
            piece = self.piece(rest);
        }
    }

    fn piece(&self, from: Bound<RouteAndRegion>) -> Vec<(RouteAndRegion, Arc<RequestSeries>)> {
        let all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let piece = all.range::<RouteAndRegion, _>((from, Bound::Unbounded)).take(PIECE);
        piece.map(|(key, series)| (key.clone(), series.clone())).collect()
    }

    /// The series of a region. For handles, not for each request.
    pub(crate) fn region(&self, region: &str) -> Arc<RegionSeries> {
        let mut all = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(region.to_owned()).or_default().clone()
    }

    /// Forgets series of routes and regions that no table mentions any more, or labels would pile up.
    pub(crate) fn retain(&self, is_route: impl Fn(&str) -> bool, is_region: impl Fn(&str) -> bool) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.retain(|(route, region), _| {
            (route == "-" || is_route(route)) && (region == "-" || is_region(region))
        });
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.retain(|region, series| is_region(region) || Arc::strong_count(series) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let durations = Durations::default();
        for millis in [0, 1, 3, 40_000] {
            durations.add(Span::from_millis(millis));
        }
        let filled: Vec<usize> =
            (0..durations.buckets.len()).filter(|bucket| durations.buckets[*bucket].get() > 0).collect();
        assert_eq!(filled, [0, 1, 3, 16]);
        assert_eq!(durations.sum_nanos.get(), 40_004_000_000);
    }

    #[test]
    fn all_series_are_told_once_and_nothing_is_locked_meanwhile() {
        let shard = Shard::default();
        let names: Vec<String> = (0..2 * PIECE + 7).map(|index| format!("r{index:04}")).collect();
        for name in &names {
            shard.requests(name, "eu").add(200, Reason::None, Span::ZERO);
        }
        let mut told = Vec::new();
        shard.each_request(|(route, region), series| {
            assert!(shard.requests.try_lock().is_ok(), "a worker would wait");
            assert_eq!((region.as_str(), series.plain[2].get()), ("eu", 1));
            told.push(route);
        });
        assert_eq!(told, names);
        Shard::default().each_request(|_, _| unreachable!("there are none"));
    }

    #[test]
    fn answers_are_counted_by_class_and_reason() {
        let series = RequestSeries::default();
        series.add(200, Reason::None, Span::ZERO);
        series.add(204, Reason::FailedOver, Span::ZERO);
        series.add(0, Reason::ClientGone, Span::ZERO);
        assert_eq!(series.plain[2].get(), 1);
        let reasoned = series.reasoned.lock().unwrap();
        assert_eq!(reasoned[&(2, Reason::FailedOver)], 1);
        assert_eq!(reasoned[&(0, Reason::ClientGone)], 1);
    }
}
