//! What is told about a request when it is over: once, whatever its end.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use control::decisions::DecisionId;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use steer::geo::Country;
use steer::{Moment, Span};

use super::origin::Origin;
use super::replay::Inbound;
use crate::accept::Connection;
use crate::observe::{
    AttemptLine, AttemptSpan, DecidedBy, Diagnosis, Inputs, KINDS, Line, OUTCOMES, Reason, RequestSeries,
    RequestSpan, SpanId, Traced, name_decision, outcome_reason,
};
use crate::worker::Worker;

/// A request from its arrival to its end. Whoever drops it without a word says that the client went away.
pub(crate) struct Record {
    connection: Rc<Connection>,
    series: Option<Arc<RequestSeries>>,
    started: Moment,
    status: u16,
    reason: Reason,
    bytes_out: u64,
    is_over: bool,
    /// Whether its client reads answers as gRPC does.
    pub(crate) is_grpc: bool,
    /// What only the log, the spans and diagnostic fields want; `None` while all are off.
    log: Option<Box<Details>>,
}

/// An attempt that is over.
pub(crate) struct Attempted<'a> {
    pub(crate) origin: &'a Origin,
    /// The index of [`KINDS`].
    pub(crate) kind: usize,
    /// The index of [`OUTCOMES`].
    pub(crate) outcome: usize,
    pub(crate) began: Moment,
    pub(crate) span: Option<SpanId>,
    /// The decision that led there.
    pub(crate) decision: Option<DecisionId>,
}

/// What only the log, the spans and diagnostic fields want.
pub(crate) struct Details {
    pub(crate) id: String,
    pub(crate) trace: Option<Traced>,
    pub(crate) client_ip: IpAddr,
    /// The client's key in decisions.
    pub(crate) key: u64,
    pub(crate) country: Option<Country>,
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) route: Option<Rc<str>>,
    pub(crate) policy: Option<Rc<str>>,
    pub(crate) region: Option<Rc<str>>,
    pub(crate) natural_region: Option<Rc<str>>,
    pub(crate) origin: Option<Rc<str>>,
    pub(crate) attempts: Vec<AttemptLine>,
    /// What the last attempt was decided by.
    pub(crate) decision: Option<DecidedBy>,
    pub(crate) ttfb_ms: Option<f64>,
    pub(crate) body: Option<Inbound>,
    pub(crate) aborted_by: Option<&'static str>,
}

impl Record {
    pub(crate) fn new(connection: Rc<Connection>, started: Moment, log: Option<Box<Details>>) -> Self {
        connection.began();
        Self {
            connection,
            series: None,
            started,
            status: 0,
            reason: Reason::None,
            bytes_out: 0,
            is_over: false,
            is_grpc: false,
            log,
        }
    }

    /// Which numbers it goes to.
    pub(crate) fn belongs_to(&mut self, series: Arc<RequestSeries>) {
        self.series = Some(series);
    }

    /// The status that the client is answered with.
    pub(crate) fn answer(&mut self, status: u16, reason: Reason) {
        self.status = status;
        self.reason = reason;
    }

