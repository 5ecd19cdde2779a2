use super::*;
use crate::judge::{Run, judge};
use crate::results::{CellResult, MAX_LATE_MS};

const ONSET_MS: f64 = 1_000.0;
const LIFTED_MS: f64 = 6_000.0;

fn evidence(fault: Fault, outcomes: Vec<Outcome>) -> Evidence {
    let events = Events { onset_ms: ONSET_MS, lifted_ms: LIFTED_MS, falls_ms: vec![ONSET_MS] };
    Evidence {
        fault,
        events,
        deadline_ms: 5_000.0,
        outcomes,
        executions: BTreeMap::new(),
        sightings: Vec::new(),
        logged: Vec::new(),
        transitions: Vec::new(),
    }
}

/// A request that was due so long after the onset, and took 10 ms.
fn asked(id: u32, method: Method, after_ms: f64, end: End, status: u16) -> Outcome {
    Outcome {
        id,
        method,
        at_ms: ONSET_MS + after_ms,
        late_ms: 0.1,
        head_ms: None,
        took_ms: 10.0,
        end,
        status,
        region: None,
        words: None,
    }
}

fn failed(id: u32, method: Method, after_ms: f64) -> Outcome {
    asked(id, method, after_ms, End::Refused, 502)
}

fn logged(id: u32, began_ms: f64, attempts: &[(&str, bool)]) -> Logged {
    let attempts = attempts.iter().map(|(region, is_sent)| Attempt {
        region: (*region).to_owned(),
        began_ms,
        is_sent: *is_sent,
    });
    Logged { id: Some(id), began_ms, attempts: attempts.collect() }
}

fn changed(at_ms: f64, pool: &str, region: &str, to: &str) -> Transition {
    let text = str::to_owned;
    Transition { at_ms, pool: text(pool), region: text(region), to: text(to) }
}

fn judged(evidence: &Evidence) -> CellResult {
    judge(
        evidence,
        &Run {
            contestant: crate::edge::Contestant::Nearside,
            run: 0,
            seed: 1,
            is_short: false,
            base_ms: 0.0,
        },
    )
}

fn broken(evidence: &Evidence) -> Vec<String> {
    judged(evidence).broken().map(|verdict| format!("{}: {}", verdict.what, verdict.seen)).collect()
}

#[test]
fn a_post_is_excused_by_what_was_seen_of_it_and_a_get_by_nothing() {
    let post = failed(1, Method::Post, 10.0);
    let mut seen = evidence(Fault::Stopped, vec![post.clone()]);
    assert_eq!(seen.excuse(&post), None, "nobody saw it");
    seen.sightings =
        vec![("middle", Sighting { id: 1, at_ms: ONSET_MS }), (HIT, Sighting { id: 2, at_ms: ONSET_MS })];
    assert_eq!(seen.excuse(&post), None, "it went to a region that lives");
    seen.sightings.push((HIT, Sighting { id: 1, at_ms: ONSET_MS + 10.0 }));
    assert_eq!(seen.excuse(&post), Some(Excuse::WasSent));
    seen.sightings.clear();
    seen.executions.insert(1, vec![HIT]);
    assert_eq!(seen.excuse(&post), Some(Excuse::WasSent), "the origin told");
    // The edge's word counts only where nothing else can be seen.
    seen.executions.clear();
    seen.logged = vec![logged(1, ONSET_MS, &[(HIT, true)])];
    assert_eq!(seen.excuse(&post), None);
    let call = failed(1, Method::Grpc, 10.0);
    assert_eq!(seen.excuse(&call), Some(Excuse::WasSent));
    seen.logged = vec![logged(1, ONSET_MS, &[(HIT, false), ("middle", true)])];
    assert_eq!(seen.excuse(&call), None, "not sent there");
    // What a filter drops has left the edge and was seen by nobody.
    let mut lost = evidence(Fault::Dropped, vec![post.clone()]);
    lost.logged = vec![logged(1, ONSET_MS, &[(HIT, true)])];
    assert_eq!(lost.excuse(&post), Some(Excuse::WasSent));
    lost.logged = vec![logged(1, ONSET_MS, &[(HIT, false)])];
    assert_eq!(lost.excuse(&post), None, "the edge never sent it");

    let get = failed(1, Method::Get, 10.0);
    seen.executions.insert(1, vec![HIT]);
    assert_eq!(seen.excuse(&get), None);
    let from_origin = Outcome { region: Some(HIT.to_owned()), status: 503, ..post };
    assert_eq!(seen.excuse(&from_origin), Some(Excuse::OriginSaidNo));
}

