//! Regions fail; requests do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use http::{Method, Request};
use hyper::body::Incoming;
use testkit::{Client, EdgeBuilder, Origin, Relay, Users, table, table_with, text, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::NEARSIDE;

/// Two regions; the first is the natural one of everybody.
async fn two_regions() -> (Arc<Relay>, Origin, Origin, testkit::Edge) {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let relay = Relay::start(near.address, 1).await.unwrap();
    let table = table_with(
        &[("near", &[relay.address.to_string()]), ("far", &[far.host()])],
        "probe = { interval = \"50ms\" }",
        "policy = \"order\"",
    );
    let policy =
        "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &format!("{table}{policy}")).start().await;
    (relay, near, far, edge)
}

#[tokio::test]
async fn no_request_fails_when_a_region_dies_and_returns() {
    let (relay, _near, _far, edge) = two_regions().await;
    let users = Users::start(8, edge.address(), Duration::from_millis(2));
    users.served(200).await;
    relay.set_alive(false);
    until("near is down", async || edge.admin.region_health("near").await == "down").await;
    users.served(200).await;
    relay.set_alive(true);
    until("near recovers", async || edge.admin.region_health("near").await == "recovering").await;
    users.served(200).await;
    users.stop().await;
    assert!(edge.access_log().iter().any(|line| line["region"] == "far"), "far has served");
}

/// Connections that were open when a region fell silent never say another word. None of them may be used after its return.
#[tokio::test]
async fn connections_left_over_from_a_silent_region_do_not_poison_its_return() {
    let (relay, near, _far, edge) = two_regions().await;
    let address = edge.address();
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..10 {
        users.spawn(async move { Client::connect(address).await.get("/").await.status });
    }
    while let Some(status) = users.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    // Silent, connected all the same.
    relay.set_round_trip(3_600_000);
    until("near is down", async || edge.admin.region_health("near").await == "down").await;
    relay.set_round_trip(1);
    until("near recovers", async || edge.admin.region_health("near").await == "recovering").await;
    let before = near.requests().len();
    let mut client = Client::connect(address).await;
    let mut number = 0;
    until("near serves", async || {
        number += 1;
        // Many client networks, since the ramp lets a tenth of them in first.
        let from = format!("203.0.{}.1", number % 250);
        let stored = client.ask(Method::POST, "/", &[("x-forwarded-for", &from)], "order").await;
        assert_eq!(stored.status, 200, "{}", stored.text());
        near.requests().len() >= before + 10
    })
    .await;
}

#[tokio::test]
async fn requests_under_way_when_their_region_dies_are_answered_by_the_next() {
    let near = Origin::with(|_| std::future::pending()).await;
    let far = Origin::named("far").await;
    let relay = Relay::start(near.address, 1).await.unwrap();
    let regions: [(&str, &[String]); 2] = [("near", &[relay.address.to_string()]), ("far", &[far.host()])];
    let mut table = table_with(&regions, "", "policy = \"order\"");
    table += "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let address = edge.address();
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..20 {
        users.spawn(async move { Client::connect(address).await.get("/").await });
    }
    until("all are at near", async || near.requests().len() == 20).await;
    relay.set_alive(false);
    while let Some(answer) = users.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "far"));
    }
    let lines = edge.access_log_of(20).await;
    assert!(
        lines.iter().all(|line| line["reason"] == "FO" && line["attempts"].as_array().unwrap().len() >= 2)
    );
    assert!(far.requests().iter().all(|request| request.header("x-nearside-attempt") != "1"));
}

#[tokio::test]
async fn a_post_that_was_not_sent_moves_and_one_that_may_have_run_does_not() {
    let runs = Arc::new(AtomicU64::new(0));
    // An origin that takes the request and then resets the connection, and one that does what it is asked.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let breaker = listener.local_addr().unwrap();
    let counted = runs.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let bytes = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..bytes]).to_lowercase();
                if head.contains("nearside-probe") {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                        .await;
                } else if bytes > 0 {
                    counted.fetch_add(1, SeqCst);
                }
            });
        }
    });
    let far = Origin::with(|request: Request<Incoming>| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
        text(std::str::from_utf8(&body).unwrap())
    })
    .await;
    let table = |near: &str| {
        let table =
            table_with(&[("near", &[near.to_owned()]), ("far", &[far.host()])], "", "policy = \"order\"");
        format!(
            "{table}[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n"
        )
    };
    let edge = EdgeBuilder::new(NEARSIDE, &table(&breaker.to_string())).start().await;
    let mut client = Client::connect(edge.address()).await;

    let uncertain = client.ask(Method::POST, "/", &[], "order 1").await;
    let expected = "no answer came, and the request may have been carried out (UN)\n";
    assert_eq!((uncertain.status.as_u16(), uncertain.text()), (502, expected));
    assert_eq!(runs.load(SeqCst), 1, "sent once, and never again");
    assert_eq!(client.get("/").await.status, 200, "a GET moves");

    // Nobody listens there any more: nothing can have been sent.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(edge.admin.publish(&table(&closed.to_string())).await.0, 200);
    let moved = client.ask(Method::POST, "/", &[], "order 2").await;
    assert_eq!((moved.status.as_u16(), moved.text()), (200, "order 2"));
    let lines = edge.access_log_of(3).await;
    assert_eq!((&lines[0]["reason"], &lines[1]["reason"]), (&"UN".into(), &"FO".into()));
    assert!(lines[2]["reason"] == "FO" || lines[2]["region"] == "far", "{}", lines[2]);
}

