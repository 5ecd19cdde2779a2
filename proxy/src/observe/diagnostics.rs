//! What an answer tells its reader of its way here, where the operator wants that: `Server-Timing` for browsers' tools,
//! `Proxy-Status` (RFC 9209) for whoever looks for the hop that failed, `X-Nearside-Decision` for whoever asks why.
//!
//! The first two come after what origins and proxies behind us wrote into the same fields. Regions stand for origins, so that no inner
//! address is told; answers that switch protocols have neither. The third is ours alone.

use std::fmt::Write as _;

use control::decisions::DecisionId;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::access_log::AttemptLine;
use super::reason::Reason;
use crate::config::DiagnosticHeaders;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const X_NEARSIDE_DECISION: HeaderName = HeaderName::from_static("x-nearside-decision");

/// Names the decision that an answer rests on.
pub(crate) fn name_decision(id: DecisionId, headers: &mut HeaderMap) {
    let value = HeaderValue::from_str(&id.to_string()).expect("an id is a header value");
    headers.insert(X_NEARSIDE_DECISION, value);
}

/// What there is to tell of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Diagnosis<'a> {
    /// The status that the client gets.
    pub(crate) status: u16,
    /// Whether an origin answered so, and not nearside itself.
    pub(crate) is_received: bool,
    pub(crate) reason: Reason,
    pub(crate) region: Option<&'a str>,
    /// All of them, in their order.
    pub(crate) attempts: &'a [AttemptLine],
    /// How long the attempt that was answered took.
    pub(crate) origin_ms: Option<f64>,
    /// From the head of the request to the head of the answer.
    pub(crate) total_ms: f64,
}

impl Diagnosis<'_> {
    /// Adds the fields that are wanted.
    pub(crate) fn tell(&self, wanted: DiagnosticHeaders, headers: &mut HeaderMap) {
        if wanted.server_timing {
            append(headers, SERVER_TIMING, &self.server_timing());
        }
        if wanted.proxy_status {
            append(headers, PROXY_STATUS, &self.proxy_status());
        }
    }

    fn server_timing(&self) -> String {
        let total = format!("total;dur={:.3}", self.total_ms);
        self.origin_ms.map_or_else(|| total.clone(), |origin| format!("origin;dur={origin:.3}, {total}"))
    }

    fn proxy_status(&self) -> String {
        let mut told = "nearside".to_owned();
        if self.is_received {
            let _ = write!(told, "; received-status={}", self.status);
        } else if let Some(error) = proxy_error(self.reason, self.status) {
            let _ = write!(told, "; error={error}");
        }
        if let Some(region) = self.region {
            let _ = write!(told, "; next-hop={}", quoted(region));
        }
        if self.reason != Reason::None {
            let _ = write!(told, "; details={}", quoted(self.reason.code()));
        }
        // One member of the list is one proxy (RFC 9209, 2), so what was tried before has no member of its own.
        if self.attempts.len() > 1 {
            let attempts = self.attempts.iter();
            let told_of = attempts.map(|attempt| format!("{}:{}", attempt.region, attempt.outcome));
            let _ = write!(told, "; attempts={}", quoted(&told_of.collect::<Vec<_>>().join(" ")));
        }
        told
    }
}

/// A String (RFC 8941, 3.3.3).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