#[test]
fn with_all_regions_gone_only_a_clear_no_in_time_excuses() {
    let no = asked(1, Method::Get, 10.0, End::Refused, 503);
    let gone = evidence(Fault::AllLost, vec![no.clone()]);
    assert_eq!(gone.excuse(&no), Some(Excuse::NobodyWasThere));
    for other in [
        Outcome { status: 504, ..no.clone() },
        Outcome { end: End::Broken, status: 0, ..no.clone() },
        Outcome { took_ms: 5_300.0, ..no.clone() },
        Outcome { at_ms: LIFTED_MS + 1_001.0, ..no.clone() },
        Outcome { at_ms: ONSET_MS - 20.0, ..no },
    ] {
        assert_eq!(gone.excuse(&other), None, "{other:?}");
    }
    let call = |words: &str| Outcome {
        words: Some(words.to_owned()),
        status: 200,
        ..asked(1, Method::Grpc, 1.0, End::Refused, 200)
    };
    let mut calls = evidence(Fault::AllLost, Vec::new());
    calls.logged = vec![logged(1, ONSET_MS, &[(HIT, false)])];
    assert_eq!(calls.excuse(&call("grpc-status 14: no region is usable")), Some(Excuse::NobodyWasThere));
    assert_eq!(calls.excuse(&call("grpc-status 4: too late")), None);
    assert_eq!(broken(&gone), Vec::<String>::new());
    let nobody = evidence(Fault::AllLost, vec![asked(1, Method::Get, 10.0, End::Answered, 200)]);
    assert_eq!(broken(&nobody), ["somebody gets a clear 503 while no region is there: 0"]);
}

#[test]
fn what_hangs_over_from_a_fault_excuses_nothing_for_long() {
    let mut seen = evidence(Fault::UplinkLost, Vec::new());
    seen.executions = [(1, vec![HIT]), (2, vec![HIT])].into();
    assert_eq!(seen.excuse(&failed(1, Method::Post, 5_900.0)), Some(Excuse::WasSent));
    assert_eq!(seen.excuse(&failed(2, Method::Post, 6_100.0)), None);
}

#[test]
fn what_ran_twice_is_counted_by_method() {
    let all = [
        (1, Method::Get),
        (2, Method::Post),
        (3, Method::KeyedPost),
        (4, Method::LargePost),
        (5, Method::Post),
    ];
    let outcomes = all.map(|(id, method)| asked(id, method, 1.0, End::Answered, 200)).to_vec();
    let mut seen = evidence(Fault::Killed, outcomes);
    seen.executions =
        (1..=4).map(|id| (id, vec![HIT, "middle"])).chain([(5, vec![HIT]), (99, vec![HIT, HIT])]).collect();
    let counts =
        [Method::Get, Method::Post, Method::KeyedPost, Method::LargePost].map(|method| seen.twice(method));
    assert_eq!(counts, [1, 1, 1, 1]);
    // A GET may, and whoever sends a key asks for it.
    assert_eq!(broken(&seen), ["nothing runs twice that must not: 2"]);
    seen.executions.insert(2, vec![HIT]);
    seen.executions.insert(4, vec![HIT]);
    assert_eq!(broken(&seen), Vec::<String>::new());
}

