//! HTTP/1.1 and HTTP/2, plain and TLS, bodies both ways, trailers, and switching protocols.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use rustls::version::{TLS12, TLS13};
use testkit::{Authority, Body, Client, EdgeBuilder, Origin, read_head, table, table_with, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::{NEARSIDE, edge_before};

/// A body fed through a channel.
pub(crate) fn channel() -> (mpsc::Sender<Frame<Bytes>>, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    let stream = futures_of(move |cx| receiver.poll_recv(cx));
    (sender, BodyExt::boxed(StreamBody::new(stream)))
}

pub(crate) fn futures_of<T>(
    poll: impl FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Send + Sync + 'static,
) -> impl futures_core::Stream<Item = Result<T, std::io::Error>> + Send + Sync {
    struct Poller<F>(F);
    impl<T, F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Unpin> futures_core::Stream
        for Poller<F>
    {
        type Item = Result<T, std::io::Error>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            (self.0)(cx).map(|item| item.map(Ok))
        }
    }
    Poller(Box::new(poll))
}

/// Answers with the length of the body, and with the trailers that came.
async fn measure(request: Request<Incoming>) -> Response<Body> {
    let collected = request.into_body().collect().await.unwrap();
    let trailer = collected.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
    let mut response = text(&collected.to_bytes().len().to_string());
    if let Some(trailer) = trailer {
        response.headers_mut().insert("x-seen-sum", trailer);
    }
    response
}

#[tokio::test]
async fn tls_offers_http2_and_http1_in_both_versions() {
    let origin = Origin::with(measure).await;
    let authority = Authority::new();
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]));
    let (certificate, key) = authority.issue(&["app.test"]).files(builder.folder());
    let tls = format!("tls = {{ certificate_file = {certificate:?}, key_file = {key:?} }}");
    let edge = builder.listeners(&format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{tls}")).start().await;
    for (alpn, version, is_http2) in [
        (&["h2", "http/1.1"][..], &TLS13, true),
        (&["h2"], &TLS12, true),
        (&["http/1.1"], &TLS13, false),
        (&[], &TLS12, false),
    ] {
        let config = authority.client(alpn, &[version]);
        let mut client = Client::connect_tls(edge.address(), "app.test", config).await.unwrap();
        assert_eq!(client.is_http2(), is_http2);
        let body = "x".repeat(100_000);
        assert_eq!(client.ask(Method::POST, "/", &[], &body).await.text(), "100000");
    }
    let lines = edge.access_log_of(4).await;
    assert_eq!(
        (&lines[0]["proto"], &lines[0]["tls"], &lines[0]["sni"]),
        (&"HTTP/2".into(), &"TLSv1.3".into(), &"app.test".into())
    );
    assert_eq!((&lines[3]["proto"], &lines[3]["tls"]), (&"HTTP/1.1".into(), &"TLSv1.2".into()));
    assert_eq!(origin.last().header("x-forwarded-proto"), "https");
    assert_eq!(origin.requests()[0].header("via"), "2 nearside");
}

#[tokio::test]
async fn http2_without_tls_is_served_where_it_is_allowed() {
    let origin = Origin::named("page").await;
    let table = table(&[("eu", &[origin.host()])]);
    let listeners = "[[listeners]]\naddress = \"127.0.0.1:0\"\nhttp2_prior_knowledge = true\n\
                     [[listeners]]\naddress = \"127.0.0.1:0\"";
    let edge = EdgeBuilder::new(NEARSIDE, &table).listeners(listeners).start().await;
    let mut client = Client::connect_http2(edge.listeners[0]).await;
    assert_eq!(client.get("/").await.text(), "page");
    assert_eq!(Client::connect(edge.listeners[0]).await.get("/").await.text(), "page", "HTTP/1.1 beside it");
    // The preface may come in pieces.
    let mut stream = TcpStream::connect(edge.listeners[0]).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in [&b"PR"[..], b"I * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "it answers with its settings");
    let mut refused = Client::connect_http2(edge.listeners[1]).await;
    assert!(refused.try_ask(Method::GET, "/", &[], "").await.is_err());
}

#[tokio::test]
async fn many_streams_share_an_http2_connection() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]));
    let (certificate, key) = authority.issue(&["app.test"]).files(builder.folder());
    let tls = format!("tls = {{ certificate_file = {certificate:?}, key_file = {key:?} }}");
    let edge = builder.listeners(&format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{tls}")).start().await;
    let config = authority.client(&["h2"], &[&TLS13]);
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("app.test").unwrap();
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut running = tokio::task::JoinSet::new();
    for index in 0..200 {
        let mut sender = sender.clone();
        running.spawn(async move {
            let request =
                Request::get(format!("https://app.test/{index}")).body(http_body_util::Empty::<Bytes>::new());
            sender.ready().await.unwrap();
            sender.send_request(request.unwrap()).await.unwrap().status()
        });
    }
    while let Some(status) = running.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(origin.requests().len(), 200);
}

