//! SIGTERM, SIGHUP, and files that change.

use std::time::Duration;

use testkit::{Client, EdgeBuilder, Origin, table, text, until};

use crate::{NEARSIDE, edge_before};

#[tokio::test]
async fn sigterm_lets_running_requests_finish() {
    let origin = Origin::with(|_| async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        text("late")
    })
    .await;
    let mut edge = edge_before(&origin).await;
    let address = edge.address();
    let running =
        tokio::spawn(async move { Client::connect(address).await.get("/").await.text().to_owned() });
    until("the request is at the origin", async || origin.requests().len() == 1).await;
    edge.signal("TERM");
    until("it is not ready", async || edge.health("/readyz").await.0 != 200).await;
    assert_eq!(running.await.unwrap(), "late");
    assert_eq!(edge.ended().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let origin = Origin::with(|_| std::future::pending()).await;
    let mut edge = edge_before(&origin).await;
    let address = edge.address();
    tokio::spawn(
        async move { Client::connect(address).await.try_ask(http::Method::GET, "/", &[], "").await },
    );
    until("the request is at the origin", async || origin.requests().len() == 1).await;
    edge.signal("TERM");
    until("it drains", async || edge.log().contains("draining")).await;
    edge.signal("TERM");
    assert_eq!(edge.ended().await, Some(0));
}

#[tokio::test]
async fn a_saved_table_is_published_and_a_bad_one_changes_nothing() {
    let (one, two) = (Origin::named("one").await, Origin::named("two").await);
    let edge = edge_before(&one).await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.get("/").await.text(), "one");
    edge.save_table("regions = 7");
    until("the mistake is told", async || edge.log().contains("the one in force stays")).await;
    assert_eq!(client.get("/").await.text(), "one");
    assert_eq!(edge.metric("nearside_config_last_reload_successful").await, 0.0);
    edge.save_table(&table(&[("eu", &[two.host()])]));
    until("the new table is in force", async || client.get("/").await.text() == "two").await;
    assert_eq!(edge.metric("nearside_config_last_reload_successful").await, 1.0);
    assert_eq!(edge.metric("nearside_table_version").await, 2.0);
    edge.signal("HUP");
    until("it is published anew", async || edge.metric("nearside_table_version").await == 3.0).await;
}

#[tokio::test]
async fn an_edge_that_cannot_start_says_why() {
    let run = |builder: &EdgeBuilder| {
        let file = builder.write();
        let output = std::process::Command::new(NEARSIDE).args(["run", "-c"]).arg(file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&EdgeBuilder::new(NEARSIDE, "regions = []"));
    assert_eq!(code, Some(1));
    assert!(said.contains("table.toml:1:1: regions: there is no region"), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &["127.0.0.1:1".to_owned()])]))
        .listeners(&format!("[[listeners]]\naddress = \"{address}\""));
    let (code, said) = run(&builder);
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("listener {address}: Address already in use")), "{said}");
}
