//! What moves traffic is told before it is done, and done only if somebody means it, and only once.

use std::net::SocketAddr;

use http::Method;
use serde_json::Value;
use testkit::{Edge, Terminal, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::operator::{Operator, near_and_far};

const HALVE: [&str; 5] = ["weight", "near", "25", "--reason", "test"];

async fn weight_of_near(edge: &Edge) -> u64 {
    let (_, region) = edge.admin.json(Method::GET, "/v1/regions/near", "").await;
    region["effective"]["weight"].as_u64().unwrap()
}

/// A terminal at which that is asked.
async fn asked(operator: &Operator, args: &[&str]) -> Terminal {
    let mut terminal = Terminal::of(80, 24);
    terminal.run(operator.command(args));
    terminal.until_shown("Go on? [y/N]").await;
    terminal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_can_be_asked_nothing_is_done() {
    let (_origins, edge, operator) = near_and_far().await;
    for args in [
        &HALVE[..],
        &["state", "near", "standby", "--reason", "x"],
        &["drain", "near", "--over", "5m", "--reason", "x"],
        &["health", "near", "down", "--reason", "x"],
        &["drill", "begin", "near", "--percent", "10", "--for", "1m", "--reason", "x"],
        &["tables", "rollback", "1", "--reason", "x"],
    ] {
        let ended = operator.run(args);
        assert_eq!((ended.code, ended.said.as_str()), (Some(3), ""), "{args:?}: {}", ended.complained);
        let told = ["Shares at the end of every ramp", "there is no terminal to ask at", "--yes"];
        assert!(told.iter().all(|told| ended.complained.contains(told)), "{args:?}: {}", ended.complained);
    }
    let (_, listed) = edge.admin.json(Method::GET, "/v1/overrides", "").await;
    assert_eq!(listed["overrides"], Value::Array(Vec::new()));
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!(tables["current"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_does_it_and_anything_else_does_not() {
    let (_origins, edge, operator) = near_and_far().await;
    for answer in ["n\n", "\n", "\u{4}"] {
        let mut terminal = asked(&operator, &HALVE).await;
        terminal.type_in(answer);
        let (code, shown) = terminal.ended().await;
        assert_eq!(code, Some(3), "{answer:?}: {shown}");
        assert!(shown.contains("nothing was changed"), "{shown}");
    }
    assert_eq!(weight_of_near(&edge).await, 100);
    let mut terminal = asked(&operator, &HALVE).await;
    let shown = terminal.shown();
    let near = shown.lines().find(|line| line.trim_start().starts_with("near")).unwrap().to_owned();
    let told: Vec<&str> = near.split_whitespace().collect();
    assert!(told[1] == "100.0" && told.last().unwrap().starts_with('-'), "{shown}");
    terminal.type_in("y\n");
    let (code, shown) = terminal.ended().await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("near: weight 25, state active"), "{shown}");
    assert_eq!(weight_of_near(&edge).await, 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_before_the_question_is_no_answer() {
    let (_origins, edge, operator) = near_and_far().await;
    let mut terminal = Terminal::of(80, 24);
    terminal.type_in("y\n");
    terminal.run(operator.command(&HALVE));
    terminal.until_shown("Go on? [y/N]").await;
    terminal.type_in("n\n");
    let (code, shown) = terminal.ended().await;
    assert_eq!((code, weight_of_near(&edge).await), (Some(3), 100), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_comes_between_question_and_answer_stops_it() {
    let (_origins, edge, operator) = near_and_far().await;
    let mut terminal = asked(&operator, &HALVE).await;
    let table = std::fs::read_to_string(edge.folder.path().join("table.toml")).unwrap();
    let (status, published) = edge.admin.publish(&format!("{table}# another\n")).await;
    assert_eq!(status, 200, "{published}");
    terminal.type_in("y\n");
    let (code, shown) = terminal.ended().await;
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("somebody else has changed something meanwhile"), "{shown}");
    assert_eq!(weight_of_near(&edge).await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guard_refuses_is_not_asked_for() {
    let (_origins, edge, operator) = near_and_far().await;
    operator.change(&["state", "far", "off"]);
    let mut terminal = Terminal::of(80, 24);
    terminal.run(operator.command(&["state", "near", "off", "--reason", "x"]));
    let (code, shown) = terminal.ended().await;
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("--force 1") && !shown.contains("Go on?"), "{shown}");
    // Whoever says the version is asked all the same, and told what he overrules.
    let mut terminal = asked(&operator, &["state", "near", "off", "--reason", "x", "--force", "1"]).await;
    assert!(terminal.shown().contains("A guard is overruled"), "{}", terminal.shown());
    terminal.type_in("yes\n");
    assert_eq!(terminal.ended().await.0, Some(0));
    let (_, region) = edge.admin.json(Method::GET, "/v1/regions/near", "").await;
    assert_eq!(region["effective"]["state"], "off");
}

/// A way to an edge on which the answers to the first `lost` calls get lost.
async fn losing(edge: SocketAddr, lost: usize) -> (SocketAddr, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut calls = 0;
        while let Ok((mut near, _)) = listener.accept().await {
            calls += 1;
            let mut far = TcpStream::connect(edge).await.unwrap();
            // A call is smaller than what is read at once, and so is its answer.
            let mut bytes = vec![0; 64 << 10];
            let count = near.read(&mut bytes).await.unwrap();
            far.write_all(&bytes[..count]).await.unwrap();
            let count = far.read(&mut bytes).await.unwrap();
            if calls > lost {
                near.write_all(&bytes[..count]).await.unwrap();
                return calls;
            }
        }
        calls
    });
    (address, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_costs_no_second_change() {
    let (_origins, edge, operator) = near_and_far().await;
    let (address, calls) = losing(edge.admin.address, 1).await;
    let operator = operator.through(&address.to_string());
    let said = operator.well(&["weight", "near", "25", "--reason", "only once", "--yes"]);
    assert!(said.starts_with("near: weight 25"), "{said}");
    assert_eq!(calls.await.unwrap(), 2);
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit", "").await;
    let changes = audit["changes"].as_array().unwrap();
    assert_eq!(changes.iter().filter(|change| change["reason"] == "only once").count(), 1, "{audit}");
    // A question has no name, and is not asked twice.
    let (address, calls) = losing(edge.admin.address, 1).await;
    let ended = operator.through(&address.to_string()).run(&["overrides"]);
    assert_eq!((ended.code, ended.complained.contains("broke off")), (Some(1), true), "{}", ended.complained);
    calls.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_have_changed_something_is_told_so() {
    let (_origins, edge, operator) = near_and_far().await;
    let (address, calls) = losing(edge.admin.address, 9).await;
    let ended = operator.through(&address.to_string()).run(&[&HALVE[..], &["--yes"]].concat());
    let told = ended.complained.contains("whether it was made is not known");
    assert_eq!((ended.code, told), (Some(1), true), "{}", ended.complained);
    until("it was", async || weight_of_near(&edge).await == 25).await;
    calls.abort();
}
