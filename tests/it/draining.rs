//! Stopping while clients come: nobody who got in is turned away without an answer.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use testkit::{Client, EdgeBuilder, Origin, table, text, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::NEARSIDE;

/// What became of a client that came once and asked once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Visit {
    Served,
    /// Nobody listens any more, and the client knows at once.
    Refused,
}

/// Comes once, asks once, with `fields` in the head, and reads until the edge closes.
async fn visit(edge: SocketAddr, fields: &str) -> Result<Visit, String> {
    let mut stream = match TcpStream::connect(edge).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(Visit::Refused),
        Err(error) => return Err(format!("connecting: {error}")),
    };
    let head = format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).await.map_err(|error| format!("asking: {error}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| format!("reading: {error}"))?;
    if answer.starts_with("HTTP/1.1 200") { Ok(Visit::Served) } else { Err(format!("answered {answer:?}")) }
}

#[tokio::test]
async fn who_waits_in_the_queue_is_served_before_the_port_closes() {
    let (origin, gate) = Origin::gated("eu").await;
    // One client at a time for each worker: all others wait in the kernel's queues.
    let mut edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .and("[limits]\nconnections = 2")
        .start()
        .await;
    let address = edge.address();
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        clients.spawn(visit(address, ""));
    }
    until("two are let in", async || origin.requests().len() == 2).await;
    edge.signal("TERM");
    until("it drains", async || edge.log().contains("draining")).await;
    // Nothing happens that could be waited for: sockets closed too early would reset those who wait in this time.
    tokio::time::sleep(Duration::from_millis(500)).await;
    gate.add_permits(1000);
    while let Some(visited) = clients.join_next().await {
        assert_eq!(visited.unwrap(), Ok(Visit::Served));
    }
    assert_eq!(edge.ended().await, Some(0));
    assert_eq!(origin.requests().len(), 100);
    assert_eq!(visit(address, "").await, Ok(Visit::Refused));
}

#[tokio::test]
async fn of_a_hundred_clients_who_keep_coming_none_is_reset() {
    let origin = Origin::with(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        text("eu")
    })
    .await;
    let mut edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .and("[limits]\nreadiness_grace = \"500ms\"")
        .start()
        .await;
    let address = edge.address();
    let is_leaving = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let is_leaving = is_leaving.clone();
        clients.spawn(async move {
            let mut served_after = 0;
            loop {
                let was_leaving = is_leaving.load(SeqCst);
                match visit(address, "Connection: close\r\n").await {
                    Ok(Visit::Refused) => return Ok(served_after),
                    Ok(Visit::Served) => served_after += u32::from(was_leaving),
                    Err(problem) => return Err(problem),
                }
            }
        });
    }
    until("they are served", async || origin.requests().len() > 200).await;
    edge.signal("TERM");
    until("it is not ready", async || edge.health("/readyz").await.0 == 503).await;
    is_leaving.store(true, SeqCst);
    let mut served_after = 0;
    while let Some(client) = clients.join_next().await {
        served_after += client.unwrap().unwrap();
    }
    assert_eq!(edge.ended().await, Some(0));
    assert!(served_after > 100, "{served_after} were served after it was told to stop");
}

#[tokio::test]
async fn during_the_grace_it_serves_and_says_that_it_leaves() {
    let origin = Origin::named("eu").await;
    let mut edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .and("[limits]\nreadiness_grace = \"1s\"")
        .start()
        .await;
    let mut kept = Client::connect(edge.address()).await;
    assert_eq!(kept.get("/").await.header("connection"), "");
    let told = Instant::now();
    edge.signal("TERM");
    until("it is not ready", async || edge.health("/readyz").await.0 == 503).await;
    assert!(edge.health("/readyz?verbose").await.1.contains("[-] not_draining"));
    let answer = kept.get("/").await;
    assert_eq!((answer.text(), answer.header("connection")), ("eu", "close"));
    let answer = Client::connect(edge.address()).await.get("/").await;
    assert_eq!((answer.text(), answer.header("connection")), ("eu", "close"), "new ones are welcome still");
    assert_eq!(edge.ended().await, Some(0));
    assert!(told.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_second_signal_ends_the_grace_at_once() {
    let origin = Origin::named("eu").await;
    for signal in ["TERM", "INT"] {
        let mut edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
            .and("[limits]\nreadiness_grace = \"1h\"")
            .start()
            .await;
        edge.signal("TERM");
        until("it is not ready", async || edge.health("/readyz").await.0 == 503).await;
        edge.signal(signal);
        assert_eq!(edge.ended().await, Some(0));
    }
}

#[tokio::test]
async fn an_idle_client_does_not_hold_up_the_end() {
    let origin = Origin::named("eu").await;
    let mut edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])])).start().await;
    let mut used = Client::connect(edge.address()).await;
    used.get("/").await;
    let _unused = TcpStream::connect(edge.address()).await.unwrap();
    until("both are in", async || edge.metric("nearside_connections{side=\"client\"}").await == 2.0).await;
    let told = Instant::now();
    edge.signal("TERM");
    assert_eq!(edge.ended().await, Some(0));
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}
