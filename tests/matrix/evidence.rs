//! What is known of a run from all sides: clients, origins, ways and the edge's own log; and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::edge::{Attempt, Logged, Transition};
use crate::fault::{Fault, Plane};
use crate::load::{End, Method, Outcome};
use crate::quantile::largest;
use crate::script::Events;
use crate::sighting::Sighting;
use crate::world::HIT;

/// All that was seen in a run. Times are on the run's clock.
pub(crate) struct Evidence {
    pub(crate) fault: Fault,
    pub(crate) events: Events,
    /// What a request may take.
    pub(crate) deadline_ms: f64,
    pub(crate) outcomes: Vec<Outcome>,
    /// Where each request was carried out.
    pub(crate) executions: BTreeMap<u32, Vec<&'static str>>,
    /// What passed on the way to which region.
    pub(crate) sightings: Vec<(&'static str, Sighting)>,
    /// What the edge wrote; empty if it does not tell its attempts.
    pub(crate) logged: Vec<Logged>,
    pub(crate) transitions: Vec<Transition>,
}

/// Why a request that failed could not have been saved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Excuse {
    /// It may have run, and must not run twice.
    WasSent,
    /// The origin itself said no, to something that must not be sent twice.
    OriginSaidNo,
    /// No region was there, and the edge said so in time.
    NobodyWasThere,
}

/// When everything is there again, nothing may fail from then on.
const OVER_MS: f64 = 1_000.0;
/// How much later than the deadline a client may have his clear no.
const GRACE_MS: f64 = 250.0;

impl Evidence {
    /// Why a failed request could not have been saved, if so.
    pub(crate) fn excuse(&self, outcome: &Outcome) -> Option<Excuse> {
        // What is left over from the fault, such as connections that hang, is no excuse for long.
        if outcome.at_ms > self.events.lifted_ms + OVER_MS {
            return None;
        }
        if self.fault.is_everywhere() && self.is_clear_no(outcome) {
            return Some(Excuse::NobodyWasThere);
        }
        if outcome.method.is_safe() {
            return None;
        }
        if outcome.region.is_some() && outcome.status >= 500 {
            return Some(Excuse::OriginSaidNo);
        }
        self.was_sent(outcome).then_some(Excuse::WasSent)
    }

    /// Whether the edge said in time that no region is there.
    fn is_clear_no(&self, outcome: &Outcome) -> bool {
        let is_in_time = outcome.took_ms <= self.deadline_ms + GRACE_MS;
        let is_meanwhile = outcome.at_ms + outcome.took_ms >= self.events.onset_ms;
        let says_so = match outcome.method {
            // 14 is UNAVAILABLE, which is gRPC's 503.
            Method::Grpc => outcome.words.as_deref().is_some_and(|words| words.starts_with("grpc-status 14")),
            _ => outcome.status == 503,
        };
        outcome.end == End::Refused && is_in_time && is_meanwhile && says_so
    }

    /// How many were told clearly and in time that no region is there, if that is what the fault does.
    pub(crate) fn clear_no_seen(&self) -> Option<usize> {
        let is_no = |outcome: &&Outcome| self.is_clear_no(outcome);
        self.fault.is_everywhere().then(|| self.outcomes.iter().filter(is_no).count())
    }

    /// Whether a request was written to an origin of a region that is hit: seen on the way there, carried out there, or,
    /// where the way cannot be read or what is lost on it never gets as far as the relay, by the edge's own word.
    fn was_sent(&self, outcome: &Outcome) -> bool {
        let carried_out = self.executions.get(&outcome.id);
        let is_seen = carried_out.is_some_and(|regions| regions.iter().any(|region| self.fault.hits(region)))
            || self.sightings.iter().any(|(region, seen)| seen.id == outcome.id && self.fault.hits(region));
        let is_readable = self.fault.plane() == Plane::Plain && outcome.method != Method::Grpc;
        if is_seen || is_readable && !self.fault.loses_packets() {
            return is_seen;
        }
        let is_sent = |attempt: &Attempt| attempt.is_sent && self.fault.hits(&attempt.region);
        match self.logged.iter().find(|logged| logged.id == Some(outcome.id)) {
            Some(logged) => logged.attempts.iter().any(is_sent),
            None => self.logged.is_empty(),
        }
    }

    /// Whether an answer that broke off had been begun by a region that was hit.
    pub(crate) fn was_begun_by_the_hit(&self, outcome: &Outcome) -> bool {
        outcome.end == End::Truncated
            && outcome.region.as_deref().is_some_and(|region| self.fault.hits(region))
    }

