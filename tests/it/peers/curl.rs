//! What curl sees: both versions of HTTP, and the answers that proxies get wrong.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use serde_json::Value;
use testkit::{Body, Origin, answer, table, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Ended, Front, Peer, has};
use crate::protocols::channel;

/// `squeezed ` twenty times, by gzip.
const SQUEEZED: [u8; 32] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 43, 46, 44, 77, 77, 173, 74, 77, 81, 40, 30, 58, 12, 0, 216, 190, 219,
    0, 180, 0, 0, 0,
];
/// The ways to come: options of curl, whether over TLS, and the version that it tells.
const WAYS: [(&str, bool, &str); 4] = [
    ("--http1.0", false, "1"),
    ("--http1.1", false, "1.1"),
    ("--http1.1", true, "1.1"),
    ("--http2", true, "2"),
];

/// An answer as curl tells of it.
struct Told {
    facts: Value,
    /// Heads of all answers, then the body of the last.
    text: String,
    complaints: String,
}

impl Told {
    fn status(&self) -> u64 {
        self.facts["http_code"].as_u64().unwrap()
    }

    fn body(&self) -> &str {
        self.text.rsplit_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    fn says(&self, field: &str) -> bool {
        self.text.to_lowercase().contains(&format!("\r\n{}\r\n", field.to_lowercase()))
    }
}

fn command(front: &Front, way: (&str, bool, &str), path: &str, args: &[&str]) -> Command {
    let (scheme, port) = if way.1 { ("https", front.tls()) } else { ("http", front.plain()) };
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--path-as-is", way.0, "--cacert"]);
    command.arg(&front.ca).args(["--resolve", &format!("app.test:{port}:127.0.0.1")]);
    command.args(args).arg(format!("{scheme}://app.test:{port}{path}"));
    command
}

/// Asks, and ends with code 0.
async fn curl(front: &Front, way: (&str, bool, &str), path: &str, args: &[&str]) -> Told {
    let args = [&["--include", "--write-out", "\n%{json}"], args].concat();
    let Ended { code, out, complaints } = Peer::start(command(front, way, path, &args)).ended().await;
    assert_eq!(code, Some(0), "{way:?} {path} {args:?}: {complaints}{out}");
    let (text, facts) = out.rsplit_once('\n').unwrap();
    let facts: Value = serde_json::from_str(facts).unwrap();
    assert_eq!(facts["http_version"], way.2);
    Told { facts, text: text.to_owned(), complaints }
}

fn is_missing() -> bool {
    let is_missing = !has("curl");
    if is_missing {
        crate::skipped("what curl sees", "curl, of Debian's package curl");
    }
    is_missing
}

/// Does what the path says.
async fn told(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let field =
        |name: &str| head.headers.get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
    let path = head.uri.path().to_owned();
    let mut response = match path.as_str() {
        "/204" | "/304" => answer(StatusCode::from_bytes(&path.as_bytes()[1..]).unwrap(), ""),
        "/away" => answer(StatusCode::FOUND, "go on"),
        "/upload" => {
            let length = body.collect().await.unwrap().to_bytes().len();
            let (framing, expects) = (field("transfer-encoding"), field("expect"));
            text(&format!("{length} bytes, {}, {framing}, {expects}", field("content-length")))
        }
        "/range" if head.headers.contains_key("range") => {
            assert_eq!(field("range"), "bytes=2-5");
            let mut part = answer(StatusCode::PARTIAL_CONTENT, "2345");
            part.headers_mut().insert("content-range", HeaderValue::from_static("bytes 2-5/10"));
            part
        }
        "/gzip" => {
            let body = Full::new(Bytes::from_static(&SQUEEZED)).map_err(|never| match never {}).boxed();
            let mut squeezed = Response::new(body);
            squeezed.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
            squeezed
        }
        _ => text(&format!("{} {}", head.method, head.uri)),
    };
    let headers = response.headers_mut();
    headers.insert("etag", HeaderValue::from_static("\"one\""));
    headers.append("set-cookie", HeaderValue::from_static("a=1; Path=/"));
    headers.append("set-cookie", HeaderValue::from_static("b=2; Path=/"));
    if path == "/away" {
        headers.insert("location", HeaderValue::from_static("/landed?from=away"));
    }
    response
}

async fn front_of(origin: &Origin) -> Front {
    Front::start(&table(&[("eu", &[origin.host()])])).await
}

#[tokio::test]
async fn answers_are_what_the_origin_gave() {
    if is_missing() {
        return;
    }
    let origin = Origin::with(told).await;
    let front = front_of(&origin).await;
    for way in WAYS {
        let plain = curl(&front, way, "/a/../b%2Fc//d;e?x=%20&y=a+b", &[]).await;
        assert_eq!(plain.body(), "GET /a/../b%2Fc//d;e?x=%20&y=a+b", "not a character is changed");
        assert!(plain.says("set-cookie: a=1; Path=/") && plain.says("set-cookie: b=2; Path=/"));
        for method in ["DELETE", "OPTIONS", "PURGE"] {
            assert_eq!(curl(&front, way, "/", &["-X", method]).await.body(), format!("{method} /"));
        }
        let head = curl(&front, way, "/some", &["--head"]).await;
        assert!(head.says("content-length: 10") && head.body().is_empty(), "{}", head.text);
        for status in [204, 304] {
            let empty = curl(&front, way, &format!("/{status}"), &[]).await;
            assert_eq!((empty.status(), empty.body()), (status, ""), "{}", empty.text);
            assert!(empty.says("etag: \"one\"") && !empty.text.to_lowercase().contains("transfer-encoding"));
        }
        let landed = curl(&front, way, "/away", &["--location"]).await;
        assert_eq!((landed.status(), landed.body()), (200, "GET /landed?from=away"));
        assert_eq!(landed.facts["num_redirects"], 1);
        let part = curl(&front, way, "/range", &["--range", "2-5"]).await;
        assert_eq!((part.status(), part.body()), (206, "2345"));
        assert!(part.says("content-range: bytes 2-5/10"));
    }
}

#[tokio::test]
async fn what_is_squeezed_stays_squeezed() {
    if is_missing() {
        return;
    }
    let origin = Origin::with(told).await;
    let front = front_of(&origin).await;
    for way in WAYS {
        let file = front.edge.folder.path().join("squeezed");
        let args = ["--output", file.to_str().unwrap(), "--header", "accept-encoding: gzip"];
        let ended = Peer::start(command(&front, way, "/gzip", &args)).ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.complaints);
        assert_eq!(std::fs::read(&file).unwrap(), SQUEEZED, "byte for byte");
        assert_eq!(curl(&front, way, "/gzip", &["--compressed"]).await.body(), "squeezed ".repeat(20));
        assert!(origin.last().header("accept-encoding").contains("gzip"));
    }
}

