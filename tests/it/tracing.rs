//! Traces: what origins hear of them, and what a collector gets, decoded from the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message;
use testkit::{Authority, Client, Edge, EdgeBuilder, Origin, Users, table, text, until};

use crate::NEARSIDE;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// An OTLP collector that remembers, and may reject some.
struct Collector {
    origin: Origin,
    messages: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    async fn that_rejects(rejected_spans: i64) -> Self {
        Self::start(rejected_spans, None).await
    }

    async fn start(rejected_spans: i64, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let messages: Arc<Mutex<Vec<ExportTraceServiceRequest>>> = Arc::default();
        let remember = messages.clone();
        let handler = move |request: http::Request<hyper::body::Incoming>| {
            let remember = remember.clone();
            async move {
                assert_eq!(request.method(), Method::POST);
                assert_eq!(request.uri(), "/v1/traces");
                assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                remember.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
                let partial = ExportTracePartialSuccess { rejected_spans, error_message: String::new() };
                let answer = ExportTraceServiceResponse { partial_success: Some(partial) };
                let body = Full::new(answer.encode_to_vec().into());
                http::Response::new(body.map_err(|never| match never {}).boxed())
            }
        };
        let origin = match tls {
            Some(tls) => Origin::with_tls(tls, handler).await,
            None => Origin::with(handler).await,
        };
        Self { origin, messages }
    }

    fn section(&self, keys: &str) -> String {
        format!("[tracing]\nendpoint = \"http://{}\"\n{keys}", self.origin.host())
    }

