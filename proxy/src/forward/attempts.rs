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
//! Only requests without a body get a second attempt beside the first. Others that may be sent again wait until the placement
//! is known to be down, and then leave it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::request::Parts;
use steer::Moment;
use steer::attempt::{Ending, Nature, Reach, reach};
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep_until};

use super::attempt::{Answer, CANCELLED, Failed, How, Times, attempt};
use super::discard::discard;
use super::end::{Cause, End};
use super::outbound::Outbound;
use super::record::{Attempted, Record};
use super::replay::Inbound;
use super::wait::{Running, Step, Wait};
use crate::observe::SpanId;
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

/// One attempt that runs.
struct Run {
    target: Rc<Target>,
    kind: usize,
    began: Moment,
    span: Option<SpanId>,
}

type Attempt<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failed>> + 'a>>;

/// What a request that waits for an answer learns.
enum Event {
    First(Result<Answer, Failed>),
    Second(Result<Answer, Failed>),
    Alarm,
    Trouble,
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

    fn begin(
        &self,
        target: &Rc<Target>,
        kind: usize,
        progress: &mut Progress,
        record: &Record,
    ) -> (Run, Outgoing) {
        progress.begun += 1;
        let (span, traceparent) = record.begin_attempt().unzip();
        let run = Run { target: target.clone(), kind, began: self.worker.clock.now(), span };
        (run, Outgoing { number: progress.begun, traceparent })
    }

