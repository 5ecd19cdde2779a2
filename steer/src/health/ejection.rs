//! How long a placement is left alone that fails although it answers its probes.
//!
//! Probes cannot say when such a placement is well again, since they never said that it was not; only traffic can. So it gets
//! none for a while, then a little (its ramp), and if it fails again, none for twice as long.

use crate::moment::{Moment, Span};

const FIRST: Span = Span::from_secs(10);
const LONGEST: Span = Span::from_secs(300);
/// A placement that has served for so long after an ejection is met without prejudice.
const FORGOTTEN_AFTER: Span = Span::from_secs(600);

/// The ejections of one placement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ejection {
    last: Option<(Span, Moment)>,
}

impl Ejection {
    /// The placement is ejected at `now`; until when.
    pub(super) fn begin(&mut self, now: Moment) -> Moment {
        let length = match self.last {
            Some((length, ended)) if now.since(ended) < FORGOTTEN_AFTER => (length + length).min(LONGEST),
            _ => FIRST,
        };
        let until = now + length;
        self.last = Some((length, until));
        until
    }

    /// Whether it is ejected at `now`.
    pub(super) fn lasts(&self, now: Moment) -> bool {
        self.last.is_some_and(|(_, until)| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_twice_as_long_as_the_last_until_it_is_forgotten() {
        let mut ejection = Ejection::default();
        let mut now = Moment::from_millis(1000);
        let mut lengths = Vec::new();
        for _ in 0..7 {
            let until = ejection.begin(now);
            assert!(ejection.lasts(now) && !ejection.lasts(until));
            lengths.push(until.since(now).as_nanos() / 1_000_000_000);
            now = until + Span::from_secs(5);
        }
        assert_eq!(lengths, [10, 20, 40, 80, 160, 300, 300]);
        now = now + FORGOTTEN_AFTER;
        assert_eq!(ejection.begin(now), now + FIRST);
    }
}
