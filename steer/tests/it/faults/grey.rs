//! Regions that answer their probes and fail their requests, for a minute: given up, tried again, and not again and again.

use steer::Span;

use super::clients::Method;
use super::fault::{Fault, Phases};
use super::options::{HIT, Options};
use super::record::{End, Record};
use super::{run, seeds, world};

const MINUTE: Span = Span::from_secs(60);
/// Falls in a minute.
const MOST: usize = 3;
/// Enough for proof, and few enough for a minute of them to be tried many times.
const PER_SECOND: f64 = 100.0;

fn failed(record: &Record) -> usize {
    let lost =
        |outcome: &&super::record::Outcome| outcome.method == Method::Get && outcome.end != End::Answered;
    record.outcomes.iter().filter(lost).count()
}

/// The most that a minute may see of GETs that fail.
fn hold(fault: Fault, may_fail: usize, usually: u64) {
    for seed in seeds(usually) {
        let (short, options) = world(fault, seed);
        let lifted = short.onset + MINUTE;
        let phases = Phases { lifted, end: lifted, ..short };
        let sim = run(fault, seed, &phases, Options { per_second: PER_SECOND, ..options });
        let falls = sim.record.falls().filter(|change| change.region == HIT);
        let (falls, failed) = (falls.count(), failed(&sim.record));
        assert!(
            (1..=MOST).contains(&falls) && failed <= may_fail,
            "fault {}, seed {seed}: {falls} falls in a minute, {failed} GETs failed\n  health:\n{}\
             again: NEARSIDE_SEED={seed} cargo test -p nearside-steer --test it faults::grey",
            fault.name(),
            sim.record.told(phases.onset),
        );
        let elsewhere = sim.record.falls().filter(|change| change.region != HIT);
        assert_eq!(elsewhere.count(), 0, "seed {seed}: a region that is well fell");
    }
}

#[test]
fn storms() {
    hold(Fault::StormUnseen, 0, 2);
}

#[test]
fn some_503() {
    // 0.05 % of 4800.
    hold(Fault::Some503, 2, 2);
}

#[test]
fn half_answers() {
    hold(Fault::HalfAnswers, 0, 2);
}
