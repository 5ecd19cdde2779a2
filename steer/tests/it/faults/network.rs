//! Origins and the ways to them: what becomes of a connection or a question that sets out at a moment.
//!
//! How each origin behaves when is known beforehand, so the fate of a message can be told when it is sent; whoever sent it
//! learns of it at the time that this says. Left out: bandwidth, and queues of an origin that is overloaded.

use steer::{Moment, Span};

use super::dice::Dice;

/// How an origin and its way behave for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Behaviour {
    /// Answers come after a few milliseconds.
    Well,
    /// Its connections were reset, and new ones are refused.
    Refusing,
    /// Its process is stopped: connections are accepted, and whatever is asked lies in queues until it goes on.
    Stopped,
    /// Packets to and from it are lost.
    Dropped,
    /// A share of requests is answered 503, and probes too if they are to be.
    Failing { share: f64, probes: bool },
    /// Answers break off in the middle; probes' do not.
    Breaking,
    /// Answers begin 300 ms later; probes' do not.
    Slow,
    /// The way is eight times as long.
    Far,
}

const SLOWER_MS: f64 = 300.0;
const FARTHER: f64 = 8.0;
/// The longest that a lost packet is sent again after a way is open again.
const RETRANSMITTED_WITHIN_MS: f64 = 200.0;

/// Who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asking {
    Probe,
    Request,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Connecting {
    Made,
    Refused,
    /// Nobody says anything.
    Nothing,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    Head {
        status: u16,
        breaks_off: bool,
    },
    /// The connection broke.
    Reset,
    /// Nothing comes.
    Nothing,
}

/// The fate of a question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) reply: Reply,
    /// When that is known.
    pub(super) at: Moment,
    /// When the origin carried it out, if it did.
    pub(super) executed: Option<Moment>,
}

/// One origin and its way.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) rtt_ms: f64,
    /// From when on it behaves how; the first from the beginning of time.
    pub(super) timeline: Vec<(Moment, Behaviour)>,
    /// The share of probes that is lost besides, and the share of those that take the next one along.
    pub(super) loss: f64,
    pub(super) bursts: f64,
    /// Whether the next one is lost too.
    pub(super) losing: bool,
}

pub(super) struct Network {
    pub(super) ways: Vec<Way>,
    /// Whether a 503 says when to come back, and so that the request was declined.
    declines: bool,
    dice: Dice,
    service: Dice,
}

impl Way {
    fn at(&self, at: Moment) -> (Behaviour, Option<Moment>) {
        let next = self.timeline.partition_point(|(from, _)| *from <= at);
        (self.timeline[next - 1].1, self.timeline.get(next).map(|(from, _)| *from))
    }
}

impl Network {
    pub(super) fn new(ways: Vec<Way>, declines: bool, seed: u64) -> Self {
        Self { ways, declines, dice: Dice::new(seed, "network"), service: Dice::new(seed, "service") }
    }

    /// When something sent over a way arrives.
    fn one_way(&mut self, origin: usize, at: Moment) -> Moment {
        let way = &self.ways[origin];
        let farther = if way.at(at).0 == Behaviour::Far { FARTHER } else { 1.0 };
        let half = way.rtt_ms * farther / 2.0;
        let mut ms = half + self.dice.exponential(0.1 + 0.01 * half);
        if self.dice.chance(0.002) {
            ms += self.dice.between(0.0, 15.0);
        }
        at + Span::from_millis_f64(ms)
    }

    /// Half of a round trip, as it is without chance.
    pub(super) fn half_ms(&self, origin: usize) -> f64 {
        self.ways[origin].rtt_ms / 2.0
    }

    fn loses(&mut self, origin: usize) -> bool {
        let Way { loss, bursts, losing, .. } = &mut self.ways[origin];
        if std::mem::take(losing) {
            return true;
        }
        if *loss <= 0.0 || !self.dice.chance(*loss) {
            return false;
        }
        if self.dice.chance(*bursts) {
            *losing = true;
        }
        true
    }

