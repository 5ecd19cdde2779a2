//! Public surfaces are golden files: a change of them is a decision, not an accident.

use std::process::{Command, Stdio};

use http::Method;
use serde_json::Value;
use testkit::{Client, EdgeBuilder, Origin, table};

use crate::{NEARSIDE, edge_before};

fn said(args: &[&str]) -> String {
    said_within(Some(100), args)
}

/// What is said in a terminal of that many columns, or in a pipe.
fn said_within(columns: Option<u16>, args: &[&str]) -> String {
    let mut command = Command::new(NEARSIDE);
    // Where there is a terminal, its width counts before what COLUMNS says.
    command.args(args).env_remove("COLUMNS").stdin(Stdio::null());
    if let Some(columns) = columns {
        command.env("COLUMNS", columns.to_string());
    }
    let output = command.output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn help() {
    let mut all = said(&["--help"]);
    for command in [
        "run",
        "check",
        "demo",
        "explain",
        "regions",
        "routes",
        "pools",
        "origins",
        "health",
        "overrides",
        "weight",
        "state",
        "drain",
        "undrain",
        "drill",
        "drill begin",
        "drill end",
        "watches",
        "watches end",
        "tables",
        "tables publish",
        "audit",
        "audit verify",
        "events",
        "log-level",
        "geo",
        "version",
        "token",
        "ready",
        "reference",
        "completions",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        all += &format!("\n$ nearside {command} --help\n{}", said(&words));
    }
    insta::assert_snapshot!("help", all);
}

#[tokio::test]
async fn metrics_page() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    Client::connect(edge.address()).await.get("/").await;
    edge.admin.patch("eu", r#"{"weight": 50, "reason": "test"}"#).await;
    let (_, page) = edge.health("/metrics").await;
    let described: Vec<&str> =
        page.lines().filter(|line| line.starts_with("# HELP nearside_")).map(|line| &line[7..]).collect();
    insta::assert_snapshot!("metrics", described.join("\n"));
    // Labels come from the table and from short lists: a request cannot make one.
    let mut client = Client::connect(edge.address()).await;
    client.ask(Method::GET, "/secret-path", &[("host", "unknown-host.test")], "").await;
    let (_, page) = edge.health("/metrics").await;
    assert!(!page.contains("secret-path") && !page.contains("unknown-host"));
}

#[tokio::test]
async fn access_log_line() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let fields = [("x-forwarded-for", "81.2.69.142"), ("x-request-id", "the-id")];
    Client::connect(edge.address()).await.ask(Method::POST, "/a?b=c", &fields, "hello").await;
    let mut line = edge.access_log_of(1).await.remove(0);
    assert!(
        line["ts"].as_str().unwrap().ends_with('Z') && line["dur_ms"].as_f64() >= line["ttfb_ms"].as_f64()
    );
    for (pointer, value) in [
        ("/ts", "TS"),
        ("/dur_ms", "MS"),
        ("/ttfb_ms", "MS"),
        ("/attempts/0/at_ms", "MS"),
        ("/attempts/0/ms", "MS"),
    ] {
        *line.pointer_mut(pointer).unwrap() = value.into();
    }
    for pointer in ["/origin", "/attempts/0/origin"] {
        assert_eq!(line.pointer(pointer).unwrap(), &Value::from(origin.host()));
        *line.pointer_mut(pointer).unwrap() = "ORIGIN".into();
    }
    let inputs = line["inputs"].as_str().unwrap();
    assert!(inputs.starts_with("1.0.") && inputs.split('.').count() == 4, "{inputs}");
    line["inputs"] = "INPUTS".into();
    assert_eq!(line["decision"].as_str().unwrap().split('.').count(), 3, "{line}");
    assert_eq!(line["attempts"][0]["decision"], line["decision"]);
    line["decision"] = "DECISION".into();
    line["attempts"][0]["decision"] = "DECISION".into();
    insta::assert_snapshot!("access_log_line", serde_json::to_string_pretty(&line).unwrap());
}

#[test]
fn explanation() {
    let regions: [(&str, &[String]); 3] = [
        ("eu", &["127.0.0.1:1".to_owned()]),
        ("us", &["127.0.0.1:2".to_owned()]),
        ("ap", &["127.0.0.1:3".to_owned()]),
    ];
    let table = testkit::table_with(&regions, "", "jurisdictions = [\"J0\", \"J2\"]");
    let config = EdgeBuilder::new(NEARSIDE, &table);
    let file = config.write();
    let file = file.to_str().unwrap();
    for (name, columns) in [("explanation", None), ("explanation_in_60_columns", Some(60))] {
        let explained = said_within(columns, &["explain", "--offline", "--ip", "81.2.69.142", "-c", file]);
        insta::assert_snapshot!(name, explained.replace(file, "FILE"));
    }
}

#[test]
fn effective_configuration() {
    let config = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &["127.0.0.1:1".to_owned()])]));
    let file = config.write();
    insta::assert_snapshot!(
        "effective_configuration",
        said(&["check", "--print", "-c", file.to_str().unwrap()])
    );
}

#[tokio::test]
async fn regions_answer() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    edge.admin.patch("eu", r#"{"weight": 50, "reason": "test", "expires_in": "1h"}"#).await;
    let (_, mut answer) = edge.admin.json(Method::GET, "/v1/regions", "").await;
    for pointer in [
        "/ranking",
        "/regions/0/observed/latency_ms",
        "/regions/0/observed/measured",
        "/regions/0/observed/rise_ms",
        "/regions/0/observed/placements/0/origins/0/address",
        "/regions/0/observed/placements/0/origins/0/last_success_ago_ms",
        "/regions/0/placements/0/observed/for_ms",
        "/regions/0/overridden/weight/since",
        "/regions/0/overridden/weight/expires_at",
    ] {
        *answer.pointer_mut(pointer).unwrap() = "VARIES".into();
    }
    insta::assert_snapshot!("regions_answer", serde_json::to_string_pretty(&answer).unwrap());
}
