//! What is sent again, where, and how much of it: the retry table, hedges and budgets, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use testkit::{Body, Client, Edge, EdgeBuilder, Origin, Relay, answer, table_with, text, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use crate::NEARSIDE;

/// A port that refuses connections, and what keeps others from getting it.
fn refusing() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

/// `near` is the natural region of everybody, `far` the next.
fn near_and_far(near: &[String], far: &[String], pool: &str, route: &str) -> String {
    let table = table_with(&[("near", near), ("far", far)], pool, &format!("policy = \"order\"\n{route}"));
    format!(
        "{table}[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n"
    )
}

/// An origin that answers every request with a status and perhaps a field; probes are answered well.
async fn always(status: u16, field: Option<(&'static str, &'static str)>) -> Origin {
    Origin::with(move |request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        let mut response = answer(status.try_into().unwrap(), "no");
        if let Some((name, value)) = field {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await
}

async fn edge(table: &str) -> (Edge, Client) {
    let edge = EdgeBuilder::new(NEARSIDE, table).edge("workers = 1").start().await;
    let client = Client::connect(edge.address()).await;
    (edge, client)
}

/// The regions and outcomes of a line's attempts.
fn attempts(line: &serde_json::Value) -> Vec<(String, String)> {
    let attempts = line["attempts"].as_array().unwrap().iter();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    attempts.map(|attempt| (word(&attempt["region"]), word(&attempt["outcome"]))).collect()
}

#[tokio::test]
async fn error_statuses_of_a_gateway_move_what_is_safe_and_nothing_else() {
    let (near, far) = (always(503, None).await, Origin::named("far").await);
    let (edge, mut client) = edge(&near_and_far(&[near.host()], &[far.host()], "", "")).await;
    let get = client.get("/").await;
    assert_eq!((get.status.as_u16(), get.text()), (200, "far"));
    let post = client.ask(Method::POST, "/", &[], "order").await;
    assert_eq!((post.status.as_u16(), post.text()), (503, "no"), "the origin's own words");
    let put = client.ask(Method::PUT, "/", &[], "thing").await;
    assert_eq!(put.status, 503, "idempotent methods move only where that is declared");
    let keyed = client.ask(Method::POST, "/", &[("idempotency-key", "1")], "order").await;
    assert_eq!(keyed.status, 503, "and so do keys");
    assert_eq!((near.requests().len(), far.requests().len()), (4, 1));
    let lines = edge.access_log_of(4).await;
    let both = [("near", "gateway_error"), ("far", "answered")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!((lines[0]["reason"].as_str().unwrap(), attempts(&lines[0])), ("FO", both.to_vec()));
    assert_eq!(lines[1]["reason"], "-");
}

#[tokio::test]
async fn an_origin_that_declines_has_not_done_it() {
    let far = Origin::named("far").await;
    for (status, field) in [(503, Some(("retry-after", "1"))), (421, None), (425, None)] {
        let near = always(status, field).await;
        let (_edge, mut client) = edge(&near_and_far(&[near.host()], &[far.host()], "", "")).await;
        let post = client.ask(Method::POST, "/", &[], "order").await;
        assert_eq!((post.status.as_u16(), post.text()), (200, "far"), "{status}");
        assert_eq!(near.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_is_not_listed_is_an_answer() {
    let (near, far) = (always(500, None).await, Origin::named("far").await);
    let (_edge, mut client) = edge(&near_and_far(&[near.host()], &[far.host()], "", "")).await;
    assert_eq!(client.get("/").await.status, 500);
    assert_eq!(far.requests().len(), 0);
}

#[tokio::test]
async fn the_last_error_is_the_origins_own_when_all_say_the_same() {
    let (near, far) = (always(503, None).await, always(502, None).await);
    let (edge, mut client) = edge(&near_and_far(&[near.host()], &[far.host()], "", "")).await;
    let refused = client.get("/").await;
    assert_eq!((refused.status.as_u16(), refused.text()), (502, "no"));
    let line = &edge.access_log_of(1).await[0];
    assert_eq!((line["reason"].as_str().unwrap(), attempts(line).len()), ("URX", 2));
}

#[tokio::test]
async fn untried_origins_of_the_placement_come_first_and_none_twice() {
    let (a, b) = (always(503, None).await, always(503, None).await);
    let far = Origin::named("far").await;
    let (edge, mut client) = edge(&near_and_far(&[a.host(), b.host()], &[far.host()], "", "")).await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.text(), "far");
    }
    assert_eq!((a.requests().len(), b.requests().len(), far.requests().len()), (5, 5, 5));
    assert!(edge.access_log_of(5).await.iter().all(|line| attempts(line).len() == 3));
}

/// An origin that takes a request, whole, and breaks the connection; probes are answered well. How many requests it took.
async fn breaker() -> (String, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = taken.clone();
    let origin = Origin::with(move |request: Request<Incoming>| {
        let counted = counted.clone();
        async move {
            let _ = request.into_body().collect().await;
            counted.fetch_add(1, SeqCst);
            testkit::break_off()
        }
    })
    .await;
    let host = origin.host();
    // It lives as long as the test's process.
    std::mem::forget(origin);
    (host, taken)
}

#[tokio::test]
async fn a_key_moves_a_request_as_far_as_its_scope() {
    let key = [("idempotency-key", "1")];
    for (scope, expected) in [("off", 502), ("region", 502), ("global", 200)] {
        let ((near, taken), far) = (breaker().await, Origin::named("far").await);
        let route = format!("retry = {{ idempotency_key = {scope:?} }}");
        let (edge, mut client) = edge(&near_and_far(&[near], &[far.host()], "", &route)).await;
        let post = client.ask(Method::POST, "/", &key, "order").await;
        assert_eq!((post.status.as_u16(), taken.load(SeqCst)), (expected, 1), "{scope}: {}", post.text());
        assert_eq!(edge.access_log_of(1).await[0]["reason"], if expected == 200 { "FO" } else { "UN" });
        // A connection that breaks makes it suspect for a moment.
        until("near is trusted", async || edge.admin.region_health("near").await == "up").await;
        let unkeyed = client.ask(Method::POST, "/", &[], "order").await;
        assert_eq!((unkeyed.status.as_u16(), taken.load(SeqCst)), (502, 2), "without a key it stays");
    }
    let ((near, taken), sound) = (breaker().await, Origin::named("near").await);
    let far = Origin::named("far").await;
    let route = "retry = { idempotency_key = \"region\" }";
    let (_edge, mut client) = edge(&near_and_far(&[near, sound.host()], &[far.host()], "", route)).await;
    while taken.load(SeqCst) == 0 {
        assert_eq!(
            client.ask(Method::POST, "/", &key, "order").await.text(),
            "near",
            "the other one of the region"
        );
    }
    assert_eq!(far.requests().len(), 0);
}

#[tokio::test]
async fn idempotent_methods_move_where_that_is_declared() {
    let ((near, taken), far) = (breaker().await, Origin::named("far").await);
    let route = "retry = { idempotent_methods = true }";
    let (edge, mut client) = edge(&near_and_far(&[near], &[far.host()], "", route)).await;
    assert_eq!(client.ask(Method::PUT, "/", &[], "thing").await.text(), "far");
    until("near is trusted", async || edge.admin.region_health("near").await == "up").await;
    assert_eq!(client.ask(Method::POST, "/", &[], "order").await.status, 502);
    assert_eq!(taken.load(SeqCst), 2);
}

#[tokio::test]
async fn a_route_may_keep_its_requests_in_a_region() {
    let (_held, closed) = refusing();
    let far = Origin::named("far").await;
    let (_edge, mut client) = edge(&near_and_far(
        &[closed],
        &[far.host()],
        "probe = { kind = \"tcp\", interval = \"1h\" }",
        "retry = { attempts = 1 }",
    ))
    .await;
    // Either it is known to be down, or the only attempt fails: never a second one.
    let status = client.get("/").await.status;
    assert!(status == 503 || far.requests().len() == 1, "{status}");
}

/// A server that accepts, reads nothing, and resets: what was read ahead of the first write must not be lost.
#[tokio::test]
async fn a_body_larger_than_its_buffer_moves_while_nothing_was_written() {
    let (_held, closed) = refusing();
    let far = Origin::with(|request: Request<Incoming>| async move {
        let bytes = request.into_body().collect().await.unwrap().to_bytes().len();
        text(&bytes.to_string())
    })
    .await;
    let pool = "probe = { kind = \"tcp\", interval = \"1h\" }";
    let table = near_and_far(&[closed], &[far.host()], pool, "retry = { replay_bytes = 1024 }");
    let (_edge, mut client) = edge(&table).await;
    let large = "x".repeat(300_000);
    for _ in 0..5 {
        let moved = client.ask(Method::POST, "/", &[], &large).await;
        assert_eq!((moved.status.as_u16(), moved.text()), (200, "300000"));
    }
}

#[tokio::test]
async fn a_body_that_was_written_beyond_its_buffer_stays() {
    let ((near, taken), far) = (breaker().await, Origin::named("far").await);
    let route = "retry = { replay_bytes = 1024, idempotent_methods = true }";
    let (edge, mut client) = edge(&near_and_far(&[near], &[far.host()], "", route)).await;
    let put = client.ask(Method::PUT, "/", &[], &"x".repeat(300_000)).await;
    assert_eq!((put.status.as_u16(), taken.load(SeqCst)), (502, 1));
    until("near is trusted", async || edge.admin.region_health("near").await == "up").await;
    assert_eq!(client.ask(Method::PUT, "/", &[], "small").await.text(), "far");
    assert_eq!(edge.access_log_of(2).await[0]["reason"], "UN");
}

/// An origin that answers at once until it is told to be silent.
async fn falls_silent() -> (Origin, Arc<AtomicU64>) {
    let silent = Arc::new(AtomicU64::new(0));
    let is_silent = silent.clone();
    let origin = Origin::with(move |_: Request<Incoming>| {
        let is_silent = is_silent.clone();
        async move {
            if is_silent.load(SeqCst) == 1 {
                std::future::pending::<Response<Body>>().await;
            }
            text("near")
        }
    })
    .await;
    (origin, silent)
}

#[tokio::test]
async fn a_late_answer_is_hedged_within_the_budget() {
    let ((near, silent), far) = (falls_silent().await, Origin::named("far").await);
    let (edge, mut client) = edge(&near_and_far(&[near.host()], &[far.host()], "", "")).await;
    // Enough to know what is usual, and to earn hedges.
    for _ in 0..200 {
        assert_eq!(client.get("/").await.text(), "near");
    }
    silent.store(1, SeqCst);
    let started = Instant::now();
    let hedged = client.get("/").await;
    assert_eq!((hedged.status.as_u16(), hedged.text()), (200, "far"));
    assert!(started.elapsed() < Duration::from_secs(5), "not after the first-byte timeout");
    let line = edge.access_log().pop().unwrap();
    until("it is logged", async || edge.access_log().iter().any(|line| line["reason"] == "HW")).await;
    let line = edge.access_log().into_iter().find(|line| line["reason"] == "HW").unwrap_or(line);
    let kinds: Vec<&str> = line["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["hedge", "first"]);
    assert_eq!(attempts(&line)[1].1, "cancelled");
    assert!(
        edge.metric("nearside_attempts_total{region=\"far\",kind=\"hedge\",outcome=\"answered\"}").await
            >= 1.0
    );
}

#[tokio::test]
async fn routes_may_forbid_hedges_and_bodies_are_never_hedged() {
    let ((near, silent), far) = (falls_silent().await, Origin::named("far").await);
    let table = near_and_far(
        &[near.host()],
        &[far.host()],
        "",
        "retry = { hedge = false }\ntimeouts = { first_byte = \"400ms\" }",
    );
    let (edge, mut client) = edge(&table).await;
    for _ in 0..200 {
        client.get("/").await;
    }
    silent.store(1, SeqCst);
    assert_eq!(client.get("/").await.text(), "far", "when the time is over");
    assert_eq!(client.ask(Method::POST, "/", &[], "order").await.status, 504);
    let lines = edge.access_log_of(202).await;
    assert_eq!(lines[200]["reason"], "FO");
    assert_eq!(lines[201]["reason"], "UN");
}

#[tokio::test]
async fn requests_that_wait_for_a_region_that_falls_silent_are_rescued() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let relay = Relay::start(near.address, 1).await.unwrap();
    let pool = "probe = { interval = \"50ms\" }\nretry_budget = { hedge_percent = 0 }";
    let table = near_and_far(&[relay.address.to_string()], &[far.host()], pool, "");
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..100 {
        assert_eq!(client.get("/").await.status, 200);
    }
    // From now on everything takes ten minutes.
    relay.add_delay(600_000);
    let started = Instant::now();
    let rescued = client.get("/").await;
    assert_eq!((rescued.status.as_u16(), rescued.text()), (200, "far"));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn repetitions_stay_within_the_budget() {
    let (near, far) = (always(503, None).await, Origin::named("far").await);
    let pool = "retry_budget = { percent = 20, per_second = 0 }";
    let (edge, mut client) = edge(&near_and_far(&[near.host()], &[far.host()], pool, "")).await;
    let mut moved = 0;
    for number in 1..=60 {
        // One client network: however many fail, they say little of the region, and it stays in use.
        moved += u32::from(client.get("/").await.status == 200);
        assert!(moved <= number / 5, "{moved} of {number}");
    }
    assert!(moved >= 10, "{moved}");
    let lines = edge.access_log_of(60).await;
    assert!(lines.iter().all(|line| line["status"] == 200 || line["status"] == 503));
}

#[tokio::test]
async fn an_origin_that_resets_every_new_connection_is_left_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = listener.local_addr().unwrap().to_string();
    let accepted = Arc::new(AtomicU64::new(0));
    let counted = accepted.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let count = counted.clone();
            tokio::spawn(async move {
                let bytes = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut head)).await;
                let bytes = bytes.map_or(0, |read| read.unwrap_or(0));
                if String::from_utf8_lossy(&head[..bytes]).contains("nearside-probe") {
                    let well = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(well).await;
                } else {
                    count.fetch_add(1, SeqCst);
                }
            });
        }
    });
    let far = Origin::named("far").await;
    let (_edge, mut client) = edge(&near_and_far(&[near], &[far.host()], "", "")).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "far");
    }
    assert!(accepted.load(SeqCst) <= 80, "no hammering: {}", accepted.load(SeqCst));
}