#[tokio::test]
async fn uploads_of_any_size_and_framing() {
    const BYTES: usize = 8 << 20;
    if is_missing() {
        return;
    }
    let origin = Origin::with(told).await;
    let front = front_of(&origin).await;
    let file = front.edge.folder.path().join("upload");
    std::fs::write(&file, vec![b'x'; BYTES]).unwrap();
    let data = format!("@{}", file.display());
    for way in WAYS {
        let sent = curl(&front, way, "/upload", &["--data-binary", &data]).await;
        // curl asks before it sends more than a megabyte, in the one version that knows how.
        let asks = way.2 == "1.1";
        assert_eq!(sent.text.contains("100 Continue"), asks, "{way:?} {}", sent.text);
        let expects = if asks { "100-continue" } else { "none" };
        assert_eq!(sent.body(), format!("{BYTES} bytes, {BYTES}, none, {expects}"), "{}", sent.complaints);
        let small = curl(&front, way, "/upload", &["--data", "hello"]).await;
        assert_eq!(small.body(), "5 bytes, 5, none, none");
    }
    for way in [WAYS[1], WAYS[2]] {
        let chunked =
            ["--header", "transfer-encoding: chunked", "--header", "expect:", "--data-binary", &data];
        let sent = curl(&front, way, "/upload", &chunked).await;
        assert_eq!(sent.body(), format!("{BYTES} bytes, none, chunked, none"));
    }
    // Of a length that nobody knows, from a pipe.
    let mut upload = Peer::start(command(&front, WAYS[3], "/upload", &["--upload-file", "-"]));
    std::io::Write::write_all(upload.stdin.as_mut().unwrap(), b"from a pipe").unwrap();
    let ended = upload.ended().await;
    assert_eq!(ended.out, "11 bytes, none, chunked, none", "{}", ended.complaints);
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    if is_missing() {
        return;
    }
    for way in WAYS {
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
        let front = front_of(&origin).await;
        let mut listener = Peer::start(command(&front, way, "/events", &["--no-buffer"]));
        for number in 0..5 {
            feed.send(Frame::data(Bytes::from(format!("data: {number}\n\n")))).await.unwrap();
            // Only then is the next one sent.
            listener.hears(&format!("data: {number}")).await;
        }
        drop(feed);
        assert_eq!(listener.ended().await.code, Some(0), "{way:?}");
    }
}

#[tokio::test]
async fn early_hints_do_not_harm_the_answer() {
    if is_missing() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = vec![0; 16 << 10];
                while let Ok(1..) = stream.read(&mut read).await {
                    for part in [
                        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n",
                        "HTTP/1.1 103 Early Hints\r\nlink: </b.css>; rel=preload\r\n\r\n",
                        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-last: yes\r\n\r\npage",
                    ] {
                        let _ = stream.write_all(part.as_bytes()).await;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            });
        }
    });
    let front = Front::start(&table(&[("eu", &[address])])).await;
    for way in WAYS {
        for _ in 0..2 {
            let page = curl(&front, way, "/", &[]).await;
            assert_eq!((page.status(), page.body()), (200, "page"), "{}", page.text);
            assert!(page.says("x-last: yes") && !page.text.contains(" 103"), "{}", page.text);
        }
    }
}
