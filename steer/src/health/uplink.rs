//! Is it them, or is it us? When nothing answers at all, the fault is more likely at this PoP than everywhere else.
//!
//! Any answer proves the way out: a good one, an error, a refused or reset connection, a reference's. Once a question has been
//! left unanswered and nothing else was heard for a quarter of a second, everybody is asked, references too; after a second of
//! that the uplink is suspected. Then nobody's health changes: placements that fell silent in this outage are doubted and not
//! down, and return at their first answer, without ramp or penalty, since they never were away.
//!
//! With no reference configured, regions that all died at once look the same. So a PoP that suspects its uplink goes on
//! trying, and only says that it is not ready where an operator wants that.

use crate::moment::{Moment, Span};

/// After this silence everybody is asked.
const ASK_AFTER: Span = Span::from_millis(250);
/// After this silence the uplink is suspected.
const SUSPECT_AFTER: Span = Span::from_secs(1);
/// After this silence a PoP may say that it is not ready.
pub const UNREADY_AFTER: Span = Span::from_secs(3);
/// Everybody is asked once in this time at most: where the only region of a pool is dead, others answer every time.
const ASK_ALL_EVERY: Span = Span::from_secs(1);
/// What those who were asked because of a silence have at least.
const TIME_TO_ANSWER: Span = Span::from_millis(500);
/// Questions that must have been left unanswered.
const FEWEST_UNANSWERED: u32 = 2;

/// What is known of this PoP's way out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uplink {
    heard: Moment,
    /// When the first question was put that nobody has answered since.
    silent_since: Option<Moment>,
    unanswered: u32,
    /// In this silence.
    asked_all: Option<Moment>,
    last_asked_all: Option<Moment>,
    is_suspected: bool,
    /// When the last suspicion ended.
    returned: Option<Moment>,
}

/// What is to be done about a silence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Silence {
    /// Nothing: somebody was heard, or nobody was asked.
    None,
    /// It may be us: ask everybody, and the references.
    AskAll,
    /// It has just become likely that it is us.
    Suspected,
}

impl Uplink {
    /// Something was heard at `at`. Whether that ends a suspicion.
    pub fn heard(&mut self, at: Moment) -> bool {
        self.heard = self.heard.max(at);
        // An answer to what was asked before the silence says nothing of now.
        if self.silent_since.is_some_and(|since| at < since) {
            return false;
        }
        self.silent_since = None;
        self.unanswered = 0;
        self.asked_all = None;
        if self.is_suspected {
            self.returned = Some(self.heard);
        }
        std::mem::take(&mut self.is_suspected)
    }

    /// When something was last heard.
    #[must_use]
    pub const fn last_heard(&self) -> Moment {
        self.heard
    }

    /// A question put at `asked` got no answer in time.
    pub fn unanswered(&mut self, asked: Moment) {
        if asked < self.heard {
            return;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.silent_since.get_or_insert(asked);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Moment) -> Silence {
        let Some(since) = self.silent_since else { return Silence::None };
        if self.is_suspected || self.unanswered < FEWEST_UNANSWERED {
            return Silence::None;
        }
        let silent = now.since(since);
        let may_ask = self.last_asked_all.is_none_or(|last| now.since(last) >= ASK_ALL_EVERY);
        if self.asked_all.is_none() && may_ask && silent >= ASK_AFTER {
            (self.asked_all, self.last_asked_all) = (Some(now), Some(now));
            return Silence::AskAll;
        }
        // Everybody must have had the time to answer.
        let had_time = self.asked_all.is_some_and(|asked| now.since(asked) >= TIME_TO_ANSWER);
        if silent >= SUSPECT_AFTER && had_time {
            self.is_suspected = true;
            return Silence::Suspected;
        }
        Silence::None
    }

    /// Whether nothing at all answers.
    #[must_use]
    pub const fn is_suspected(&self) -> bool {
        self.is_suspected
    }

    /// Whether silence on what was asked at `asked` says nothing of whoever was asked: nothing at all answered then. What was
    /// asked in an outage is given up after it, when the first answers have long come from elsewhere.
    #[must_use]
    pub fn excuses(&self, asked: Moment) -> bool {
        self.is_suspected || self.returned.is_some_and(|returned| asked <= returned)
    }

    /// Since when nobody answers, if that is so and somebody was asked.
    #[must_use]
    pub const fn silent_since(&self) -> Option<Moment> {
        self.silent_since
    }

    /// Whether references are to be asked now.
    #[must_use]
    pub const fn wants_references(&self) -> bool {
        self.asked_all.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    /// Asks every 50 ms from 1 s on and gets no answer. When everybody is asked, and when the uplink is suspected.
    fn silence(uplink: &mut Uplink) -> (Option<u64>, Option<u64>) {
        let (mut all, mut suspected) = (None, None);
        uplink.heard(at(1000));
        for millis in 1001..5000 {
            if millis % 50 == 20 && millis > 1050 {
                uplink.unanswered(at(millis - 20));
            }
            match uplink.tick(at(millis)) {
                Silence::None => {}
                Silence::AskAll => all = all.or(Some(millis)),
                Silence::Suspected => suspected = suspected.or(Some(millis)),
            }
        }
        (all, suspected)
    }

    #[test]
    fn a_second_of_silence_is_suspicion() {
        let mut uplink = Uplink::default();
        assert_eq!(silence(&mut uplink), (Some(1300), Some(2050)));
        assert!(uplink.is_suspected() && uplink.wants_references());
        assert!(uplink.heard(at(5000)), "the first answer ends it");
        assert!(!uplink.is_suspected() && uplink.silent_since().is_none());
    }

    #[test]
    fn what_was_asked_in_an_outage_is_excused_after_it() {
        let mut uplink = Uplink::default();
        silence(&mut uplink);
        assert!(uplink.excuses(at(4990)));
        uplink.heard(at(5000));
        assert!(uplink.excuses(at(4990)) && !uplink.excuses(at(5001)));
        assert!(!Uplink::default().excuses(at(1)), "without an outage there is no excuse");
    }

    #[test]
    fn whoever_asks_nobody_suspects_nothing() {
        let mut uplink = Uplink::default();
        uplink.heard(at(1000));
        assert!((1000..100_000).step_by(100).all(|millis| uplink.tick(at(millis)) == Silence::None));
    }

    #[test]
    fn one_answer_in_a_second_is_enough() {
        let mut uplink = Uplink::default();
        for millis in 1000..20_000 {
            if millis % 50 == 0 {
                uplink.unanswered(at(millis - 20));
            }
            if millis % 900 == 0 {
                uplink.heard(at(millis));
            }
            assert_ne!(uplink.tick(at(millis)), Silence::Suspected, "{millis} ms");
        }
    }

    #[test]
    fn what_was_asked_before_the_last_answer_is_no_silence() {
        let mut uplink = Uplink::default();
        uplink.heard(at(1000));
        for _ in 0..10 {
            uplink.unanswered(at(990));
        }
        assert_eq!((uplink.tick(at(9000)), uplink.silent_since()), (Silence::None, None));
    }
}