    /// Who serves it.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.connection.worker
    }

    /// An attempt begins: its span, if that is recorded, and what its origin is told of the trace.
    pub(crate) fn begin_attempt(&self) -> Option<(SpanId, HeaderValue)> {
        let traced = self.log.as_deref()?.trace?;
        let recorded = traced.recorded?;
        let span = SpanId::new(|| self.connection.worker.draw());
        Some((span, traced.header(&recorded, span)))
    }

    /// An attempt is over: tells the log, where there is one.
    pub(crate) fn attempted(&mut self, attempt: &Attempted<'_>) {
        let (started, clock) = (self.started, self.connection.worker.clock);
        let Some(log) = self.details() else { return };
        let ended = clock.now();
        log.attempts.push(AttemptLine {
            region: attempt.origin.region.clone(),
            origin: attempt.origin.address.clone(),
            kind: KINDS[attempt.kind],
            outcome: OUTCOMES[attempt.outcome],
            decision: attempt.decision,
            at_ms: millis(attempt.began.since(started).as_millis_f64()),
            ms: millis(ended.since(attempt.began).as_millis_f64()),
            span: attempt.span,
            began: attempt.began,
            ended,
        });
    }

    /// Tells the client of the answer's way, where that is wanted. `is_received`: an origin answered.
    pub(crate) fn diagnose(&self, is_received: bool, headers: &mut HeaderMap) {
        let worker = &self.connection.worker;
        let wanted = worker.settings.headers;
        let Some(details) = self.log.as_deref().filter(|_| wanted.any()) else { return };
        let answered = details.attempts.iter().rfind(|attempt| attempt.outcome == OUTCOMES[0]);
        let diagnosis = Diagnosis {
            status: self.status,
            is_received,
            reason: self.reason,
            region: details.region.as_deref(),
            attempts: &details.attempts,
            origin_ms: answered.filter(|_| is_received).map(|attempt| attempt.ms),
            total_ms: worker.clock.now().since(self.started).as_millis_f64(),
        };
        diagnosis.tell(wanted, headers);
        self.name_decision(headers);
    }

    /// Tells the client which decision the answer rests on, where that is wanted.
    pub(crate) fn name_decision(&self, headers: &mut HeaderMap) {
        let is_wanted = self.connection.worker.settings.headers.decision;
        let details = self.log.as_deref().filter(|_| is_wanted);
        if let Some(id) = details.and_then(|details| details.decision?.id) {
            name_decision(id, headers);
        }
    }

    /// Whether the client's connection to us is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.connection.tls_version.is_some()
    }

    /// What the log and the spans want, if there are any.
    pub(crate) fn details(&mut self) -> Option<&mut Details> {
        self.log.as_deref_mut()
    }

    /// The answer's head came at `at`.
    pub(crate) fn began_at(&mut self, at: Moment) {
        let ttfb_ms = at.since(self.started).as_millis_f64();
        if let Some(log) = &mut self.log {
            log.ttfb_ms = Some(ttfb_ms);
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// It ended early.
    pub(crate) fn fail(&mut self, reason: Reason, by: &'static str) {
        self.reason = reason;
        if let Some(log) = &mut self.log {
            log.aborted_by = Some(by);
        }
        self.close();
    }

    /// It ended well. When.
    pub(crate) fn finish(mut self) -> Moment {
        self.close()
    }

    fn close(&mut self) -> Moment {
        let now = self.connection.worker.clock.now();
        if self.is_over {
            return now;
        }
        self.is_over = true;
        self.connection.ended(now);
        let span = now.since(self.started);
        match &self.series {
            Some(series) => series.add(self.status, self.reason, span),
            None => self.connection.worker.series_of_nothing().add(self.status, self.reason, span),
        }
        if let Some(details) = self.log.take() {
            self.write_line(&details, span);
            self.record_spans(*details, now, span);
        }
        now
    }

    fn write_line(&self, details: &Details, span: Span) {
        let Some(log) = &self.connection.worker.log else { return };
        if !log.keeps(&details.id, self.status, self.reason) {
            return;
        }
        let path = details.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let key = (!log.masks()).then_some(details.key);
        log.write(&Line {
            ts: self.connection.worker.clock.wall(),
            id: &details.id,
            trace: details.trace.map(|traced| traced.trace),
            decision: details.decision.and_then(|decision| decision.id),
            inputs: details.decision.map(|by| Inputs { by, key }),
            pop: &self.connection.worker.settings.name,
            client_ip: log.shown(details.client_ip),
            country: details.country,
            method: details.method.as_str(),
            host: &details.host,
            path,
            proto: proto(details.version),
            tls: self.connection.tls_version,
            sni: self.connection.sni.as_deref(),
            status: self.status,
            reason: self.reason.code(),
            bytes_in: details.body.as_ref().map_or(0, Inbound::bytes),
            bytes_out: self.bytes_out,
            dur_ms: millis(span.as_millis_f64()),
            ttfb_ms: details.ttfb_ms.map(millis),
            route: details.route.as_deref(),
            policy: details.policy.as_deref(),
            region: details.region.as_deref(),
            natural_region: details.natural_region.as_deref(),
            origin: details.origin.as_deref(),
            attempts: &details.attempts,
            retry: details.attempts.len().saturating_sub(1),
            table: details.decision.map_or(0, |decision| decision.table),
            aborted_by: details.aborted_by,
        });
    }
}

impl Record {
    /// Hands the spans of a recorded request over.
    fn record_spans(&self, details: Details, now: Moment, span: Span) {
        let worker = &self.connection.worker;
        let Some(Traced { trace, recorded: Some(recorded) }) = details.trace else { return };
        let Some(sink) = &worker.spans else { return };
        let ended = u64::try_from(worker.clock.wall().as_nanosecond()).unwrap_or(0);
        let at = |moment: Moment| ended.saturating_sub(now.since(moment).as_nanos());
        let attempts = details.attempts.iter().filter_map(|attempt| {
            Some(AttemptSpan {
                span: attempt.span?,
                began: at(attempt.began),
                ended: at(attempt.ended),
                region: attempt.region.to_string(),
                origin: attempt.origin.to_string(),
                outcome: attempt.outcome,
                reason: outcome_reason(attempt.outcome),
            })
        });
        let text = |text: Option<Rc<str>>| text.map(|text| text.to_string());
        let decision = details.decision.and_then(|decision| decision.id).map(|id| id.to_string());
        let request = RequestSpan {
            trace,
            recorded,
            began: ended.saturating_sub(span.as_nanos()),
            ended,
            attempts: attempts.collect(),
            id: details.id,
            method: details.method,
            scheme: if self.connection.tls_version.is_some() { "https" } else { "http" },
            host: details.host,
            path: details.uri.path().to_owned(),
            http_version: proto(details.version).trim_start_matches("HTTP/"),
            status: self.status,
            reason: self.reason,
            aborted_by: details.aborted_by,
            route: text(details.route),
            region: text(details.region),
            decision,
        };
        let spans = 1 + request.attempts.len() as u64;
        if !sink.hand_over(Box::new(request)) {
            worker.shard.spans_dropped.add(spans);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_over {
            self.fail(Reason::ClientGone, "client");
        }
    }
}

/// To a microsecond, which is as much as anybody can read.
pub(super) fn millis(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

fn proto(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