#[tokio::test]
async fn a_connection_closed_while_it_lay_unused_is_nobodys_failure() {
    let closes = Arc::new(tokio::sync::Notify::new());
    // Answers one request per connection, says it keeps the connection, and closes it when told.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let notify = closes.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let notify = notify.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                loop {
                    tokio::select! {
                        read = stream.read(&mut head) => {
                            if matches!(read, Ok(0) | Err(_)) {
                                return;
                            }
                            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                        }
                        () = notify.notified() => return,
                    }
                }
            });
        }
    });
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[address.to_string()])]))
        .edge("workers = 1")
        .and("[limits]\nwarm_connections = 0")
        .start()
        .await;
    let mut client = Client::connect(edge.address()).await;
    for round in 0..20 {
        // Closed under its hands: a GET goes on whatever was written.
        assert_eq!(client.get("/").await.status, 200, "round {round}");
        closes.notify_waiters();
    }
    for round in 0..5 {
        // Closed while it lay there: nothing of a POST was written, so it goes on too.
        let idle = "nearside_pool_connections{region=\"eu\",state=\"idle\"}";
        closes.notify_waiters();
        until("the edge has seen it", async || edge.metric(idle).await == 0.0).await;
        assert_eq!(client.ask(Method::POST, "/", &[], "x").await.status, 200, "round {round}");
    }
}

#[tokio::test]
async fn a_full_region_spills_to_the_next() {
    let (near, gate) = Origin::gated("near").await;
    let far = Origin::named("far").await;
    let mut table = table_with(&[("near", &[near.host()]), ("far", &[far.host()])], "", "policy = \"order\"");
    table = table.replace(
        &format!("origins = [{:?}]", near.host()),
        &format!("origins = [{:?}]\nmax_in_flight = 2", near.host()),
    );
    table += "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let address = edge.address();
    let waiting: Vec<_> = (0..2)
        .map(|_| tokio::spawn(async move { Client::connect(address).await.get("/").await.text().to_owned() }))
        .collect();
    until("two requests are at near", async || near.requests().len() == 2).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("/").await.text(), "far");
    gate.add_permits(10);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), "near");
    }
    assert_eq!(client.get("/").await.text(), "near");
    let spilled: Vec<_> =
        edge.access_log_of(4).await.into_iter().filter(|line| line["reason"] == "SP").collect();
    assert_eq!((spilled.len(), &spilled[0]["natural_region"]), (1, &"near".into()));
    assert_eq!(edge.metric("nearside_spill_total{from=\"near\",to=\"far\"}").await, 1.0);
}

