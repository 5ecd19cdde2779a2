//! A run held against what is promised.

use crate::edge::Contestant;
use crate::evidence::{Evidence, Excuse};
use crate::fault::{MayFail, Promise};
use crate::load::{End, Method, Outcome};
use crate::quantile::{largest, quantile};
use crate::results::{CellResult, MethodResult, Quantiles, Verdict};
use crate::world::NEXT_IS_FARTHER_MS;

/// Short runs are made beside builds and with unoptimised binaries.
const SHORT_SLACK: f64 = 3.0;
/// What a load balancer may add to the load of regions that live.
const MOST_EXTRA: f64 = 0.25;
/// After a fall, requests may go on for this long.
const QUIET_MS: f64 = 125.0;
/// Before this a run has not settled.
const SETTLED_MS: f64 = 300.0;
const EXAMPLES: usize = 25;
/// How an example ends that nothing excuses.
pub(crate) const UNEXCUSED: &str = "NOT EXCUSED";

/// Which run it was.
pub(crate) struct Run {
    pub(crate) contestant: Contestant,
    pub(crate) run: u32,
    pub(crate) seed: u64,
    pub(crate) is_short: bool,
    /// When the first request was due.
    pub(crate) base_ms: f64,
}

/// Reduces a run to its result.
pub(crate) fn judge(evidence: &Evidence, run: &Run) -> CellResult {
    let mut late: Vec<f64> = evidence.outcomes.iter().map(|outcome| outcome.late_ms).collect();
    let methods: Vec<MethodResult> =
        Method::ALL.iter().map(|method| reduce(evidence, *method, run.base_ms)).collect();
    let from = evidence.events.onset_ms;
    let mut result = CellResult {
        fault: evidence.fault,
        contestant: run.contestant,
        run: run.run,
        seed: run.seed,
        is_short: run.is_short,
        late_p99_ms: quantile(&mut late, 0.99),
        discarded: 0,
        unstarted: 0,
        methods,
        last_sent_ms: evidence.last_sent_ms(from, false),
        last_tried_ms: evidence.last_sent_ms(from, true),
        doubted_ms: evidence.first(&["suspect", "down", "held"]),
        down_ms: evidence.first(&["down", "held"]),
        falls: evidence.falls(),
        transitions: evidence.transitions.clone(),
        extra_share: evidence.extra_share(),
        serves_again_ms: evidence.serves_again_ms(),
        verdicts: Vec::new(),
        examples: examples(evidence),
    };
    let slack = if run.is_short { SHORT_SLACK } else { 1.0 };
    result.verdicts = verdicts(evidence, &result, &evidence.fault.promise(), slack);
    result
}

fn reduce(evidence: &Evidence, method: Method, base_ms: f64) -> MethodResult {
    let all: Vec<&Outcome> = evidence.outcomes.iter().filter(|outcome| outcome.method == method).collect();
    let (onset, lifted) = (evidence.events.onset_ms, evidence.events.lifted_ms);
    let quantiles = |is_in: &dyn Fn(&Outcome) -> bool| {
        let inside = all.iter().filter(|outcome| is_in(outcome));
        let mut latencies: Vec<f64> = inside.map(|outcome| outcome.latency_ms()).collect();
        Quantiles { p50_ms: quantile(&mut latencies, 0.5), p99_ms: quantile(&mut latencies, 0.99) }
    };
    let between = |from: f64, to: f64| quantiles(&|outcome| outcome.at_ms >= from && outcome.at_ms < to);
    // What the fault met under way is not how things were before it.
    let is_before = |outcome: &Outcome| {
        outcome.at_ms >= base_ms + SETTLED_MS && outcome.at_ms + outcome.latency_ms() < onset
    };
    let failed: Vec<_> = all.iter().filter(|outcome| outcome.has_failed()).collect();
    let truncated: Vec<_> = all.iter().filter(|outcome| outcome.end == End::Truncated).collect();
    // Those that were under way at the onset count as hit.
    let late = all.iter().filter(|outcome| outcome.at_ms + outcome.latency_ms() >= onset);
    MethodResult {
        method,
        requests: all.len(),
        failed: failed.len(),
        by_nature: failed.iter().filter(|outcome| evidence.excuse(outcome).is_some()).count(),
        truncated: truncated.len(),
        truncated_by_nature: truncated
            .iter()
            .filter(|outcome| evidence.was_begun_by_the_hit(outcome))
            .count(),
        twice: evidence.twice(method),
        slowest_ms: largest(late.map(|outcome| outcome.latency_ms())),
        before: quantiles(&is_before),
        during: between(onset, lifted),
        from_one_second: between(onset + 1_000.0, lifted),
    }
}

