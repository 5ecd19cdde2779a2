//! One attempt of a request, and beside it a second if it is late: whichever is answered first wins.
//!
//! When that is, and whether it may be, [`Wait`] says; here it is carried out. One timer serves everything that is waited for.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use steer::Moment;
use steer::attempt::Ending;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep_until};

use super::attempt::{Answer, CANCELLED, Failed, How, attempt};
use super::attempts::{FIRST, HEDGE, Progress, RETRY, Sent};
use super::end::{Cause, End};
use super::outbound::Outbound;
use super::record::{Attempted, Record};
use super::silence::Silence;
use super::wait::{Running, Step, Wait};
use crate::observe::SpanId;
use crate::worker::Target;

/// A time that is looked at again and again until something is waited for.
const NEVER: Duration = Duration::from_secs(3600);

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
    /// One attempt, and beside it a second if it is late.
    pub(super) async fn race(
        &'a self,
        target: &Rc<Target>,
        progress: &mut Progress,
        record: &mut Record,
    ) -> Raced {
        let kind = if progress.begun == 0 { FIRST } else { RETRY };
        let (run, outgoing) = self.begin(target, kind, progress, record);
        let began = Instant::from_std(self.worker.clock.instant(run.began));
        let silence = self.silence(target);
        let (outbound, times) = self.outbound(target, outgoing, &silence);
        let mut first = Some(pin!(attempt(&outbound, times)));
        let mut second: Option<(Run, Rc<Silence>, Attempt<'_>)> = None;
        let mut wait = Wait::of(self, target, began);
        // The one timer for everything that it waits for.
        let mut timer = pin!(sleep_until(alarm(&wait, silence.ends_at_soonest(began), None, began)));
        let mut trouble: Option<Pin<Box<Notified<'_>>>> = None;
        loop {
            let event = poll_fn(|cx| {
                if let Some(first) = &mut first
                    && let Poll::Ready(ended) = first.as_mut().poll(cx)
                {
                    return Poll::Ready(Event::First(ended));
                }
                if let Some((.., second)) = &mut second
                    && let Poll::Ready(ended) = second.as_mut().poll(cx)
                {
                    return Poll::Ready(Event::Second(ended));
                }
                if timer.as_mut().poll(cx).is_ready() {
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
                            if let Some((hedge, ..)) = &second {
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
                    let Some((hedge, ..)) = second.take() else { continue };
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
                    let is_first_silent = first.is_some() && silence.tell(now);
                    let is_second_silent = second.as_ref().is_some_and(|(_, silence, _)| silence.tell(now));
                    if is_first_silent || is_second_silent {
                        // They give up when they are polled. The timer goes off again.
                        continue;
                    }
                    if self.deadline.is_some_and(|deadline| deadline <= now) {
                        let second = second.as_ref().map(|(hedge, ..)| hedge);
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
                        second: second.as_ref().map(|(hedge, ..)| hedge.target.clone()),
                    };
                    match wait.step(self, target, progress, now, &running) {
                        Step::Wait => {}
                        Step::Second(next) => {
                            if let Some((hedge, ..)) = &second {
                                self.count(record, hedge, CANCELLED);
                            }
                            let next = Rc::new(next);
                            let (hedge, outgoing) = self.begin(&next, HEDGE, progress, record);
                            let silence = Rc::new(self.silence(&next));
                            let (other, its_silence) = (next.clone(), silence.clone());
                            let attempt = async move {
                                let (outbound, times) = self.outbound(&other, outgoing, &its_silence);
                                attempt(&outbound, times).await
                            };
                            second = Some((hedge, silence, Box::pin(attempt)));
                        }
                        step @ (Step::Leave | Step::GiveUp) => {
                            if first.is_some() {
                                self.count(record, &run, How::Timeout.outcome());
                                self.given_up(&outbound);
                            }
                            if let Some((hedge, ..)) = &second {
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
                    let (first, second) = (
                        first.is_some().then_some(&silence),
                        second.as_ref().map(|(_, silence, _)| &**silence),
                    );
                    let ends_at =
                        |silence: Option<&Silence>| silence.and_then(|silence| silence.ends_at_soonest(now));
                    timer.as_mut().reset(alarm(&wait, ends_at(first), ends_at(second), now));
                }
            }
        }
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

/// When the timer of a request goes off next.
fn alarm(wait: &Wait, first: Option<Instant>, second: Option<Instant>, now: Instant) -> Instant {
    [wait.alarm, first, second].into_iter().flatten().min().unwrap_or(now + NEVER)
}

/// What one attempt is told that others are not.
pub(super) struct Outgoing {
    pub(super) number: u32,
    pub(super) traceparent: Option<http::HeaderValue>,
}

/// How a race ended.
#[expect(
    clippy::large_enum_variant,
    reason = "most requests end so; a box would cost each of them an allocation"
)]
pub(super) enum Raced {
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
