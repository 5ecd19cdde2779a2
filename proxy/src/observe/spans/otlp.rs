//! Spans as OTLP says them: protobuf messages, with the attribute names of OpenTelemetry's conventions where there are any
//! and `nearside.` before the others.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::{AttemptSpan, RequestSpan};
use crate::observe::Reason;

/// The flags say whether the parent is in another process, and that it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// What all spans of this edge have in common.
pub(super) fn resource(pop: &str) -> Resource {
    let attributes = vec![
        text("service.name", "nearside"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("nearside.pop", pop),
    ];
    Resource { attributes, ..Resource::default() }
}

/// A message with the spans of some requests, and how many they are.
pub(super) fn message(
    resource: &Resource,
    requests: &[Box<RequestSpan>],
) -> (ExportTraceServiceRequest, u64) {
    let spans: Vec<Span> = requests.iter().flat_map(|request| spans(request)).collect();
    let count = spans.len() as u64;
    let scope = InstrumentationScope {
        name: "nearside".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans =
        ResourceSpans { resource: Some(resource.clone()), scope_spans, ..ResourceSpans::default() };
    (ExportTraceServiceRequest { resource_spans: vec![resource_spans] }, count)
}

fn spans(request: &RequestSpan) -> impl Iterator<Item = Span> {
    let attempts = request.attempts.iter().enumerate();
    let last = request.attempts.len().saturating_sub(1);
    let status = move |index| (index == last).then_some(request.status);
    std::iter::once(server(request))
        .chain(attempts.map(move |(index, attempt)| client(request, attempt, index, status(index))))
}

/// The request as a whole.
fn server(request: &RequestSpan) -> Span {
    let mut attributes = vec![
        text("http.request.method", request.method.as_str()),
        text("url.scheme", request.scheme),
        text("url.path", &request.path),
        text("server.address", &request.host),
        text("network.protocol.name", "http"),
        text("network.protocol.version", request.http_version),
        text("nearside.reason", request.reason.code()),
        text("nearside.request_id", &request.id),
        number("nearside.attempts", request.attempts.len() as u64),
    ];
    if request.status != 0 {
        attributes.push(number("http.response.status_code", request.status.into()));
    }
    let optional = [
        ("nearside.route", request.route.as_deref()),
        ("nearside.region", request.region.as_deref()),
        ("nearside.decision", request.decision.as_deref()),
        ("nearside.aborted_by", request.aborted_by),
    ];
    attributes.extend(optional.into_iter().filter_map(|(key, value)| Some(text(key, value?))));
    let is_error = request.status >= 500 || request.aborted_by.is_some();
    if is_error {
        attributes.push(text("error.type", &error_type(request)));
    }
    let recorded = &request.recorded;
    let remote = if recorded.parent.is_some() { HAS_IS_REMOTE | IS_REMOTE } else { HAS_IS_REMOTE };
    Span {
        trace_id: request.trace.0.to_vec(),
        span_id: recorded.span.0.to_vec(),
        parent_span_id: recorded.parent.map_or_else(Vec::new, |parent| parent.0.to_vec()),
        flags: u32::from(recorded.flags) | remote,
        name: request.route.as_ref().map_or_else(
            || request.method.as_str().to_owned(),
            |route| format!("{} {route}", request.method.as_str()),
        ),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: request.began,
        end_time_unix_nano: request.ended,
        attributes,
        status: is_error.then(|| failed(request.reason)),
        ..Span::default()
    }
}

fn error_type(request: &RequestSpan) -> String {
    match request.reason {
        Reason::None => request.status.to_string(),
        reason => reason.code().to_owned(),
    }
}

/// One attempt, up to the head of its answer. `status` is that of the answer that the client got.
fn client(request: &RequestSpan, attempt: &AttemptSpan, index: usize, status: Option<u16>) -> Span {
    let (address, port) = host_and_port(&attempt.origin);
    let is_answered = attempt.reason == Reason::None;
    let mut attributes = vec![
        text("http.request.method", request.method.as_str()),
        text("server.address", address),
        text("nearside.region", &attempt.region),
        text("nearside.origin", &attempt.origin),
        number("nearside.attempt", index as u64 + 1),
        text("nearside.outcome", attempt.outcome),
        text("nearside.reason", attempt.reason.code()),
    ];
    attributes.extend(port.map(|port| number("server.port", port.into())));
    if index > 0 {
        attributes.push(number("http.request.resend_count", index as u64));
    }
    let status = status.filter(|_| is_answered);
    attributes.extend(status.map(|status| number("http.response.status_code", status.into())));
    let is_error = !is_answered || status.is_some_and(|status| status >= 400);
    if is_error {
        let answered = status.map_or_else(|| attempt.outcome.to_owned(), |status| status.to_string());
        attributes.push(text("error.type", &answered));
    }
    Span {
        trace_id: request.trace.0.to_vec(),
        span_id: attempt.span.0.to_vec(),
        parent_span_id: request.recorded.span.0.to_vec(),
        flags: u32::from(request.recorded.flags) | HAS_IS_REMOTE,
        name: request.method.as_str().to_owned(),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: attempt.began,
        end_time_unix_nano: attempt.ended,
        attributes,
        status: is_error.then(|| failed(attempt.reason)),
        ..Span::default()
    }
}

fn host_and_port(origin: &str) -> (&str, Option<u16>) {
    match origin.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']), port.parse().ok()),
        None => (origin, None),
    }
}

fn failed(reason: Reason) -> Status {
    let message = if reason == Reason::None { String::new() } else { reason.code().to_owned() };
    Status { code: StatusCode::Error.into(), message }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