fn verdicts(evidence: &Evidence, result: &CellResult, promise: &Promise, slack: f64) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut hold = |what: &str, is_met: bool, seen: String| {
        verdicts.push(Verdict { what: what.to_owned(), is_met, is_timing: false, seen });
    };
    let get = result.method(Method::Get);
    let saved = |method: &MethodResult| method.failed - method.by_nature;
    let failed = format!("{} of {} failed", get.failed, get.requests);
    match promise.gets {
        MayFail::None => hold("no GET fails whose answer had not begun", get.failed == 0, failed),
        MayFail::Share(share) => {
            let is_met = (get.failed as f64) < share * get.requests as f64;
            hold(&format!("under {} % of GETs fail", share * 100.0), is_met, failed);
        }
        MayFail::WhileAllAreGone => hold(
            "GETs fail with a clear 503 within the deadline, and only while no region is there",
            saved(get) == 0,
            format!("{} of {} failed, {} of them otherwise", get.failed, get.requests, saved(get)),
        ),
    }
    for (method, what) in [
        (Method::Stream, "no stream fails before it begins"),
        (Method::WebSocket, "no WebSocket fails before it begins"),
    ] {
        let method = result.method(method);
        hold(what, saved(method) == 0, format!("{} of {}", saved(method), method.requests));
    }
    for (method, what) in [
        (Method::Post, "no POST fails that was not sent"),
        (Method::KeyedPost, "no keyed POST fails that was not sent"),
        (Method::LargePost, "no POST of 1 MiB fails that was not sent"),
        (Method::Grpc, "no gRPC call fails that was not sent"),
    ] {
        let method = result.method(method);
        let seen = format!("{} of {}, and {} that were", saved(method), method.requests, method.by_nature);
        hold(what, saved(method) == 0, seen);
    }
    let unsafe_ones = [Method::Post, Method::LargePost, Method::Grpc];
    let twice: usize = unsafe_ones.iter().map(|method| result.method(*method).twice).sum();
    hold("nothing runs twice that must not", twice == 0, twice.to_string());
    let stray: usize =
        result.methods.iter().map(|method| method.truncated - method.truncated_by_nature).sum();
    hold("no answer breaks off that a healthy region had begun", stray == 0, stray.to_string());
    if let Some(no) = evidence.clear_no_seen() {
        hold("somebody gets a clear 503 while no region is there", no > 0, no.to_string());
    }
    if let Some(limit) = promise.falls {
        hold(&format!("falls {limit} times at most"), result.falls <= limit, result.falls.to_string());
    }
    if let Some(share) = result.extra_share {
        let what = "retries and hedges under 25 % of requests in any 10 s";
        hold(what, share <= MOST_EXTRA, format!("{:.1} %", share * 100.0));
    }
    verdicts.extend(timings(evidence, result, promise, slack));
    verdicts
}

/// What is promised about time.
fn timings(evidence: &Evidence, result: &CellResult, promise: &Promise, slack: f64) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut hold = |what: &str, is_met: bool, seen: String| {
        verdicts.push(Verdict { what: what.to_owned(), is_met, is_timing: true, seen });
    };
    let get = result.method(Method::Get);
    if let Some(limit) = promise.slowest_get_ms {
        let is_met = get.slowest_ms < limit * slack;
        hold(&format!("slowest GET under {limit} ms"), is_met, format!("{:.0} ms", get.slowest_ms));
    }
    // A region that returns before the limit proves nothing.
    let during_ms = evidence.events.lifted_ms - evidence.events.onset_ms;
    if let Some(limit) = promise.quiet_after_ms.filter(|limit| limit * slack < during_ms) {
        let last = result.last_tried_ms.unwrap_or(0.0);
        hold(
            &format!("no new request there after {limit} ms"),
            last <= limit * slack,
            format!("{last:.0} ms"),
        );
    }
    if promise.p99_comes_back {
        let limit = 2.0 * (get.before.p99_ms + NEXT_IS_FARTHER_MS);
        let seen = get.from_one_second.p99_ms;
        let what = "from 1 s on, p99 within twice what is normal at the next region";
        hold(what, seen <= limit * slack, format!("{seen:.0} ms, limit {limit:.0} ms"));
    }
    if promise.is_held_by_third {
        let third = evidence.events.falls_ms.get(2).copied().unwrap_or(evidence.events.onset_ms);
        let last = evidence.last_sent_ms(third, true).unwrap_or(0.0);
        hold(
            "nothing is sent there from the third fall on",
            last <= QUIET_MS * slack,
            format!("{last:.0} ms"),
        );
    }
    if let (Some(limit), Some(seen)) = (promise.serves_again_ms, result.serves_again_ms) {
        let what = format!("serves within {limit} ms of the first return");
        hold(&what, seen <= limit * slack, format!("{seen:.0} ms"));
    }
    verdicts
}

/// Some of what nothing excuses, in words; then of what something does.
fn examples(evidence: &Evidence) -> Vec<String> {
    let wrong = evidence.outcomes.iter().filter(|outcome| outcome.end != End::Answered);
    let (mut bad, mut excused) = (Vec::new(), Vec::new());
    for outcome in wrong {
        let excuse = match outcome.end {
            End::Truncated if evidence.was_begun_by_the_hit(outcome) => Some("its answer had begun"),
            End::Truncated => None,
            _ => evidence.excuse(outcome).map(|excuse| match excuse {
                Excuse::WasSent => "it had been sent",
                Excuse::OriginSaidNo => "the origin said so",
                Excuse::NobodyWasThere => "nobody was there",
            }),
        };
        let line = format!(
            "{} m{} at {:+.0} ms: {:?} after {:.0} ms, status {}, from {}, {:?}: {}",
            outcome.method.title(),
            outcome.id,
            outcome.at_ms - evidence.events.onset_ms,
            outcome.end,
            outcome.took_ms,
            outcome.status,
            outcome.region.as_deref().unwrap_or("nobody"),
            outcome.words.as_deref().unwrap_or_default(),
            excuse.unwrap_or(UNEXCUSED),
        );
        if excuse.is_some() { excused.push(line) } else { bad.push(line) }
    }
    bad.truncate(EXAMPLES);
    excused.truncate(EXAMPLES / 2);
    bad.extend(excused);
    bad
}
