//! What is spoken to origins: HTTP/2 where they take it, HTTP/1.1 where they do not or must not.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use rustls::version::TLS13;
use testkit::{Authority, Body, Client, EdgeBuilder, Origin, read_head, table_with, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::NEARSIDE;
use crate::protocols::{channel, echo};

#[tokio::test]
async fn the_version_is_agreed_on_or_prescribed() {
    let authority = Authority::new();
    let folder = tempfile::TempDir::new().unwrap();
    let ca = authority.file(folder.path());
    let tls = format!("tls = {{ server_name = \"origin.test\", ca_file = {ca:?} }}\n");
    for (offered, pool, version) in [
        (Some(&["h2", "http/1.1"][..]), "", Version::HTTP_2),
        (Some(&["http/1.1"]), "", Version::HTTP_11),
        (Some(&[]), "", Version::HTTP_11),
        (Some(&["h2", "http/1.1"]), "protocol = \"http1\"", Version::HTTP_11),
        (Some(&["h2"]), "protocol = \"http2\"", Version::HTTP_2),
        (None, "protocol = \"http2\"", Version::HTTP_2),
        (None, "protocol = \"auto\"", Version::HTTP_11),
    ] {
        let certificate = authority.issue(&["origin.test"]);
        let origin = match offered {
            Some(offered) => {
                Origin::with_tls(certificate.server_of(offered), |_| async { text("page") }).await
            }
            None => Origin::named("page").await,
        };
        let pool = format!("{}{pool}", if offered.is_some() { tls.as_str() } else { "" });
        let edge =
            EdgeBuilder::new(NEARSIDE, &table_with(&[("eu", &[origin.host()])], &pool, "")).start().await;
        testkit::until("its probes are answered", async || edge.admin.region_health("eu").await == "up")
            .await;
        let mut client = Client::connect(edge.address()).await;
        let answer = client.ask(Method::POST, "/a?b", &[("te", "trailers")], "body").await;
        assert_eq!(answer.text(), "page", "{offered:?} {pool}");
        let seen = origin.last();
        assert_eq!(seen.version, version, "{offered:?} {pool}");
        assert_eq!(seen.uri.path_and_query().unwrap(), "/a?b");
        let host = seen.uri.host().unwrap_or_else(|| seen.header("host"));
        assert_eq!((host, seen.header("te")), ("app.test", "trailers"));
    }
}

#[tokio::test]
async fn requests_share_one_connection_to_an_origin() {
    let (origin, gate) = Origin::gated("page").await;
    let table = table_with(&[("eu", &[origin.host()])], "protocol = \"http2\"", "");
    let edge = EdgeBuilder::new(NEARSIDE, &table).edge("workers = 1").start().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let address = edge.address();
        running.spawn(async move { Client::connect(address).await.get("/").await.status });
    }
    testkit::until("all run", async || origin.requests().len() == 60).await;
    let opened = edge.metric("nearside_pool_connections_opened_total{region=\"eu\"}").await;
    assert_eq!(opened, 1.0, "one connection carries them all");
    assert_eq!(edge.metric("nearside_pool_connections{region=\"eu\",state=\"active\"}").await, 1.0);
    gate.add_permits(60);
    while let Some(status) = running.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    testkit::until("the connection is unused", async || {
        edge.metric("nearside_pool_connections{region=\"eu\",state=\"idle\"}").await == 1.0
            && edge.metric("nearside_pool_connections{region=\"eu\",state=\"active\"}").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_closed_http2_connection_costs_no_request() {
    let origin = Origin::named("page").await;
    let address = origin.host();
    let table = table_with(&[("eu", std::slice::from_ref(&address))], "protocol = \"http2\"", "");
    let edge = EdgeBuilder::new(NEARSIDE, &table).edge("workers = 1").start().await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.ask(Method::POST, "/", &[], "x").await.text(), "page");
    // A restart: its connections end, and another takes its port.
    drop(origin);
    let _again = Origin::named_at("again", &address).await;
    for _ in 0..5 {
        let answer = client.ask(Method::POST, "/", &[], "x").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "again"));
    }
}

