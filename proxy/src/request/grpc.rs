//! What is different about gRPC: how long a call may take is said in a field, and an answer of ours must be one that its
//! clients understand.
//!
//! A gRPC client looks at `grpc-status`, not at the status of HTTP. So a refusal goes out as 200 with no body and the status
//! in the header ("trailers-only"), which is what origins do too.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::refusal::Refused;
use crate::forward::Body;
use crate::observe::Reason;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc");
    // `application/grpc-web` is another protocol, spoken by browsers to a translator behind us.
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// How long a call may take (`grpc-timeout`: up to eight digits and a unit); `None` if it does not say so.
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let written = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = written.split_at_checked(written.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Whether the head of an answer says that the server could not serve the call (UNAVAILABLE), as an error without a message does.
pub(crate) fn grpc_is_unavailable(headers: &HeaderMap) -> bool {
    headers.get(GRPC_STATUS).is_some_and(|status| status == "14")
}

/// A time as `grpc-timeout` says it: at most eight digits of the finest unit that has room for them, and none that are not
/// there. Never 0, which is no amount in gRPC's grammar (grpc/doc/PROTOCOL-HTTP2.md).
pub(super) fn grpc_timeout_field(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let seconds = u128::from(left.as_secs());
    let (amount, unit) = match left.as_nanos().max(1) {
        nanos @ ..=MOST => (nanos, 'n'),
        _ if left.as_micros() <= MOST => (left.as_micros(), 'u'),
        _ if left.as_millis() <= MOST => (left.as_millis(), 'm'),
        _ if seconds <= MOST => (seconds, 'S'),
        _ if seconds / 60 <= MOST => (seconds / 60, 'M'),
        _ => ((seconds / 3600).min(MOST), 'H'),
    };
    HeaderValue::from_str(&format!("{amount}{unit}")).expect("digits and a letter are a header value")
}

/// A refusal as gRPC clients read it.
pub(super) fn refusal(refused: &Refused) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(code(refused.status, refused.reason)));
    let message = format!("{} ({})", refused.text, refused.reason.code());
    headers.extend(HeaderValue::from_str(&message).ok().map(|message| (GRPC_MESSAGE, message)));
    if let Some(pause) = refused.retry_after() {
        // What `Retry-After` is to others: clients that repeat calls wait for so long (gRPC proposal A6, "Pushback").
        headers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from(pause.as_secs() * 1000));
    }
    response
}

/// The gRPC status of an HTTP status (grpc/doc/http-grpc-status-mapping.md), but a time that ran out is told as that.
const fn code(status: StatusCode, reason: Reason) -> u16 {
    match (reason, status.as_u16()) {
        (Reason::Deadline | Reason::OriginTimeout, _) => 4,
        (_, 400) => 13,
        (_, 401) => 16,
        (_, 403) => 7,
        (_, 404 | 421) => 12,
        (_, 429 | 502..=504) => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        let timeout = |value| grpc_timeout(&headers("grpc-timeout", value));
        assert_eq!(timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "5", "-5S", "999999999S", "5s", "5 S"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_no_more_and_hardly_less() {
        for exponent in 0..63 {
            for nanos in [1_u64 << exponent, (1 << exponent) + 12_345, 3 << exponent] {
                let left = Duration::from_nanos(nanos);
                let field = grpc_timeout_field(left);
                let read = grpc_timeout(&[(GRPC_TIMEOUT, field.clone())].into_iter().collect());
                let read = read.unwrap_or_else(|| panic!("{field:?} of {nanos} ns is not valid"));
                assert!(read <= left, "{field:?} of {nanos} ns");
                // A unit is at most a thousand times the finer one: of eight digits, five at least say something.
                assert!(read.as_secs_f64() >= left.as_secs_f64() * 0.999_99, "{field:?} of {nanos} ns");
            }
        }
        assert_eq!(grpc_timeout_field(Duration::ZERO), "1n");
        assert_eq!(grpc_timeout_field(Duration::from_nanos(99_999_999)), "99999999n");
        assert_eq!(grpc_timeout_field(Duration::from_nanos(100_000_000)), "100000u");
        assert_eq!(grpc_timeout_field(Duration::MAX), "99999999H");
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(is_grpc(&headers("content-type", kind)), "{kind}");
        }
        for kind in ["application/grpc-web", "application/json", ""] {
            assert!(!is_grpc(&headers("content-type", kind)), "{kind}");
        }
    }
}
