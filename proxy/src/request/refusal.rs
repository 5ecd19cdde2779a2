//! Answers that nearside gives itself.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use steer::decide::Cause;
use steer::router::NoRoute;

use crate::forward::Body;
use crate::observe::Reason;

/// Whole seconds. A region that returns is in use within one.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request gets an answer from nearside and not from an origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) reason: Reason,
    /// For the client: what is wrong, without anything about the inside.
    pub(crate) text: &'static str,
    /// Whether the connection is closed, since what follows on it cannot be trusted.
    pub(crate) close: bool,
}

impl Refused {
    pub(crate) const fn new(status: StatusCode, reason: Reason, text: &'static str) -> Self {
        Self { status, reason, text, close: false }
    }

    /// A request that took longer than it may.
    pub(crate) const DEADLINE: Self =
        Self::new(StatusCode::GATEWAY_TIMEOUT, Reason::Deadline, "the request took too long");

    /// Nothing answers, and the fault is more likely here.
    pub(crate) const UPLINK: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Reason::UplinkSuspected, "no region answers this edge");

    /// A request that this PoP has forwarded already.
    pub(crate) const LOOP: Self =
        Self::new(StatusCode::LOOP_DETECTED, Reason::Loop, "the request has passed here before");

    /// A request that has passed through more proxies than anybody puts behind each other.
    pub(crate) const TOO_FAR: Self =
        Self::new(StatusCode::LOOP_DETECTED, Reason::Loop, "the request has passed through too many proxies");

    /// A request that breaks the rules.
    pub(crate) const fn bad(text: &'static str) -> Self {
        Self { close: true, ..Self::new(StatusCode::BAD_REQUEST, Reason::BadRequest, text) }
    }

    pub(crate) const fn no_route(why: NoRoute) -> Self {
        match why {
            NoRoute::UnknownHost => {
                Self::new(StatusCode::MISDIRECTED_REQUEST, Reason::NoRoute, "this host is not served here")
            }
            NoRoute::UnknownPath => {
                Self::new(StatusCode::NOT_FOUND, Reason::NoRoute, "this path is not served here")
            }
            NoRoute::Unmet => {
                Self::new(StatusCode::NOT_FOUND, Reason::NoRoute, "this path is not served for such requests")
            }
        }
    }

    pub(crate) const fn no_candidate(cause: Cause) -> Self {
        let (reason, text) = match cause {
            Cause::Unhealthy => (Reason::NoHealthy, "no region is usable"),
            Cause::Full => (Reason::CapacityExhausted, "all regions are full"),
            Cause::Jurisdiction => (Reason::ResidencyBlocked, "no permitted region is usable"),
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, text)
    }

    /// When to come back: soon, where nothing is wrong with the request itself.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER)
    }

    /// The answer: a short text with the reason's code, so that a client's complaint can be matched with the log.
    pub(crate) fn response(&self, is_grpc: bool) -> Response<Body> {
        if is_grpc {
            return super::grpc::refusal(self);
        }
        let mut response = Response::new(Body::text(format!("{} ({})\n", self.text, self.reason.code())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            // Required (RFC 9110, 15.5.6). Origins may know more methods; these are the ones that most do.
            let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            headers.insert(header::ALLOW, allow);
        }
        if let Some(pause) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(pause.as_secs()));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, `Retry-After`, gRPC's status and its pushback, of an answer to either.
    fn told(refused: &Refused) -> (u16, Option<String>, String, Option<String>) {
        let text = |headers: &http::HeaderMap, name: &str| {
            headers.get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let (plain, grpc) = (refused.response(false), refused.response(true));
        assert_eq!(grpc.status(), StatusCode::OK, "gRPC clients look elsewhere");
        let code = text(grpc.headers(), "grpc-status").unwrap();
        let pushback = text(grpc.headers(), "grpc-retry-pushback-ms");
        (plain.status().as_u16(), text(plain.headers(), "retry-after"), code, pushback)
    }

    #[test]
    fn only_who_may_come_back_is_told_when() {
        let come_back = (503, Some("1".to_owned()), "14".to_owned(), Some("1000".to_owned()));
        for cause in [Cause::Unhealthy, Cause::Full, Cause::Jurisdiction] {
            assert_eq!(told(&Refused::no_candidate(cause)), come_back, "{cause:?}");
        }
        for (refused, status, code) in [
            (Refused::DEADLINE, 504, "4"),
            (Refused::LOOP, 508, "2"),
            (Refused::TOO_FAR, 508, "2"),
            (Refused::bad("x"), 400, "13"),
            (Refused::no_route(NoRoute::UnknownHost), 421, "12"),
            (Refused::new(StatusCode::BAD_GATEWAY, Reason::OriginReset, "x"), 502, "14"),
        ] {
            assert_eq!(told(&refused), (status, None, code.to_owned(), None), "{refused:?}");
        }
    }
}