/// A refusal must reach a client who is still sending: an unread body would reset the connection under it.
#[tokio::test]
async fn a_refusal_reaches_a_client_who_is_still_sending() {
    let (_held, closed) = refusing();
    let table = table_with(&[("eu", &[closed])], "", "");
    let (edge, _) = edge(&table).await;
    let large = "x".repeat(4 << 20);
    for round in 0..20 {
        let mut client = Client::connect(edge.address()).await;
        let refused = client.try_ask(Method::POST, "/", &[], &large).await;
        assert_eq!(refused.unwrap_or_else(|error| panic!("round {round}: {error}")).status, 503);
    }
}

#[tokio::test]
async fn deadlines_and_attempts_of_trusted_hops_go_on() {
    let (near, far) = (always(503, None).await, Origin::named("far").await);
    let (_edge, mut client) = edge(&near_and_far(&[near.host()], &[far.host()], "", "")).await;
    let told = [("x-nearside-deadline-ms", "5000"), ("x-nearside-attempt", "2")];
    let moved = client.ask(Method::GET, "/", &told, "").await;
    assert_eq!((moved.status.as_u16(), moved.text()), (200, "far"));
    let left: u64 = far.last().header("x-nearside-deadline-ms").parse().unwrap();
    assert!((1..5000).contains(&left), "{left}");
    assert_eq!(
        (near.last().header("x-nearside-attempt"), far.last().header("x-nearside-attempt")),
        ("2", "3")
    );
    // The third attempt of the hop before: none is left here after the first.
    let last = client.ask(Method::GET, "/", &[("x-nearside-attempt", "3")], "").await;
    assert_eq!((last.status.as_u16(), far.requests().len()), (503, 1));
    let (silent, gate) = Origin::gated("never").await;
    let (_edge, mut client) = edge(&table_with(&[("eu", &[silent.host()])], "", "")).await;
    let late = client.ask(Method::GET, "/", &[("x-nearside-deadline-ms", "200")], "").await;
    assert_eq!((late.status.as_u16(), late.text()), (504, "the request took too long (DT)\n"));
    drop(gate);
}
