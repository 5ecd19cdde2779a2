//! The admin API and the command line over it.

use std::process::Command;

use http::Method;
use testkit::{Client, EdgeBuilder, Origin, table, until};

use crate::{NEARSIDE, edge_before};

#[tokio::test]
async fn configured_overridden_and_observed_are_told_apart() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let edge =
        EdgeBuilder::new(NEARSIDE, &table(&[("near", &[near.host()]), ("far", &[far.host()])])).start().await;
    edge.admin.patch("near", r#"{"weight": 40, "reason": "new release", "expires_in": "2h"}"#).await;
    let (status, answer) = edge.admin.json(Method::GET, "/v1/regions", "").await;
    assert_eq!(status, 200);
    let near = &answer["regions"][0];
    assert_eq!(near["configured"], serde_json::json!({"weight": 100, "state": "active"}));
    assert_eq!(near["overridden"]["weight"]["value"], 40);
    assert_eq!(near["overridden"]["weight"]["reason"], "new release");
    assert!(near["overridden"]["weight"]["expires_at"].is_string());
    assert_eq!(near["effective"]["weight"], 40);
    assert_eq!(
        (&near["effective"]["weight_by"], &near["effective"]["state_by"]),
        (&"region-override".into(), &"region-table".into())
    );
    assert_eq!(near["observed"]["placements"][0]["health"], "up");
    let shares: Vec<f64> = answer["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["predicted_share"].as_f64().unwrap())
        .collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    let cleared = edge.admin.patch("near", r#"{"weight": null, "reason": "done"}"#).await;
    assert_eq!(
        (&cleared["effective"]["weight"], &cleared["overridden"]),
        (&100.into(), &serde_json::json!({}))
    );
    assert_eq!(cleared["persisted"], true, "and the answer says so");
    assert!(cleared["predicted_share"].is_null(), "a thousand decisions that nobody asked for");
    let body = r#"{"weight": 0, "reason": "test"}"#;
    let (_, asked) = edge.admin.json(Method::PATCH, "/v1/regions/near?shares=1", body).await;
    assert_eq!(asked["predicted_share"], 0.0, "{asked}");
}

#[tokio::test]
async fn a_weight_is_in_force_before_the_answer_and_ends_on_time() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let edge =
        EdgeBuilder::new(NEARSIDE, &table(&[("near", &[near.host()]), ("far", &[far.host()])])).start().await;
    let mut client = Client::connect(edge.address()).await;
    let fields = [("x-forwarded-for", "81.2.69.142")];
    assert_eq!(client.ask(Method::GET, "/", &fields, "").await.text(), "near");
    for _ in 0..20 {
        edge.admin.patch("near", r#"{"weight": 0, "reason": "test"}"#).await;
        assert_eq!(client.ask(Method::GET, "/", &fields, "").await.text(), "far");
        edge.admin.patch("near", r#"{"weight": null, "reason": "test"}"#).await;
        assert_eq!(client.ask(Method::GET, "/", &fields, "").await.text(), "near");
    }
    edge.admin.patch("near", r#"{"weight": 0, "reason": "test", "expires_in": "300ms"}"#).await;
    assert_eq!(client.ask(Method::GET, "/", &fields, "").await.text(), "far");
    until("the override ends", async || client.ask(Method::GET, "/", &fields, "").await.text() == "near")
        .await;
}

#[tokio::test]
async fn strangers_and_bad_input_change_nothing() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    for fields in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic x")]] {
        assert_eq!(edge.admin.call_with(Method::GET, "/v1/regions", fields).await, 401);
        assert_eq!(edge.admin.call_with(Method::GET, "/v1/nothing", fields).await, 401);
    }
    for (body, field) in [
        ("", "body"),
        ("{", "body"),
        (r#"{"wait": 3, "reason": "x"}"#, "wait"),
        (r#"{"weight": "50", "reason": "x"}"#, "weight"),
        (r#"{"weight": 101, "reason": "x"}"#, "weight"),
        (r#"{"weight": -1, "reason": "x"}"#, "weight"),
        (r#"{"state": "sleepy", "reason": "x"}"#, "state"),
        (r#"{"weight": 50}"#, "reason"),
        (r#"{"weight": 50, "reason": " "}"#, "reason"),
        (r#"{"reason": "x"}"#, "weight"),
        (r#"{"weight": 50, "reason": "x", "expires_in": "soon"}"#, "expires_in"),
        (r#"{"weight": 50, "reason": "x", "expires_in": "0s"}"#, "expires_in"),
    ] {
        let (status, problem) = edge.admin.json(Method::PATCH, "/v1/regions/eu", body).await;
        assert_eq!((status, &problem["field"]), (400, &field.into()), "{body}: {problem}");
        assert!(problem["example"].is_object(), "{problem}");
    }
    let (status, problem) =
        edge.admin.json(Method::PATCH, "/v1/regions/mars", r#"{"weight": 1, "reason": "x"}"#).await;
    assert_eq!(status, 404);
    assert_eq!(problem["detail"], "no region is named \"mars\"; there are eu");
    let huge = format!(r#"{{"weight": 1, "reason": "{}"}}"#, "x".repeat(100_000));
    assert_eq!(edge.admin.json(Method::PATCH, "/v1/regions/eu", &huge).await.0, 413);
    assert_eq!(edge.admin.json(Method::GET, "/v1/explain?ip=nonsense", "").await.0, 400);
    assert_eq!(edge.admin.json(Method::GET, "/v1/explain", "").await.0, 400);
    assert_eq!(edge.admin.json(Method::POST, "/v1/tables", "x").await.1["field"], "reason");
    assert_eq!(edge.admin.json(Method::DELETE, "/v1/tables", "").await.0, 405);
    let (_, answer) = edge.admin.json(Method::GET, "/v1/regions", "").await;
    assert_eq!((&answer["overlay"], &answer["version"]), (&0.into(), &1.into()));
}

#[tokio::test]
async fn tables_are_listed_shown_and_published() {
    let (one, two) = (Origin::named("one").await, Origin::named("two").await);
    let edge = edge_before(&one).await;
    let next = table(&[("eu", &[two.host()])]);
    let (status, published) = edge.admin.json(Method::POST, "/v1/tables?reason=move", &next).await;
    assert_eq!((status, &published["version"], &published["persisted"]), (200, &2.into(), &true.into()));
    assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "two");
    let (_, listed) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!(listed["current"], 2);
    assert_eq!(
        (&listed["versions"][0]["reason"], &listed["versions"][1]["reason"]),
        (&"move".into(), &"start".into())
    );
    assert_eq!(edge.admin.text(Method::GET, "/v1/tables/2", "").await, (200, next));
    assert_eq!(edge.admin.text(Method::GET, "/v1/tables/9", "").await.0, 404);
}

/// Ten mistakes of ten kinds.
const MISTAKES: &str = r#"
[[regions]]
name = "eu"
latitude = 50.1
longitude = "east"
wieght = 50

[[regions]]
name = "US"
latitude = 137.4
longitude = -79.8
weight = 300
state = "activ"

[[pools]]
name = "app"
probe = { kind = "tcp", path = "/healthz" }

[[pools.placements]]
region = "eu"
origins = ["10.0.0.1"]

[[pools.placements]]
region = "mars"
origins = ["10.0.0.2:80"]

[[routes]]
name = "app"
hosts = ["*example.com"]
pool = "app"
steering = "active-passive"
"#;

#[tokio::test]
async fn ten_mistakes_are_answered_with_ten_positions() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let (status, problem) = edge.admin.publish(MISTAKES).await;
    assert_eq!(status, 422);
    let findings = problem["findings"].as_array().unwrap();
    let told: Vec<String> = findings
        .iter()
        .map(|f| {
            format!(
                "{}:{} {}: {}",
                f["line"],
                f["column"],
                f["key"].as_str().unwrap(),
                f["problem"].as_str().unwrap()
            )
        })
        .collect();
    insta::assert_snapshot!("ten_mistakes", told.join("\n"));
    assert!(findings.iter().all(|finding| finding["consequence"] != "" && finding["example"] != ""));
    assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "eu");

    let file = edge.folder.path().join("bad.toml");
    std::fs::write(&file, MISTAKES).unwrap();
    let config = edge.folder.path().join("nearside.toml");
    let output =
        Command::new(NEARSIDE).args(["check", "-c"]).arg(config).arg("--table").arg(file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("bad.toml:").count(), findings.len(), "{said}");
}

// Waiting for the commands takes a thread; the origins need another, or they would be silent to the probes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_does_what_the_api_does() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let edge =
        EdgeBuilder::new(NEARSIDE, &table(&[("near", &[near.host()]), ("far", &[far.host()])])).start().await;
    let admin = edge.admin.address.to_string();
    let token = edge.folder.path().join("admin.token");
    let nearside = |args: &[&str]| {
        let mut command = Command::new(NEARSIDE);
        command.args(args).args(["--admin", &admin, "--token-file"]).arg(&token);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, said) = nearside(&["weight", "near", "25", "--reason", "test", "--expires-in", "1h", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("near: weight 25, state active"), "{said}");
    let (code, said) = nearside(&["state", "far", "standby", "--reason", "test", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let (_, said) = nearside(&["regions"]);
    assert!(said.contains("25 *") && said.contains("standby *"), "{said}");
    let (_, said) = nearside(&["regions", "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(answer["regions"][0]["effective"]["weight"], 25);
    let (code, _) = nearside(&["weight", "near", "--clear", "--reason", "test", "--yes"]);
    assert_eq!(code, Some(0));
    let (code, said) = nearside(&["weight", "mars", "1", "--reason", "test"]);
    assert_eq!((code, said.contains("no region is named \"mars\"")), (Some(1), true), "{said}");
    let (code, _) = nearside(&["weight", "near", "101", "--reason", "test"]);
    assert_eq!(code, Some(2));
    let (code, said) = nearside(&["explain", "--ip", "81.2.69.142"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("81.2.69.142  GB") && said.contains("* near"), "{said}");

    let table = edge.folder.path().join("next.toml");
    std::fs::write(&table, testkit::table(&[("near", &[far.host()])])).unwrap();
    let (code, said) = nearside(&["tables", "publish", table.to_str().unwrap(), "--reason", "test", "--yes"]);
    assert_eq!((code, said.starts_with("version 2 (")), (Some(0), true), "{said}");
    let (_, said) = nearside(&["tables"]);
    assert!(said.contains("2 *") && said.contains("next.toml"), "{said}");
    let (_, said) = nearside(&["tables", "show", "2"]);
    assert_eq!(said.trim(), std::fs::read_to_string(&table).unwrap().trim());
    std::fs::write(&table, "regions = 7").unwrap();
    let (code, said) = nearside(&["tables", "publish", table.to_str().unwrap(), "--reason", "test"]);
    assert_eq!((code, said.contains("the running one stays in force")), (Some(1), true), "{said}");
    assert!(said.contains("next.toml:1:"), "an editor finds the mistake: {said}");

    let config = edge.folder.path().join("nearside.toml");
    let ready = Command::new(NEARSIDE).args(["ready", "-c"]).arg(config).status().unwrap();
    assert_eq!(ready.code(), Some(1), "its configuration says port 0, where nobody is");
}

#[tokio::test]
async fn the_token_is_made_once_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let file = edge.folder.path().join("admin.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(edge.admin.token.len(), 64);

    // One that others can read keeps nobody from serving clients, and opens nothing.
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]));
    let exposed = builder.folder().join("admin.token");
    std::fs::write(&exposed, "x".repeat(64)).unwrap();
    std::fs::set_permissions(&exposed, std::fs::Permissions::from_mode(0o644)).unwrap();
    let edge = builder.start().await;
    assert!(edge.log().contains("chmod 600"), "{}", edge.log());
    assert_eq!(edge.admin.json(Method::GET, "/v1/regions", "").await.0, 401);
    assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "eu");
}
