//! What a change under watch may not do to answers: `error_rate=1%`, `no_route=+1%`, `p99=+50ms`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use steer::Span;
use steer::trial::{Bound, FEWEST_BEFORE, Tally};

use crate::traffic::{Answers, BOUNDS};

/// Guards that one watch may have, one of each kind.
const MOST: usize = 3;
/// Of a hundred requests, so many may be slower than the 99th percentile.
const BEYOND_P99: f64 = 0.01;
/// What a drill may do at most, if nobody says otherwise, in percent.
const DRILL_RISE: f64 = 1.0;
/// The least that can be told from nothing, in percent.
const LEAST_RISE: f64 = 0.01;
/// The part of a drill's clients that may fail, if nobody says otherwise.
const DRILL_PART: f64 = 0.1;

/// What a change may not do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guard {
    /// The share of requests that the service failed.
    ErrorRate(Limit<Percent>),
    /// The share of requests that no route was for.
    NoRoute(Limit<Percent>),
    /// How long the slowest request in a hundred takes.
    P99(Limit<Span>),
}

/// Up to where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit<T> {
    /// Up to this.
    AtMost(T),
    /// Up to so much more than before.
    Rise(T),
}

/// A share in percent, above 0 and below 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(f64);

/// What was written is no guard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoGuard(String);

/// A part of the traffic before a change and after it, as a guard sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Compared {
    pub(super) before: Tally,
    pub(super) after: Tally,
    pub(super) bound: Bound,
    /// What makes a request a bad one, where that is its duration: in ms.
    pub(super) slower_than_ms: Option<f64>,
}

impl Guard {
    /// What counts where a watch names no guard. A table that no longer has a route for what is asked fails nothing, and answers
    /// nothing.
    pub const USUAL: [Self; 2] =
        [Self::ErrorRate(Limit::AtMost(Percent(1.0))), Self::NoRoute(Limit::AtMost(Percent(1.0)))];

    /// What counts for a drill that hits so many percent of the keys of a region with so great a share of the traffic, 0 to 1, where
    /// it names no guard: a tenth of its clients may fail, up to one in a hundred of all.
    #[must_use]
    pub fn of_drill(percent: f64, share: f64) -> Self {
        let rise = (percent * share * DRILL_PART).clamp(LEAST_RISE, DRILL_RISE);
        // As people would write it.
        Self::ErrorRate(Limit::Rise(Percent((rise * 1000.0).round() / 1000.0)))
    }

    /// Several, with commas between them.
    ///
    /// # Errors
    /// The first that is none, or that comes twice.
    pub fn list(text: &str) -> Result<Vec<Self>, NoGuard> {
        let guards: Vec<Self> = text.split(',').take(MOST + 1).map(str::parse).collect::<Result<_, _>>()?;
        let is_twice =
            |at: usize, guard: &Self| guards[..at].iter().any(|other| other.name() == guard.name());
        let twice = (0..).zip(&guards).find(|(at, guard)| is_twice(*at, guard));
        match twice.map(|(_, guard)| guard.name()) {
            Some(twice) => Err(NoGuard(format!("{twice} comes twice"))),
            None => Ok(guards),
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ErrorRate(_) => "error_rate",
            Self::NoRoute(_) => "no_route",
            Self::P99(_) => "p99",
        }
    }

    /// What it is about, as written behind its name.
    #[must_use]
    pub fn limit(&self) -> String {
        match self {
            Self::ErrorRate(limit) | Self::NoRoute(limit) => limit.to_string(),
            Self::P99(limit) => limit.to_string(),
        }
    }

    /// How it sees a part of the traffic; `None` if there is nothing to compare.
    pub(super) fn compare(&self, before: &Answers, after: &Answers) -> Option<Compared> {
        let shares = |limit: &Limit<Percent>, bad: fn(&Answers) -> u64| Compared {
            before: Tally { of: before.requests, bad: bad(before) },
            after: Tally { of: after.requests, bad: bad(after) },
            bound: match limit {
                Limit::AtMost(Percent(most)) => Bound::AtMost(most / 100.0),
                Limit::Rise(Percent(by)) => Bound::Rise(by / 100.0),
            },
            slower_than_ms: None,
        };
        match self {
            Self::ErrorRate(limit) => Some(shares(limit, |answers| answers.errors)),
            Self::NoRoute(limit) => Some(shares(limit, |answers| answers.unrouted)),
            Self::P99(limit) => {
                let most = match limit {
                    Limit::AtMost(most) => most.as_secs_f64(),
                    Limit::Rise(by) if before.timed() >= FEWEST_BEFORE => {
                        BOUNDS[before.p99()?] + by.as_secs_f64()
                    }
                    Limit::Rise(_) => return None,
                };
                // Between two bounds nobody knows: what is surely slower counts.
                let bound = BOUNDS.iter().position(|bound| *bound >= most)?;
                Some(Compared {
                    before: Tally { of: before.timed(), bad: before.slower_than(bound) },
                    after: Tally { of: after.timed(), bad: after.slower_than(bound) },
                    bound: Bound::AtMost(BEYOND_P99),
                    slower_than_ms: Some(BOUNDS[bound] * 1000.0),
                })
            }
        }
    }