    fn spans(&self) -> Vec<Span> {
        let messages = self.messages.lock().unwrap();
        let resources = messages.iter().flat_map(|message| message.resource_spans.clone());
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    async fn spans_of(&self, count: usize) -> Vec<Span> {
        until("the spans are sent", async || self.spans().len() >= count).await;
        let spans = self.spans();
        assert_eq!(spans.len(), count);
        spans
    }
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let value = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let pairs = span.attributes.iter().cloned();
    pairs.map(|pair| (pair.key, value(pair.value.unwrap().value.unwrap()))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn edge(origins: &[(&str, &Origin)], sections: &str) -> Edge {
    let hosts: Vec<(&str, [String; 1])> =
        origins.iter().map(|(name, origin)| (*name, [origin.host()])).collect();
    let regions: Vec<(&str, &[String])> = hosts.iter().map(|(name, hosts)| (*name, &hosts[..])).collect();
    EdgeBuilder::new(NEARSIDE, &table(&regions)).and(sections).start().await
}

#[tokio::test]
async fn a_request_that_failed_over_has_a_span_and_one_for_each_attempt() {
    let collector = Collector::that_rejects(0).await;
    let near = Origin::with(|_| async { testkit::break_off() }).await;
    let far = Origin::named("far").await;
    let edge = edge(&[("near", &near), ("far", &far)], &collector.section("sample = 0.0")).await;
    let parent = traceparent("01");
    let fields = [("traceparent", parent.as_str()), ("tracestate", "vendor=1"), ("x-request-id", "the-id")];
    let mut client = Client::connect(edge.address()).await;
    let answer = client.ask(Method::GET, "/a?secret=1", &fields, "").await;
    assert_eq!(answer.text(), "far");

    let spans = collector.spans_of(3).await;
    let [server, first, second] = &spans[..] else { unreachable!() };
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(server.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= server.end_time_unix_nano);
    }
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
        - Duration::from_nanos(server.end_time_unix_nano);
    assert!(age < Duration::from_secs(60), "{age:?}");
    assert_eq!((server.kind(), server.name.as_str()), (SpanKind::Server, "GET app"));
    assert_eq!((hex(&server.parent_span_id), server.flags), (PARENT.to_owned(), 0x301));
    assert!(server.status.is_none(), "it was answered");
    let mut told = attributes(server);
    let decision = told.remove("nearside.decision").unwrap();
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("nearside.attempts", "2"),
        ("nearside.reason", "FO"),
        ("nearside.region", "far"),
        ("nearside.request_id", "the-id"),
        ("nearside.route", "app"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1"),
        ("server.address", "app.test"),
        ("url.path", "/a"),
        ("url.scheme", "http"),
    ];
    assert_eq!(told, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());

    for (index, (span, origin)) in [(first, &near), (second, &far)].into_iter().enumerate() {
        assert_eq!(span.kind(), SpanKind::Client);
        assert_eq!(span.parent_span_id, server.span_id);
        let told = attributes(span);
        assert_eq!(told["nearside.attempt"], (index + 1).to_string());
        assert_eq!(told["nearside.origin"], origin.host());
        assert_eq!(
            (told["server.address"].as_str(), &told["server.port"]),
            ("127.0.0.1", &origin.address.port().to_string())
        );
        let heard = origin.last();
        assert_eq!(heard.header("traceparent"), format!("00-{TRACE}-{}-01", hex(&span.span_id)));
        assert_eq!(heard.header("tracestate"), "vendor=1");
    }
    let (failed, answered) = (attributes(first), attributes(second));
    let shown = |told: &BTreeMap<String, String>| {
        ["region", "outcome", "reason"].map(|key| told[&format!("nearside.{key}")].clone())
    };
    assert_eq!(shown(&failed), ["near", "reset", "UR"]);
    assert_eq!(first.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(failed["error.type"], "reset");
    assert_eq!(shown(&answered), ["far", "answered", "-"]);
    assert_eq!(
        (answered["http.response.status_code"].as_str(), answered["http.request.resend_count"].as_str()),
        ("200", "1")
    );

    let resource = collector.messages.lock().unwrap()[0].resource_spans[0].resource.clone().unwrap();
    let resource: Vec<String> = resource.attributes.iter().map(|pair| pair.key.clone()).collect();
    assert_eq!(resource, ["service.name", "service.version", "nearside.pop"]);
    let line = &edge.access_log_of(1).await[0];
    assert_eq!((line["trace"].as_str(), line["decision"].as_str()), (Some(TRACE), Some(decision.as_str())));
    until("they are counted", async || edge.metric("nearside_spans_exported_total").await == 3.0).await;
}

#[tokio::test]
async fn a_parent_that_is_not_recorded_is_passed_on_as_it_came() {
    let (collector, origin) = (Collector::that_rejects(0).await, Origin::named("eu").await);
    let edge = edge(&[("eu", &origin)], &collector.section("sample = 1.0")).await;
    let mut client = Client::connect(edge.address()).await;
    client.ask(Method::GET, "/", &[("traceparent", &traceparent("00"))], "").await;
    assert_eq!(origin.last().header("traceparent"), traceparent("00"));
    // One that begins here, so that the first would have been sent by the time this is.
    client.get("/begun-here").await;
    let spans = collector.spans_of(2).await;
    assert_eq!(attributes(&spans[0])["url.path"], "/begun-here");
    assert!(spans[0].parent_span_id.is_empty());
    let heard = origin.last().header("traceparent").to_owned();
    assert_eq!(heard, format!("00-{}-{}-01", hex(&spans[0].trace_id), hex(&spans[1].span_id)));
}

#[tokio::test]
async fn a_collector_behind_tls_is_verified() {
    let authority = Authority::new();
    let server = authority.issue(&["localhost"]).server();
    let (collector, origin) = (Collector::start(0, Some(server)).await, Origin::named("eu").await);
    let builder = |authority: &Authority| {
        let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]));
        let file = authority.file(builder.folder());
        let port = collector.origin.address.port();
        builder.and(&format!(
            "[tracing]\nendpoint = \"https://localhost:{port}\"\nca_file = {:?}\nsample = 1.0",
            file.file_name().unwrap().to_str().unwrap()
        ))
    };
    let edge = builder(&authority).start().await;
    let mut client = Client::connect(edge.address()).await;
    client.ask(Method::GET, "/", &[("host", "unknown.test")], "").await;
    let told = attributes(&collector.spans_of(1).await[0]);
    assert_eq!((told["nearside.reason"].as_str(), told["http.response.status_code"].as_str()), ("NR", "421"));
    assert!(!told.contains_key("error.type"), "the client is to blame");

    let edge = builder(&Authority::new()).start().await;
    Client::connect(edge.address()).await.get("/").await;
    until("it is told", async || edge.log().contains("spans cannot be sent")).await;
    assert!(edge.log().contains("UnknownIssuer") || edge.log().contains("certificate"), "{}", edge.log());
    assert_eq!(collector.spans().len(), 1, "nothing was sent to a stranger");
}