#[tokio::test]
async fn origins_over_tls_are_verified() {
    let authority = Authority::new();
    let named =
        Origin::with_tls(authority.issue(&["origin.test"]).server(), |_| async { text("secure") }).await;
    let folder = tempfile::TempDir::new().unwrap();
    let ca = authority.file(folder.path());
    let pool = |name: &str| format!("tls = {{ server_name = {name:?}, ca_file = {ca:?} }}");
    let good = table_with(&[("eu", &[named.host()])], &pool("origin.test"), "");
    let edge = EdgeBuilder::new(NEARSIDE, &good).start().await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.get("/").await.text(), "secure");
    let (status, _) =
        edge.admin.publish(&table_with(&[("eu", &[named.host()])], &pool("other.test"), "")).await;
    assert_eq!(status, 200);
    let refused = client.get("/").await;
    assert_eq!((refused.status.as_u16(), refused.text()), (503, "no region could be reached (UF)\n"));
}

#[tokio::test]
async fn heads_without_bodies_stay_without() {
    let origin = Origin::with(|request: Request<Incoming>| async move {
        let status = request.uri().path()[1..].parse::<u16>().unwrap();
        let mut response =
            testkit::answer(StatusCode::from_u16(status).unwrap(), if status == 200 { "page" } else { "" });
        response.headers_mut().insert("etag", HeaderValue::from_static("\"1\""));
        response
    })
    .await;
    let edge = edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let head = client.ask(Method::HEAD, "/200", &[], "").await;
    assert_eq!((head.header("content-length"), head.text(), head.header("etag")), ("4", "", "\"1\""));
    for status in [204, 304] {
        let answer = client.get(&format!("/{status}")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, ""));
    }
    assert_eq!(client.get("/200").await.text(), "page", "the connection is in step");
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    const MEGABYTES: usize = 64;
    let origin = Origin::with(|request: Request<Incoming>| async move {
        // Sends back what comes, as it comes.
        Response::new(request.into_body().map_err(std::io::Error::other).boxed())
    })
    .await;
    let edge = edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let (feed, body) = channel();
    let request = Request::post("/").header("host", "app.test").body(body).unwrap();
    let feeder = tokio::spawn(async move {
        let chunk = Bytes::from(vec![7; 1 << 20]);
        for _ in 0..MEGABYTES {
            feed.send(Frame::data(chunk.clone())).await.unwrap();
        }
    });
    let mut body = client.begin(request).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    feeder.await.unwrap();
    assert_eq!(received, MEGABYTES << 20);
    let resident = edge.metric("process_resident_memory_bytes").await;
    assert!(resident < 120e6, "{resident} bytes resident");
}

#[tokio::test]
async fn an_origin_is_read_no_faster_than_its_client_reads() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let origin = Origin::with(move |_| {
        let counter = counter.clone();
        async move {
            let (feed, body) = channel();
            tokio::spawn(async move {
                let chunk = Bytes::from(vec![7; 64 << 10]);
                while feed.send(Frame::data(chunk.clone())).await.is_ok() {
                    counter.fetch_add(chunk.len() as u64, SeqCst);
                }
            });
            Response::new(body)
        }
    })
    .await;
    let edge = edge_before(&origin).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
    // Until nothing moves any more: all buffers on the way are full.
    let mut before = u64::MAX;
    while sent.load(SeqCst) != before || before == 0 {
        before = sent.load(SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < 40 << 20, "{before} bytes were taken from the origin for a client who reads nothing");
}

