//! Numbers of the prober, for the metrics page.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use control::vitals::PlacementKey;
use steer::health::Guard;

/// How a probe ended: the labels, in the order of [`Counts`].
pub(crate) const RESULTS: [&str; 4] = ["ok", "bad_answer", "lost", "discarded"];

/// Probes of one region, by result.
pub(crate) type Counts = [u64; RESULTS.len()];

/// Numbers by region and pool.
#[derive(Debug, Default)]
pub(crate) struct ProbeSeries {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    probes: BTreeMap<String, Counts>,
    /// By pool, region, and the health it changed to.
    transitions: BTreeMap<Key, u64>,
    /// By pool, region, and what accrued.
    trips: BTreeMap<Key, u64>,
    /// By pool, region, and what spoke against giving it up.
    prevented: BTreeMap<Key, u64>,
    late_seconds: f64,
    rounds: u64,
}

impl ProbeSeries {
    pub(super) fn probe(&self, region: &str, result: usize) {
        let mut inner = self.lock();
        if let Some(counts) = inner.probes.get_mut(region) {
            counts[result] += 1;
        } else {
            inner.probes.entry(region.to_owned()).or_default()[result] += 1;
        }
    }

    pub(super) fn transition(&self, pool: &str, region: &str, to: &'static str) {
        *self.lock().transitions.entry((pool.to_owned(), region.to_owned(), to)).or_default() += 1;
    }

    /// A placement whose judgements are counted from now on, from 0.
    pub(super) fn begin(&self, key: &PlacementKey) {
        let inner = &mut *self.lock();
        for of in [Trip::Errors, Trip::Slowness] {
            inner.trips.entry((key.pool.clone(), key.region.clone(), of.as_str())).or_default();
        }
        for by in Guard::ALL {
            inner.prevented.entry((key.pool.clone(), key.region.clone(), by.as_str())).or_default();
        }
    }

    pub(super) fn trip(&self, key: &PlacementKey, of: Trip) {
        *self.lock().trips.entry((key.pool.clone(), key.region.clone(), of.as_str())).or_default() += 1;
    }

    pub(super) fn prevented(&self, key: &PlacementKey, by: Guard) {
        *self.lock().prevented.entry((key.pool.clone(), key.region.clone(), by.as_str())).or_default() += 1;
    }

    pub(super) fn late(&self, seconds: f64) {
        let mut inner = self.lock();
        inner.late_seconds += seconds;
        inner.rounds += 1;
    }

    pub(super) fn retain(&self, is_region: impl Fn(&str) -> bool) {
        let inner = &mut *self.lock();
        inner.probes.retain(|region, _| is_region(region));
        for counts in [&mut inner.transitions, &mut inner.trips, &mut inner.prevented] {
            counts.retain(|(_, region, _), _| is_region(region));
        }
    }

    pub(crate) fn probes(&self) -> Vec<(String, Counts)> {
        self.lock().probes.iter().map(|(region, counts)| (region.clone(), *counts)).collect()
    }

    pub(crate) fn transitions(&self) -> Vec<(Key, u64)> {
        listed(&self.lock().transitions)
    }

    pub(crate) fn trips(&self) -> Vec<(Key, u64)> {
        listed(&self.lock().trips)
    }

    pub(crate) fn prevented_ejections(&self) -> Vec<(Key, u64)> {
        listed(&self.lock().prevented)
    }

    /// Seconds that probes were late in all, and how many were sent.
    pub(crate) fn lateness(&self) -> (f64, u64) {
        let inner = self.lock();
        (inner.late_seconds, inner.rounds)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pool, region, and a word.
type Key = (String, String, &'static str);

fn listed(counts: &BTreeMap<Key, u64>) -> Vec<(Key, u64)> {
    counts.iter().map(|(key, count)| (key.clone(), *count)).collect()
}

/// What a placement was judged for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trip {
    Errors,
    Slowness,
}

impl Trip {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Slowness => "slowness",
        }
    }
}
