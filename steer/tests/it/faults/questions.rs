//! The prober's questions: when to ask, and what becomes of a question. Modelled after the proxy's `probe::rounds` and
//! `probe::ask`.

use std::collections::VecDeque;

use steer::health::Lateness;
use steer::{Moment, Span};

use super::keeper::Problem;
use super::network::{Asking, Connecting, Reply};
use super::sim::{Event, Sim};

pub(super) const INTERVAL: Span = Span::from_millis(50);
const IDLE_INTERVAL: Span = Span::from_secs(1);
const MAX_LATE: usize = 32;
const MAX_WARM: usize = 32;
/// How long an answer is waited for beyond its time.
const LATE: Span = Span::from_secs(1);
/// When probes are sent to settle a suspicion, in ms.
const BURST: [u64; 3] = [0, 10, 80];
const JITTER: f64 = 0.10;
/// How late the prober's timers usually come, in ms on average.
const USUALLY_LATE_MS: f64 = 0.2;
/// What is not known counts as far.
const USER_TIMEOUT: Span = Span::from_millis(2200);

/// An origin as the prober asks it.
#[derive(Debug, Default)]
pub(super) struct Asked {
    warm: VecDeque<u64>,
    opened: u64,
    wanted: usize,
    is_opening: bool,
    under_way: usize,
    late: usize,
    /// When it is to be asked again.
    due: Moment,
    stamp: u32,
}

/// A question to one origin.
#[derive(Debug)]
pub(super) struct Question {
    origin: usize,
    number: u64,
    patience: Span,
    sent: Moment,
    /// When this step of it was begun.
    began: Moment,
    due: Moment,
    is_warm: bool,
    is_under_way: bool,
    waiting: Waiting,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waiting {
    InTime,
    /// It counts as lost.
    Late,
    /// Nobody can say whether it was in time.
    Discarded,
}

/// A step of a question is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Connected(Connecting),
    Replied(Reply),
}

impl Asked {
    fn number(&mut self) -> u64 {
        self.opened += 1;
        self.opened
    }

    fn give_back(&mut self, number: u64) {
        if self.warm.len() < self.wanted.max(1) {
            self.warm.push_back(number);
        }
    }

    /// The connection that is opened ahead is there; `None` if it could not be made.
    pub(super) fn opened_warm(&mut self, number: Option<u64>) {
        self.is_opening = false;
        if let Some(number) = number {
            self.give_back(number);
        }
    }
}

impl Sim {
    /// Asks an origin, since it is due.
    pub(super) fn round(&mut self, origin: usize, stamp: u32) {
        if self.prober.asked[origin].stamp != stamp {
            return;
        }
        let late = self.now.since(self.prober.asked[origin].due);
        if self.prober.asked[origin].due > Moment::default() {
            self.prober.lateness.woke(late, INTERVAL, self.now);
        }
        if self.prober.asked[origin].under_way < MAX_WARM {
            self.ask(origin, false, true);
        }
        self.keep_warm(origin);
        let placement = self.placement_of(origin);
        let interval =
            if self.prober.kept[placement].is_in_demand { INTERVAL } else { INTERVAL.max(IDLE_INTERVAL) };
        let spread = 1.0 + self.prober.dice.between(-JITTER, JITTER);
        let due = self.now + Span::from_millis_f64(interval.as_millis_f64() * spread);
        self.round_at(origin, due);
    }

    /// Asks an origin now, and not only when it is due.
    pub(super) fn ask_now(&mut self, origin: usize) {
        self.round_at(origin, self.now);
    }

    fn round_at(&mut self, origin: usize, due: Moment) {
        let wakes = due + self.prober.dice.exponential_ms(USUALLY_LATE_MS);
        let asked = &mut self.prober.asked[origin];
        asked.due = due;
        asked.stamp += 1;
        let stamp = asked.stamp;
        self.queue.push(wakes, Event::Round { origin, stamp });
    }

    fn keep_warm(&mut self, origin: usize) {
        let patience = self.prober.patience(origin);
        let overlapping = patience.as_nanos().div_ceil(INTERVAL.as_nanos()) as usize;
        let asked = &mut self.prober.asked[origin];
        asked.wanted = (overlapping + 1).min(MAX_WARM);
        if asked.warm.len() + asked.under_way >= asked.wanted || asked.is_opening {
            return;
        }
        asked.is_opening = true;
        let number = asked.number();
        let (connecting, at) = self.network.connect(origin, self.now);
        let (number, at) = match connecting {
            Connecting::Made => (Some(number), at),
            Connecting::Refused => (None, at),
            Connecting::Nothing => (None, self.now + Span::from_secs(1)),
        };
        self.queue.push(at, Event::WarmOpened { origin, number });
    }

    /// Questions that settle a suspicion: the first over a connection that is open already, the others over new ones.
    pub(super) fn burst(&mut self, origin: usize, number: usize) {
        self.ask(origin, number > 0, false);
        if let Some(next) = BURST.get(number + 1) {
            let gap = Span::from_millis(next - BURST[number]);
            self.after(gap, Event::Burst { origin, number: number + 1 });
        }
    }

