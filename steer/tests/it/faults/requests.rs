//! The loop of a request: its attempts one after another, and beside a late one a second. Modelled after the proxy's
//! `forward::attempts`.

use steer::Span;
use steer::attempt::{Ending, Failed, Nature, Reach, next_placement, reach};
use steer::decide::{Basis, decide, plan_in_lane};
use steer::ids::PlacementId;
use steer::pick::{OriginView, pick};

use super::attempts::{Failure, How};
use super::clients::{Due, Method};
use super::options::Flaw;
use super::record::End;
use super::sim::{Sim, origin_id};
use super::waiting::{LAST_HOPE, Wait};

/// What a request may take.
pub(super) const DEADLINE: Span = Span::from_secs(5);

/// The kinds of attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    First,
    Retry,
    Hedge,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) due: Due,
    pub(super) worker: usize,
    pub(super) nature: Nature,
    pub(super) tried: Vec<usize>,
    pub(super) begun: u32,
    pub(super) reach: Reach,
    pub(super) first: Option<usize>,
    pub(super) second: Option<usize>,
    /// Of the attempt that came first in this race, which may have ended.
    pub(super) leader: usize,
    pub(super) wait: Wait,
    pub(super) is_over: bool,
}

/// Where an attempt goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) origin: usize,
    /// Whether answers from there have become late.
    pub(super) is_slow: bool,
    pub(super) is_least_bad: bool,
}

impl Sim {
    pub(super) fn arrived(&mut self, due: Due) {
        let worker = self.edge_dice.below(2) as usize;
        let is_safe = self.has(Flaw::PostsAreSafe);
        let nature =
            Nature::of(if is_safe { "GET" } else { due.method.name() }, due.method == Method::KeyedPost);
        let id = self.requests.len();
        self.requests.push(Request {
            due,
            worker,
            nature,
            tried: Vec::new(),
            begun: 0,
            reach: Reach::Anywhere,
            first: None,
            second: None,
            leader: 0,
            wait: Wait::default(),
            is_over: false,
        });
        let decided = self.with_world(due.client, |world, lane, client| decide(world, lane, client, &mut ()));
        let Ok(decision) = decided else {
            return self.finish(id, End::Nowhere);
        };
        let origin = self.pick_origin(id, decision.first.index());
        self.workers[worker].comes_first(decision.first.index(), self.now);
        let target = self.target(origin, decision.basis);
        self.race(id, target);
    }

    fn pick_origin(&mut self, id: usize, placement: usize) -> usize {
        let range = self.table.placements[placement].origins.clone();
        let prior_ms = self.latency_ms(placement).unwrap_or(0.0);
        let Request { worker, tried, .. } = &self.requests[id];
        let (worker, now) = (&self.workers[*worker], self.now);
        let view = |id: steer::ids::OriginId| OriginView {
            trusted: self.board.origins[id.index()].is_trusted(),
            tried: tried.contains(&id.index()),
        };
        let load = |id: steer::ids::OriginId| {
            let known = &worker.origins[id.index()];
            known.ewma.load(now, prior_ms, known.in_flight)
        };
        let ids: Vec<_> = range.map(origin_id).collect();
        pick(ids.into_iter(), view, load, self.edge_dice.rng()).unwrap().index()
    }

    /// One attempt, and beside it a second if it is late.
    fn race(&mut self, id: usize, target: Target) {
        let kind = if self.requests[id].begun == 0 { Kind::First } else { Kind::Retry };
        let attempt = self.begin(id, target, kind);
        let may_leave = self.may_leave(id);
        let placement = self.placement_of(target.origin);
        let latency_ms = self.latency_ms(placement);
        let request = &mut self.requests[id];
        (request.first, request.second, request.leader) = (Some(attempt), None, attempt);
        let may_hedge = may_hedge(request);
        let (late_after, is_known) =
            self.workers[request.worker].placements[placement].late_after(latency_ms);
        let late_at = (may_hedge || may_leave).then(|| self.now + late_after);
        request.wait = Wait {
            alarm: None,
            stamp: request.wait.stamp,
            late_at,
            may_hedge: may_hedge && is_known,
            hope_ends_at: target.is_least_bad.then(|| self.now + LAST_HOPE),
        };
        self.set_alarm(id, late_at);
        self.start(attempt);
    }

    pub(super) fn begin(&mut self, id: usize, target: Target, kind: Kind) -> usize {
        self.requests[id].begun += 1;
        self.new_attempt(id, target, kind)
    }

