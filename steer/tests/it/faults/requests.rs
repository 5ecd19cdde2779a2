//! The loop of a request: its attempts one after another, and beside a late one a second. Modelled after the proxy's
//! `forward::attempts` and `forward::wait`.

use steer::attempt::{Ending, Failed, Nature, Reach, next_placement, reach};
use steer::decide::{Basis, decide, plan_in_lane};
use steer::ids::PlacementId;
use steer::pick::{OriginView, pick};
use steer::signals::Health;
use steer::{Moment, Span};

use super::attempts::{Failure, How};
use super::clients::{Due, Method};
use super::record::End;
use super::sim::{Event, Flaw, Sim, origin_id};

/// How long a request waits where nothing else is left to try, once its placement is down.
const LAST_HOPE: Span = Span::from_secs(2);
/// How long it waits for the budget to allow a second attempt.
const BUDGET_WAIT: Span = Span::from_millis(25);
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
    tried: Vec<usize>,
    begun: u32,
    reach: Reach,
    pub(super) first: Option<usize>,
    pub(super) second: Option<usize>,
    /// Of the attempt that came first in this race, which may have ended.
    leader: usize,
    wait: Wait,
    pub(super) is_over: bool,
}

/// When a request that waits for an answer does something about it.
#[derive(Debug, Default)]
struct Wait {
    alarm: Option<Moment>,
    stamp: u32,
    late_at: Option<Moment>,
    may_hedge: bool,
    hope_ends_at: Option<Moment>,
}

/// Where an attempt goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) origin: usize,
    pub(super) is_least_bad: bool,
}