/// Sends back every message as it comes, then the number of messages in the trailers.
async fn talk(request: Request<Incoming>) -> Response<Body> {
    let (feed, body) = channel();
    tokio::spawn(async move {
        let mut incoming = request.into_body();
        let mut messages = 0;
        while let Some(Ok(frame)) = incoming.frame().await {
            // The end of a stream may come as an empty frame.
            if let Some(data) = frame.into_data().ok().filter(|data| !data.is_empty()) {
                messages += 1;
                let _ = feed.send(Frame::data(data)).await;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-messages", HeaderValue::from(messages));
        let _ = feed.send(Frame::trailers(trailers)).await;
    });
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

#[tokio::test]
async fn a_call_streams_both_ways_and_ends_with_its_trailers() {
    let origin = Origin::with(talk).await;
    let authority = Authority::new();
    let table = table_with(&[("eu", &[origin.host()])], "protocol = \"http2\"", "");
    let builder = EdgeBuilder::new(NEARSIDE, &table);
    let (certificate, key) = authority.issue(&["app.test"]).files(builder.folder());
    let tls = format!("tls = {{ certificate_file = {certificate:?}, key_file = {key:?} }}");
    let edge = builder.listeners(&format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{tls}")).start().await;
    let config = authority.client(&["h2"], &[&TLS13]);
    let mut client = Client::connect_tls(edge.address(), "app.test", config).await.unwrap();
    let (feed, body) = channel();
    let request = Request::post("https://app.test/talk")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    feed.send(Frame::data(Bytes::from_static(b"one"))).await.unwrap();
    let mut answer = client.begin(request).await.unwrap().into_body();
    let mut next = async || answer.frame().await.unwrap().unwrap();
    assert_eq!(next().await.into_data().unwrap(), "one");
    for message in ["two", "three"] {
        feed.send(Frame::data(Bytes::from(message))).await.unwrap();
        assert_eq!(next().await.into_data().unwrap(), message, "each as it comes");
    }
    drop(feed);
    let trailers = next().await.into_trailers().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-messages"]),
        (&"0".parse().unwrap(), &"3".parse().unwrap())
    );
    assert_eq!(origin.last().version, Version::HTTP_2);
}

#[tokio::test]
async fn an_upgrade_gets_http1_where_that_is_spoken() {
    let authority = Authority::new();
    let folder = tempfile::TempDir::new().unwrap();
    let ca = authority.file(folder.path());
    let server = authority.issue(&["origin.test"]).server_of(&["h2", "http/1.1"]);
    let origin = Origin::with_tls(server, echo).await;
    let tls = format!("tls = {{ server_name = \"origin.test\", ca_file = {ca:?} }}\n");
    let plain = Origin::with(echo).await;
    for (host, pool, expected) in [
        (origin.host(), tls, "http/1.1 101"),
        (plain.host(), "protocol = \"http2\"".to_owned(), "http/1.1 501"),
    ] {
        let edge = EdgeBuilder::new(NEARSIDE, &table_with(&[("eu", &[host])], &pool, "")).start().await;
        assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "no upgrade");
        let mut stream = TcpStream::connect(edge.address()).await.unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let answer = read_head(&mut stream).await;
        assert!(answer.starts_with(expected), "{answer}");
        if expected.ends_with("101") {
            stream.write_all(b"ping").await.unwrap();
            let mut back = [0; 4];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"ping");
        }
    }
}

#[tokio::test]
async fn an_origin_that_refuses_early_is_spared_the_body() {
    let origin = Origin::with(|request: Request<Incoming>| async move {
        assert_eq!(request.headers()["expect"], "100-continue");
        testkit::answer(http::StatusCode::PAYLOAD_TOO_LARGE, "too large")
    })
    .await;
    let edge = crate::edge_before(&origin).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413", "no 100 before");
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let (feed, body) = channel();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let origin = Origin::with(move |_| {
        let body = body.lock().unwrap().take().expect("asked once");
        async move {
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
            response
        }
    })
    .await;
    let edge = crate::edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let body = StreamBody::new(crate::protocols::futures_of(|_| std::task::Poll::Ready(None)));
    let request = Request::get("/").header("host", "app.test").body(BodyExt::boxed(body)).unwrap();
    let mut events = client.begin(request).await.unwrap().into_body();
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        feed.send(Frame::data(Bytes::from(event.clone()))).await.unwrap();
        let frame = tokio::time::timeout(Duration::from_secs(10), events.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), event, "before the next is sent");
    }
}
