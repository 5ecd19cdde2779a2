//! Spans: what a trace tells of a request that passed here, and how it leaves this machine.
//!
//! A recorded request has one span of its own and one for each attempt; origins hear the attempt's. A worker hands finished
//! requests to a thread through a bounded queue; what does not fit is dropped and counted. A request that is not recorded
//! costs the reading of one header field.
//!
//! Left out: span events and links, and the query of a request, which may hold secrets. Clients' addresses stay in the
//! access log.

mod collector;
mod context;
mod exporter;
mod otlp;

use http::{HeaderMap, HeaderValue, Method};
use steer::draw::unit;
use tokio::sync::mpsc;

pub(crate) use context::{SpanId, TRACEPARENT, TraceId};
pub(crate) use exporter::{ExportCounts, SpanExporter};

use context::{Parent, SAMPLED};

use super::reason::Reason;
use crate::config::ParentDecision;

/// The trace of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced {
    pub(crate) trace: TraceId,
    /// `None` if its spans are not recorded here.
    pub(crate) recorded: Option<Recorded>,
}

/// A request whose spans are recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    pub(crate) span: SpanId,
    /// The span that the client named.
    pub(crate) parent: Option<SpanId>,
    pub(crate) flags: u8,
}

/// A request that is over, as its spans tell it. Times are nanoseconds since 1970.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    pub(crate) trace: TraceId,
    pub(crate) recorded: Recorded,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) http_version: &'static str,
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    pub(crate) aborted_by: Option<&'static str>,
    pub(crate) route: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) decision: Option<String>,
    pub(crate) attempts: Vec<AttemptSpan>,
}

/// One attempt, up to the head of its answer.
#[derive(Debug)]
pub(crate) struct AttemptSpan {
    pub(crate) span: SpanId,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) region: String,
    pub(crate) origin: String,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Reason,
}

/// Where workers' spans lead, and which requests are recorded.
#[derive(Clone, Debug)]
pub(crate) struct SpanSink {
    sender: mpsc::Sender<Box<RequestSpan>>,
    sample: f64,
    parents: ParentDecision,
}

impl SpanSink {
    /// Hands a request over; whether there was room.
    pub(crate) fn hand_over(&self, request: Box<RequestSpan>) -> bool {
        self.sender.try_send(request).is_ok()
    }

    fn decides(&self, parent: Option<Parent>, is_trusted: bool, draw: u64) -> bool {
        match parent {
            Some(parent) if is_trusted || self.parents == ParentDecision::Anyone => {
                parent.flags & SAMPLED != 0
            }
            _ => unit(draw) < self.sample,
        }
    }
}

/// Reads the trace that a request belongs to, begins one where spans are recorded and there is none, and leaves in `headers`
/// what origins are to hear.
pub(crate) fn join(
    sink: Option<&SpanSink>,
    headers: &mut HeaderMap,
    is_trusted: bool,
    mut draw: impl FnMut() -> u64,
) -> Option<Traced> {
    let parent = Parent::read(headers);
    let Some(sink) = sink else {
        return parent.map(|parent| Traced { trace: parent.trace, recorded: None });
    };
    let is_recorded = sink.decides(parent, is_trusted, draw());
    let trace = parent.map_or_else(|| TraceId::new(&mut draw), |parent| parent.trace);
    let flags = parent.map_or(0, |parent| parent.flags & !SAMPLED) | u8::from(is_recorded);
    let is_decided_alike = parent.is_some_and(|parent| parent.flags == flags);
    let recorded = is_recorded.then(|| Recorded {
        span: SpanId::new(&mut draw),
        parent: parent.map(|parent| parent.span),
        flags,
    });
    // A changed flag needs a new span id; each recorded attempt brings its own.
    if !is_recorded && !is_decided_alike {
        headers.insert(TRACEPARENT, Parent { trace, span: SpanId::new(&mut draw), flags }.header());
    }
    Some(Traced { trace, recorded })
}

impl Traced {
    /// What the origin of an attempt with this span hears.
    pub(crate) fn header(&self, recorded: &Recorded, span: SpanId) -> HeaderValue {
        Parent { trace: self.trace, span, flags: recorded.flags }.header()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED_PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED_PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn joined(
        sample: f64,
        parents: ParentDecision,
        parent: Option<&str>,
        is_trusted: bool,
    ) -> (bool, String) {
        let (sender, _receiver) = mpsc::channel(1);
        let sink = SpanSink { sender, sample, parents };
        let mut headers = HeaderMap::new();
        if let Some(parent) = parent {
            headers.insert(TRACEPARENT, parent.parse().unwrap());
        }
        let mut number = 0;
        let traced = join(Some(&sink), &mut headers, is_trusted, || {
            number += 1;
            number << 40
        });
        let told = headers.get(TRACEPARENT).map_or("", |value| value.to_str().unwrap()).to_owned();
        (traced.unwrap().recorded.is_some(), told)
    }

    #[test]
    fn a_trusted_parent_decides() {
        let trusted = ParentDecision::TrustedHops;
        assert!(joined(0.0, trusted, Some(SAMPLED_PARENT), true).0);
        assert_eq!(
            joined(1.0, trusted, Some(UNSAMPLED_PARENT), true),
            (false, UNSAMPLED_PARENT.to_owned()),
            "what is not recorded goes on as it came"
        );
    }

    #[test]
    fn a_stranger_decides_only_where_anyone_may() {
        let (recorded, told) = joined(0.0, ParentDecision::TrustedHops, Some(SAMPLED_PARENT), false);
        assert!(!recorded);
        let (parent, told_parent) = (SAMPLED_PARENT.split_at(36), told.split_at(36));
        assert_eq!(parent.0, told_parent.0, "the trace is the same");
        assert!(told.ends_with("-00") && told_parent.1[..16] != parent.1[..16], "{told}");
        assert!(joined(1.0, ParentDecision::TrustedHops, Some(UNSAMPLED_PARENT), false).0);
        assert!(joined(0.0, ParentDecision::Anyone, Some(SAMPLED_PARENT), false).0);
    }

    #[test]
    fn a_request_without_a_trace_begins_one() {
        let (recorded, told) = joined(0.0, ParentDecision::TrustedHops, None, true);
        assert!(!recorded && told.ends_with("-00") && told.len() == 55, "{told}");
        assert!(joined(1.0, ParentDecision::TrustedHops, None, true).0);
    }

    #[test]
    fn without_tracing_nothing_is_begun() {
        let mut headers = HeaderMap::new();
        assert!(join(None, &mut headers, true, || panic!("nothing is drawn")).is_none());
        assert!(headers.is_empty());
    }
}
