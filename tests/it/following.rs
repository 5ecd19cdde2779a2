//! `nearside events`: what happens is told while it happens, over connections that break as well.

use std::process::Command;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::NEARSIDE;
use crate::access::{add, token};
use crate::operator::{Follower, Operator, near_and_far};

/// From another start of any edge: whoever listens after it is told at once that something was missed.
const LONG_AGO: &str = "1.7";

// Waiting for the commands takes a thread; the origins need another, or they would be silent to the probes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_a_line_each_until_somebody_has_heard_enough() {
    let (_origins, _edge, operator) = near_and_far().await;
    let mut follower = operator.follow(&["events", "--after", LONG_AGO]);
    assert_eq!(
        follower.next(),
        "missed  the edge was started anew, and what came before is not held any more"
    );
    operator.change(&["weight", "near", "50"]);
    let line = follower.next_with("near now: weight 50");
    assert!(line.ends_with("Z  change  near now: weight 50, by local: test"), "{line}");
    operator.change(&["drill", "begin", "near", "--percent", "10", "--for", "300ms"]);
    let line = follower.next_with("the drill of near is over");
    assert!(line.ends_with("Z  ended  the drill of near is over"), "{line}");
    follower.interrupt();
    assert_eq!(follower.ended().await, Some(130));

    let said = operator.well(&["events", "--after", LONG_AGO, "--count", "1", "--for", "30s", "-o", "json"]);
    let told: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&Value> = told.iter().map(|event| &event["event"]).collect();
    // What is told of the stream itself has no id, and is not counted.
    assert_eq!((names.len(), names[0], &told[0]["id"]), (2, &"missed".into(), &Value::Null), "{said}");
    assert!(told[1]["id"].as_str().unwrap().ends_with(".1") && told[1]["data"]["time"].is_string(), "{said}");
    let (misread, none) =
        (operator.run(&["events", "--after", "soon"]), operator.run(&["events", "--count", "0"]));
    assert_eq!((misread.code, none.code), (Some(2), Some(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_listen_any_more_is_told_so() {
    let (_origins, edge, operator) = near_and_far().await;
    operator.change(&["weight", "near", "50"]);
    let ann = add(edge.folder.path(), &["ann", "--role", "viewer"]);
    let mut command = Command::new(NEARSIDE);
    command.args(["events", "--after", LONG_AGO, "--admin", &edge.admin.address.to_string()]);
    command.env("NEARSIDE_TOKEN", ann);
    let mut follower = Follower::of(command);
    follower.next_with("weight 50");
    assert_eq!(token(edge.folder.path(), &["remove", "ann"]).0, Some(0));
    assert_eq!(follower.next_with("end  "), "end  whoever listens here may not any more");
    assert_eq!(follower.ended().await, Some(1));
}

/// An edge that tells each who listens something, one after the other, and then breaks off; what they asked with.
async fn breaking_off(told: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for text in told {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A question is smaller than what is read at once.
            let mut bytes = vec![0; 16 << 10];
            let count = stream.read(&mut bytes).await.unwrap();
            asked.push(String::from_utf8_lossy(&bytes[..count]).into_owned());
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            // Somebody who has heard enough is gone.
            let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
        }
        asked
    });
    (address, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_is_made_again_and_nothing_is_told_twice() {
    let (_origins, edge, _) = near_and_far().await;
    let first = "id: 1a.1\nevent: uplink\ndata: {\"suspected\":true}\n\n".to_owned();
    let half = ": still here\n\nid: 1a.2\nevent: upl".to_owned();
    let second = "id: 1a.2\nevent: uplink\ndata: {\"suspected\":false}\n\n".to_owned();
    let (address, asked) = breaking_off(vec![first, half, second]).await;
    let ended = Operator::of(&edge).through(&address).run(&["events", "--count", "2", "--for", "30s"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.said, ended.complained);
    let told: Vec<&str> = ended.said.lines().collect();
    assert_eq!(
        told,
        [
            "uplink  nothing at all answers: this PoP's own way out is suspected",
            "uplink  this PoP's own way out is not suspected any more"
        ]
    );
    assert_eq!(ended.complained.matches("listening again").count(), 1, "{}", ended.complained);
    let asked = asked.await.unwrap();
    let last: Vec<bool> = asked.iter().map(|asked| asked.contains("last-event-id: 1a.1\r\n")).collect();
    assert_eq!(last, [false, true, true], "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_is_shown_and_has_an_end() {
    let (_origins, edge, _) = near_and_far().await;
    let cause = "\\u001b]0;owned\\u0007\\u009b2J\\nfar\u{202e}";
    let event = format!(
        "id: 1a.1\nevent: health\ndata: {{\"pool\":\"app\",\"region\":\"near\",\"from\":\"up\",\"to\":\"down\",\"cause\":\"{cause}\"}}\n\n"
    );
    for output in ["table", "json"] {
        let (address, _asked) = breaking_off(vec![event.clone()]).await;
        let operator = Operator::of(&edge).through(&address);
        let ended = operator.run(&["events", "--count", "1", "-o", output]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.said, ended.complained);
        let is_obeyed = |it: char| (it.is_control() && it != '\n') || it == '\u{202e}';
        assert!(!ended.said.contains(is_obeyed) && ended.said.contains("owned"), "{:?}", ended.said);
        assert_eq!(ended.said.lines().count(), 1, "{:?}", ended.said);
    }
    let huge = format!("data: {}\n", "x".repeat(2 << 20));
    let (address, _asked) = breaking_off(vec![huge]).await;
    let ended = Operator::of(&edge).through(&address).run(&["events", "--for", "30s"]);
    assert_eq!((ended.code, ended.complained.contains("more than")), (Some(1), true), "{}", ended.complained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_too_late_is_a_failure_where_somebody_counts() {
    let (_origins, edge, _) = near_and_far().await;
    for (count, code) in [(&["--count", "1"][..], 1), (&[], 0)] {
        let (address, _asked) = breaking_off(vec![String::new()]).await;
        let operator = Operator::of(&edge).through(&address);
        let ended = operator.run(&[&["events", "--for", "1ms"][..], count].concat());
        assert_eq!((ended.code, ended.said.as_str()), (Some(code), ""), "{}", ended.complained);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_could_not_be_interrupted_while_nobody_read_them() {
    let (_origins, edge, _) = near_and_far().await;
    // Several times what a pipe takes.
    let long = format!("id: 1a.1\nevent: uplink\ndata: \"{}\"\n\n", "x".repeat(512 << 10));
    let (address, _asked) = breaking_off(vec![long]).await;
    let operator = Operator::of(&edge).through(&address);
    let follower = Follower::standing_still(operator.command(&["events", "-o", "json"]));
    follower.interrupt();
    assert_eq!(follower.ended().await, Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_was_followed_for_ever_when_its_token_had_ended() {
    let (_origins, edge, _) = near_and_far().await;
    let ann = add(edge.folder.path(), &["ann", "--role", "viewer"]);
    let mut command = Command::new(NEARSIDE);
    command.args(["audit", "--follow", "--admin", &edge.admin.address.to_string()]);
    command.env("NEARSIDE_TOKEN", ann);
    let mut follower = Follower::of(command);
    follower.next_with("table 1");
    assert_eq!(token(edge.folder.path(), &["remove", "ann"]).0, Some(0));
    assert_eq!(follower.ended().await, Some(1));
}
