//! Nobody who is well is given up: hours of probes with lost ones, jitter on the way, and a prober that is late.

use steer::signals::Health;
use steer::{Moment, Span};

use super::options::{Options, REGIONS};
use super::record::Record;
use super::seeds;
use super::sim::Sim;

const HOUR: Span = Span::from_secs(3_600);

/// Probes of one region for that long; clients are none.
fn soaked(seed: u64, region: usize, options: &Options, span: Span) -> Record {
    let end = Moment::default() + span;
    let options = Options { regions: region..region + 1, per_second: 0.0, ..options.clone() };
    let mut sim = Sim::new(seed, options, end, |_, _| Vec::new());
    sim.run_until(end);
    sim.record
}

/// One probe in a thousand is lost, half of them with the next one; the prober pauses every two seconds.
fn usual() -> Options {
    Options { loss: 0.001, bursts: 0.5, pauses_an_hour: 1_800.0, ..Options::default() }
}

fn nobody_falls(region: usize) {
    for seed in seeds(4) {
        let record = soaked(seed, region, &usual(), HOUR);
        let name = REGIONS[region].0;
        let suspicions = record.changes.iter().filter(|change| change.to.health == Health::Suspect).count();
        assert!(suspicions > 5, "seed {seed}, {name}: nothing was lost, {suspicions} suspicions");
        assert!(
            record.falls().next().is_none(),
            "seed {seed}: {name}, which is well, fell:\n{}\
             again: NEARSIDE_SEED={seed} cargo test -p nearside-steer --test it faults::soak",
            record.told(Moment::default()),
        );
    }
}

#[test]
fn near() {
    nobody_falls(0);
}

#[test]
fn middle() {
    nobody_falls(1);
}

#[test]
fn far() {
    nobody_falls(2);
}

#[test]
fn a_way_that_loses_most_is_given_up() {
    let falls = (1..=5).map(|seed| {
        let options = Options { loss: 0.8, ..usual() };
        soaked(seed, 0, &options, Span::from_secs(60)).falls().count()
    });
    assert!(falls.sum::<usize>() > 5);
}
