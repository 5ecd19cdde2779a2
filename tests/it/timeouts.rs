//! How long requests may take, and the code that each limit has.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use testkit::{Client, EdgeBuilder, Origin, table_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::NEARSIDE;
use crate::protocols::channel;

/// An origin that answers at once, says a word every 20 ms `words` times, and then nothing more.
async fn trickling(words: usize) -> Origin {
    Origin::with(move |request| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        let (feed, body) = channel();
        tokio::spawn(async move {
            for _ in 0..words {
                let _ = feed.send(Frame::data(Bytes::from_static(b"word"))).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            feed.closed().await;
        });
        Response::new(body)
    })
    .await
}

/// Status, what the log says of it, and whether the body broke off.
async fn outcome(timeouts: &str, origin: String, path: &str) -> (u16, String, bool) {
    let text =
        table_with(&[("eu", &[origin])], "probe = { kind = \"tcp\" }", &format!("timeouts = {timeouts}"));
    let edge = EdgeBuilder::new(NEARSIDE, &text).start().await;
    let mut client = Client::connect(edge.address()).await;
    let request = http::Request::get(path).header("host", "app.test");
    let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed();
    let answer = client.begin(request.body(body).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let broke = answer.into_body().collect().await.is_err();
    let line = edge.access_log_of(1).await.remove(0);
    (status, line["reason"].as_str().unwrap().to_owned(), broke)
}

#[tokio::test]
async fn an_answer_that_does_not_begin() {
    let origin = trickling(0).await;
    let outcome = outcome("{ first_byte = \"100ms\" }", origin.host(), "/never").await;
    assert_eq!(outcome, (504, "UT".to_owned(), false), "there is no other origin");
}

#[tokio::test]
async fn an_answer_that_stands_still() {
    let origin = trickling(10).await;
    let outcome = outcome("{ idle = \"150ms\" }", origin.host(), "/").await;
    assert_eq!(outcome, (200, "SI".to_owned(), true));
}

#[tokio::test]
async fn a_request_that_takes_too_long_before_its_answer_and_in_it() {
    let origin = trickling(1000).await;
    let early = outcome("{ total = \"200ms\" }", origin.host(), "/never").await;
    assert_eq!(early, (504, "DT".to_owned(), false));
    let late = outcome("{ total = \"200ms\", idle = \"10s\" }", origin.host(), "/").await;
    assert_eq!(late, (200, "DT".to_owned(), true));
}

/// A listener whose queue is full, and what fills it. The kernel drops what does not fit, as a firewall would.
async fn full_queue() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full: TcpListener = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue never fills");
    }
    (full, queued)
}

#[tokio::test]
async fn an_origin_that_does_not_take_a_connection() {
    let (full, _queued) = full_queue().await;
    let address = full.local_addr().unwrap();
    let outcome = outcome("{ connect = \"100ms\" }", address.to_string(), "/").await;
    // Probes found the same: nothing is usable, and the least bad one was asked in vain.
    assert_eq!((outcome.0, outcome.1.as_str()), (503, "UH"));
}

#[tokio::test]
async fn a_queue_that_was_full_for_a_moment_costs_no_request() {
    let (full, queued) = full_queue().await;
    let origins = [full.local_addr().unwrap().to_string()];
    let tcp = "probe = { kind = \"tcp\" }";
    let text = table_with(&[("eu", &origins)], tcp, "timeouts = { connect = \"300ms\" }");
    let edge = EdgeBuilder::new(NEARSIDE, &text).start().await;
    let mut client = Client::connect(edge.address()).await;
    let asks = tokio::spawn(async move { client.ask(Method::POST, "/", &[], "body").await });
    let in_vain = "nearside_attempts_total{region=\"eu\",kind=\"first\",outcome=\"connect_timeout\"}";
    testkit::until("it knocked in vain", async || edge.metric(in_vain).await == 1.0).await;
    drop(queued);
    tokio::spawn(async move {
        // The first to say something is the request: probes and those who filled the queue do not.
        while let Ok((mut stream, _)) = full.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4];
                if stream.read_exact(&mut head).await.is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmade").await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            });
        }
    });
    let answer = asks.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "made"));
    let line = edge.access_log_of(1).await.remove(0);
    assert_eq!((&line["reason"], &line["region"]), (&"FO".into(), &"eu".into()));
}

#[tokio::test]
async fn a_call_says_itself_how_long_it_may_take() {
    let origin = trickling(0).await;
    let edge = crate::edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let fields = [("content-type", "application/grpc"), ("grpc-timeout", "100m")];
    let answer = client.ask(Method::POST, "/never", &fields, "").await;
    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "4"));
    assert_eq!(answer.header("grpc-message"), "the request took too long (DT)");
    let line = edge.access_log_of(1).await.remove(0);
    assert_eq!((&line["status"], &line["reason"]), (&504.into(), &"DT".into()));
    let unknown = client.ask(Method::POST, "/", &[fields[0], ("host", "nobody.test")], "").await;
    assert_eq!((unknown.status.as_u16(), unknown.header("grpc-status")), (200, "12"));
    // A page that is not there is no gRPC answer.
    let page = client.ask(Method::GET, "/", &[("host", "nobody.test")], "").await;
    assert_eq!((page.status.as_u16(), page.header("grpc-status")), (421, ""));
}
