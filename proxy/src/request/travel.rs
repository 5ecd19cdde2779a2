//! What a request brings along of its way through earlier hops, and what the next one is told: how much time is left, and which
//! attempt it is part of.
//!
//! Without that, edges behind each other multiply: each of three attempts at the first makes three at the second, and the
//! second goes on for a client whom the first has long told that it took too long. Only trusted hops are believed, as with all
//! fields of ours.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::grpc::{GRPC_TIMEOUT, grpc_timeout_field};
use super::headers::X_NEARSIDE_ATTEMPT;

const X_NEARSIDE_DEADLINE_MS: HeaderName = HeaderName::from_static("x-nearside-deadline-ms");

/// What a trusted hop says of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Travel {
    /// What was left of the hop's time when it sent the request.
    pub(crate) deadline: Option<Duration>,
    /// The number of the hop's attempt that the request is; 1 where nobody says.
    pub(crate) attempt: u32,
}

impl Travel {
    /// Reads the fields. Before they are stripped: what follows on has only our own.
    pub(crate) fn read(headers: &HeaderMap, trusted: bool) -> Self {
        let numbers = |name: HeaderName| headers.get_all(name).into_iter().filter_map(number);
        // Of several, the most careful: so nothing is gained by adding one.
        let (deadline, attempt) = match trusted {
            true => (numbers(X_NEARSIDE_DEADLINE_MS).min(), numbers(X_NEARSIDE_ATTEMPT).max()),
            false => (None, None),
        };
        Self {
            deadline: deadline.map(|ms| Duration::from_millis(ms.into())),
            attempt: attempt.unwrap_or(1).max(1),
        }
    }

    /// How many attempts are left here of `most`, those of the hop counted in; one always is.
    pub(crate) fn attempts_left(self, most: u32) -> u32 {
        most.saturating_sub(self.attempt - 1).max(1)
    }

    /// The number that the next hop is told of the `here`th attempt here.
    pub(crate) fn number(self, here: u32) -> u32 {
        here.saturating_add(self.attempt - 1)
    }
}

/// Tells the next hop how much time is left at this moment; gRPC servers read it in a field of their own.
pub(crate) fn tell_time_left(headers: &mut HeaderMap, left: Duration, is_grpc: bool) {
    headers.insert(X_NEARSIDE_DEADLINE_MS, deadline_field(left));
    if is_grpc {
        headers.insert(GRPC_TIMEOUT, grpc_timeout_field(left));
    }
}

/// Whole milliseconds, and none that are not there.
fn deadline_field(left: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).min(MAX_NUMBER))
}

/// Nine digits: eleven days, in milliseconds.
const MAX_NUMBER: u64 = 999_999_999;

/// Nothing but digits, and few of them.
fn number(value: &HeaderValue) -> Option<u32> {
    let digits = value.to_str().ok().filter(|text| text.len() <= 9)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn read(deadline: &str, attempt: &str) -> (Option<u64>, u32) {
        let headers = headers(&[(X_NEARSIDE_DEADLINE_MS, deadline), (X_NEARSIDE_ATTEMPT, attempt)]);
        let Travel { deadline, attempt } = Travel::read(&headers, true);
        (deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap()), attempt)
    }

    #[test]
    fn trusted_hops_are_believed_and_nobody_else() {
        let fields = headers(&[(X_NEARSIDE_DEADLINE_MS, "1500"), (X_NEARSIDE_ATTEMPT, "2")]);
        let nothing = Travel { deadline: None, attempt: 1 };
        let told = Travel { deadline: Some(Duration::from_millis(1500)), attempt: 2 };
        assert_eq!(Travel::read(&fields, true), told);
        assert_eq!(Travel::read(&fields, false), nothing);
        assert_eq!(Travel::read(&HeaderMap::new(), true), nothing);
    }

    #[test]
    fn only_numbers_are_numbers() {
        assert_eq!(read("0", "0"), (Some(0), 1));
        assert_eq!(read("999999999", "999999999"), (Some(999_999_999), 999_999_999));
        for bad in ["", "-1", "+1", "1.5", " 1", "1s", "0x1", "1000000000", "99999999999999999999"] {
            assert_eq!(read(bad, bad), (None, 1), "{bad}");
        }
    }

    #[test]
    fn of_several_the_most_careful_counts() {
        let fields = headers(&[
            (X_NEARSIDE_DEADLINE_MS, "900"),
            (X_NEARSIDE_DEADLINE_MS, "x"),
            (X_NEARSIDE_DEADLINE_MS, "50"),
            (X_NEARSIDE_ATTEMPT, "3"),
            (X_NEARSIDE_ATTEMPT, "1"),
        ]);
        assert_eq!(
            Travel::read(&fields, true),
            Travel { deadline: Some(Duration::from_millis(50)), attempt: 3 }
        );
    }

    #[test]
    fn attempts_are_shared_with_the_hop_before() {
        let left = |attempt, most| Travel { deadline: None, attempt }.attempts_left(most);
        assert_eq!([left(1, 3), left(2, 3), left(3, 3), left(4, 3), left(u32::MAX, 3)], [3, 2, 1, 1, 1]);
        assert_eq!(left(1, 1), 1);
        let number = |attempt, here| Travel { deadline: None, attempt }.number(here);
        assert_eq!([number(1, 1), number(1, 2), number(2, 1), number(2, 2)], [1, 2, 2, 3]);
        assert_eq!(number(999_999_999, u32::MAX), u32::MAX);
    }

    #[test]
    fn what_is_told_is_never_more_than_there_is() {
        fn told(fields: &HeaderMap) -> (&str, &str) {
            let text = |name| fields.get(name).unwrap().to_str().unwrap();
            (text(X_NEARSIDE_DEADLINE_MS), text(GRPC_TIMEOUT))
        }
        for (left, ms, grpc) in [
            (Duration::ZERO, "0", "1n"),
            (Duration::from_micros(1999), "1", "1999000n"),
            (Duration::from_millis(250), "250", "250000u"),
            (Duration::from_secs(86_400), "86400000", "86400000m"),
            (Duration::MAX, "999999999", "99999999H"),
        ] {
            let mut fields = headers(&[(X_NEARSIDE_DEADLINE_MS, "7"), (GRPC_TIMEOUT, "7H")]);
            tell_time_left(&mut fields, left, false);
            assert_eq!(told(&fields), (ms, "7H"), "{left:?}");
            tell_time_left(&mut fields, left, true);
            assert_eq!(told(&fields), (ms, grpc), "{left:?}");
            assert_eq!(fields.len(), 2, "instead of what was there");
        }
    }
}
