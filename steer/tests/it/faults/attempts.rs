//! One attempt: a connection, a question, and what came of it. Modelled after the proxy's `forward::attempt`.

use steer::attempt::Ending;
use steer::ewma::FAILURE_PENALTY_MS;
use steer::{Moment, Span};

use super::network::{Asking, Connecting, Fate, Reply};
use super::options::Flaw;
use super::prober::{Failure as Told, FailureKind};
use super::record::Deed;
use super::requests::{Kind, Target};
use super::sim::{Event, Sim};
use super::workers::Connection;

/// How often an attempt goes on with another connection after a warm one turned out dead.
const MAX_RENEWED: u32 = 2;
/// From an answer's head to its end, or to where it breaks off.
const BODY: Span = Span::from_millis(1);

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) request: usize,
    pub(super) target: Target,
    pub(super) kind: Kind,
    /// When its last connection was begun.
    opened: Moment,
    pub(super) dispatched: Option<Moment>,
    connection: Option<Connection>,
    is_reused: bool,
    renewed: u32,
    /// Of the step that is waited for.
    stamp: u32,
    is_over: bool,
}

/// How a step of an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    Connected,
    Refused,
    ConnectTimeout,
    Reset,
    Head { status: u16, breaks_off: bool },
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) how: How,
    pub(super) ending: Ending,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum How {
    Connect,
    ConnectTimeout,
    Reset,
    GatewayError,
    Abandoned,
}

impl Sim {
    pub(super) fn new_attempt(&mut self, request: usize, target: Target, kind: Kind) -> usize {
        self.attempts.push(Attempt {
            request,
            target,
            kind,
            opened: self.now,
            dispatched: None,
            connection: None,
            is_reused: false,
            renewed: 0,
            stamp: 0,
            is_over: false,
        });
        self.attempts.len() - 1
    }

    pub(super) fn start(&mut self, id: usize) {
        let Attempt { request, target, .. } = self.attempts[id];
        let deed = self.deed(id, self.now);
        self.record.tried(deed);
        let known = &mut self.workers[self.requests[request].worker].origins[target.origin];
        known.in_flight += 1;
        match known.idle.pop() {
            Some(connection) => {
                (self.attempts[id].connection, self.attempts[id].is_reused) = (Some(connection), true);
                self.dispatch(id);
            }
            None => self.open(id),
        }
    }

    fn open(&mut self, id: usize) {
        let origin = self.attempts[id].target.origin;
        let latency = self.latency_ms(self.placement_of(origin)).unwrap_or(500.0);
        let timeout = self.now + Span::from_millis_f64((2.0 * latency + 50.0).clamp(100.0, 1000.0));
        let (connecting, at) = self.network.connect(origin, self.now);
        let (how, at) = match connecting {
            Connecting::Made if at <= timeout => (Ended::Connected, at),
            Connecting::Refused if at <= timeout => (Ended::Refused, at),
            _ => (Ended::ConnectTimeout, timeout),
        };
        let attempt = &mut self.attempts[id];
        attempt.opened = self.now;
        attempt.is_reused = false;
        attempt.connection = None;
        attempt.stamp += 1;
        let stamp = attempt.stamp;
        self.queue.push(at, Event::Connected { attempt: id, stamp, how });
    }

    pub(super) fn connected(&mut self, id: usize, stamp: u32, how: Ended) {
        let attempt = &self.attempts[id];
        if attempt.is_over || attempt.stamp != stamp {
            return;
        }
        let origin = attempt.target.origin;
        if how == Ended::Connected {
            let connection = self.worker_of(id).new_connection(origin);
            self.attempts[id].connection = Some(connection);
            return self.dispatch(id);
        }
        let began = attempt.opened;
        self.ewma_failed(id, began);
        self.report(id, FailureKind::Unreachable, began);
        let how = if how == Ended::Refused { How::Connect } else { How::ConnectTimeout };
        self.fails(id, Failure { how, ending: Ending::NotSent });
    }

    fn dispatch(&mut self, id: usize) {
        let target = self.attempts[id].target;
        let latency = self.latency_ms(self.placement_of(target.origin)).unwrap_or(500.0);
        let user_timeout = Span::from_millis_f64((4.0 * latency + 200.0).clamp(500.0, 3000.0));
        let Fate { reply, at, executed } =
            self.network.ask(target.origin, Asking::Request, self.now, user_timeout);
        let deed = self.deed(id, self.now);
        self.record.sent(deed);
        if let Some(at) = executed {
            self.record.executed(Deed { at, ..deed });
        }
        let attempt = &mut self.attempts[id];
        attempt.dispatched = Some(self.now);
        attempt.stamp += 1;
        let stamp = attempt.stamp;
        let how = match reply {
            Reply::Nothing => return,
            Reply::Reset => Ended::Reset,
            Reply::Head { status, breaks_off } => Ended::Head { status, breaks_off },
        };
        self.queue.push(at, Event::Answered { attempt: id, stamp, how });
    }

