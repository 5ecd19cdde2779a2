//! What was seen of a change under watch, in numbers and in words.

use std::fmt;

use serde::{Deserialize, Serialize};
use steer::Span;
use utoipa::ToSchema;

use super::guard::{Compared, Guard};
use crate::traffic::Answers;

/// What a guard saw of a part of the traffic.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Evidence {
    /// The guard.
    #[schema(value_type = String, examples("error_rate=1%"))]
    pub guard: Guard,
    /// The route whose requests these are; `None`: all requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The region that most of the bad ones came from, if any came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How long ago the change was made, in s.
    pub seconds: f64,
    /// Requests since.
    pub requests: u64,
    /// How many of them were bad.
    pub bad: u64,
    /// Their share, 0 to 1.
    pub share: f64,
    /// Requests in the minute before.
    pub requests_before: u64,
    /// How many of them were bad.
    pub bad_before: u64,
    /// Their share, 0 to 1; `None` if there were no requests.
    pub share_before: Option<f64>,
    /// Where a duration makes a request a bad one: longer than this, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than_ms: Option<f64>,
}

impl Evidence {
    pub(super) fn new(
        guard: Guard,
        compared: &Compared,
        (route, region): (Option<&str>, Option<&str>),
        lasted: Span,
    ) -> Self {
        let Compared { before, after, slower_than_ms, .. } = *compared;
        Self {
            guard,
            route: route.map(str::to_owned),
            region: region.map(str::to_owned),
            seconds: (lasted.as_secs_f64() * 10.0).round() / 10.0,
            requests: after.of,
            bad: after.bad,
            share: after.share(),
            requests_before: before.of,
            bad_before: before.bad,
            share_before: (before.of > 0).then(|| before.share()),
            slower_than_ms,
        }
    }

    /// What its guard counts of answers.
    pub(super) fn count(guard: Guard, slower_than_ms: Option<f64>) -> impl Fn(&Answers) -> u64 {
        move |answers| guard.bad(answers, slower_than_ms)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, limit) = (self.guard.name(), self.guard.limit());
        let (share, requests) = (percent(self.share), grouped(self.requests));
        write!(f, "{name} {share} of {requests} requests in {:.0} s", self.seconds)?;
        if let Some(ms) = self.slower_than_ms {
            write!(f, " took longer than {ms} ms")?;
        }
        match self.share_before {
            Some(share) => write!(f, ", before {} of {}", percent(share), grouped(self.requests_before))?,
            None => write!(f, ", before there were none")?,
        }
        write!(f, "; bound {limit}")?;
        if let Some(route) = &self.route {
            write!(f, "; route {route}")?;
        }
        self.region.as_ref().map_or(Ok(()), |region| write!(f, "; most of them at {region}"))
    }
}

/// A share, to two digits or so.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        9.95.. => format!("{percent:.0} %"),
        0.995.. => format!("{percent:.1} %"),
        0.0995.. => format!("{percent:.2} %"),
        _ => format!("{percent:.3} %"),
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use steer::trial::{Bound, Tally};

    use super::*;

    #[test]
    fn evidence_is_told_in_words() {
        let mut compared = Compared {
            before: Tally { of: 14_000, bad: 3 },
            after: Tally { of: 2310, bad: 95 },
            bound: Bound::AtMost(0.01),
            slower_than_ms: None,
        };
        let lasted = Span::from_millis(12_040);
        let evidence = Evidence::new(Guard::USUAL[0], &compared, (None, None), lasted);
        assert_eq!(
            evidence.to_string(),
            "error_rate 4.1 % of 2,310 requests in 12 s, before 0.021 % of 14,000; bound 1%"
        );
        compared.before = Tally::default();
        let evidence = Evidence::new(Guard::USUAL[0], &compared, (Some("app"), Some("eu")), lasted);
        assert_eq!(
            evidence.to_string(),
            "error_rate 4.1 % of 2,310 requests in 12 s, before there were none; bound 1%; route app; most of them at eu"
        );
        compared.slower_than_ms = Some(100.0);
        let late = Evidence::new("p99=+50ms".parse().unwrap(), &compared, (None, None), lasted);
        assert_eq!(
            late.to_string(),
            "p99 4.1 % of 2,310 requests in 12 s took longer than 100 ms, before there were none; bound +50ms"
        );
        assert_eq!(
            (grouped(7), grouped(1_234_567), percent(0.0)),
            ("7".into(), "1,234,567".into(), "0 %".into())
        );
    }
}
