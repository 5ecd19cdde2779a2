//! What a request does while it waits for an answer: nothing, for most are answered long before it counts as late.
//!
//! A late one looks at the health of its placement, at once and whenever that changes. In a sound placement it may be sent a
//! second time within the hedge budget, once. In a doubted one it may be sent a second time within the retry budget; one that
//! cannot be sent twice at a time leaves a placement that is down. Where nowhere is left to go it hopes for two seconds.

use std::rc::Rc;
use std::time::Duration;

use steer::attempt::{Ending, Reach};
use steer::signals::Health;
use tokio::time::Instant;

use super::attempts::{Progress, Sent};
use crate::worker::Target;

/// How long a request waits where nothing else is left to try, once its placement is down.
const LAST_HOPE: Duration = Duration::from_secs(2);
/// How often a late one looks again, whether or not it was told of anything.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long it waits for the budget to allow a second attempt.
const BUDGET_WAIT: Duration = Duration::from_millis(25);

/// What runs of a request while it waits.
pub(super) struct Running {
    /// How its first attempt would have ended, were it left now; `None` if it has failed.
    pub(super) first: Option<Ending>,
    /// Where its second one runs.
    pub(super) second: Option<Rc<Target>>,
}

/// Whether a placement is doubted, and whether it is down; one that an operator forced up is neither.
fn doubts(target: &Target) -> (bool, bool) {
    if target.is_forced_up {
        return (false, false);
    }
    match target.origin.placement.health() {
        Health::Suspect => (true, false),
        Health::Down | Health::Held => (true, true),
        Health::Unknown | Health::Up | Health::Recovering => (false, false),
    }
}

/// What a request does while it waits.
pub(super) enum Step {
    Wait,
    /// It is sent a second time.
    Second(Target),
    /// It leaves its attempt, and goes on elsewhere.
    Leave,
    /// It has waited in vain, and there is nowhere to go.
    GiveUp,
}

/// When a request that waits for an answer does something about it.
pub(super) struct Wait {
    /// When to look again.
    pub(super) alarm: Option<Instant>,
    /// When its answer counts as late; `None` if it can do nothing about it.
    late_at: Option<Instant>,
    /// Whether it may be sent a second time only because it is late.
    may_hedge: bool,
    /// When it gives up, for want of anything else to try.
    hope_ends_at: Option<Instant>,
    deadline: Option<Instant>,
}

impl Wait {
    /// Of a request that is sent at `now`.
    pub(super) fn of(sent: &Sent<'_>, target: &Target, now: Instant) -> Self {
        let may_hedge = sent.may_hedge(target);
        let may_leave = sent.reach_after(Ending::Unanswered, target) > Reach::Nowhere;
        let (late_after, is_known) = target.class.late_after(target.latency_ms);
        let mut wait = Self {
            alarm: None,
            late_at: (may_hedge || may_leave).then(|| now + late_after),
            may_hedge: may_hedge && is_known,
            hope_ends_at: target.is_least_bad.then(|| now + LAST_HOPE),
            deadline: sent.deadline,
        };
        wait.set_alarm(wait.late_at);
        wait
    }

    fn set_alarm(&mut self, at: Option<Instant>) {
        self.alarm = at.into_iter().chain(self.hope_ends_at).chain(self.deadline).min();
    }

    /// Whether it wants to know of changes of health.
    pub(super) fn listens(&self, now: Instant) -> bool {
        self.late_at.is_some_and(|late| late <= now)
    }

    /// What to do at `now`, woken by the alarm or by a change of health.
    pub(super) fn step(
        &mut self,
        sent: &Sent<'_>,
        target: &Target,
        progress: &mut Progress,
        now: Instant,
        running: &Running,
    ) -> Step {
        let ending = running.first.unwrap_or(Ending::Unanswered);
        let reach = progress.reach.min(sent.reach_after(ending, target));
        let may_leave = reach > Reach::Nowhere;
        if self.hope_ends_at.is_some_and(|ends| ends <= now) {
            return Step::GiveUp;
        }
        let is_late = self.listens(now);
        self.set_alarm(self.late_at.map(|late| if is_late { now + LOOK_AGAIN } else { late }));
        if !is_late || target.is_least_bad {
            return Step::Wait;
        }
        if sent.worker.uplink.is_suspected() && may_leave {
            // Wherever it was sent, nothing answers.
            self.hope_ends_at.get_or_insert(now + LAST_HOPE);
        }
        let (mut is_doubted, is_down) = doubts(target);
        if let Some(second) = &running.second {
            // Where the second is stuck as well, it makes room for another.
            let is_stuck = doubts(second).0 && (is_doubted || running.first.is_none());
            if !is_stuck {
                return Step::Wait;
            }
            is_doubted = true;
            progress.tried.add(&second.origin);
        }
        let is_twice = sent.may_hedge(target);
        let hedges = std::mem::take(&mut self.may_hedge);
        let may_leave = is_twice || is_down && may_leave;
        if !may_leave || !(hedges || is_doubted) {
            return Step::Wait;
        }
        progress.tried.add(&target.origin);
        let next = (progress.begun < sent.attempts(target))
            .then(|| sent.next_target(target, progress, reach))
            .flatten();
        let Some(next) = next else {
            if is_down {
                let ends_at = *self.hope_ends_at.get_or_insert(now + LAST_HOPE);
                self.set_alarm(Some(ends_at));
            }
            return Step::Wait;
        };
        if !is_twice {
            // The retry that follows pays.
            return Step::Leave;
        }
        let (placement, at) = (&target.origin.placement, sent.worker.clock.now());
        // Whoever is late himself does not help.
        if hedges && running.second.is_none() && !next.is_slow && placement.may_hedge(target.budgets, at) {
            return Step::Second(next);
        }
        if is_doubted && placement.may_retry(target.budgets, at) {
            return Step::Second(next);
        }
        if is_doubted {
            self.set_alarm(Some(now + BUDGET_WAIT));
        }
        Step::Wait
    }
}