    fn deed(&self, id: usize, at: Moment) -> Deed {
        let Attempt { request, target, kind, .. } = self.attempts[id];
        Deed { request, region: self.region_of(target.origin), at, is_first: kind == Kind::First }
    }

    pub(super) fn answered(&mut self, id: usize, stamp: u32, how: Ended) {
        let attempt = &self.attempts[id];
        if attempt.is_over || attempt.stamp != stamp {
            return;
        }
        let Some(dispatched) = attempt.dispatched else { return };
        match how {
            Ended::Head { status, breaks_off } => self.head(id, dispatched, status, breaks_off),
            _ => self.reset(id, dispatched),
        }
    }

    fn reset(&mut self, id: usize, dispatched: Moment) {
        let Attempt { target, is_reused, renewed, request, .. } = self.attempts[id];
        if is_reused && renewed < MAX_RENEWED && self.requests[request].nature.is_safe() {
            self.attempts[id].renewed += 1;
            self.worker_of(id).forget_idle(target.origin);
            return self.open(id);
        }
        self.ewma_failed(id, dispatched);
        self.report(id, if is_reused { FailureKind::Bad } else { FailureKind::Broken }, dispatched);
        self.fails(id, Failure { how: How::Reset, ending: Ending::Unanswered });
    }

    fn head(&mut self, id: usize, dispatched: Moment, status: u16, breaks_off: bool) {
        let (now, origin) = (self.now, self.attempts[id].target.origin);
        let placement = self.placement_of(origin);
        let took = now.since(dispatched);
        let known = &mut self.worker_of(id).origins[origin];
        known.ewma = known.ewma.with(took.as_millis_f64(), now);
        let retry_after = self.options.retry_after;
        let is_error = matches!(status, 502..=504);
        if !is_error || self.has(Flaw::ErrorsAreService) {
            self.worker_of(id).origins[origin].last_served = Some(now);
            let success = &mut self.board.last_success[placement];
            *success = (*success).max(Some(now));
        }
        if is_error {
            self.report(id, FailureKind::Bad, dispatched);
        } else {
            self.worker_of(id).placements[placement].answered(took);
        }
        match Ending::of_status(status, retry_after, &self.retry) {
            None => {
                if breaks_off {
                    self.record.truncated(self.attempts[id].request);
                    self.after(BODY, Event::BrokeOff { attempt: id });
                } else {
                    self.give_back(id);
                }
                self.leaves(id);
                self.won(id);
            }
            Some(ending) => {
                self.give_back(id);
                self.fails(id, Failure { how: How::GatewayError, ending });
            }
        }
    }

    fn give_back(&mut self, id: usize) {
        let origin = self.attempts[id].target.origin;
        if let Some(connection) = self.attempts[id].connection.take() {
            self.worker_of(id).give_back(origin, connection);
        }
    }

    pub(super) fn broke_off(&mut self, id: usize) {
        let sent = self.attempts[id].dispatched.unwrap_or(self.now);
        self.report(id, FailureKind::Bad, sent);
    }

    fn fails(&mut self, id: usize, failure: Failure) {
        self.leaves(id);
        self.lost_attempt(id, failure);
    }

    /// It is given up; its connection is closed.
    pub(super) fn cancel(&mut self, id: usize) {
        if !self.attempts[id].is_over {
            self.leaves(id);
        }
    }

    fn leaves(&mut self, id: usize) {
        let origin = self.attempts[id].target.origin;
        self.attempts[id].is_over = true;
        self.worker_of(id).origins[origin].in_flight -= 1;
    }

    /// It was given up for another: it was late, as far as it was seen.
    pub(super) fn given_up(&mut self, id: usize) {
        let Some(dispatched) = self.attempts[id].dispatched else { return };
        let (placement, after) =
            (self.placement_of(self.attempts[id].target.origin), self.now.since(dispatched));
        self.worker_of(id).placements[placement].given_up(after);
    }

    fn worker_of(&mut self, id: usize) -> &mut super::workers::Worker {
        &mut self.workers[self.requests[self.attempts[id].request].worker]
    }

    fn ewma_failed(&mut self, id: usize, since: Moment) {
        let (now, origin) = (self.now, self.attempts[id].target.origin);
        let known = &mut self.worker_of(id).origins[origin];
        known.ewma = known.ewma.with(now.since(since).as_millis_f64().max(FAILURE_PENALTY_MS), now);
    }

    fn report(&mut self, id: usize, kind: FailureKind, began: Moment) {
        let Attempt { request, target, connection, .. } = self.attempts[id];
        let number = connection.map_or(0, |connection| connection.number);
        let worker = u64::from(self.worker_of(id).index) + 1;
        let client = self.requests[request].due.client;
        self.hand_over(Event::Failed(Told {
            origin: target.origin,
            kind,
            connection: worker << 48 | number,
            client,
            began,
        }));
    }
}
