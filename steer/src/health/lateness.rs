//! Is the observer itself late? Then silence proves less.
//!
//! On a machine that is short of processors the prober's own timers come late, and answers that were in time look lost. Each
//! late timer makes it more patient, each clean second less so (Lifeguard's local health multiplier: Dadgar, Phillips, Currey
//! 2017): probes may take longer, and it takes more lost ones to prove a silence.

use crate::moment::{Moment, Span};

/// The most that patience grows beside its whole.
const MAX_LEVEL: u32 = 8;
/// Late timers within this time count once: one stall delays many.
const ONE_STALL: Span = Span::from_millis(100);
const CLEAN: Span = Span::from_secs(1);
/// What is late is half an interval, and between these.
const LEAST_LATE: Span = Span::from_millis(10);
const MOST_LATE: Span = Span::from_millis(50);

/// How late the observer has been.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    level: u32,
    /// When it was last late, or last became less patient.
    at: Moment,
}

impl Lateness {
    /// Whether a timer that came so late counts as late, for whoever asks once in `interval`.
    #[must_use]
    pub fn is_late(late: Span, interval: Span) -> bool {
        late > Span::from_nanos(interval.as_nanos() / 2).clamp(LEAST_LATE, MOST_LATE)
    }

    /// A timer came `late`.
    pub fn woke(&mut self, late: Span, interval: Span, now: Moment) {
        let is_late = Self::is_late(late, interval);
        if is_late && (self.level == 0 || now.since(self.at) >= ONE_STALL) {
            self.level = (self.level + 1).min(MAX_LEVEL);
            self.at = now;
        } else if is_late {
            self.at = now;
        } else if self.level > 0 && now.since(self.at) >= CLEAN {
            self.level -= 1;
            self.at = now;
        }
    }

    /// What timeouts and required losses are multiplied by; 1 on a machine that keeps its times.
    #[must_use]
    pub const fn patience(self) -> u32 {
        1 + self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Span = Span::from_millis(50);

    #[test]
    fn late_timers_make_patient_and_clean_seconds_less_so() {
        let mut lateness = Lateness::default();
        let at = Moment::from_millis;
        lateness.woke(Span::from_millis(24), INTERVAL, at(1000));
        assert_eq!(lateness.patience(), 1);
        lateness.woke(Span::from_millis(30), INTERVAL, at(1050));
        lateness.woke(Span::from_millis(30), INTERVAL, at(1060));
        assert_eq!(lateness.patience(), 2, "one stall counts once");
        for stall in 1..20 {
            lateness.woke(Span::from_millis(30), INTERVAL, at(1060 + stall * 200));
        }
        assert_eq!(lateness.patience(), 9);
        for step in 0..200 {
            lateness.woke(Span::ZERO, INTERVAL, at(5000 + step * 50));
        }
        assert_eq!(lateness.patience(), 1);
    }

    #[test]
    fn what_is_late_depends_on_the_interval_within_bounds() {
        let is_late =
            |late, interval| Lateness::is_late(Span::from_millis(late), Span::from_millis(interval));
        assert!(!is_late(9, 10) && is_late(11, 10));
        assert!(!is_late(49, 5000) && is_late(51, 5000));
    }
}
