//! What must hold of every run.

use std::cell::RefCell;

use steer::signals::Health;
use steer::{Moment, Span};

use super::clients::Method;
use super::fault::{FLAP, Fault, NEXT_IS_FARTHER_MS, Phases};
use super::options::{HIT, REGIONS};
use super::record::{Change, End, Outcome, Record};
use super::requests::DEADLINE;

/// What may be added to the load of regions that live.
const MOST_EXTRA: f64 = 0.25;
const WINDOW: Span = Span::from_secs(10);
const FEWEST: usize = 2_500;
/// Before this a run has not settled.
const SETTLED: Moment = Moment::from_millis(700);
/// After a fall, requests may go on for this long.
const QUIET_MS: f64 = 125.0;
/// Service after the first region's return.
const SERVES_AGAIN_MS: f64 = 1_000.0;

/// A run, and what speaks against it.
pub(super) struct Court<'a> {
    pub(super) fault: Fault,
    pub(super) phases: Phases,
    pub(super) record: &'a Record,
    pub(super) broken: RefCell<Vec<String>>,
}

impl Court<'_> {
    /// Which laws were broken, and how.
    pub(super) fn judge(self) -> Vec<String> {
        self.requests_are_answered();
        self.nothing_unsafe_runs_twice();
        self.load_is_not_multiplied();
        self.health_is_told_right();
        self.somebody_is_left();
        self.the_hit_region_is_left();
        self.answers_come_in_time();
        self.service_comes_back();
        self.broken.into_inner()
    }

    fn law(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.borrow_mut().push(what());
        }
    }

    fn ms(&self, at: Moment) -> f64 {
        at.as_nanos() as f64 / 1e6 - self.phases.onset.as_nanos() as f64 / 1e6
    }

    fn during(&self, at: Moment) -> bool {
        at >= self.phases.onset && at < self.phases.lifted
    }

    fn gets(&self) -> impl Iterator<Item = &Outcome> {
        self.record.outcomes.iter().filter(|outcome| outcome.method == Method::Get)
    }

    fn requests_are_answered(&self) {
        // While nobody is there, or all say no, a request may fail, in time. One that was sent before may be lost too.
        let may_all_fail = self.fault.is_everywhere() || self.fault.is_the_applications();
        let (from, to) = (self.phases.onset, self.phases.lifted + Span::from_millis(1_000));
        let is_excused = |outcome: &Outcome| {
            may_all_fail && outcome.at + outcome.took >= from && outcome.at < to && outcome.took <= DEADLINE
        };
        let gets = self.gets().count();
        let failed: Vec<&Outcome> =
            self.gets().filter(|get| get.end != End::Answered && !is_excused(get)).collect();
        let may_fail = self.fault.promise().gets_failed * gets as f64;
        let (count, first) = (failed.len(), failed.first().copied().copied());
        self.law(count == 0 || (count as f64) < may_fail, || {
            format!("{count} of {gets} GETs failed, first {}", told(first, self.phases.onset))
        });
        // What may not run twice may fail only if it has been sent to somebody who was not well.
        let sent_to_the_hit = |outcome: &Outcome| {
            let mut sent = self.record.sent.iter().filter(|sent| sent.request == outcome.request);
            sent.any(|sent| sent.region == HIT)
        };
        let lost = self.record.outcomes.iter().find(|outcome| {
            outcome.method != Method::Get
                && outcome.end != End::Answered
                && !is_excused(outcome)
                && (self.fault == Fault::Nothing || !sent_to_the_hit(outcome))
        });
        let lost = lost.copied();
        self.law(lost.is_none(), || {
            format!("a POST failed that was not sent: {}", told(lost, self.phases.onset))
        });
        let stray = self.record.truncated.len();
        self.law(stray == 0 || self.fault == Fault::HalfAnswers, || format!("{stray} answers broke off"));
    }

    fn nothing_unsafe_runs_twice(&self) {
        let mut runs: Vec<(usize, usize)> =
            self.record.executed.iter().map(|deed| (deed.request, deed.region)).collect();
        runs.sort_unstable();
        let methods: std::collections::BTreeMap<usize, Method> =
            self.record.outcomes.iter().map(|outcome| (outcome.request, outcome.method)).collect();
        for pair in runs.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (request, here, there) = (pair[0].0, REGIONS[pair[0].1].0, REGIONS[pair[1].1].0);
            let method = methods.get(&request).copied().unwrap_or(Method::Get);
            let is_wrong = match method {
                Method::Get => false,
                Method::Post => true,
                Method::KeyedPost => here != there,
            };
            self.law(!is_wrong, || format!("{method:?} {request} ran twice, at {here} and {there}"));
        }
    }

    fn load_is_not_multiplied(&self) {
        let arrived: Vec<Moment> = {
            let mut arrived: Vec<Moment> = self.record.outcomes.iter().map(|outcome| outcome.at).collect();
            arrived.sort_unstable();
            arrived
        };
        let mut seen = std::collections::BTreeSet::new();
        let extra: Vec<Moment> =
            self.record.sent.iter().filter(|sent| !seen.insert(sent.request)).map(|sent| sent.at).collect();
        let within = |all: &[Moment], from: Moment, to: Moment| {
            all.partition_point(|at| *at <= to) - all.partition_point(|at| *at < from)
        };
        let mut worst: Option<(f64, Moment)> = None;
        for end in &extra {
            let begin = *end - WINDOW;
            let requests = within(&arrived, begin, *end);
            // In an edge's first seconds it is the least budget that counts.
            if requests < FEWEST {
                continue;
            }
            let share = within(&extra, begin, *end) as f64 / requests as f64;
            if worst.is_none_or(|(most, _)| share > most) {
                worst = Some((share, *end));
            }
        }
        if let Some((share, at)) = worst {
            let ms = self.ms(at);
            self.law(share <= MOST_EXTRA, || format!("{:.1} % more were sent by {ms:+.0} ms", share * 100.0));
        }
    }

    fn health_is_told_right(&self) {
        let is_hit = |region: usize| self.fault.is_everywhere() || region == HIT;
        let may_fall = self.fault.promise().falls;
        // Requests that fail in a blip may accrue, but nobody may be proved dead by one.
        let is_judged = |fall: &&Change| self.fault != Fault::Blip || !fall.is_ejected;
        let falls: Vec<Change> = self.record.falls().filter(is_judged).copied().collect();
        for fall in &falls {
            let (name, ms) = (REGIONS[fall.region].0, self.ms(fall.at));
            self.law(is_hit(fall.region) && may_fall > 0, || {
                format!("{name}, which is well, fell at {ms:+.0} ms")
            });
            let minute = fall.at + Span::from_secs(60);
            let more = falls
                .iter()
                .filter(|other| other.region == fall.region && other.at >= fall.at && other.at <= minute);
            let count = more.count();
            self.law(count <= may_fall.max(1), || format!("{name} fell {count} times within a minute"));
        }
        if self.fault == Fault::UplinkLost {
            let suspected = self.record.uplink_suspected.first().copied();
            self.law(suspected.is_some_and(|at| self.ms(at) <= 2_000.0), || {
                format!("the uplink was suspected at {suspected:?}")
            });
            let after = suspected.unwrap_or_default();
            let fell = falls.iter().find(|fall| fall.at >= after).map(|fall| self.ms(fall.at));
            self.law(fell.is_none(), || {
                format!("a region fell at {fell:?} although the uplink was suspected")
            });
            let back = self.record.changes.iter().filter(|change| change.at > after);
            let penalised =
                back.filter(|change| !matches!(change.to.health, Health::Up | Health::Suspect)).count();
            self.law(penalised == 0, || "regions were not taken back as they were".to_owned());
            let last: Vec<Health> = (0..REGIONS.len()).map(|region| self.health_at_end(region)).collect();
            self.law(last.iter().all(|health| *health == Health::Up), || format!("in the end: {last:?}"));
        } else {
            let suspected = self.record.uplink_suspected.first().map(|at| self.ms(*at));
            self.law(suspected.is_none(), || format!("the uplink was suspected at {suspected:?} ms"));
        }
    }

    /// Never is the last region given up, unless none is there.
    fn somebody_is_left(&self) {
        let mut usable = [true; REGIONS.len()];
        for change in &self.record.changes {
            usable[change.region] = change.to.is_usable();
            let (ms, is_left) = (self.ms(change.at), usable.contains(&true));
            self.law(is_left || self.fault.is_everywhere(), || {
                format!("the last region was given up at {ms:+.0} ms")
            });
        }
    }

    fn health_at_end(&self, region: usize) -> Health {
        let last = self.record.changes.iter().rfind(|change| change.region == region);
        last.map_or(Health::Unknown, |change| change.to.health)
    }

    fn the_hit_region_is_left(&self) {
        let (onset, lifted) = (self.phases.onset, self.phases.lifted);
        let tried = |from: Moment, to: Moment| {
            // Where a region is only farther or slower, second attempts may well go there.
            let all = !self.fault.promise().p99_comes_back;
            let there = self.record.tried.iter().filter(|deed| deed.region == HIT && (all || deed.is_first));
            there.filter(|deed| deed.at >= from && deed.at < to).map(|deed| deed.at).max()
        };
        if let Some(limit) = self.fault.promise().quiet_after_ms {
            let last = tried(onset, lifted).map_or(0.0, |at| self.ms(at));
            self.law(last <= limit, || format!("the last request was sent there after {last:.0} ms"));
        }
        if self.fault == Fault::Flapping {
            let third = onset + FLAP + FLAP + FLAP + FLAP;
            let last = tried(third, lifted).map(|at| at.since(third).as_millis_f64());
            self.law(last.is_none_or(|last| last <= QUIET_MS), || {
                format!("a request was sent there {last:?} ms after the third fall")
            });
        }
    }

    fn answers_come_in_time(&self) {
        let promise = self.fault.promise();
        if let Some(limit) = promise.slowest_get_ms {
            let hit = self.gets().filter(|get| get.at + get.took >= self.phases.onset);
            let slowest = hit.max_by_key(|get| get.took).copied();
            let ms = slowest.map_or(0.0, |slowest| slowest.took.as_millis_f64());
            self.law(ms < limit, || format!("the slowest GET: {}", told(slowest, self.phases.onset)));
        }
        if promise.p99_comes_back {
            let onset = self.phases.onset;
            let usual = self.p99_ms(SETTLED, onset, true);
            let since = self.p99_ms(onset + Span::from_secs(1), self.phases.lifted, false);
            let limit = 2.0 * (usual + NEXT_IS_FARTHER_MS);
            self.law(since <= limit, || format!("p99 is {since:.0} ms from 1 s on, limit {limit:.0} ms"));
        }
    }

    /// Of GETs that began in that time, and ended in it if they are to be.
    fn p99_ms(&self, from: Moment, to: Moment, ended: bool) -> f64 {
        let inside = self.gets().filter(|get| get.at >= from && get.at < to);
        let inside = inside.filter(|get| !ended || get.at + get.took < to);
        let mut took: Vec<f64> = inside.map(|get| get.took.as_millis_f64()).collect();
        took.sort_by(f64::total_cmp);
        let rank = (took.len() * 99).div_ceil(100).saturating_sub(1);
        took.get(rank).copied().unwrap_or(0.0)
    }

    fn service_comes_back(&self) {
        if !self.fault.is_everywhere() {
            return;
        }
        let lifted = self.phases.lifted;
        let answered = self.record.outcomes.iter().filter(|outcome| outcome.end == End::Answered);
        let first = answered.map(|outcome| outcome.at + outcome.took).filter(|at| *at > lifted).min();
        let ms = first.map_or(f64::INFINITY, |at| at.since(lifted).as_millis_f64());
        self.law(ms <= SERVES_AGAIN_MS, || {
            format!("nobody was served for {ms:.0} ms after the first return")
        });
        if self.fault == Fault::UplinkLost {
            let usual = self.p99_ms(SETTLED, self.phases.onset, true);
            let since = self.p99_ms(lifted + Span::from_secs(2), self.phases.end, true);
            self.law(since <= 2.0 * usual, || {
                format!("p99 is {since:.0} ms after the return, {usual:.0} ms before")
            });
        }
        let served = self.record.outcomes.iter().any(|outcome| {
            self.during(outcome.at)
                && outcome.end == End::Answered
                && outcome.at + outcome.took < lifted
                && self.ms(outcome.at) > 500.0
        });
        self.law(!served, || "somebody was served while nobody was there: the fault is none".to_owned());
    }
}

fn told(outcome: Option<Outcome>, onset: Moment) -> String {
    let Some(Outcome { method, at, took, end, request }) = outcome else { return "none".to_owned() };
    let ms = at.as_nanos() as f64 / 1e6 - onset.as_nanos() as f64 / 1e6;
    format!("{method:?} {request} at {ms:+.0} ms: {end:?} after {:.0} ms", took.as_millis_f64())
}