    /// From the onset to the last request sent to the region while it was hit; with `tried`, attempts that could not be sent
    /// count too.
    pub(crate) fn last_sent_ms(&self, from_ms: f64, tried: bool) -> Option<f64> {
        let is_meanwhile = |at_ms: &f64| *at_ms >= from_ms && *at_ms < self.events.lifted_ms;
        // Calls have a pool of their own with few requests, in which as many failures take longer to come together.
        let calls: BTreeSet<u32> = self
            .outcomes
            .iter()
            .filter(|outcome| self.fault.accrues() && outcome.method == Method::Grpc)
            .map(|outcome| outcome.id)
            .collect();
        let there = self.sightings.iter().filter(|(region, _)| *region == HIT);
        let there = there.filter(|(_, sighting)| !calls.contains(&sighting.id));
        let seen = there.map(|(_, sighting)| sighting.at_ms).filter(is_meanwhile);
        let logged = self.logged.iter().filter(|logged| logged.id.is_none_or(|id| !calls.contains(&id)));
        let attempts = logged.flat_map(|logged| &logged.attempts);
        let logged = attempts
            .filter(|attempt| attempt.region == HIT && (tried || attempt.is_sent))
            .map(|attempt| attempt.began_ms)
            .filter(is_meanwhile);
        seen.chain(logged).map(|at_ms| at_ms - from_ms).reduce(f64::max)
    }

    /// Requests that were carried out more than once.
    pub(crate) fn twice(&self, method: Method) -> usize {
        let of_method: BTreeSet<u32> = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.method == method)
            .map(|outcome| outcome.id)
            .collect();
        self.executions.iter().filter(|(id, regions)| regions.len() > 1 && of_method.contains(id)).count()
    }

    /// From the onset to the first word that the region is in one of these states.
    pub(crate) fn first(&self, states: &[&str]) -> Option<f64> {
        let told = self.transitions.iter().filter(|transition| {
            transition.region == HIT
                && transition.at_ms >= self.events.onset_ms
                && transition.at_ms <= self.events.lifted_ms
                && states.contains(&transition.to.as_str())
        });
        told.map(|transition| transition.at_ms - self.events.onset_ms).reduce(f64::min)
    }

    /// How often a pool of the region fell while it was hit: the worst pool.
    pub(crate) fn falls(&self) -> usize {
        let mut falls: BTreeMap<&str, usize> = BTreeMap::new();
        for transition in &self.transitions {
            let is_meanwhile =
                transition.at_ms >= self.events.onset_ms && transition.at_ms <= self.events.lifted_ms;
            let is_fall = matches!(transition.to.as_str(), "down" | "held");
            if transition.region == HIT && is_meanwhile && is_fall {
                *falls.entry(&transition.pool).or_default() += 1;
            }
        }
        falls.into_values().max().unwrap_or(0)
    }

    /// Attempts beyond each request's first that were sent, as a share of requests, in the worst 10 s. A run that is shorter counts
    /// as if it had gone on without any.
    pub(crate) fn extra_share(&self) -> Option<f64> {
        const WINDOW_MS: f64 = 10_000.0;
        const STEP_MS: f64 = 500.0;
        if self.logged.is_empty() {
            return None;
        }
        let first = self.logged.iter().map(|logged| logged.began_ms).fold(f64::MAX, f64::min);
        let last = largest(self.logged.iter().map(|logged| logged.began_ms));
        let steps = ((last - first - WINDOW_MS) / STEP_MS).ceil().max(0.0) as usize;
        let stretch = (WINDOW_MS / (last - first).max(1.0)).max(1.0);
        let share = |step: usize| {
            let from = first + step as f64 * STEP_MS;
            let inside = self
                .logged
                .iter()
                .filter(|logged| logged.began_ms >= from && logged.began_ms <= from + WINDOW_MS);
            let (mut requests, mut extra) = (0usize, 0usize);
            for logged in inside {
                requests += 1;
                let sent = logged.attempts.iter().filter(|attempt| attempt.is_sent).count();
                extra += sent.saturating_sub(1);
            }
            extra as f64 / (requests.max(1) as f64 * stretch)
        };
        Some(largest((0..=steps).map(share)))
    }

    /// From the first region's return to the last GET that failed after it.
    pub(crate) fn serves_again_ms(&self) -> Option<f64> {
        if !self.fault.is_everywhere() {
            return None;
        }
        let failed =
            self.outcomes.iter().filter(|outcome| outcome.method == Method::Get && outcome.has_failed());
        Some(largest(failed.map(|outcome| outcome.at_ms - self.events.lifted_ms)))
    }
}

#[cfg(test)]
mod tests;
