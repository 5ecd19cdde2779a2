//! Changes under watch: what does harm is taken back by itself, within seconds and with the evidence as its reason.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Client, Edge, EdgeBuilder, Origin, answer, table, until};
use tokio::task::JoinSet;

use crate::NEARSIDE;
use crate::operator::first_near;

/// Clients that ask one thing after another and take whatever they are told.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Load {
    async fn on(edge: &Edge) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let (stop, answered, address) = (stop.clone(), answered.clone(), edge.address());
            tasks.spawn(async move {
                let mut client = Client::connect(address).await;
                while !stop.load(Relaxed) {
                    client.ask(Method::GET, "/", &[], "").await;
                    answered.fetch_add(1, Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        }
        let load = Self { stop, answered, tasks };
        load.is_known().await;
        load
    }

    /// Until there is something to compare with, from now on.
    async fn is_known(&self) {
        let enough = self.answered.load(Relaxed) + 200;
        until("there is something to compare with", async || self.answered.load(Relaxed) >= enough).await;
    }

    async fn stop(mut self) {
        self.stop.store(true, Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
    }
}

/// Answers its probes, and no request.
async fn broken() -> Origin {
    Origin::with(|_| async { answer(StatusCode::INTERNAL_SERVER_ERROR, "broken") }).await
}

fn before(origin: &Origin) -> String {
    table(&[("eu", &[origin.host()])])
}

async fn publish(edge: &Edge, table: &str, query: &str) -> (u16, Value) {
    edge.admin.json(Method::POST, &format!("/v1/tables?reason=a%20test{query}"), table).await
}

const WATCHED: &str = "&watch=60s&guard=error_rate=1%25";

async fn watches(edge: &Edge) -> Value {
    edge.admin.json(Method::GET, "/v1/watches", "").await.1
}

/// The trial that is over, once it is.
async fn over(edge: &Edge, number: u64) -> Value {
    let mut last = Value::Null;
    until("the watch is over", async || {
        last = watches(edge).await["ended"][0].clone();
        last["number"] == number
    })
    .await;
    last
}

async fn audited_by_guard(edge: &Edge) -> Vec<Value> {
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit", "").await;
    let changes = audit["changes"].as_array().unwrap().iter();
    changes.filter(|change| change["author"] == "guard").cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_fails_requests_is_rolled_back_within_seconds() {
    let (good, bad) = (Origin::named("good").await, broken().await);
    let edge = EdgeBuilder::new(NEARSIDE, &before(&good)).start().await;
    let load = Load::on(&edge).await;
    let (status, published) = publish(&edge, &before(&bad), WATCHED).await;
    assert_eq!((status, &published["version"]), (200, &2.into()), "{published}");
    assert_eq!(published["watch"]["state"], "running");
    assert_eq!(published["watch"]["of"], json!({"kind": "table", "version": 2, "before": 1}));
    let trial = over(&edge, 1).await;
    assert_eq!(trial["state"], "rolled_back", "{trial}");
    assert!(trial["evidence"][0]["seconds"].as_f64().unwrap() < 15.0, "{trial}");
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    let current = &tables["versions"][0];
    assert_eq!((&tables["current"], &current["author"]), (&3.into(), &"guard".into()), "{tables}");
    let reason = current["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("error_rate ") && reason.ends_with("bound 1%; most of them at eu"),
        "{reason}"
    );
    let audited = audited_by_guard(&edge).await;
    let told: Vec<_> =
        audited.iter().map(|change| (change["change"].clone(), change["role"].clone())).collect();
    assert_eq!(told, [("table".into(), "guard".into()), ("watch".into(), "guard".into())]);
    assert_eq!(audited[0]["reason"], reason);
    assert!(edge.log().contains("a guard was tripped"));
    assert!((edge.metric("nearside_watch_ended_total{state=\"rolled_back\"}").await - 1.0).abs() < 1e-9);
    load.stop().await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.ask(Method::GET, "/", &[], "").await.text(), "good");
    // The rollback outlives a kill; the watch does not.
    let edge = edge.killed_and_started_again().await;
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!(
        (&tables["current"], watches(&edge).await),
        (&3.into(), json!({"running": null, "ended": []}))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_serves_passes_and_what_others_publish_is_theirs() {
    let (good, other, bad) = (Origin::named("good").await, Origin::named("other").await, broken().await);
    let edge = EdgeBuilder::new(NEARSIDE, &before(&good)).start().await;
    let load = Load::on(&edge).await;
    let (status, published) = publish(&edge, &before(&other), "&watch=5s").await;
    assert_eq!(
        (status, &published["watch"]["guards"]),
        (200, &json!(["error_rate=1%", "no_route=1%"])),
        "{published}"
    );
    let trial = over(&edge, 1).await;
    assert_eq!((&trial["state"], &trial["evidence"][0]["bad"]), (&"passed".into(), &0.into()), "{trial}");
    // Somebody else is faster than the guard.
    assert_eq!(publish(&edge, &before(&bad), WATCHED).await.0, 200);
    assert_eq!(publish(&edge, &before(&good), "").await.0, 200);
    let trial = over(&edge, 2).await;
    assert_eq!(trial["state"], "superseded", "{trial}");
    assert_eq!(trial["note"], "local has published version 4: a test");
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!(tables["current"], 4);
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_or_an_override_that_fails_requests_is_taken_back() {
    let (near, far) = (Origin::named("near").await, broken().await);
    let edge = EdgeBuilder::new(NEARSIDE, &first_near(&near, &far)).start().await;
    let load = Load::on(&edge).await;
    let drill = |guard: &str| {
        json!({"region": "near", "percent": 100, "for": "1h", "reason": "is far there?", "guard": guard})
            .to_string()
    };
    let (status, problem) = edge.admin.json(Method::POST, "/v1/drill", &drill("errors=1")).await;
    assert_eq!((status, &problem["field"]), (400, &"guard".into()), "{problem}");
    let (status, begun) = edge.admin.json(Method::POST, "/v1/drill", &drill("error_rate=+1%")).await;
    assert_eq!((status, &begun["watch"]["of"]["kind"]), (200, &"drill".into()), "{begun}");
    let trial = over(&edge, 1).await;
    assert_eq!(trial["state"], "rolled_back", "{trial}");
    let (_, drill) = edge.admin.json(Method::GET, "/v1/drill", "").await;
    assert_eq!(drill["drill"], Value::Null);
    let audited = audited_by_guard(&edge).await;
    assert_eq!(audited[0]["change"], "drill-end");
    assert!(audited[0]["reason"].as_str().unwrap().starts_with("error_rate "), "{}", audited[0]);
    // What came before the drill's end is forgotten.
    load.is_known().await;
    let weighed = edge.admin.patch("near", r#"{"weight": 90, "reason": "before"}"#).await;
    assert_eq!(weighed["overridden"]["weight"]["reason"], "before");
    let path = format!("/v1/regions/near?{}", &WATCHED[1..]);
    let (status, answer) = edge.admin.json(Method::PATCH, &path, r#"{"weight": 0, "reason": "after"}"#).await;
    assert_eq!((status, &answer["watch"]["of"]["target"]), (200, &json!({"region": "near"})), "{answer}");
    assert_eq!(over(&edge, 2).await["state"], "rolled_back");
    let (_, region) = edge.admin.json(Method::GET, "/v1/regions/near", "").await;
    let weight = &region["overridden"]["weight"];
    assert_eq!((&weight["value"], &weight["reason"]), (&90.into(), &"before".into()), "{region}");
    load.stop().await;
}

#[tokio::test]
async fn watches_are_one_at_a_time_and_can_be_ended() {
    let origin = Origin::named("eu").await;
    let edge = EdgeBuilder::new(NEARSIDE, &before(&origin)).start().await;
    for (query, field) in [
        ("&guard=error_rate=1%25", "watch"),
        ("&watch=1s", "watch"),
        ("&watch=2h", "watch"),
        ("&watch=soon", "watch"),
        ("&watch=60s&guard=error_rate=1", "guard"),
        ("&watch=60s&guard=error_rate=200%25", "guard"),
    ] {
        let (status, problem) = publish(&edge, &before(&origin), query).await;
        assert_eq!((status, &problem["field"]), (400, &field.into()), "{query}: {problem}");
    }
    let (status, told) = publish(&edge, &before(&origin), &format!("{WATCHED}&dry_run=1")).await;
    assert_eq!((status, &told["dry_run"]), (200, &true.into()), "{told}");
    assert_eq!(watches(&edge).await, json!({"running": null, "ended": []}));
    assert_eq!(publish(&edge, &before(&origin), WATCHED).await.0, 200);
    let (status, problem) = publish(&edge, &before(&origin), WATCHED).await;
    assert_eq!((status, &problem["type"]), (409, &"urn:nearside:problem:watched".into()), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("watch 1, of table version 2"), "{problem}");
    assert!((edge.metric("nearside_watch_running").await - 1.0).abs() < 1e-9);
    let end = async |path: &str| edge.admin.json(Method::DELETE, path, "").await;
    assert_eq!(end("/v1/watches/1").await.1["field"], "reason");
    assert_eq!(end("/v1/watches/9?reason=x").await.0, 404);
    // There is nothing to preview; who thinks so must not end it.
    assert_eq!(end("/v1/watches/1?reason=x&dry_run=1").await.0, 400);
    for (field, value) in [("If-Match", "\"1\""), ("Idempotency-Key", "k")] {
        let path = "/v1/watches/1?reason=x";
        let (status, problem) = edge.admin.send(Method::DELETE, path, &[(field, value)], "").await;
        assert_eq!((status, &problem["field"]), (400, &field.into()), "{problem}");
    }
    assert_eq!(watches(&edge).await["running"]["state"], "running");
    let (status, ended) = end("/v1/watches/1?reason=enough").await;
    assert_eq!((status, &ended["state"]), (200, &"ended".into()), "{ended}");
    assert_eq!(ended["note"], "local has ended the watch: enough");
    let (status, problem) = end("/v1/watches/1?reason=enough").await;
    assert_eq!((status, &problem["type"]), (409, &"urn:nearside:problem:watch-over".into()));
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!(tables["current"], 2, "the change stays");
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit?last=1", "").await;
    assert_eq!(
        (&audit["changes"][0]["reason"], &audit["changes"][0]["watch"]["state"]),
        (&"enough".into(), &"ended".into()),
        "{audit}"
    );
}

/// `nearside tables publish` of a table under watch.
fn publishing(edge: &Edge, table: &str, watch: &str) -> Command {
    let file = edge.folder.path().join("next.toml");
    std::fs::write(&file, table).unwrap();
    let mut command = Command::new(NEARSIDE);
    command.args(["tables", "publish"]).arg(file).args(["--reason", "a test", "--yes", "--watch", watch]);
    command.args(["--guard", "error_rate=1%"]);
    command.arg("--admin").arg(edge.admin.address.to_string()).env("NEARSIDE_TOKEN", &edge.admin.token);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_waits_for_the_end_and_says_how_it_was() {
    let (good, bad) = (Origin::named("good").await, broken().await);
    let edge = EdgeBuilder::new(NEARSIDE, &before(&good)).start().await;
    let load = Load::on(&edge).await;
    let passed = output(publishing(&edge, &before(&good), "5s")).await;
    let text = String::from_utf8(passed.stdout).unwrap();
    assert_eq!(passed.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&passed.stderr));
    assert!(text.contains("watching it for 5s: error_rate=1%\n"), "{text}");
    assert!(text.ends_with("passed: no guard was tripped\n"), "{text}");
    let refused = output(publishing(&edge, &before(&bad), "60s")).await;
    let text = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&refused.stderr));
    assert!(text.contains("\nerror_rate ") && text.contains("bound 1%"), "{text}");
    assert!(text.ends_with("rolled_back: version 4 is what version 2 was\n"), "{text}");
    let mut for_programs = publishing(&edge, &before(&bad), "60s");
    let refused = output({
        for_programs.args(["-o", "json"]);
        for_programs
    })
    .await;
    let text = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&refused.stderr));
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "rolled_back", "{text}");
    let mut child = publishing(&edge, &before(&good), "60s").spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_waiting = move || said.any(|line| line.unwrap().starts_with("watching it for"));
    assert!(tokio::task::spawn_blocking(is_waiting).await.unwrap());
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let left = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let told = String::from_utf8(left.stderr).unwrap();
    assert_eq!(
        (left.status.code(), told.contains("watch 4 goes on without you")),
        (Some(130), true),
        "{told}"
    );
    assert_eq!(watches(&edge).await["running"]["number"], 4);
    load.stop().await;
}
