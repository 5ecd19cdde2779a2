//! The attempts of one request: one after another, and beside a late one a second.
//!
//! ```text
//! first ─┬─ answered ─────────────────────────────────────────────► passed on
//!        ├─ failed ──── may it go on? (reach, attempts, budget) ──► next, or the answer that says why not
//!        ├─ late ────── safe, without a body, in the hedge budget ► second beside it; whichever is answered first wins
//!        └─ late, and its placement is in trouble ────────────────► the same, paid from the retry budget
//! ```
//! How far a request may go is `steer::attempt`'s to say, and where the decision's; here it is carried out. A later attempt is
//! decided anew under the snapshot of its own moment, so that it never goes where a request may no longer go.
//!
//! What happens while one runs is told in [`super::race`]. Only requests without a body get a second attempt beside the first. Others that may be sent again wait until the placement
//! is known to be down, and then leave it.

use std::cell::Cell;
use std::rc::Rc;

use http::request::Parts;
use steer::attempt::{Ending, Nature, Reach, reach};
use tokio::time::Instant;

use super::attempt::{Failed, How, Times};
use super::discard::discard;
use super::end::{Cause, End};
use super::outbound::Outbound;
use super::race::{Outgoing, Raced};
use super::record::Record;
use super::replay::Inbound;
use super::silence::Silence;
use crate::request::Travel;
use crate::worker::{Asked, Blame, Onward, Target, Tried, Worker};

/// The kinds of attempts, as indices of [`crate::observe::KINDS`].
pub(super) const FIRST: usize = 0;
pub(super) const RETRY: usize = 1;
pub(super) const HEDGE: usize = 2;

/// What is sent, whoever it is sent to.
pub(super) struct Sent<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) asked: &'a Asked<'a>,
    pub(super) head: &'a Parts,
    pub(super) body: &'a Inbound,
    pub(super) nature: Nature,
    pub(super) is_upgrade: bool,
    pub(super) is_grpc: bool,
    /// What it brings along from hops before.
    pub(super) travel: Travel,
    /// When it must be over.
    pub(super) deadline: Option<Instant>,
}

/// How far a request has come.
pub(super) struct Progress {
    pub(super) tried: Tried,
    /// Attempts that were begun.
    pub(super) begun: u32,
    /// What everything that has happened still allows.
    pub(super) reach: Reach,
}

impl<'a> Sent<'a> {
    /// Makes attempts until one is answered or none may follow.
    pub(super) async fn run(&'a self, first: Target, record: &mut Record) -> (End, u32) {
        let mut progress = Progress { tried: Tried::default(), begun: 0, reach: Reach::Anywhere };
        let mut target = Rc::new(first);
        target.origin.placement.comes_first(self.worker.clock.now());
        loop {
            let end = self.race(&target, &mut progress, record).await;
            let (failed_at, failed) = match end {
                Raced::Over(end) => return (end, progress.begun),
                Raced::Failed { target, failed } => (target, failed),
            };
            match self.next(&failed_at, &failed, &mut progress) {
                Ok(next) => {
                    self.let_go(failed);
                    target = Rc::new(next);
                    super::describe(record, &target);
                }
                Err(cause) => {
                    let end = End::Failed { target: failed_at, failed, cause };
                    return (end, progress.begun);
                }
            }
        }
    }

    /// Where the request goes after a failure.
    fn next(&self, target: &Target, failed: &Failed, progress: &mut Progress) -> Result<Target, Cause> {
        let retry = target.route.retry();
        progress.tried.add(&target.origin);
        progress.reach = progress.reach.min(reach(failed.ending, self.nature, self.body.is_whole(), retry));
        let is_clients = matches!(failed.how, How::Client | How::NoUpgrade);
        if progress.reach == Reach::Nowhere || is_clients {
            return Err(Cause::Final);
        }
        let nobody = if target.is_least_bad { Cause::LeastBad } else { Cause::UsedUp };
        if progress.begun >= self.attempts(target) {
            return Err(nobody);
        }
        let is_free = matches!(failed.ending, Ending::NotSent | Ending::Unprocessed);
        let now = self.worker.clock.now();
        let reach = progress.reach;
        let mut next = self.next_target(target, progress, reach);
        if next.is_none() && failed.how == How::ConnectTimeout {
            // A full queue drops whoever knocks, and the kernel knocks again only after a second. With nobody else left to
            // ask, nothing is lost by knocking again at once.
            progress.tried = Tried::default();
            next = self.next_target(target, progress, reach);
        }
        let next = next.ok_or(nobody)?;
        if is_free || target.origin.placement.may_retry(target.budgets, now) {
            Ok(next)
        } else {
            target.origin.series.retries_denied.one();
            Err(Cause::UsedUp)
        }
    }

    /// How many attempts it may make here.
    pub(super) fn attempts(&self, target: &Target) -> u32 {
        self.travel.attempts_left(target.route.retry().attempts)
    }

    pub(super) fn next_target(&self, from: &Target, progress: &Progress, reach: Reach) -> Option<Target> {
        let is_last = progress.begun + 1 >= self.attempts(from);
        let onward = Onward { reach, is_last };
        self.worker.next_target(self.asked, &from.origin, &progress.tried, onward)
    }

    /// How long an origin may say nothing to its requests.
    pub(super) fn silence(&self, target: &Target) -> Silence {
        let first_byte = target.route.route.forward().and_then(|forward| forward.timeouts.first_byte);
        Silence::new(first_byte.map_or(self.worker.settings.limits.first_byte_timeout, Into::into))
    }

    pub(super) fn outbound<'b>(
        &'b self,
        target: &'b Target,
        outgoing: Outgoing,
        silence: &'b Silence,
    ) -> (Outbound<'b>, Times) {
        let max_idle = self.worker.settings.limits.origin_idle_timeout;
        let times = Times { path: target.times, max_idle };
        let outbound = Outbound {
            head: self.head,
            body: self.body,
            nature: self.nature,
            is_upgrade: self.is_upgrade,
            worker: self.worker,
            target,
            blame: Blame { client: self.asked.client.key, route: target.route.hash },
            number: self.travel.number(outgoing.number),
            is_grpc: self.is_grpc,
            deadline: self.deadline,
            traceparent: outgoing.traceparent,
            dispatched_at: Cell::new(None),
            silence,
        };
        (outbound, times)
    }

    /// Whether a second attempt may run beside the first.
    pub(super) fn may_hedge(&self, target: &Target) -> bool {
        self.nature.is_safe() && self.body.is_none() && !self.is_upgrade && target.route.retry().hedge
    }

    /// How far it may go on if it leaves an attempt that ended so.
    pub(super) fn reach_after(&self, ending: Ending, target: &Target) -> Reach {
        reach(ending, self.nature, self.body.is_whole(), target.route.retry())
    }

    /// What failed is not told to anybody, since another attempt runs.
    pub(super) fn let_go(&self, failed: Failed) {
        if let Some(answer) = failed.answer {
            discard(self.worker, *answer);
        }
    }
}