    /// What it counts of answers; `bound` is that of a duration, in ms.
    pub(super) fn bad(&self, answers: &Answers, slower_than_ms: Option<f64>) -> u64 {
        match self {
            Self::ErrorRate(_) => answers.errors,
            Self::NoRoute(_) => answers.unrouted,
            Self::P99(_) => {
                let is_it = |bound: &f64| slower_than_ms.is_some_and(|ms| *bound * 1000.0 >= ms);
                BOUNDS.iter().position(is_it).map_or(0, |bound| answers.slower_than(bound))
            }
        }
    }
}

impl FromStr for Guard {
    type Err = NoGuard;

    fn from_str(text: &str) -> Result<Self, NoGuard> {
        let refused = || NoGuard(format!("{text:?} is none"));
        let (name, limit) = text.split_once('=').ok_or_else(refused)?;
        match name.trim() {
            "error_rate" => Limit::parse(limit).map(Self::ErrorRate),
            "no_route" => Limit::parse(limit).map(Self::NoRoute),
            "p99" => {
                Limit::parse(limit).filter(|limit: &Limit<Span>| limit.value() != Span::ZERO).map(Self::P99)
            }
            _ => None,
        }
        .ok_or_else(refused)
    }
}

impl<T: FromStr + Copy> Limit<T> {
    fn parse(text: &str) -> Option<Self> {
        // In a query, a plus that was not quoted arrives as a space.
        match text.strip_prefix(['+', ' ']) {
            Some(by) => by.parse().ok().map(Self::Rise),
            None => text.parse().ok().map(Self::AtMost),
        }
    }

    const fn value(&self) -> T {
        match self {
            Self::AtMost(value) | Self::Rise(value) => *value,
        }
    }
}

impl FromStr for Percent {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number: f64 = text.strip_suffix('%').and_then(|number| number.trim().parse().ok()).ok_or(())?;
        if number > 0.0 && number < 100.0 { Ok(Self(number)) } else { Err(()) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => most.fmt(f),
            Self::Rise(by) => write!(f, "+{by}"),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name(), self.limit())
    }
}

impl fmt::Display for NoGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: up to {MOST} guards with commas between them, error_rate, no_route and p99, each with a bound or, after a plus, \
             with how much more than before it may be",
            self.0
        )
    }
}

impl std::error::Error for NoGuard {}

impl Serialize for Guard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_read_and_written_the_same_way() {
        for text in ["error_rate=1%", "error_rate=+0.5%", "no_route=2.25%", "p99=+50ms", "p99=2s"] {
            assert_eq!(text.parse::<Guard>().unwrap().to_string(), text);
        }
        assert_eq!("error_rate= 0.5%".parse(), "error_rate=+0.5%".parse::<Guard>());
        assert_eq!(Guard::list("error_rate=1%,p99=+50ms").unwrap().len(), 2);
        assert_eq!(Guard::of_drill(10.0, 0.08).to_string(), "error_rate=+0.08%");
        assert_eq!(Guard::of_drill(50.0, 0.9).to_string(), "error_rate=+1%");
    }

    #[test]
    fn what_is_no_guard_is_refused() {
        for text in [
            "",
            "error_rate",
            "error_rate=",
            "error_rate=1",
            "error_rate=0%",
            "error_rate=100%",
            "error_rate=-1%",
            "error_rate=NaN%",
            "p99=5",
            "p99=0ms",
            "p98=5ms",
            "error_rate=1%,error_rate=2%",
            "error_rate=1%,",
            "error_rate=1%,no_route=1%,p99=1s,p99=2s",
        ] {
            assert!(Guard::list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lateness_is_a_share_beyond_a_bucket() {
        let (mut before, mut after) = (Answers::default(), Answers::default());
        // 990 within 5 ms, 10 within 10 ms; then 40 within 250 ms.
        (before.durations[3], before.durations[4]) = (990, 10);
        (after.durations[3], after.durations[8]) = (960, 40);
        let compared = "p99=+50ms".parse::<Guard>().unwrap().compare(&before, &after).unwrap();
        assert_eq!(compared.slower_than_ms, Some(100.0), "5 ms and 50 more, and so the bucket up to 100");
        assert_eq!((compared.before.bad, compared.after), (0, Tally { of: 1000, bad: 40 }));
        let guard = "p99=300ms".parse::<Guard>().unwrap();
        let compared = guard.compare(&before, &after).unwrap();
        assert_eq!((compared.slower_than_ms, compared.after.bad), (Some(500.0), 0));
        assert_eq!(guard.bad(&after, Some(100.0)), 40);
        assert_eq!("p99=1h".parse::<Guard>().unwrap().compare(&before, &after), None);
        let mut few = Answers::default();
        few.durations[3] = FEWEST_BEFORE - 1;
        assert_eq!(
            "p99=+1ms".parse::<Guard>().unwrap().compare(&few, &after),
            None,
            "no percentile of so few"
        );
    }
}
