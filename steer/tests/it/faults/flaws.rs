//! Laws that no flaw breaks say nothing: each of these flaws must break the law that is about it.

use super::fault::Fault;
use super::options::{Flaw, HIT, Options};
use super::{broken, run, world};

/// Seeds within which a flaw must show.
const SEEDS: u64 = 12;

/// Whether some law that is broken says `words`, with one of the seeds.
fn shows(flaw: Flaw, fault: Fault, words: &str, change: impl Fn(&mut Options)) {
    let mut seen = Vec::new();
    for seed in 1..=SEEDS {
        let (phases, mut options) = world(fault, seed);
        change(&mut options);
        let sim = run(fault, seed, &phases, Options { flaw: Some(flaw), ..options });
        seen.extend(broken(fault, phases, &sim));
        if seen.iter().any(|law| law.contains(words)) {
            return;
        }
    }
    panic!("{flaw:?} under {fault:?} is not noticed; what is: {seen:#?}");
}

#[test]
fn late_requests_need_a_second_attempt() {
    shows(Flaw::OneAttemptAtATime, Fault::Stopped, "the slowest GET", |_| ());
}

#[test]
fn a_second_attempt_must_not_be_stuck_beside_the_first() {
    shows(Flaw::SecondStays, Fault::Stopped, "the slowest GET", |options| options.origins[HIT] = 2);
}

#[test]
fn what_was_left_before_it_was_sent_may_go_on() {
    shows(Flaw::LeavesBlindly, Fault::Dropped, "a POST failed that was not sent", |_| ());
}

#[test]
fn an_outage_of_the_uplink_is_remembered_after_it() {
    shows(Flaw::OutageIsForgotten, Fault::UplinkLost, "although the uplink was suspected", |_| ());
}

#[test]
fn errors_are_no_service() {
    shows(Flaw::ErrorsAreService, Fault::Storm, "the last request", |options| options.networks = 2);
}

#[test]
fn errors_accrue() {
    shows(Flaw::NoAccrual, Fault::StormUnseen, "the last request", |_| ());
}

#[test]
fn what_may_not_run_twice_stays() {
    shows(Flaw::PostsAreSafe, Fault::Stopped, "ran twice", |_| ());
}

#[test]
fn repetitions_are_counted() {
    shows(Flaw::NoBudget, Fault::ApplicationFails, "more were sent", |_| ());
}
