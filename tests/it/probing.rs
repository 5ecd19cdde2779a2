//! Probes: what they ask, whom they believe, and what they learn of latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::SeqCst};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use testkit::{Client, Edge, EdgeBuilder, Origin, answer, table, table_with, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::NEARSIDE;

async fn is(edge: &Edge, health: &str) {
    until(health, async || edge.admin.region_health("eu").await == health).await;
}

async fn edge_probing(origin: String, probe: &str) -> Edge {
    EdgeBuilder::new(NEARSIDE, &table_with(&[("eu", &[origin])], &format!("probe = {probe}"), ""))
        .start()
        .await
}

#[tokio::test]
async fn a_probe_asks_the_pools_path_and_host_and_believes_its_statuses() {
    let status = Arc::new(AtomicU16::new(204));
    let told = status.clone();
    let origin = Origin::with_probes(move |_: Request<Incoming>| {
        let status = StatusCode::from_u16(told.load(SeqCst)).unwrap();
        async move { answer(status, "") }
    })
    .await;
    let probe = "{ path = \"/alive?deep=1\", host = \"health.app.test\", statuses = [\"200-299\", \"404\"], interval = \"20ms\" }";
    let edge = edge_probing(origin.host(), probe).await;
    is(&edge, "up").await;
    let asked = origin.last();
    assert_eq!((asked.method.clone(), asked.uri.to_string()), (Method::GET, "/alive?deep=1".to_owned()));
    assert_eq!(asked.header("host"), "health.app.test");
    assert_eq!(asked.header("user-agent"), "nearside-probe");

    status.store(302, SeqCst);
    is(&edge, "down").await;
    status.store(404, SeqCst);
    is(&edge, "recovering").await;
}

#[tokio::test]
async fn a_tcp_probe_only_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let edge = edge_probing(address.to_string(), "{ kind = \"tcp\", interval = \"20ms\" }").await;
    is(&edge, "up").await;
    let (_, region) = edge.admin.json(Method::GET, "/v1/regions/eu", "").await;
    assert_eq!(region["observed"]["measured"], false, "connecting says nothing of latency: {region}");
    silent.abort();
    let _ = silent.await;
    is(&edge, "down").await;
}

#[tokio::test]
async fn an_origin_that_keeps_no_connection_is_measured_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            });
        }
    });
    let edge = edge_probing(address.to_string(), "{ interval = \"20ms\" }").await;
    until("its latency is measured", async || {
        edge.admin.json(Method::GET, "/v1/regions/eu", "").await.1["observed"]["measured"] == true
    })
    .await;
    assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "ok");
}

#[tokio::test]
async fn an_origin_is_found_by_its_name() {
    let origin = Origin::named("eu").await;
    let named = format!("localhost:{}", origin.address.port());
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", std::slice::from_ref(&named))])).start().await;
    is(&edge, "up").await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.get("/").await.text(), "eu");
    assert_eq!(edge.access_log_of(1).await[0]["origin"], named);
}

#[tokio::test]
async fn a_name_that_resolves_to_nothing_is_a_region_that_is_down() {
    let (origin, gone) = (Origin::named("us").await, "gone.invalid:80".to_owned());
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[gone]), ("us", &[origin.host()])])).start().await;
    is(&edge, "down").await;
    assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "us");
}

/// A gRPC server whose health check answers what it is told to.
async fn grpc_origin(serving: Arc<AtomicBool>) -> Origin {
    Origin::with_probes(move |request| {
        let serving = serving.load(SeqCst);
        async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(asked, &b"\0\0\0\0\x06\x0a\x04shop"[..]);
            let message = if serving { &b"\0\0\0\0\x02\x08\x01"[..] } else { b"\0\0\0\0\x02\x08\x02" };
            let trailers = http::HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static("0"),
            )]);
            let body = http_body_util::Full::new(bytes::Bytes::from_static(message))
                .with_trailers(async move { Some(Ok(trailers)) })
                .map_err(|never| match never {});
            http::Response::new(BodyExt::boxed(body))
        }
    })
    .await
}

#[tokio::test]
async fn a_grpc_server_says_itself_whether_it_serves() {
    let serving = Arc::new(AtomicBool::new(true));
    let origin = grpc_origin(serving.clone()).await;
    let pool = "protocol = \"http2\"\nprobe = { kind = \"grpc\", service = \"shop\" }";
    let edge = EdgeBuilder::new(NEARSIDE, &table_with(&[("eu", &[origin.host()])], pool, "")).start().await;
    is(&edge, "up").await;
    let latency = "nearside_origin_rtt_seconds{region=\"eu\"}";
    until("it is measured", async || edge.metric(latency).await > 0.0).await;
    serving.store(false, SeqCst);
    is(&edge, "down").await;
}
