//! Metric families, built by hand: the numbers are summed up elsewhere, and get their names and help from the
//! catalogue.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily};

use super::catalogue::Described;
use crate::observe::series::BOUNDS;

/// Families in the making.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    pub(super) fn all(self) -> Vec<MetricFamily> {
        self.0
    }

    /// Adds the numbers of a metric. Those without any are left out, since the encoder refuses them.
    pub(super) fn add(&mut self, of: &Described, metrics: Vec<Metric>) {
        debug_assert!(metrics.iter().all(|metric| has_labels(metric, of)), "{} has other labels", of.name);
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(of.name.to_owned());
        family.set_help(of.help.to_owned());
        family.set_field_type(of.kind.into());
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn has_labels(metric: &Metric, of: &Described) -> bool {
    let found = metric.get_label().iter().map(LabelPair::name);
    found.eq(of.labels.iter().map(|(name, _)| *name))
}

pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Vec<LabelPair> {
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    pairs.into_iter().map(pair).collect()
}

pub(super) fn counter(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

pub(super) fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

pub(super) fn histogram(labels: Vec<LabelPair>, buckets: &[u64; BOUNDS.len() + 1], sum_nanos: u64) -> Metric {
    let mut below = 0;
    let bucket = |(bound, count): (&f64, &u64)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(below);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(BOUNDS.iter().zip(buckets).map(bucket).collect());
    histogram.set_sample_count(buckets.iter().sum());
    histogram.set_sample_sum(sum_nanos as f64 / 1e9);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}