    fn ask(&mut self, origin: usize, fresh: bool, is_under_way: bool) {
        let patience = self.prober.patience(origin);
        let asked = &mut self.prober.asked[origin];
        asked.under_way += usize::from(is_under_way);
        let warm = if fresh { None } else { asked.warm.pop_front() };
        let number = warm.unwrap_or_else(|| asked.number());
        self.prober.questions_put += 1;
        let id = self.prober.questions_put;
        let question = Question {
            origin,
            number,
            patience,
            sent: self.now,
            began: self.now,
            due: self.now + patience,
            is_warm: warm.is_some(),
            is_under_way,
            waiting: Waiting::InTime,
        };
        self.prober.questions.insert(id, question);
        if warm.is_some() { self.put(id, origin) } else { self.connect_for(id, origin) }
    }

    fn connect_for(&mut self, id: u64, origin: usize) {
        let (connecting, at) = self.network.connect(origin, self.now);
        if connecting != Connecting::Nothing {
            self.queue.push(at, Event::Probe { question: id, step: Step::Connected(connecting) });
        }
        self.expect(id);
    }

    fn put(&mut self, id: u64, origin: usize) {
        let fate = self.network.ask(origin, Asking::Probe, self.now, USER_TIMEOUT);
        if fate.reply != Reply::Nothing {
            self.queue.push(fate.at, Event::Probe { question: id, step: Step::Replied(fate.reply) });
        }
        self.expect(id);
    }

    /// The current step of a question has begun and takes its patience at most.
    fn expect(&mut self, id: u64) {
        let now = self.now;
        let late = self.prober.dice.exponential_ms(USUALLY_LATE_MS);
        let Some(question) = self.prober.questions.get_mut(&id) else { return };
        question.began = now;
        question.due = now + question.patience;
        if question.waiting == Waiting::InTime {
            let due = question.due;
            self.queue.push(due + late, Event::ProbeDue { question: id, due });
        }
    }

    pub(super) fn probe_step(&mut self, id: u64, step: Step) {
        let Some(question) = self.prober.questions.get_mut(&id) else { return };
        let origin = question.origin;
        let took = self.now.since(question.began);
        match step {
            Step::Connected(Connecting::Made) => {
                question.is_warm = false;
                self.put(id, origin);
            }
            Step::Connected(_) => self.replied(id, took, Some(Problem::Refused)),
            Step::Replied(Reply::Head { status, .. }) => {
                let number = question.number;
                self.prober.asked[origin].give_back(number);
                self.replied(id, took, (status != 200).then_some(Problem::Answered));
            }
            // Origins close connections that lie unused; that is no sign of ill health.
            Step::Replied(_) if question.is_warm => {
                question.is_warm = false;
                question.number = self.prober.asked[origin].number();
                self.connect_for(id, origin);
            }
            Step::Replied(_) => self.replied(id, took, Some(Problem::Refused)),
        }
    }

    fn replied(&mut self, id: u64, took: Span, problem: Option<Problem>) {
        let Some(question) = self.prober.questions.remove(&id) else { return };
        let asked = &mut self.prober.asked[question.origin];
        asked.under_way -= usize::from(question.is_under_way);
        asked.late -= usize::from(question.waiting == Waiting::Late);
        match (problem, question.waiting) {
            (None, Waiting::Late) => self.keeper_answered(question.origin, took, true),
            (None, _) => self.keeper_answered(question.origin, took, false),
            (Some(_), Waiting::Late) => {}
            (Some(problem), _) => self.lost(&question, problem),
        }
    }

    /// A question is not answered in time.
    pub(super) fn probe_due(&mut self, id: u64, due: Moment) {
        let now = self.now;
        let Some(question) = self.prober.questions.get_mut(&id) else { return };
        if question.due != due {
            return;
        }
        let asked = &mut self.prober.asked[question.origin];
        if std::mem::take(&mut question.is_under_way) {
            asked.under_way -= 1;
        }
        self.queue.push(now + LATE, Event::ProbeForgotten { question: id });
        if Lateness::is_late(now.since(due), INTERVAL) {
            question.waiting = Waiting::Discarded;
            return;
        }
        question.waiting = Waiting::Late;
        asked.late += 1;
        let is_waited_for = asked.late <= MAX_LATE;
        if let Some(question) = self.prober.questions.remove(&id) {
            self.lost(&question, Problem::Silence);
            if is_waited_for {
                self.prober.questions.insert(id, question);
            } else {
                self.prober.asked[question.origin].late -= 1;
            }
        }
    }

    pub(super) fn probe_forgotten(&mut self, id: u64) {
        if let Some(question) = self.prober.questions.remove(&id) {
            self.prober.asked[question.origin].late -= usize::from(question.waiting == Waiting::Late);
        }
    }

    fn lost(&mut self, question: &Question, problem: Problem) {
        let Question { origin, sent, number, .. } = *question;
        if self.keeper_lost(origin, problem, sent, number) {
            self.burst(origin, 0);
        }
    }
}
