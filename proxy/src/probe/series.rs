//! Numbers of the prober, for the metrics page.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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
    transitions: BTreeMap<(String, String, &'static str), u64>,
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

    pub(super) fn late(&self, seconds: f64) {
        let mut inner = self.lock();
        inner.late_seconds += seconds;
        inner.rounds += 1;
    }

    pub(super) fn retain(&self, is_region: impl Fn(&str) -> bool) {
        let mut inner = self.lock();
        inner.probes.retain(|region, _| is_region(region));
        inner.transitions.retain(|(_, region, _), _| is_region(region));
    }

    pub(crate) fn probes(&self) -> Vec<(String, Counts)> {
        self.lock().probes.iter().map(|(region, counts)| (region.clone(), *counts)).collect()
    }

    pub(crate) fn transitions(&self) -> Vec<((String, String, &'static str), u64)> {
        self.lock().transitions.iter().map(|(key, count)| (key.clone(), *count)).collect()
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
