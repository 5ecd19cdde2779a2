use std::time::Instant;

use axum::Extension;
use axum::body::Bytes as Whole;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SHORT: Duration = Duration::from_millis(300);
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn tight() -> Bounds {
    Bounds {
        head: SHORT,
        body: SHORT,
        head_bytes: 8 << 10,
        connections: 3,
        per_address: 2,
        ..Bounds::default()
    }
}

async fn listen(bounds: Bounds) -> SocketAddr {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/", get(async |Extension(peer): Extension<Peer>| peer.address.to_string()))
        .route("/", post(async |body: Result<Whole, _>| body.map(|body| body.len().to_string())));
    let counts = Arc::default();
    tokio::spawn(Operators { listener, tls: None, router, counts, bounds }.serve());
    address
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What is read until `enough`, or until the end.
async fn read(stream: &mut TcpStream, enough: &str) -> String {
    let mut all = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read =
            timeout(PATIENCE, stream.read(&mut part)).await.expect("the listener ends what takes too long");
        match read {
            Ok(0) | Err(_) => return String::from_utf8(all).unwrap(),
            Ok(bytes) => all.extend_from_slice(&part[..bytes]),
        }
        if !enough.is_empty() && String::from_utf8_lossy(&all).contains(enough) {
            return String::from_utf8(all).unwrap();
        }
    }
}

/// Writes a byte every 20 ms until the other side has had enough; how long that took.
async fn drip(stream: TcpStream) -> (Duration, String) {
    let started = Instant::now();
    let (mut from, mut to) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all).await;
        String::from_utf8(all).unwrap()
    });
    while !reading.is_finished() {
        assert!(started.elapsed() < PATIENCE, "still open");
        let _ = to.write_all(b"x").await;
        sleep(Duration::from_millis(20)).await;
    }
    (started.elapsed(), reading.await.unwrap())
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off_in_time() {
    let address = listen(tight()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.unwrap();
    let (took, said) = drip(stream).await;
    assert!(took >= SHORT && !said.contains(" 200 "), "{took:?} {said}");
    // The second head has no more time than the first, and neither has silence.
    for second in [&b"GET / HTTP/1.1\r\nX-Slow: "[..], b""] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[ASK, second].concat()).await.unwrap();
        assert!(read(&mut stream, "").await.contains("127.0.0.1"), "it is closed after the first answer");
    }
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off_in_time() {
    let address = listen(tight()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n").await.unwrap();
    let (took, said) = drip(stream).await;
    assert!(took >= SHORT && said.starts_with("HTTP/1.1 400"), "{took:?} {said}");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
    assert!(read(&mut stream, "3").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn heads_have_a_size() {
    let address = listen(tight()).await;
    for (bytes, status) in [(4 << 10, "200"), (16 << 10, "431")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(bytes));
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = read(&mut stream, "\r\n\r\n").await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
    }
}

#[tokio::test]
async fn nobody_takes_all_connections() {
    let address = listen(Bounds { head: PATIENCE * 2, ..tight() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(ASK).await.unwrap();
        assert!(read(&mut stream, "127.0.0.1").await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    assert_eq!(read(&mut third, "").await, "", "two are enough for one address");
    // Another address still finds room. Bound to 127.0.0.2, a client is somebody else.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(address).await.unwrap();
    other.write_all(ASK).await.unwrap();
    assert!(read(&mut other, "127.0.0.2").await.starts_with("HTTP/1.1 200"));
    // All three places are taken: the next one waits until somebody leaves.
    let next = tokio::net::TcpSocket::new_v4().unwrap();
    next.bind("127.0.0.3:0".parse().unwrap()).unwrap();
    let mut next = next.connect(address).await.unwrap();
    next.write_all(ASK).await.unwrap();
    let mut byte = [0];
    assert!(timeout(SHORT, next.peek(&mut byte)).await.is_err(), "there is no room yet");
    held.clear();
    assert!(read(&mut next, "127.0.0.3").await.starts_with("HTTP/1.1 200"));
}
