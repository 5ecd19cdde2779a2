//! The failover faults in virtual time: a whole edge with its clients, its prober and three regions, run for seconds that
//! take milliseconds, over many seeds.
//!
//! What the failover matrix measures with real processes on a real clock is here a law that holds for every seed. A law that is
//! broken names its seed and fault, and how to run that one world again.

mod attempts;
mod clients;
mod dice;
mod fault;
mod flaws;
mod grey;
mod keeper;
mod laws;
mod network;
mod options;
mod outcomes;
mod prober;
mod questions;
mod queue;
mod record;
mod requests;
mod sim;
mod soak;
mod waiting;
mod workers;

use std::cell::RefCell;

use steer::Span;

use dice::Dice;
use fault::{Fault, Phases};
use laws::Court;
use options::Options;
use sim::Sim;

/// The seeds to try: so many, or as the environment says.
fn seeds(usually: u64) -> Vec<u64> {
    let from = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (from("NEARSIDE_SEED"), from("NEARSIDE_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, many) => (1..=many.unwrap_or(usually)).collect(),
    }
}

/// A world that the seed decides.
fn world(fault: Fault, seed: u64) -> (Phases, Options) {
    let mut dice = Dice::new(seed, "world");
    let phases = fault.phases(dice.between(0.0, 120.0));
    let mut origins = [0; options::REGIONS.len()].map(|_: usize| 1 + dice.below(2) as usize);
    if fault == Fault::HalfKilled {
        origins[options::HIT] = 2;
    }
    let options = Options {
        origins,
        retry_after: dice.chance(0.3),
        ramp_delay: Span::from_millis_f64(dice.between(0.0, 5_000.0)),
        references: match fault {
            Fault::AllSilent => Some(true),
            Fault::UplinkLost => Some(false),
            _ => None,
        },
        ..Options::default()
    };
    (phases, options)
}

fn run(fault: Fault, seed: u64, phases: &Phases, options: Options) -> Sim {
    let timeline = |region, origin| fault.timeline(phases, region, origin);
    let mut sim = Sim::new(seed, options, phases.end, timeline);
    // Until the last request has ended.
    sim.run_until(phases.end + Span::from_secs(6));
    sim
}

fn broken(fault: Fault, phases: Phases, sim: &Sim) -> Vec<String> {
    Court { fault, phases, record: &sim.record, broken: RefCell::default() }.judge()
}

/// Runs a fault with many seeds and holds every run against the laws.
fn hold(fault: Fault, usually: u64) {
    let name = fault.name();
    for seed in seeds(usually) {
        let (phases, options) = world(fault, seed);
        let told = format!("{:?} origins, retry after: {}", options.origins, options.retry_after);
        let sim = run(fault, seed, &phases, options);
        assert!(sim.record.outcomes.len() > 400, "seed {seed}: nobody asked");
        let broken = broken(fault, phases, &sim);
        assert!(
            broken.is_empty(),
            "fault {name}, seed {seed} ({told}):\n  {}\n  health:\n{}\
             again: NEARSIDE_SEED={seed} cargo test -p nearside-steer --test it faults::{name}",
            broken.join("\n  "),
            sim.record.told(phases.onset),
        );
    }
}

macro_rules! faults {
    ($($name:ident: $fault:ident, $seeds:expr;)*) => {
        $(
            #[test]
            fn $name() {
                hold(Fault::$fault, $seeds);
            }
        )*
    };
}

faults! {
    nothing: Nothing, 8;
    killed: Killed, 8;
    half_killed: HalfKilled, 8;
    stopped: Stopped, 8;
    dropped: Dropped, 8;
    blip: Blip, 8;
    storm: Storm, 8;
    storm_unseen: StormUnseen, 8;
    some_503: Some503, 8;
    half_answers: HalfAnswers, 8;
    slow: Slow, 8;
    delay: Delay, 8;
    flapping: Flapping, 3;
    all_lost: AllLost, 8;
    all_silent: AllSilent, 8;
    uplink_lost: UplinkLost, 8;
    application_fails: ApplicationFails, 3;
    application_slow: ApplicationSlow, 2;
}

#[test]
fn a_seed_is_a_world() {
    let told = |seed| {
        let (phases, options) = world(Fault::Stopped, seed);
        let sim = run(Fault::Stopped, seed, &phases, options);
        format!("{:?}", sim.record)
    };
    assert!(told(7) == told(7), "the same seed tells two stories");
    assert!(told(7) != told(8), "seeds do not matter");
}
