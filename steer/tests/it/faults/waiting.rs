//! What a request does while it waits for an answer. Modelled after the proxy's `forward::wait`.

use steer::attempt::{Ending, Reach, reach};
use steer::signals::Health;
use steer::{Moment, Span};

use super::attempts::{Failure, How};
use super::options::Flaw;
use super::record::End;
use super::requests::{DEADLINE, Kind, Target, may_hedge};
use super::sim::{Event, Sim};

/// How long a request waits where nothing else is left to try, once its placement is down.
pub(super) const LAST_HOPE: Span = Span::from_secs(2);
/// How long it waits for the budget to allow a second attempt.
const BUDGET_WAIT: Span = Span::from_millis(25);

/// When a request that waits for an answer does something about it.
#[derive(Debug, Default)]
pub(super) struct Wait {
    pub(super) alarm: Option<Moment>,
    pub(super) stamp: u32,
    pub(super) late_at: Option<Moment>,
    pub(super) may_hedge: bool,
    pub(super) hope_ends_at: Option<Moment>,
}

enum Step {
    Wait,
    Second(Target),
    Leave,
}

impl Sim {
    /// Whether it may go on if it leaves the attempt that runs.
    pub(super) fn may_leave(&self, id: usize) -> bool {
        let nature = self.requests[id].nature;
        reach(Ending::Unanswered, nature, true, &self.retry) > Reach::Nowhere
    }

    pub(super) fn set_alarm(&mut self, id: usize, at: Option<Moment>) {
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
        // Whoever is late himself does not help.
        if hedges && !next.is_slow && worker.may_hedge(placement, budgets, now) {
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
}