enum Step {
    Wait,
    Second(Target),
    Leave,
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
        self.race(id, Target { origin, is_least_bad: decision.basis == Basis::AllDown });
    }

    fn pick_origin(&mut self, id: usize, placement: usize) -> usize {
        let range = self.table.placements[placement].origins.clone();
        let prior_ms = self.latency_ms(placement).unwrap_or(0.0);
        let Request { worker, tried, .. } = &self.requests[id];
        let (worker, now) = (&self.workers[*worker], self.now);
        let view = |id: steer::ids::OriginId| {
            let known = &worker.origins[id.index()];
            OriginView {
                load: known.ewma.load(now, prior_ms, known.in_flight),
                trusted: self.board.origins[id.index()].is_trusted(),
                tried: tried.contains(&id.index()),
            }
        };
        let ids: Vec<_> = range.map(origin_id).collect();
        pick(ids.into_iter(), view, self.edge_dice.rng()).unwrap().index()
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

    fn begin(&mut self, id: usize, target: Target, kind: Kind) -> usize {
        self.requests[id].begun += 1;
        self.new_attempt(id, target, kind)
    }

    /// Whether it may go on if it leaves the attempt that runs.
    fn may_leave(&self, id: usize) -> bool {
        let nature = self.requests[id].nature;
        reach(Ending::Unanswered, nature, true, &self.retry) > Reach::Nowhere
    }

    fn set_alarm(&mut self, id: usize, at: Option<Moment>) {
        let request = &mut self.requests[id];
        let deadline = request.due.at + DEADLINE;
        let alarm = at.into_iter().chain(request.wait.hope_ends_at).chain([deadline]).min();
        request.wait.alarm = alarm;
        request.wait.stamp += 1;
        let stamp = request.wait.stamp;
        if let Some(at) = alarm {
            self.queue.push(at, Event::Alarm { request: id, stamp });
        }
    }

    pub(super) fn alarm(&mut self, id: usize, stamp: u32) {
        let request = &self.requests[id];
        if !request.is_over && request.wait.stamp == stamp {
            self.looks_up(id);
        }
    }

    /// The health of a placement has changed.
    pub(super) fn trouble(&mut self) {
        for origin in 0..self.board.origins.len() {
            let health = self.board.observed[self.placement_of(origin)].health;
            if matches!(health, Health::Down | Health::Held) {
                self.workers.iter_mut().for_each(|worker| worker.forget_idle(origin));
            }
        }
        for id in std::mem::take(&mut self.listening) {
            if !self.requests[id].is_over {
                self.looks_up(id);
            }
        }
    }

    fn looks_up(&mut self, id: usize) {
        let request = &self.requests[id];
        if request.due.at + DEADLINE <= self.now {
            return self.finish(id, End::Deadline);
        }
        if request.wait.late_at.is_some_and(|late| late <= self.now) && !self.listening.contains(&id) {
            self.listening.push(id);
        }
        match self.step(id) {
            Step::Wait => {}
            Step::Second(target) => {
                if let Some(second) = self.requests[id].second.take() {
                    self.given_up(second);
                    self.cancel(second);
                }
                let second = self.begin(id, target, Kind::Hedge);
                self.requests[id].second = Some(second);
                self.start(second);
            }
            Step::Leave => {
                let leader = self.requests[id].leader;
                let ending = self.ending_if_left(leader);
                self.given_up(leader);
                self.cancel(leader);
                self.requests[id].first = None;
                self.goes_on(id, leader, Failure { how: How::Abandoned, ending });
            }
        }
    }

    fn step(&mut self, id: usize) -> Step {
        let request = &self.requests[id];
        if request.wait.hope_ends_at.is_some_and(|ends| ends <= self.now) {
            return Step::Leave;
        }
        let late_at = request.wait.late_at;
        self.set_alarm(id, late_at.filter(|late| *late > self.now));
        let request = &self.requests[id];
        let leader = &self.attempts[request.leader];
        if late_at.is_none_or(|late| late > self.now) || leader.target.is_least_bad {
            return Step::Wait;
        }
        if let Some(second) = request.second {
            return self.second_gives_way(id, second);
        }
        let origin = leader.target.origin;
        let placement = self.placement_of(origin);
        let (is_doubted, is_down) = self.in_trouble(origin);
        let request = &mut self.requests[id];
        let is_twice = may_hedge(request);
        let hedges = std::mem::take(&mut request.wait.may_hedge);
        let (begun, worker) = (request.begun, request.worker);
        let may_leave = is_twice || is_down && self.may_leave(id);
        if !may_leave || !(hedges || is_doubted) || (is_twice && self.has(Flaw::OneAttemptAtATime)) {
            return Step::Wait;
        }
        self.tries(id, origin);
        // One that leaves may go only as far as what it leaves behind allows.
        let is_blind = is_twice || self.has(Flaw::LeavesBlindly);
        let reach = if is_blind { Reach::Anywhere } else { self.reach_if_left(id) };
        let next = (begun < self.retry.attempts).then(|| self.next_target(id, origin, reach)).flatten();
        let Some(next) = next else {
            if is_down {
                let now = self.now;
                let ends = *self.requests[id].wait.hope_ends_at.get_or_insert(now + LAST_HOPE);
                self.set_alarm(id, Some(ends));
            }
            return Step::Wait;
        };
        if !is_twice {
            return Step::Leave;
        }
        let (budgets, now) = (self.budgets, self.now);
        let worker = &mut self.workers[worker];
        if hedges && worker.may_hedge(placement, budgets, now) {
            return Step::Second(next);
        }
        if is_doubted && worker.may_retry(placement, budgets, now) {
            return Step::Second(next);
        }
        if is_doubted {
            self.set_alarm(id, Some(now + BUDGET_WAIT));
        }
        Step::Wait
    }

    /// Whether the placement of an origin is doubted, and whether it is down.
    fn in_trouble(&self, origin: usize) -> (bool, bool) {
        match self.board.observed[self.placement_of(origin)].health {
            Health::Suspect => (true, false),
            Health::Down | Health::Held => (true, true),
            Health::Unknown | Health::Up | Health::Recovering => (false, false),
        }
    }

    /// A second attempt that has met the same trouble as the first makes room for one elsewhere.
    fn second_gives_way(&mut self, id: usize, second: usize) -> Step {
        let request = &self.requests[id];
        let (begun, worker) = (request.begun, request.worker);
        let first = request.first.map(|first| self.attempts[first].target.origin);
        let origin = self.attempts[second].target.origin;
        let is_stuck = self.in_trouble(origin).0 && first.is_none_or(|first| self.in_trouble(first).0);
        if !is_stuck || begun >= self.retry.attempts || self.has(Flaw::SecondStays) {
            return Step::Wait;
        }
        self.tries(id, origin);
        let Some(next) = self.next_target(id, origin, Reach::Anywhere) else { return Step::Wait };
        let (placement, budgets, now) = (self.placement_of(origin), self.budgets, self.now);
        if self.workers[worker].may_retry(placement, budgets, now) {
            return Step::Second(next);
        }
        self.set_alarm(id, Some(now + BUDGET_WAIT));
        Step::Wait
    }

    /// How an attempt ends that is left: a request of which nothing was written cannot have run.
    fn ending_if_left(&self, attempt: usize) -> Ending {
        let is_sent = self.attempts[attempt].dispatched.is_some() || self.has(Flaw::LeavesBlindly);
        if is_sent { Ending::Unanswered } else { Ending::NotSent }
    }

    fn reach_if_left(&self, id: usize) -> Reach {
        let request = &self.requests[id];
        let ending = self.ending_if_left(request.leader);
        request.reach.min(reach(ending, request.nature, true, &self.retry))
    }

    fn tries(&mut self, id: usize, origin: usize) {
        let tried = &mut self.requests[id].tried;
        if !tried.contains(&origin) {
            tried.push(origin);
        }
    }

    /// Where the next attempt goes, after or beside one at `from`, decided anew.
    fn next_target(&mut self, id: usize, from: usize, reach: Reach) -> Option<Target> {
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
        Some(Target { origin, is_least_bad: decision.basis == Basis::AllDown })
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
    fn goes_on(&mut self, id: usize, attempt: usize, failure: Failure) {
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

    fn finish(&mut self, id: usize, end: End) {
        let request = &mut self.requests[id];
        request.is_over = true;
        let running = [request.first.take(), request.second.take()];
        running.into_iter().flatten().for_each(|attempt| self.cancel(attempt));
        let request = &self.requests[id];
        self.record.ended(id, &request.due, end, self.now);
    }
}

/// Whether a second attempt may run beside the first.
fn may_hedge(request: &Request) -> bool {
    request.nature.is_safe() && request.due.method == Method::Get
}