#[test]
fn extra_attempts_are_counted_in_the_worst_ten_seconds() {
    let mut seen = evidence(Fault::Rolling, Vec::new());
    assert_eq!(seen.extra_share(), None, "who tells nothing has no share");
    // One request in 100 ms for 40 s; from 20 to 24 s each is sent twice, before that tried twice and sent once.
    let attempts = |second: u32| match second {
        20..24 => vec![(HIT, true), ("middle", true)],
        0..20 => vec![(HIT, false), ("middle", true)],
        _ => vec![("middle", true)],
    };
    seen.logged = (0..400).map(|id| logged(id, f64::from(id) * 100.0, &attempts(id / 10))).collect();
    let share = seen.extra_share().unwrap();
    // 40 of the 101 requests of a window that holds all of them, or 100 where it begins between two.
    assert!((0.39..=0.40).contains(&share), "{share}");
    let over = broken(&seen);
    assert_eq!(over.len(), 1, "{over:?}");
    assert!(over[0].starts_with("retries and hedges under 25 %"), "{over:?}");
    // 4 s of nothing else are 40 % of ten.
    seen.logged.retain(|logged| (200..=240).contains(&logged.id.unwrap_or(0)));
    let share = seen.extra_share().unwrap();
    assert!((0.38..=0.41).contains(&share), "{share}");
}

#[test]
fn the_last_request_is_that_of_the_ways_or_of_the_log_while_the_region_was_hit() {
    let mut seen = evidence(Fault::Killed, Vec::new());
    assert_eq!(seen.last_sent_ms(ONSET_MS, true), None);
    seen.sightings = vec![
        (HIT, Sighting { id: 1, at_ms: ONSET_MS - 1.0 }),
        (HIT, Sighting { id: 2, at_ms: ONSET_MS + 60.0 }),
        ("middle", Sighting { id: 3, at_ms: ONSET_MS + 900.0 }),
        (HIT, Sighting { id: 4, at_ms: LIFTED_MS + 1.0 }),
    ];
    assert_eq!(seen.last_sent_ms(ONSET_MS, true), Some(60.0));
    seen.logged = vec![logged(5, ONSET_MS + 130.0, &[(HIT, false)])];
    assert_eq!(
        (seen.last_sent_ms(ONSET_MS, false), seen.last_sent_ms(ONSET_MS, true)),
        (Some(60.0), Some(130.0))
    );
    assert_eq!(broken(&seen), ["no new request there after 125 ms: 130 ms"]);
}

#[test]
fn falls_are_those_of_the_worst_pool_while_the_region_was_hit() {
    let mut seen = evidence(Fault::Killed, Vec::new());
    seen.transitions = vec![
        changed(ONSET_MS - 1.0, "web", HIT, "down"),
        changed(ONSET_MS + 30.0, "web", HIT, "suspect"),
        changed(ONSET_MS + 40.0, "web", HIT, "down"),
        changed(ONSET_MS + 50.0, "calls", HIT, "down"),
        changed(ONSET_MS + 60.0, "web", "middle", "down"),
        changed(ONSET_MS + 90.0, "web", HIT, "held"),
    ];
    assert_eq!(seen.falls(), 2);
    assert_eq!(
        (seen.first(&["suspect", "down"]), seen.first(&["down"]), seen.first(&["up"])),
        (Some(30.0), Some(40.0), None)
    );
    assert_eq!(broken(&seen), ["falls 1 times at most: 2"]);
}

#[test]
fn a_late_load_says_nothing_about_time_and_all_about_failures() {
    let slow = Outcome { took_ms: 450.0, ..asked(1, Method::Get, 1.0, End::Answered, 200) };
    let mut seen = evidence(Fault::Stopped, vec![slow, failed(2, Method::Get, 5.0)]);
    assert_eq!(
        broken(&seen),
        ["no GET fails whose answer had not begun: 1 of 2 failed", "slowest GET under 400 ms: 450 ms"]
    );
    for outcome in &mut seen.outcomes {
        outcome.late_ms = MAX_LATE_MS + 1.0;
    }
    assert_eq!(broken(&seen), ["no GET fails whose answer had not begun: 1 of 2 failed"]);
}

#[test]
fn what_breaks_off_is_counted_apart_and_excused_by_who_began_it() {
    let from = |id, region: &str| Outcome {
        region: Some(region.to_owned()),
        ..asked(id, Method::Stream, 1.0, End::Truncated, 200)
    };
    let seen = evidence(Fault::Killed, vec![from(1, HIT), from(2, "middle")]);
    let result = judged(&seen);
    let streams = result.method(Method::Stream);
    assert_eq!((streams.failed, streams.truncated, streams.truncated_by_nature), (0, 2, 1));
    assert_eq!(broken(&seen), ["no answer breaks off that a healthy region had begun: 1"]);
}