#[tokio::test]
async fn one_dead_origin_of_several_is_avoided_inside_its_region() {
    let (a, b) = (Origin::named("a").await, Origin::named("b").await);
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let table = table(&[("eu", &[a.host(), dead.to_string(), b.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..50 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(edge.admin.region_health("eu").await, "up");
    until("the dead one is known", async || {
        let (_, answer) = edge.admin.json(Method::GET, "/v1/regions/eu", "").await;
        answer["observed"]["placements"][0]["origins"][1]["health"] == "down"
    })
    .await;
    assert_eq!(a.requests().len() + b.requests().len(), 50);
}

#[tokio::test]
async fn all_down_is_a_clear_answer_and_ends_with_the_first_return() {
    let (relay, _near, _far, edge) = two_regions().await;
    edge.admin.patch("far", r#"{"state": "off", "reason": "test"}"#).await;
    relay.set_alive(false);
    until("near is down", async || edge.admin.region_health("near").await == "down").await;
    let mut client = Client::connect(edge.address()).await;
    let started = Instant::now();
    let refused = client.get("/").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(edge.health("/readyz").await.0, 200, "origins that are down do not withdraw the PoP");
    relay.set_alive(true);
    until("it is served again", async || client.get("/").await.status == 200).await;
}

#[tokio::test]
async fn an_origin_that_breaks_off_is_told_to_the_client_as_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let bytes = stream.read(&mut head).await.unwrap_or(0);
                let is_probe = String::from_utf8_lossy(&head[..bytes]).contains("nearside-probe");
                let length = if is_probe { 4 } else { 100 };
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nhalf");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[address.to_string()])])).start().await;
    let mut client = Client::connect(edge.address()).await;
    assert!(client.try_ask(Method::GET, "/", &[], "").await.is_err(), "half an answer is no answer");
    let line = &edge.access_log_of(1).await[0];
    assert_eq!(
        (&line["reason"], &line["aborted_by"], &line["status"]),
        (&"UC".into(), &"origin".into(), &200.into())
    );
}

#[tokio::test]
async fn a_silent_origin_is_given_up_in_time() {
    let origin = Origin::with(|_| std::future::pending()).await;
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .and("[limits]\nfirst_byte_timeout = \"300ms\"")
        .start()
        .await;
    let mut client = Client::connect(edge.address()).await;
    let late = client.ask(Method::POST, "/", &[], "x").await;
    assert_eq!((late.status.as_u16(), late.header("content-type")), (504, "text/plain; charset=utf-8"));
    assert!(late.text().ends_with("(UN)\n"), "{}", late.text());
}

#[tokio::test]
async fn drained_and_switched_off_regions_are_left() {
    let (near, gate) = Origin::gated("near").await;
    let far = Origin::named("far").await;
    let mut table = table_with(&[("near", &[near.host()]), ("far", &[far.host()])], "", "policy = \"order\"");
    table += "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let address = edge.address();
    let ask = move |method: Method| {
        tokio::spawn(async move {
            let answer = Client::connect(address).await.ask(method, "/", &[], "").await;
            (answer.status.as_u16(), answer.text().to_owned())
        })
    };
    let (get, post) = (ask(Method::GET), ask(Method::POST));
    until("both are at near", async || near.requests().len() == 2).await;
    edge.admin.patch("near", r#"{"state": "drain", "reason": "test"}"#).await;
    assert_eq!(Client::connect(address).await.get("/").await.text(), "far");
    assert!(!get.is_finished() && !post.is_finished(), "what runs may finish");
    edge.admin.patch("near", r#"{"state": "off", "reason": "test"}"#).await;
    assert_eq!(get.await.unwrap(), (200, "far".to_owned()), "closed there, answered elsewhere");
    assert_eq!(post.await.unwrap().0, 502, "closed there, and not safe to repeat");
    drop(gate);
}

#[tokio::test]
async fn a_request_answered_early_does_not_hold_up_the_next_on_its_connection() {
    // An origin that answers at the head and keeps reading.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut part = vec![0; 16 << 10];
                while let Ok(bytes) = stream.read(&mut part).await {
                    let heads = part[..bytes].windows(4).filter(|four| four == b"\r\n\r\n").count();
                    for _ in 0..heads {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    }
                    if bytes == 0 {
                        return;
                    }
                }
            });
        }
    });
    let table = table(&[("eu", &[address.to_string()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).edge("workers = 1").start().await;
    let mut uploader = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    uploader
        .write_all(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\nthe beginning")
        .await
        .unwrap();
    let mut answer = vec![0; 1024];
    let bytes = uploader.read(&mut answer).await.unwrap();
    assert!(answer[..bytes].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..bytes]));
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..4 {
        let answered = tokio::time::timeout(Duration::from_secs(5), client.get("/")).await;
        assert_eq!(answered.expect("nobody waits for the upload").text(), "ok");
    }
}

/// A late request is hedged to another origin of its region first. When the whole region is silent, it must not be stuck there.
#[tokio::test]
async fn a_hedge_that_is_stuck_in_the_same_region_makes_room_for_another() {
    let (one, two, far) =
        (Origin::named("near").await, Origin::named("near").await, Origin::named("far").await);
    let relays = [Relay::start(one.address, 1).await.unwrap(), Relay::start(two.address, 1).await.unwrap()];
    let near: Vec<String> = relays.iter().map(|relay| relay.address.to_string()).collect();
    let mut table = table_with(
        &[("near", &near), ("far", &[far.host()])],
        "probe = { interval = \"50ms\" }",
        "policy = \"order\"",
    );
    table += "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &table).edge("workers = 1").start().await;
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..200 {
        assert_eq!(client.get("/").await.status, 200);
    }
    for relay in &relays {
        relay.set_round_trip(3_600_000);
    }
    let started = Instant::now();
    let rescued = client.get("/").await;
    assert_eq!((rescued.status.as_u16(), rescued.text()), (200, "far"));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