/// The error type of RFC 9209 that says most of a reason and the status it was answered with.
fn proxy_error(reason: Reason, status: u16) -> Option<&'static str> {
    let is_late = status == 504;
    match reason {
        Reason::None | Reason::FailedOver | Reason::HedgeWon | Reason::Spilled | Reason::Drilled => None,
        Reason::BadRequest | Reason::ClientGone => Some("http_request_error"),
        Reason::NoRoute => Some("destination_not_found"),
        Reason::Loop => Some("proxy_loop_detected"),
        Reason::NoHealthy | Reason::UplinkSuspected | Reason::ResidencyBlocked => {
            Some("destination_unavailable")
        }
        Reason::CapacityExhausted => Some("connection_limit_reached"),
        Reason::ConnectTimeout => Some("connection_timeout"),
        // Refused, broken off in the TLS handshake, or without an address.
        Reason::ConnectFailure => Some("destination_unavailable"),
        Reason::OriginTimeout | Reason::Deadline | Reason::StreamIdle => Some("http_response_timeout"),
        Reason::Uncertain | Reason::RetriesExhausted if is_late => Some("http_response_timeout"),
        Reason::OriginReset | Reason::Uncertain | Reason::RetriesExhausted => Some("connection_terminated"),
        Reason::OriginBroke => Some("http_response_incomplete"),
        Reason::OriginProtocol => Some("http_protocol_error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERED: Diagnosis<'_> = Diagnosis {
        status: 200,
        is_received: true,
        reason: Reason::None,
        region: Some("eu"),
        attempts: &[],
        origin_ms: Some(12.0),
        total_ms: 13.0625,
    };

    fn attempt(region: &str, outcome: &'static str) -> AttemptLine {
        let moment = steer::Moment::from_nanos(0);
        AttemptLine {
            region: region.into(),
            origin: "10.0.0.1:80".into(),
            kind: "first",
            at_ms: 0.0,
            outcome,
            decision: None,
            ms: 1.0,
            span: None,
            began: moment,
            ended: moment,
        }
    }

    fn told(diagnosis: Diagnosis<'_>) -> (String, String) {
        (diagnosis.server_timing(), diagnosis.proxy_status())
    }

    #[test]
    fn answers_of_origins_and_answers_of_our_own() {
        let (timing, status) = told(ANSWERED);
        assert_eq!(timing, "origin;dur=12.000, total;dur=13.062");
        assert_eq!(status, "nearside; received-status=200; next-hop=\"eu\"");
        let moved = Diagnosis { reason: Reason::FailedOver, ..ANSWERED };
        assert_eq!(told(moved).1, "nearside; received-status=200; next-hop=\"eu\"; details=\"FO\"");
        let refused = Diagnosis {
            status: 504,
            is_received: false,
            reason: Reason::ConnectTimeout,
            origin_ms: None,
            ..ANSWERED
        };
        let (timing, status) = told(refused);
        assert_eq!(timing, "total;dur=13.062");
        assert_eq!(status, "nearside; error=connection_timeout; next-hop=\"eu\"; details=\"CT\"");
        let no_route = Diagnosis { status: 404, reason: Reason::NoRoute, region: None, ..refused };
        assert_eq!(told(no_route).1, "nearside; error=destination_not_found; details=\"NR\"");
    }

    #[test]
    fn attempts_are_told_once_there_are_several() {
        let all = [attempt("us", "reset"), attempt("e\"u\\", "not_sent"), attempt("eu", "answered")];
        let moved = Diagnosis { reason: Reason::FailedOver, attempts: &all, ..ANSWERED };
        assert_eq!(
            told(moved).1,
            "nearside; received-status=200; next-hop=\"eu\"; details=\"FO\"; \
             attempts=\"us:reset e\\\"u\\\\:not_sent eu:answered\""
        );
        assert!(!told(moved).1.contains("10.0.0.1"), "regions stand for origins");
        let only = Diagnosis { attempts: &all[2..], ..ANSWERED };
        assert_eq!(told(only).1, told(ANSWERED).1, "the rest says it");
    }

    #[test]
    fn nothing_is_told_unasked_and_nothing_of_others_is_lost() {
        let mut headers = HeaderMap::new();
        headers.insert(PROXY_STATUS, HeaderValue::from_static("inner; received-status=200"));
        ANSWERED.tell(DiagnosticHeaders::default(), &mut headers);
        assert_eq!(headers.len(), 1);
        ANSWERED.tell(DiagnosticHeaders { proxy_status: true, ..DiagnosticHeaders::default() }, &mut headers);
        let all: Vec<&HeaderValue> = headers.get_all(PROXY_STATUS).iter().collect();
        assert_eq!(all, ["inner; received-status=200", "nearside; received-status=200; next-hop=\"eu\""]);
    }
}