#[tokio::test]
async fn a_stranger_makes_nobody_record() {
    let (collector, origin) = (Collector::that_rejects(0).await, Origin::named("eu").await);
    let table = table(&[("eu", &[origin.host()])]);
    let sections = collector.section("sample = 0.0");
    let edge = EdgeBuilder::new(NEARSIDE, &table).sections(&sections).start().await;
    let mut client = Client::connect(edge.address()).await;
    client.ask(Method::GET, "/", &[("traceparent", &traceparent("01"))], "").await;
    let heard = origin.last().header("traceparent").to_owned();
    assert!(heard.starts_with(&format!("00-{TRACE}-")) && heard.ends_with("-00"), "{heard}");
    assert!(!heard.contains(PARENT), "a changed flag needs a span id of its own");
    let edge = {
        drop(edge);
        let sections = collector.section("sample = 0.0\nparent_decision = \"anyone\"");
        EdgeBuilder::new(NEARSIDE, &table).sections(&sections).start().await
    };
    let mut client = Client::connect(edge.address()).await;
    client.ask(Method::GET, "/anyone", &[("traceparent", &traceparent("01"))], "").await;
    assert_eq!(attributes(&collector.spans_of(2).await[0])["url.path"], "/anyone");
}

#[tokio::test]
async fn without_tracing_sound_fields_pass_and_broken_ones_do_not() {
    let origin = Origin::named("eu").await;
    let edge = crate::edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    client.get("/").await;
    assert_eq!(origin.last().header("traceparent"), "");
    let parent = traceparent("01");
    client.ask(Method::GET, "/", &[("traceparent", &parent), ("tracestate", "a=1")], "").await;
    let heard = origin.last();
    assert_eq!((heard.header("traceparent"), heard.header("tracestate")), (parent.as_str(), "a=1"));
    let broken = parent.to_uppercase();
    client.ask(Method::GET, "/", &[("traceparent", &broken), ("tracestate", "a=1")], "").await;
    let heard = origin.last();
    assert_eq!((heard.header("traceparent"), heard.header("tracestate")), ("", ""));
    let traces: Vec<Option<String>> =
        edge.access_log_of(3).await.iter().map(|line| line["trace"].as_str().map(str::to_owned)).collect();
    assert_eq!(traces, [None, Some(TRACE.to_owned()), None]);
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_end_and_refusals_are_counted() {
    let (collector, origin) = (Collector::that_rejects(1).await, Origin::named("eu").await);
    let mut edge = edge(&[("eu", &origin)], &collector.section("sample = 1.0")).await;
    Client::connect(edge.address()).await.get("/").await;
    let name = "nearside_spans_dropped_total{cause=\"rejected\"}";
    until("it is counted", async || edge.metric(name).await == 1.0).await;
    assert_eq!(edge.metric("nearside_spans_exported_total").await, 1.0);
    Client::connect(edge.address()).await.get("/last").await;
    edge.signal("TERM");
    assert_eq!(edge.ended().await, Some(0));
    assert_eq!(attributes(&collector.spans()[2])["url.path"], "/last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_or_is_away_costs_spans_and_no_request() {
    let origin = Origin::named("eu").await;
    let hanging = Origin::with(|_| std::future::pending()).await;
    let section = format!("[tracing]\nendpoint = \"http://{}\"\nsample = 1.0", hanging.host());
    let edge_before_hanging = edge(&[("eu", &origin)], &section).await;
    let users = Users::start(8, edge_before_hanging.address(), Duration::ZERO);
    let full = "nearside_spans_dropped_total{cause=\"queue_full\"}";
    until("the queue is full", async || edge_before_hanging.metric(full).await > 0.0).await;
    users.served(100).await;
    users.stop().await;

    let away = Origin::with(|_| async { text("") }).await;
    let section = format!("[tracing]\nendpoint = \"http://{}\"\nsample = 1.0", away.host());
    drop(away);
    let edge_before_none = edge(&[("eu", &origin)], &section).await;
    Client::connect(edge_before_none.address()).await.get("/").await;
    let not_taken = "nearside_spans_dropped_total{cause=\"not_taken\"}";
    until("they are given up", async || edge_before_none.metric(not_taken).await == 2.0).await;
    assert!(edge_before_none.log().contains("spans cannot be sent"));
}

#[test]
fn an_address_that_is_none_is_refused() {
    let table = table(&[("eu", &["127.0.0.1:1".to_owned()])]);
    for endpoint in ["collector:4318", "ftp://collector", "http://", "http://user@collector:1", "http://c/?q"]
    {
        let section = format!("[tracing]\nendpoint = {endpoint:?}");
        let config = EdgeBuilder::new(NEARSIDE, &table).and(&section);
        let file = config.write();
        let output = std::process::Command::new(NEARSIDE).args(["check", "-c"]).arg(&file).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("is not the address of a collector"), "{endpoint}: {said}");
    }
}