    pub(super) fn tries(&mut self, id: usize, origin: usize) {
        let tried = &mut self.requests[id].tried;
        if !tried.contains(&origin) {
            tried.push(origin);
        }
    }

    /// Where the next attempt goes, after or beside one at `from`, decided anew.
    pub(super) fn next_target(&mut self, id: usize, from: usize, reach: Reach) -> Option<Target> {
        let request = &self.requests[id];
        let planned = self
            .with_world(request.due.client, |world, lane, client| plan_in_lane(world, lane, client, &mut ()));
        let (decision, plan) = planned.ok()?;
        let has_untried = |placement: &PlacementId| {
            self.table.placement(*placement).origins.clone().any(|origin| !request.tried.contains(&origin))
        };
        let exhausted: Vec<PlacementId> =
            plan.iter().copied().filter(|placement| !has_untried(placement)).collect();
        let placement = self.table.origins[from].placement;
        let health = self.board.observed[placement.index()].health;
        let failed = Failed { placement, health, untried_left: !exhausted.contains(&placement) };
        let is_last = request.begun + 1 >= self.retry.attempts;
        let next = next_placement(&plan, failed, &exhausted, reach, is_last)?;
        let origin = self.pick_origin(id, next.index());
        Some(self.target(origin, decision.basis))
    }

    fn target(&self, origin: usize, basis: Basis) -> Target {
        let excess = self.ranking.excesses.get(self.placement_of(origin));
        let is_slow = excess.is_some_and(|excess| excess.ms > 0);
        Target { origin, is_slow, is_least_bad: basis == Basis::AllDown }
    }

    /// An attempt was answered: that is the end of its request.
    pub(super) fn won(&mut self, attempt: usize) {
        let id = self.attempts[attempt].request;
        let request = &self.requests[id];
        let (first, leader) = (request.first, request.leader);
        if request.second == Some(attempt)
            && let Some(first) = first
        {
            self.given_up(first);
            let placement = self.placement_of(self.attempts[leader].target.origin);
            self.workers[self.requests[id].worker].hedge_won(placement);
        }
        self.finish(id, End::Answered);
    }

    /// An attempt failed.
    pub(super) fn lost_attempt(&mut self, attempt: usize, failure: Failure) {
        let id = self.attempts[attempt].request;
        let origin = self.attempts[attempt].target.origin;
        let request = &mut self.requests[id];
        if request.first == Some(attempt) {
            request.first = None;
            if request.second.is_none() {
                self.goes_on(id, attempt, failure);
            }
        } else if request.second == Some(attempt) {
            request.second = None;
            if request.first.is_none() {
                self.goes_on(id, attempt, failure);
            } else {
                self.tries(id, origin);
            }
        }
    }

    /// Nothing runs any more: on with another attempt, if one may follow.
    pub(super) fn goes_on(&mut self, id: usize, attempt: usize, failure: Failure) {
        let Target { origin, .. } = self.attempts[attempt].target;
        self.tries(id, origin);
        let request = &mut self.requests[id];
        request.reach = request.reach.min(reach(failure.ending, request.nature, true, &self.retry));
        let end = End::Failed(failure.how);
        let reach = request.reach;
        if reach == Reach::Nowhere || request.begun >= self.retry.attempts {
            return self.finish(id, end);
        }
        let mut next = self.next_target(id, origin, reach);
        if next.is_none() && failure.how == How::ConnectTimeout {
            self.requests[id].tried.clear();
            next = self.next_target(id, origin, reach);
        }
        let Some(next) = next else { return self.finish(id, end) };
        let is_free = matches!(failure.ending, Ending::NotSent | Ending::Unprocessed);
        let placement = self.placement_of(origin);
        let (worker, budgets, now) = (self.requests[id].worker, self.budgets, self.now);
        if is_free || self.has(Flaw::NoBudget) || self.workers[worker].may_retry(placement, budgets, now) {
            self.race(id, next);
        } else {
            self.finish(id, End::BudgetSpent);
        }
    }

    pub(super) fn finish(&mut self, id: usize, end: End) {
        let request = &mut self.requests[id];
        request.is_over = true;
        let running = [request.first.take(), request.second.take()];
        running.into_iter().flatten().for_each(|attempt| self.cancel(attempt));
        let request = &self.requests[id];
        self.record.ended(id, &request.due, end, self.now);
    }
}

/// Whether a second attempt may run beside the first.
pub(super) fn may_hedge(request: &Request) -> bool {
    request.nature.is_safe() && request.due.method == Method::Get
}
