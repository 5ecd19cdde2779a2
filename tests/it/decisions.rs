//! Decisions of the past are explained as they were taken, whatever has happened since.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use nearside::relay::Relay;
use serde_json::Value;
use testkit::{Admin, Client, Edge, EdgeBuilder, Origin, Users, table, table_with, text, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::NEARSIDE;

const NAMED: &str = "[headers]\ndecision = true";
const ORDER: &str =
    "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"mid\", \"far\"]\n";

/// Says the region that it was told of, and lies about the decision.
async fn candid() -> Origin {
    Origin::with(|request| {
        let region = request.headers().get("x-nearside-region").cloned();
        async move {
            let mut answer = text(region.as_ref().map_or("", |region| region.to_str().unwrap()));
            answer.headers_mut().insert("x-nearside-decision", HeaderValue::from_static("1.2.3"));
            answer
        }
    })
    .await
}

async fn explained(admin: &Admin, id: &str) -> (u16, Value) {
    admin.json(Method::GET, &format!("/v1/explain?decision={id}"), "").await
}

/// Asks so many times; the decisions' names and the regions that answered.
async fn ask(edge: &Edge, times: usize, seen: &mut Vec<(String, String)>) {
    let mut client = Client::connect(edge.address()).await;
    for number in 0..times {
        let address = format!("81.2.{}.7", number % 200);
        let id = format!("request-{}", seen.len());
        let fields =
            [("x-forwarded-for", address.as_str()), ("x-request-id", &id), ("x-nearside-decision", "9.9.9")];
        let answer = client.ask(Method::GET, "/", &fields, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers.get_all("x-nearside-decision").iter().count(), 1);
        seen.push((answer.header("x-nearside-decision").to_owned(), answer.text().to_owned()));
    }
}

struct World {
    near: Origin,
    relay: Arc<Relay>,
    mid: [Origin; 3],
    far: Origin,
}

impl World {
    async fn new() -> Self {
        let near = candid().await;
        let relay = Relay::start(near.address, 1).await.unwrap();
        Self { relay, near, mid: [candid().await, candid().await, candid().await], far: candid().await }
    }

    fn table(&self, route: &str) -> String {
        let regions = [
            ("near", &[self.relay.address.to_string()][..]),
            ("mid", &self.mid.each_ref().map(Origin::host)[..]),
            ("far", &[self.far.host()][..]),
        ];
        table_with(&regions, "probe = { interval = \"50ms\" }", route) + ORDER
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_decision_is_explained_as_it_was_taken() {
    let world = World::new().await;
    let edge = EdgeBuilder::new(NEARSIDE, &world.table("policy = \"order\"")).and(NAMED).start().await;
    let admin = &edge.admin;
    let mut seen = Vec::new();
    until("near is up", async || admin.region_health("near").await == "up").await;
    ask(&edge, 20, &mut seen).await;
    // Failover, with requests on their way.
    let users = Users::start(4, edge.address(), Duration::from_millis(1));
    users.served(100).await;
    world.relay.set_alive(false);
    ask(&edge, 40, &mut seen).await;
    until("near is down", async || admin.region_health("near").await == "down").await;
    ask(&edge, 20, &mut seen).await;
    users.stop().await;
    // Overrides between requests.
    for weight in [0, 30, 60] {
        admin.patch("mid", &format!("{{\"weight\": {weight}, \"reason\": \"test\"}}")).await;
        ask(&edge, 10, &mut seen).await;
    }
    admin.patch("mid", r#"{"weight": 100, "state": "drain", "reason": "test"}"#).await;
    ask(&edge, 10, &mut seen).await;
    admin.patch("mid", r#"{"state": null, "weight": null, "reason": "test"}"#).await;
    // Other tables, in which ids mean other things.
    let (status, answer) = admin.publish(&world.table("steering = \"weighted\"")).await;
    assert_eq!(status, 200, "{answer}");
    ask(&edge, 30, &mut seen).await;
    let only_far = table(&[("far", &[world.far.host()])]);
    assert_eq!(admin.publish(&only_far).await.0, 200);
    ask(&edge, 10, &mut seen).await;
    world.relay.set_alive(true);
    assert_eq!(admin.publish(&world.table("policy = \"order\"")).await.0, 200);
    until("near is back", async || admin.region_health("near").await == "up").await;
    ask(&edge, 20, &mut seen).await;

    let ids: BTreeSet<&String> = seen.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), seen.len(), "no name twice");
    let regions: BTreeSet<&str> = seen.iter().map(|(_, region)| region.as_str()).collect();
    assert_eq!(regions, BTreeSet::from(["near", "mid", "far"]));
    let mut elsewhere = 0;
    for (id, region) in &seen {
        let (status, told) = explained(admin, id).await;
        assert_eq!(status, 200, "{told}");
        assert_eq!(told["choice"], region.as_str(), "{told:#}");
        assert_eq!(told["past"]["recorded"]["region"], region.as_str(), "{told:#}");
        assert_eq!(
            (&told["past"]["agrees"], &told["past"]["id"]),
            (&Value::Bool(true), &Value::from(id.as_str()))
        );
        let is_elsewhere = told["past"]["now"]["choice"] != region.as_str();
        assert_eq!(told["past"]["now"]["elsewhere"], is_elsewhere, "{told:#}");
        elsewhere += usize::from(is_elsewhere);
    }
    assert!((10..seen.len()).contains(&elsewhere), "{elsewhere} of {}", seen.len());
    attempts_are_explained(&edge, &seen).await;
    a_person_can_read_it(&edge, &world, &seen).await;
}

/// Every attempt in the log was decided, and went where its decision says: those too that failed.
async fn attempts_are_explained(edge: &Edge, seen: &[(String, String)]) {
    let lines = edge.access_log_of(seen.len()).await;
    let (mut later, mut compared) = (0, 0);
    for line in &lines {
        let attempts = line["attempts"].as_array().unwrap();
        // One that was passed over for an earlier one is not the last.
        assert!(attempts.iter().any(|attempt| attempt["decision"] == line["decision"]), "{line}");
        for attempt in attempts {
            let (status, told) = explained(&edge.admin, attempt["decision"].as_str().unwrap()).await;
            assert_eq!(status, 200, "{told}");
            let past = &told["past"];
            assert_eq!(past["agrees"], true, "{told:#}");
            assert_eq!(
                (&told["choice"], &past["recorded"]["origin"]),
                (&attempt["region"], &attempt["origin"]),
                "{told:#}\n{line:#}"
            );
            assert_eq!(past["is_first"], attempt["kind"] == "first", "{told:#}");
            assert_eq!(past["tried"].as_array().unwrap().is_empty(), attempt["kind"] == "first");
            later += usize::from(attempt["kind"] != "first");
            compared += usize::from(past["origin"]["compared"].as_array().unwrap().len() == 2);
        }
        let inputs: Vec<&str> = line["inputs"].as_str().unwrap().split('.').collect();
        let (_, told) = explained(&edge.admin, line["decision"].as_str().unwrap()).await;
        let told = ["version", "overlay", "ranking"].map(|key| told["inputs"][key].to_string());
        assert_eq!(told[..], inputs[..3], "{line}");
    }
    assert!(later > 0 && compared > 0, "{later} later attempts, {compared} compared loads");
}

async fn a_person_can_read_it(edge: &Edge, world: &World, seen: &[(String, String)]) {
    let config = edge.folder.path().join("nearside.toml");
    let admin = edge.admin.address.to_string();
    let said = |more: &[&str]| {
        let mut command = Command::new(NEARSIDE);
        command.args(["explain", "--admin", &admin, "-c"]).arg(&config).args(more);
        let output = command.env("NEARSIDE_TOKEN", &edge.admin.token).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (id, region) = &seen[0];
    let told = said(&["--decision", id]);
    for line in [
        format!("decision  {id}"),
        "table     1 by ".to_owned(),
        format!("choice    {region}"),
        format!("origin    {}, one of 1: it is the only one", world.relay.address),
        "recorded  the same".to_owned(),
        "now       the same region: near".to_owned(),
    ] {
        assert!(told.contains(&line), "{line}\n{told}");
    }
    let by_request = said(&["--request", "request-0", "-o", "json"]);
    let by_request: Value = serde_json::from_str(&by_request).unwrap();
    assert_eq!(by_request["past"]["id"], id.as_str());
    assert_eq!(by_request["past"]["of_request"], serde_json::json!([id]));
    assert!(!world.near.requests().iter().any(|request| request.headers.contains_key("x-nearside-decision")));
}

#[tokio::test]
async fn refusals_and_upgrades_name_their_decisions_and_nobody_is_told_unasked() {
    let origin = candid().await;
    let table = table(&[("eu", &[origin.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).and(NAMED).start().await;
    edge.admin.force("eu", r#"{"state": "off", "reason": "test"}"#).await;
    let mut client = Client::connect(edge.address()).await;
    let refused = client.get("/").await;
    assert_eq!(refused.status, 503);
    let (status, told) = explained(&edge.admin, refused.header("x-nearside-decision")).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["choice"], &told["past"]["agrees"]), (&Value::Null, &Value::Bool(true)));
    assert_eq!(told["past"]["recorded"]["refused"], "refused: no region is usable");
    assert_eq!(told["summary"], "refused: no region is usable: the only one is off");
    assert_eq!(edge.access_log_of(1).await[0]["decision"], refused.header("x-nearside-decision"));
    let unknown = client.ask(Method::GET, "/", &[("host", "unknown.test")], "").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.header("x-nearside-decision")),
        (421, ""),
        "nothing was decided"
    );

    let echo = Origin::with(crate::protocols::echo).await;
    let edge =
        EdgeBuilder::new(NEARSIDE, &testkit::table(&[("eu", &[echo.host()])])).and(NAMED).start().await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    let head = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let switched = testkit::read_head(&mut stream).await;
    assert!(switched.starts_with("http/1.1 101"), "{switched}");
    let id = switched.lines().find_map(|line| line.strip_prefix("x-nearside-decision: ")).unwrap();
    assert_eq!(explained(&edge.admin, id).await.1["choice"], "eu");

    let edge = crate::edge_before(&origin).await;
    let answer = Client::connect(edge.address()).await.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-nearside-decision")), (200, ""));
    assert!(edge.access_log_of(1).await[0]["decision"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_held_is_said() {
    let origin = Origin::named("eu").await;
    let text = table(&[("eu", &[origin.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &text)
        .edge("place = { latitude = 50.11, longitude = 8.68 }\nworkers = 1")
        .and(&format!("{NAMED}\n[limits]\ndecision_bytes = 1048576"))
        .start()
        .await;
    let mut client = Client::connect(edge.address()).await;
    let first = client.get("/").await.header("x-nearside-decision").to_owned();
    let says = async |query: &str, status: u16, detail: &str| {
        let (code, problem) = edge.admin.json(Method::GET, &format!("/v1/explain?{query}"), "").await;
        assert_eq!(code, status, "{query}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{query}: {problem}");
    };
    let [start, worker, _] = first.split('.').collect::<Vec<_>>()[..] else { panic!("{first}") };
    says("decision=", 400, "is not the name of a decision").await;
    says("decision=nonsense", 400, "\"nonsense\" is not the name").await;
    says(&format!("decision={first}&ip=1.2.3.4"), 400, "asked for alone").await;
    says(&format!("decision={first}&request=x"), 400, "asked for alone").await;
    says("", 400, "needs a client's address").await;
    says(&format!("decision=1.{worker}.0"), 404, "since it was started, at 20").await;
    says(&format!("decision={start}.7.0"), 404, "no decision of that name").await;
    says(&format!("decision={start}.{worker}.zzzz"), 404, "no decision of that name").await;
    says("request=nobody", 404, "no decision of a request \"nobody\"").await;
    // More tables than are kept.
    for _ in 0..64 {
        assert_eq!(edge.admin.publish(&text).await.0, 200);
    }
    says(
        &format!("decision={first}"),
        410,
        "by the table of version 1, which is no longer held; kept are 2 to 65",
    )
    .await;
    // More decisions than there is room for.
    let users = Users::start(8, edge.address(), Duration::ZERO);
    users.served(6000).await;
    users.stop().await;
    says(&format!("decision={first}"), 410, "no longer held: what its worker still has").await;
    let last = client.get("/").await.header("x-nearside-decision").to_owned();
    assert_eq!(explained(&edge.admin, &last).await.0, 200);
}
