//! Under systemd: what it is told, and the sockets that it opens.

use std::net::TcpListener;

use testkit::{Client, EdgeBuilder, Origin, table, until};
use tokio::net::UnixDatagram;

use crate::NEARSIDE;

async fn next(socket: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let bytes = tokio::time::timeout(testkit::PATIENCE, socket.recv(&mut message)).await.unwrap().unwrap();
    String::from_utf8(message[..bytes].to_vec()).unwrap()
}

#[tokio::test]
async fn systemd_is_told_what_happens() {
    let origin = Origin::named("eu").await;
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .variable("NOTIFY_SOCKET", path.to_str().unwrap())
        .start()
        .await;
    assert_eq!(next(&socket).await, "READY=1\nSTATUS=serving 1 listeners with table 1\n");
    edge.signal("HUP");
    let reloading = next(&socket).await;
    let at = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|at| at.trim().parse().ok());
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let at: f64 = at.expect(&reloading);
    assert!((at / 1e6 - uptime).abs() < 60.0, "{at} microseconds, {uptime} seconds");
    assert_eq!(next(&socket).await, "READY=1\nSTATUS=serving 1 listeners with table 2\n");
    edge.signal("TERM");
    assert_eq!(next(&socket).await, "STOPPING=1\nSTATUS=draining\n");
    assert_eq!(edge.ended().await, Some(0));
}

#[tokio::test]
async fn the_watchdog_hears_of_workers_that_live() {
    let origin = Origin::named("eu").await;
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .variable("NOTIFY_SOCKET", path.to_str().unwrap())
        .variable("WATCHDOG_USEC", "2000000")
        .start()
        .await;
    for _ in 0..4 {
        until("it says that it is alive", async || next(&socket).await == "WATCHDOG=1\n").await;
    }
    assert!(!edge.log().contains("stands still"), "{}", edge.log());
    edge.signal("TERM");
    until("it says that it stops", async || next(&socket).await.contains("STOPPING=1")).await;
    assert_eq!(edge.ended().await, Some(0));
}

#[tokio::test]
async fn sockets_are_taken_over_and_their_queue_outlives_the_process() {
    let origin = Origin::named("eu").await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let start = || {
        EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
            .edge("workers = 3")
            .listeners(&format!(
                "[[listeners]]\naddress = \"{address}\"\n[[listeners]]\naddress = \"127.0.0.1:0\""
            ))
            .inheriting(listener.try_clone().unwrap())
            .start()
    };
    // A client who comes before anybody is there waits.
    let early = tokio::spawn(async move { Client::connect(address).await.get("/").await.text().to_owned() });
    let mut edge = start().await;
    assert_eq!(early.await.unwrap(), "eu");
    assert_eq!(edge.listeners[0], address);
    assert_ne!(edge.listeners[1], address);
    for listener in edge.listeners.clone() {
        for _ in 0..20 {
            assert_eq!(Client::connect(listener).await.get("/").await.text(), "eu");
        }
    }
    edge.signal("TERM");
    assert_eq!(edge.ended().await, Some(0));
    let between =
        tokio::spawn(async move { Client::connect(address).await.get("/").await.text().to_owned() });
    let _next = start().await;
    assert_eq!(between.await.unwrap(), "eu");
}

#[tokio::test]
async fn a_socket_that_no_listener_is_for_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let builder =
        EdgeBuilder::new(NEARSIDE, &table(&[("eu", &["127.0.0.1:1".to_owned()])])).inheriting(listener);
    let output = builder.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("a socket for {address} was passed to this process")), "{said}");
}