    fn outbound<'b>(&'b self, target: &'b Target, outgoing: Outgoing) -> (Outbound<'b>, Times) {
        let limits = &self.worker.settings.limits;
        let first_byte = target.route.route.forward().and_then(|forward| forward.timeouts.first_byte);
        let times = Times {
            path: target.times,
            first_byte: first_byte.map_or(limits.first_byte_timeout, Into::into),
            max_idle: limits.origin_idle_timeout,
        };
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

    /// One attempt, and beside it a second if it is late.
    async fn race(&'a self, target: &Rc<Target>, progress: &mut Progress, record: &mut Record) -> Raced {
        let kind = if progress.begun == 0 { FIRST } else { RETRY };
        let (run, outgoing) = self.begin(target, kind, progress, record);
        let (outbound, times) = self.outbound(target, outgoing);
        let mut first = Some(pin!(attempt(&outbound, times)));
        let mut second: Option<(Run, Attempt<'_>)> = None;
        let mut wait = Wait::of(self, target);
        // Made in any case, which costs nothing until it is first asked.
        let mut timer = pin!(sleep_until(wait.alarm.unwrap_or_else(Instant::now)));
        let mut trouble: Option<Pin<Box<Notified<'_>>>> = None;
        loop {
            let event = poll_fn(|cx| {
                if let Some(first) = &mut first
                    && let Poll::Ready(ended) = first.as_mut().poll(cx)
                {
                    return Poll::Ready(Event::First(ended));
                }
                if let Some((_, second)) = &mut second
                    && let Poll::Ready(ended) = second.as_mut().poll(cx)
                {
                    return Poll::Ready(Event::Second(ended));
                }
                if wait.alarm.is_some() && timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Alarm);
                }
                match &mut trouble {
                    Some(trouble) => trouble.as_mut().poll(cx).map(|()| Event::Trouble),
                    None => Poll::Pending,
                }
            });
            match event.await {
                Event::First(ended) => {
                    first = None;
                    let outcome = ended.as_ref().err().map_or(0, |failed| failed.how.outcome());
                    self.count(record, &run, outcome);
                    match ended {
                        Ok(answer) => {
                            if let Some((hedge, _)) = &second {
                                self.count(record, hedge, CANCELLED);
                            }
                            return Raced::answered(&run, answer);
                        }
                        Err(failed) if second.is_none() => return Raced::failed(target, failed),
                        // The second one still runs.
                        Err(failed) => self.let_go(failed),
                    }
                }
                Event::Second(ended) => {
                    let Some((hedge, _)) = second.take() else { continue };
                    let outcome = ended.as_ref().err().map_or(0, |failed| failed.how.outcome());
                    self.count(record, &hedge, outcome);
                    match ended {
                        Ok(answer) => {
                            if first.is_some() {
                                self.count(record, &run, CANCELLED);
                                self.given_up(&outbound);
                                target.origin.placement.hedge_won();
                            }
                            super::describe(record, &hedge.target);
                            return Raced::answered(&hedge, answer);
                        }
                        Err(failed) if first.is_none() => return Raced::failed(&hedge.target, failed),
                        // The first one still runs.
                        Err(failed) => {
                            progress.tried.add(&hedge.target.origin);
                            self.let_go(failed);
                        }
                    }
                }
                Event::Alarm | Event::Trouble => {
                    let now = Instant::now();
                    if self.deadline.is_some_and(|deadline| deadline <= now) {
                        let second = second.as_ref().map(|(hedge, _)| hedge);
                        let running = first.is_some().then_some(&run).into_iter().chain(second);
                        running.for_each(|run| self.count(record, run, How::Timeout.outcome()));
                        return Raced::Over(End::Deadline);
                    }
                    trouble = wait.listens(now).then(|| Box::pin(self.worker.trouble.notified()));
                    if let Some(trouble) = &mut trouble {
                        // Before the look at the health: what changes in between wakes it.
                        let _ = trouble.as_mut().enable();
                    }
                    let running = Running {
                        first: first.is_some().then(|| match outbound.dispatched_at.get() {
                            Some(_) => Ending::Unanswered,
                            None => Ending::NotSent,
                        }),
                        second: second.as_ref().map(|(hedge, _)| hedge.target.clone()),
                    };
                    match wait.step(self, target, progress, now, &running) {
                        Step::Wait => {}
                        Step::Second(next) => {
                            if let Some((hedge, _)) = &second {
                                self.count(record, hedge, CANCELLED);
                            }
                            let next = Rc::new(next);
                            let (hedge, outgoing) = self.begin(&next, HEDGE, progress, record);
                            let other = next.clone();
                            let attempt = async move {
                                let (outbound, times) = self.outbound(&other, outgoing);
                                attempt(&outbound, times).await
                            };
                            second = Some((hedge, Box::pin(attempt)));
                        }
                        step @ (Step::Leave | Step::GiveUp) => {
                            if first.is_some() {
                                self.count(record, &run, How::Timeout.outcome());
                                self.given_up(&outbound);
                            }
                            if let Some((hedge, _)) = &second {
                                self.count(record, hedge, How::Timeout.outcome());
                            }
                            let ending = running.first.unwrap_or(Ending::Unanswered);
                            let failed = Failed::new(How::Abandoned, ending);
                            return match step {
                                Step::GiveUp => Raced::in_vain(target, failed),
                                _ => Raced::failed(target, failed),
                            };
                        }
                    }
                    if let Some(at) = wait.alarm {
                        timer.as_mut().reset(at);
                    }
                }
            }
        }
    }

    /// What failed is not told to anybody, since another attempt runs.
    fn let_go(&self, failed: Failed) {
        if let Some(answer) = failed.answer {
            discard(self.worker, *answer);
        }
    }

    /// An attempt was given up for another: it was late, as far as it was seen.
    fn given_up(&self, outbound: &Outbound<'_>) {
        let Some(dispatched) = outbound.dispatched_at.get() else { return };
        let us = self.worker.clock.now().since(dispatched).as_nanos() / 1_000;
        if let Some((_, excess_us)) = outbound.target.class.lateness(us) {
            // It would have taken longer still.
            outbound.target.origin.placement.cells().judged(true, excess_us);
        }
    }

    fn count(&self, record: &mut Record, run: &Run, outcome: usize) {
        let Run { target, kind, began, span } = run;
        target.origin.series.attempts[*kind][outcome].one();
        record.attempted(&Attempted {
            origin: &target.origin,
            kind: *kind,
            outcome,
            began: *began,
            span: *span,
            decision: target.decision.id,
        });
    }
}

/// What one attempt is told that others are not.
struct Outgoing {
    number: u32,
    traceparent: Option<http::HeaderValue>,
}

/// How a race ended.
#[expect(
    clippy::large_enum_variant,
    reason = "most requests end so; a box would cost each of them an allocation"
)]
enum Raced {
    Over(End),
    Failed { target: Rc<Target>, failed: Failed },
}

impl Raced {
    fn answered(run: &Run, answer: Answer) -> Self {
        Self::Over(End::Answered { target: run.target.clone(), answer, kind: run.kind })
    }

    fn in_vain(target: &Rc<Target>, failed: Failed) -> Self {
        Self::Over(End::Failed { target: target.clone(), failed, cause: Cause::LeastBad })
    }

    fn failed(target: &Rc<Target>, failed: Failed) -> Self {
        Self::Failed { target: target.clone(), failed }
    }
}
