//! Bounds: what a client cannot use up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::{Authority, Client, EdgeBuilder, Origin, table, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{NEARSIDE, edge_before};

/// Sends bytes as they are and reads until the edge closes or has answered and fallen silent.
pub(crate) async fn raw(edge: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 4096];
        let wait = if answer.is_empty() { Duration::from_secs(20) } else { Duration::from_millis(200) };
        match tokio::time::timeout(wait, stream.read(&mut part)).await {
            Ok(Ok(0) | Err(_)) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
            Ok(Ok(bytes)) => answer.extend_from_slice(&part[..bytes]),
        }
    }
}

#[tokio::test]
async fn a_slow_head_is_cut_off_even_if_it_drips() {
    let origin = Origin::named("eu").await;
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .and("[limits]\nheader_timeout = \"300ms\"\nidle_timeout = \"20s\"")
        .start()
        .await;
    let drip = async |first: &[u8]| {
        let mut stream = TcpStream::connect(edge.address()).await.unwrap();
        let started = Instant::now();
        stream.write_all(first).await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut byte = [0; 1024];
            let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await;
            if matches!(read, Ok(Ok(0) | Err(_))) || stream.write_all(b"x").await.is_err() {
                return started.elapsed();
            }
            assert!(started.elapsed() < Duration::from_secs(15), "still open");
        }
    };
    let first = drip(b"GET / HTTP/1.1\r\nX-Slow: ").await;
    assert!(first >= Duration::from_millis(250), "{first:?}");
    // The second head on a connection has the same patience, not that of an idle one.
    let second = drip(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\nGET / HTTP/1.1\r\nX-Slow: ").await;
    assert!(second >= Duration::from_millis(250), "{second:?}");
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let origin = Origin::with(|_| async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        testkit::text("late")
    })
    .await;
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .and("[limits]\nidle_timeout = \"300ms\"\nheader_timeout = \"250ms\"")
        .start()
        .await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.get("/").await.text(), "late", "a running request is no idleness");
    until("the idle connection is closed", async || {
        edge.metric("nearside_connections{side=\"client\"}").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn heads_have_a_size_and_a_number_of_fields() {
    let origin = Origin::named("eu").await;
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .and("[limits]\nheader_bytes = 8192\nheaders = 20")
        .start()
        .await;
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n");
    let long = head(&format!("X-Long: {}\r\n", "x".repeat(9000)));
    assert!(raw(edge.address(), long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many = head(&"X-Many: 1\r\n".repeat(30));
    assert!(raw(edge.address(), many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let fine = head(&"X-Few: 1\r\n".repeat(10));
    assert!(raw(edge.address(), fine.as_bytes()).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_not_http_is_answered_400_and_closed() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no TLS here\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: app.test\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: app.test\r\n folded: 1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: app.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : app.test\r\n\r\n",
    ] {
        let answer = raw(edge.address(), garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{garbage:?}: {answer}");
    }
    assert_eq!(origin.requests().len(), 0);
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.get("/").await.status, 200, "and the edge lives");
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_room() {
    let origin = Origin::named("eu").await;
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .edge("workers = 1")
        .and("[limits]\nconnections = 2")
        .start()
        .await;
    let mut first = Client::connect(edge.address()).await;
    let mut second = Client::connect(edge.address()).await;
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(second.get("/").await.status, 200);
    let mut third = Client::connect(edge.address()).await;
    let waiting = tokio::spawn(async move { third.get("/").await.status });
    assert_eq!(first.get("/").await.status, 200, "those inside are served");
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(waiting.await.unwrap(), 200);
}

/// Frames of HTTP/2, as bytes (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn streams_that_are_reset_at_once_cost_the_connection() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u32 = 11;
    const CANCEL: u32 = 8;

    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]));
    let (certificate, key) = authority.issue(&["app.test"]).files(builder.folder());
    let tls = format!("tls = {{ certificate_file = {certificate:?}, key_file = {key:?} }}");
    let edge = builder
        .listeners(&format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{tls}"))
        .and("[limits]\nhttp2_resets = 20")
        .start()
        .await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client(&["h2"], &[&rustls::version::TLS13]));
    let mut stream = connector.connect("app.test".try_into().unwrap(), stream).await.unwrap();

    // GET https://app.test/ (RFC 7541: three indexed fields and a literal authority), taken back in the same breath.
    let head = [&[0x82, 0x87, 0x84, 0x41, 8][..], b"app.test"].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for id in (1..400).step_by(2) {
        bytes.extend(frame(HEADERS, 0x5, id, &head));
        bytes.extend(frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
    }
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    // The edge may close without a TLS farewell.
    let _ = stream.read_to_end(&mut answer).await;
    let mut rest = &answer[..];
    let mut calmed = false;
    while rest.len() >= 9 {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        let payload = &rest[9..9 + length];
        calmed |= rest[3] == GOAWAY && payload[4..8] == ENHANCE_YOUR_CALM.to_be_bytes();
        rest = &rest[9 + length..];
    }
    assert!(calmed, "the edge ended the connection for its resets: {answer:?}");
    let config = authority.client(&["h2"], &[&rustls::version::TLS13]);
    let mut other = Client::connect_tls(edge.address(), "app.test", config).await.unwrap();
    assert_eq!(other.get("/").await.status, 200, "nobody else is touched");
}