#[tokio::test]
async fn trailers_travel_both_ways_and_cannot_reframe() {
    let origin = Origin::with(|request: Request<Incoming>| async move {
        let sum = request.into_body().collect().await.unwrap();
        let sum = sum.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
        let (feed, body) = channel();
        tokio::spawn(async move {
            feed.send(Frame::data(Bytes::from_static(b"page"))).await.unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", sum.unwrap());
            trailers.insert("content-length", HeaderValue::from_static("999"));
            trailers.insert("x-nearside-region", HeaderValue::from_static("forged"));
            feed.send(Frame::trailers(trailers)).await.unwrap();
        });
        let mut response = Response::new(body);
        let names = HeaderValue::from_static("x-sum, content-length, x-nearside-region");
        response.headers_mut().insert("trailer", names);
        response
    })
    .await;
    let edge = edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let (feed, body) = channel();
    tokio::spawn(async move {
        feed.send(Frame::data(Bytes::from_static(b"body"))).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        trailers.insert("transfer-encoding", HeaderValue::from_static("gzip"));
        feed.send(Frame::trailers(trailers)).await.unwrap();
    });
    let request = Request::post("/")
        .header("host", "app.test")
        .header("te", "trailers")
        .header("trailer", "x-sum, transfer-encoding")
        .body(body)
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.text(), "page");
    let names: Vec<&str> = answer.trailers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!((names, answer.trailers["x-sum"].to_str().unwrap()), (vec!["x-sum"], "42"));
}

/// An origin that, asked to, switches to sending back whatever comes.
pub(crate) async fn echo(request: Request<Incoming>) -> Response<Body> {
    if !request.headers().contains_key("upgrade") {
        return text("no upgrade");
    }
    tokio::spawn(async move {
        let mut stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut buffer = [0; 1024];
        while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..bytes]).await.unwrap();
        }
    });
    let mut response = testkit::answer(StatusCode::SWITCHING_PROTOCOLS, "");
    response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    response.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
    response
}

#[tokio::test]
async fn protocols_are_switched_and_tunnels_outlive_a_publish() {
    let origin = Origin::with(echo).await;
    let edge = edge_before(&origin).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    let head = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let answer = read_head(&mut stream).await;
    assert!(answer.starts_with("http/1.1 101") && answer.contains("upgrade: echo"), "{answer}");
    let mut ping = async |text: &[u8]| {
        stream.write_all(text).await.unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, text);
    };
    ping(b"before").await;
    let other = Origin::named("other").await;
    assert_eq!(edge.admin.publish(&table(&[("eu", &[other.host()])])).await.0, 200);
    ping(b"after").await;
    assert_eq!(
        edge.metric("nearside_connections{side=\"client\"}").await,
        1.0,
        "a tunnel counts as a connection"
    );
    drop(stream);
    let line = &edge.access_log_of(1).await[0];
    assert_eq!((&line["status"], &line["bytes_out"]), (&101.into(), &11.into()));
}

#[tokio::test]
async fn an_upgrade_that_nobody_wants_is_an_ordinary_request() {
    let origin = Origin::with(echo).await;
    let edge = edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let answer = client.ask(Method::GET, "/", &[("upgrade", "echo")], "").await;
    assert_eq!(answer.text(), "no upgrade", "Connection does not name it, so it stops here");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_when_an_origin_is_ready() {
    let origin = Origin::with(measure).await;
    let edge = edge_before(&origin).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let answer = read_head(&mut stream).await;
    assert!(answer.starts_with("http/1.1 100"), "{answer}");
    stream.write_all(b"hello").await.unwrap();
    let mut rest = vec![0; 12];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(rest, b"HTTP/1.1 200");
}
