//! What the access log leaves out on purpose, and how its file is changed under load.

use std::fs;

use http::{Method, StatusCode};
use serde_json::Value;
use testkit::{Client, EdgeBuilder, Origin, Users, answer, table, until};

use crate::NEARSIDE;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
}

#[tokio::test]
async fn a_sample_is_a_share_of_the_ordinary_and_all_that_went_wrong() {
    let origin = Origin::with(|request| async move {
        let status = if request.uri().path() == "/broken" { 500 } else { 404 };
        answer(StatusCode::from_u16(status).unwrap(), "")
    })
    .await;
    let table = table(&[("eu", &[origin.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).access_log("sample = 0.1").start().await;
    let mut client = Client::connect(edge.address()).await;
    for number in 0..1000 {
        let id = format!("request-{number}");
        client.ask(Method::GET, "/ordinary", &[("x-request-id", &id)], "").await;
    }
    client.get("/broken").await;
    client.ask(Method::GET, "/", &[("host", "unknown.test")], "").await;
    // Lines of one connection come in order, so this one is the last.
    until("the last line is there", async || {
        edge.access_log().iter().any(|line| line["host"] == "unknown.test")
    })
    .await;
    let lines = edge.access_log();
    assert_eq!(lines.iter().filter(|line| line["path"] == "/broken").count(), 1);
    let ordinary: Vec<&str> =
        lines.iter().filter_map(|line| line["id"].as_str()?.strip_prefix("request-")).collect();
    assert!((60..140).contains(&ordinary.len()), "{}", ordinary.len());

    // Which ones is the id's doing, so another edge keeps the same.
    let edge = EdgeBuilder::new(NEARSIDE, &table).access_log("sample = 0.1").start().await;
    let mut client = Client::connect(edge.address()).await;
    for number in ordinary.iter().take(20) {
        let id = format!("request-{number}");
        client.ask(Method::GET, "/ordinary", &[("x-request-id", &id)], "").await;
    }
    edge.access_log_of(ordinary.len().min(20)).await;
}

#[tokio::test]
async fn masked_addresses_say_the_network_alone() {
    let origin = Origin::named("eu").await;
    let table = table(&[("eu", &[origin.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).access_log("mask_client_ip = true").start().await;
    let mut client = Client::connect(edge.address()).await;
    for address in ["81.2.69.142", "2001:db8:1:2::3"] {
        client.ask(Method::GET, "/", &[("x-forwarded-for", address)], "").await;
    }
    let lines = edge.access_log_of(2).await;
    let shown: Vec<&str> = lines.iter().map(|line| line["client_ip"].as_str().unwrap()).collect();
    assert_eq!(shown, ["81.2.69.0", "2001:db8:1::"]);
    assert_eq!(lines[0]["country"], "GB", "he is located by his whole address");
    for line in lines {
        assert_eq!(line["inputs"].as_str().unwrap().split('.').count(), 3, "no key to find him by: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigusr1_opens_the_file_anew_and_loses_no_line() {
    let origin = Origin::named("eu").await;
    let mut edge = crate::edge_before(&origin).await;
    let users = Users::start(4, edge.address(), std::time::Duration::ZERO);
    edge.access_log_of(100).await;
    let renamed = edge.rename_access_log();
    edge.signal("USR1");
    until("the file is opened anew", async || edge.log().contains("opened anew")).await;
    edge.access_log_of(100).await;
    let served = users.stop().await;
    edge.signal("TERM");
    assert_eq!(edge.ended().await, Some(0));
    let old = lines(&fs::read_to_string(renamed).unwrap());
    let new = lines(&fs::read_to_string(edge.folder.path().join("access.log")).unwrap());
    assert!(old.len() >= 100 && new.len() >= 100, "{} and {}", old.len(), new.len());
    assert_eq!(old.len() + new.len(), usize::try_from(served).unwrap());
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_anew_leaves_the_old_one() {
    let origin = Origin::named("eu").await;
    let edge = crate::edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    client.get("/before").await;
    edge.access_log_of(1).await;
    let renamed = edge.rename_access_log();
    fs::create_dir(edge.folder.path().join("access.log")).unwrap();
    edge.signal("USR1");
    until("it is told", async || edge.log().contains("the old file goes on")).await;
    client.get("/after").await;
    until("the line is in the old file", async || fs::read_to_string(&renamed).unwrap().contains("/after"))
        .await;
}
