//! gRPC by grpcio on both sides, in both ways of speaking to the origin.

use serde_json::{Value, json};
use testkit::{Authority, table_with};

use super::{Front, Peer, python, script};

/// The origin, and the keys of its pool.
async fn origin(over_tls: bool, folder: &std::path::Path) -> Option<(Peer, String, String)> {
    let python = python("gRPC by grpcio", "grpc")?;
    if !over_tls {
        let mut origin = Peer::start(script(&python, "grpc_origin.py", &[]));
        let host = format!("127.0.0.1:{}", origin.hears("port").await);
        return Some((origin, host, "protocol = \"http2\"\nprobe = { kind = \"tcp\" }".to_owned()));
    }
    let authority = Authority::new();
    let ca = authority.file(folder);
    let (certificate, key) = authority.issue(&["origin.test"]).files(folder);
    let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let mut origin = Peer::start(script(&python, "grpc_origin.py", &files));
    let host = format!("127.0.0.1:{}", origin.hears("port").await);
    let tls = format!("tls = {{ server_name = \"origin.test\", ca_file = {ca:?} }}");
    Some((origin, host, format!("{tls}\nprobe = {{ kind = \"tcp\" }}")))
}

/// What came of calls through the edge.
async fn call(front: &Front, cases: &[&str]) -> Value {
    let python = python("gRPC by grpcio", "grpc").unwrap();
    let (port, ca) = (front.tls().to_string(), front.ca.to_str().unwrap().to_owned());
    let args: Vec<&str> = [port.as_str(), ca.as_str()].into_iter().chain(cases.iter().copied()).collect();
    let ended = Peer::start(script(&python, "grpc_client.py", &args)).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.complaints);
    serde_json::from_str(&ended.out).unwrap()
}

async fn calls_pass(over_tls: bool) {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((_origin, host, pool)) = origin(over_tls, folder.path()).await else { return };
    let front = Front::start(&table_with(&[("eu", &[host])], &pool, "")).await;
    let came = call(&front, &["unary", "large", "repeat", "join", "chat", "many"]).await;
    let unary = &came["unary"];
    assert_eq!((&unary["answer"], &unary["code"]), (&json!("hello"), &json!("OK")));
    assert_eq!(unary["initial"]["x-initial"], "me", "{unary}");
    assert_eq!(
        (&unary["trailing"]["x-length"], &unary["trailing"]["x-raw-bin"]),
        (&json!("5"), &json!("00ff"))
    );
    assert_eq!(came["large"], json!({ "bytes": 4 << 20, "same": true }));
    assert_eq!((&came["repeat"]["first"], &came["repeat"]["count"]), (&json!("message 0"), &json!(300)));
    assert_eq!(came["repeat"]["trailing"]["x-sent"], "300");
    assert_eq!(came["join"], json!({ "words": 200, "last": "word199" }));
    assert_eq!(
        came["chat"],
        json!({ "heard": ["you said one", "you said two", "you said three"], "rest": 0, "code": "OK" })
    );
    assert_eq!(came["many"]["well"], 60);
}

#[tokio::test]
async fn calls_of_every_kind_pass_to_a_plain_origin() {
    calls_pass(false).await;
}

#[tokio::test]
async fn calls_of_every_kind_pass_to_an_origin_behind_tls() {
    calls_pass(true).await;
}

#[tokio::test]
async fn what_an_origin_refuses_is_passed_on() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((_origin, host, pool)) = origin(false, folder.path()).await else { return };
    let front = Front::start(&table_with(&[("eu", &[host])], &pool, "")).await;
    let came = call(&front, &["fail", "missing", "unary"]).await;
    for code in ["NOT_FOUND", "RESOURCE_EXHAUSTED", "DATA_LOSS"] {
        let failed = &came["fail"][code];
        assert_eq!((&failed["code"], &failed["details"]), (&json!(code), &json!("not today: äöü %")));
        assert_eq!(failed["trailing"]["x-detail"], "of the failure");
    }
    assert_eq!(came["missing"]["code"], "UNIMPLEMENTED");
    assert_eq!(came["unary"]["code"], "OK", "the connection is none the worse");
}

#[tokio::test]
async fn deadlines_and_cancellations_reach_the_origin() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((_origin, host, pool)) = origin(false, folder.path()).await else { return };
    let front = Front::start(&table_with(&[("eu", &[host])], &pool, "")).await;
    let came = call(&front, &["deadline", "cancel"]).await;
    let deadline = &came["deadline"];
    assert_eq!((&deadline["code"], &deadline["cancelled"]), (&json!("DEADLINE_EXCEEDED"), &json!("yes")));
    let remaining = deadline["seen"]["time_remaining"].as_f64().unwrap();
    assert!(remaining > 0.0 && remaining <= 1.0, "{remaining} s, as the client said");
    assert_eq!(came["cancel"], json!({ "first": "first", "code": "CANCELLED", "cancelled": "yes" }));
    let lines = front.edge.access_log_of(5).await;
    let sleeps = lines.iter().find(|line| line["path"] == "/test.Peer/Sleep").unwrap();
    // Both count the same second; whoever is first.
    assert!(["DT", "DC"].contains(&sleeps["reason"].as_str().unwrap()), "{sleeps}");
}

#[tokio::test]
async fn a_routes_own_deadline_is_told_in_grpcs_words() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((_origin, host, pool)) = origin(false, folder.path()).await else { return };
    let table = table_with(&[("eu", &[host])], &pool, "timeouts = { total = \"1s\" }");
    let front = Front::start(&table).await;
    let came = call(&front, &["patient"]).await;
    let patient = &came["patient"];
    assert_eq!((&patient["code"], &patient["cancelled"]), (&json!("DEADLINE_EXCEEDED"), &json!("yes")));
    assert_eq!(patient["details"], "the request took too long (DT)");
}

#[tokio::test]
async fn a_call_that_no_region_takes_is_unavailable() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((origin, host, pool)) = origin(false, folder.path()).await else { return };
    let policy = "policy = \"strict\"\n[[policies]]\nname = \"strict\"\non_all_down = \"fail_fast\"";
    let front = Front::start(&table_with(&[("eu", &[host])], &pool, policy)).await;
    assert_eq!(call(&front, &["unary"]).await["unary"]["code"], "OK");
    drop(origin);
    testkit::until("the region is down", async || front.edge.admin.region_health("eu").await == "down").await;
    let refused = &call(&front, &["refused"]).await["refused"];
    assert_eq!(
        (&refused["code"], &refused["details"], &refused["streaming"]),
        (&json!("UNAVAILABLE"), &json!("no region is usable (UH)"), &json!("UNAVAILABLE"))
    );
}

#[tokio::test]
async fn an_origin_learns_who_calls() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((_origin, host, pool)) = origin(false, folder.path()).await else { return };
    let front = Front::start(&table_with(&[("eu", &[host])], &pool, "")).await;
    let python = python("gRPC by grpcio", "grpc").unwrap();
    let (port, ca) = (front.tls().to_string(), front.ca.to_str().unwrap().to_owned());
    let args = [port.as_str(), ca.as_str(), "unary", "last_seen"];
    let ended = Peer::start(script(&python, "grpc_client.py", &args)).ended().await;
    let came: Value = serde_json::from_str(&ended.out).unwrap();
    let seen = &came["last_seen"];
    assert_eq!(
        (&seen["x-forwarded-for"], &seen["x-forwarded-proto"]),
        (&json!("127.0.0.1"), &json!("https"))
    );
    assert_eq!(seen["x-nearside-region"], "eu", "{seen}");
}