    /// A connection that is begun now.
    pub(super) fn connect(&mut self, origin: usize, now: Moment) -> (Connecting, Moment) {
        let arrives = self.one_way(origin, now);
        let back = self.one_way(origin, arrives);
        match self.ways[origin].at(arrives).0 {
            Behaviour::Refusing => (Connecting::Refused, back),
            Behaviour::Dropped => (Connecting::Nothing, back),
            _ if self.loses(origin) => (Connecting::Nothing, back),
            _ => (Connecting::Made, back),
        }
    }

    /// A question that is sent now, over a connection whose bytes may stay unacknowledged for `user_timeout`.
    pub(super) fn ask(&mut self, origin: usize, asking: Asking, now: Moment, user_timeout: Span) -> Fate {
        let mut arrives = self.one_way(origin, now);
        let (mut behaviour, mut until) = self.ways[origin].at(arrives);
        if behaviour == Behaviour::Dropped {
            match until.filter(|until| *until < now + user_timeout) {
                Some(until) => {
                    arrives = until + self.retransmission();
                    (behaviour, _) = self.ways[origin].at(arrives);
                }
                None => return Fate { reply: Reply::Reset, at: now + user_timeout, executed: None },
            }
        }
        if behaviour == Behaviour::Refusing {
            let at = self.one_way(origin, arrives);
            return Fate { reply: Reply::Reset, at, executed: None };
        }
        if asking == Asking::Probe && self.loses(origin) {
            return Fate { reply: Reply::Nothing, at: arrives, executed: None };
        }
        if behaviour == Behaviour::Stopped {
            let Some(goes_on) = self.ways[origin].at(arrives).1 else {
                return Fate { reply: Reply::Nothing, at: arrives, executed: None };
            };
            arrives = goes_on + self.service.exponential_ms(3.0);
            behaviour = self.ways[origin].at(arrives).0;
        }
        let mut done = arrives + self.takes(asking, behaviour);
        until = self.ways[origin].at(arrives).1.filter(|until| *until < done);
        if let Some(until) = until {
            match self.ways[origin].at(until) {
                (Behaviour::Refusing, _) => {
                    let at = until + Span::from_millis_f64(self.half_ms(origin));
                    return Fate { reply: Reply::Reset, at, executed: Some(arrives) };
                }
                (Behaviour::Stopped, Some(goes_on)) => done = goes_on + done.since(until),
                (Behaviour::Stopped, None) => {
                    return Fate { reply: Reply::Nothing, at: done, executed: Some(arrives) };
                }
                _ => {}
            }
        }
        let mut at = self.one_way(origin, done);
        if let (Behaviour::Dropped, until) = self.ways[origin].at(done) {
            match until {
                Some(until) => at = until + self.retransmission(),
                None => return Fate { reply: Reply::Nothing, at, executed: Some(arrives) },
            }
        }
        let reply = self.says(asking, behaviour);
        let is_declined = self.declines && matches!(reply, Reply::Head { status: 503, .. });
        Fate { reply, at, executed: (!is_declined).then_some(arrives) }
    }

    fn retransmission(&mut self) -> Span {
        Span::from_millis_f64(self.dice.between(1.0, RETRANSMITTED_WITHIN_MS))
    }

    fn takes(&mut self, asking: Asking, behaviour: Behaviour) -> Span {
        if asking == Asking::Probe {
            return self.service.exponential_ms(0.3);
        }
        let mut ms = 1.0 + self.service.exponential(2.0);
        if self.service.chance(0.01) {
            ms += self.service.between(5.0, 40.0);
        }
        if behaviour == Behaviour::Slow {
            ms += SLOWER_MS;
        }
        Span::from_millis_f64(ms)
    }

    fn says(&mut self, asking: Asking, behaviour: Behaviour) -> Reply {
        let (status, breaks_off) = match (behaviour, asking) {
            (Behaviour::Failing { probes, .. }, Asking::Probe) => (if probes { 503 } else { 200 }, false),
            (Behaviour::Failing { share, .. }, Asking::Request) => {
                (if self.service.chance(share) { 503 } else { 200 }, false)
            }
            (Behaviour::Breaking, Asking::Request) => (200, true),
            _ => (200, false),
        };
        Reply::Head { status, breaks_off }
    }
}
