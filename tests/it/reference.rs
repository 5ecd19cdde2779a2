//! The reference pages say what the program does: compared with it, and with what it is seen to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::Method;
use serde_json::Value;
use testkit::{Client, Edge, EdgeBuilder, Origin, table_with, until};

use crate::NEARSIDE;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What the binary says, which is what the file in docs/ has; `INSTA_UPDATE=always` writes it anew.
fn kept(name: &str, file: &str) -> String {
    let output = Command::new(NEARSIDE).args(["reference", name]).output().unwrap();
    let made = String::from_utf8(output.stdout).unwrap();
    let path = root().join(file);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{file} is not what `nearside reference {name}` says; `just accept` writes it");
    made
}

fn page(name: &str) -> String {
    kept(name, &format!("docs/{name}.md"))
}

#[test]
fn the_document_of_the_admin_api_is_kept() {
    let document: Value = serde_json::from_str(&kept("openapi", "docs/openapi.json")).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

/// Every key of a schema, with its path.
fn keys(root: &Value, schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    let nested = [&schema["items"], &schema["$ref"]];
    if let Some(name) = nested[1].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return keys(root, &root["$defs"][name], path, into);
    }
    for option in schema["anyOf"].as_array().into_iter().flatten().chain(schema.get("items")) {
        keys(root, option, path, into);
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        into.insert(path.clone());
        keys(root, property, &path, into);
    }
}

fn keys_of<T: schemars::JsonSchema>() -> BTreeSet<String> {
    let root = schemars::schema_for!(T).to_value();
    let mut found = BTreeSet::new();
    keys(&root, &root, "", &mut found);
    found
}

#[test]
fn every_key_stands_on_the_page_of_configuration() {
    let page = page("configuration");
    let mut all = keys_of::<nearside::config::EdgeSpec>();
    all.extend(keys_of::<steer::Spec>());
    assert!(all.len() > 70, "{all:?}");
    for path in all {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let is_place = section.ends_with("place");
        let part = match section {
            "" => Some(page.as_str()),
            section => {
                let headers = [format!("## `[{section}]`"), format!("## `[[{section}]]`")];
                headers.iter().find_map(|header| page.split(header.as_str()).nth(1))
            }
        };
        let part =
            part.and_then(|part| if section.is_empty() { Some(part) } else { part.split("\n## ").next() });
        let stands = part.is_some_and(|part| {
            part.contains(&format!("- **`{key}`**")) || page.contains(&format!("[{path}]"))
        });
        assert!(is_place || stands, "{path} is not on the page");
    }
}

#[test]
fn every_key_says_what_it_does() {
    for line in page("configuration").lines().collect::<Vec<_>>().windows(2) {
        let is_key = line[0].starts_with("- **`");
        assert!(!is_key || line[1].trim().len() > 10, "{} has no meaning", line[0]);
    }
}

#[test]
fn every_key_stands_in_the_shipped_files() {
    for (file, keys) in [
        ("config/nearside.toml", keys_of::<nearside::config::EdgeSpec>()),
        ("config/table.toml", keys_of::<steer::Spec>()),
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for path in keys {
            let key = path.rsplit('.').next().unwrap();
            let written = [format!("{key} = "), format!("[{path}]")];
            assert!(written.iter().any(|written| text.contains(written)), "{path} is not in {file}");
        }
    }
}

#[test]
fn every_scenario_is_valid_and_explains_itself() {
    let files = fs::read_dir(root().join("config/scenarios")).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let output = Command::new(NEARSIDE)
            .args(["check", "--config"])
            .arg(root().join("config/nearside.toml"))
            .arg("--table")
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(&file).unwrap();
        let comments = text.lines().filter(|line| line.starts_with('#')).count();
        assert!(comments >= 8 && text.contains(&format!("--table config/scenarios/{name}.toml")), "{name}");
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["active-passive", "canary", "geography", "latency", "retries"]);
}

/// Name, kind and labels of a metric.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// What the page of metrics promises.
fn promised() -> Families {
    let page = page("metrics");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `nearside_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let labels = cells[2].split("<br>").filter_map(|label| label.strip_prefix("**")?.split("**").next());
        let name = format!("nearside_{}", cells[0].trim_end_matches('`'));
        (name, (cells[1].to_owned(), labels.map(str::to_owned).collect()))
    })
    .collect()
}

#[test]
fn every_reason_is_explained() {
    let page = page("metrics");
    let codes: Vec<&str> = page
        .split("## Reason codes")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let source = fs::read_to_string(root().join("proxy/src/observe/reason.rs")).unwrap();
    let made = source.matches("=> \"").count() / 2;
    assert_eq!(codes.len(), made, "each has a code and a meaning: {codes:?}");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for code in codes {
        assert!(readme.contains(&format!("`{code}`")), "{code} is not in the README");
    }
}

/// What a scrape shows.
fn shown(scrape: &str) -> Families {
    let kinds = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE nearside_")?.split_once(' '));
    let mut families: Families =
        kinds.map(|(name, kind)| (format!("nearside_{name}"), (kind.to_owned(), BTreeSet::new()))).collect();
    for line in scrape.lines().filter(|line| line.starts_with("nearside_")) {
        let name = line.split(['{', ' ']).next().unwrap();
        let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let name = if families.contains_key(name) { name } else { parts.unwrap_or(name) };
        let family = families.get_mut(name).expect("each number has a TYPE");
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.split_once("} ").unwrap().0);
        let names =
            labels.split("\",").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned());
        family.1.extend(names.filter(|name| name != "le"));
    }
    families
}

/// An edge of which everything was asked that makes numbers.
async fn busy_edge() -> (Edge, [Origin; 2]) {
    let (near, gate) = Origin::gated("near").await;
    let far = Origin::named("far").await;
    let table =
        table_with(&[("near", &[near.host()]), ("far", &[far.host()])], "", "policy = \"order\"").replace(
            &format!("origins = [{:?}]", near.host()),
            &format!("origins = [{:?}]\nmax_in_flight = 1", near.host()),
        ) + "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let address = edge.address();
    let waiting = tokio::spawn(async move { Client::connect(address).await.get("/").await });
    until("a request is at near", async || near.requests().len() == 1).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("/").await.text(), "far", "near is full");
    gate.add_permits(10);
    waiting.await.unwrap();
    client.ask(Method::GET, "/", &[("host", "unknown.test")], "").await;
    edge.admin.patch("far", r#"{"weight": 50, "reason": "test"}"#).await;
    (edge, [near, far])
}

#[tokio::test]
async fn the_page_of_metrics_says_what_is_shown() {
    let (edge, _origins) = busy_edge().await;
    let (_, scrape) = edge.health("/metrics").await;
    let (promised, shown) = (promised(), shown(&scrape));
    for (name, family) in &shown {
        assert_eq!(promised.get(name), Some(family), "{name}");
    }
    let unseen: Vec<&str> =
        promised.keys().filter(|name| !shown.contains_key(*name)).map(String::as_str).collect();
    // They need a database, which tests do not bring along, and a certificate.
    let absent = ["nearside_geo_db_build_timestamp_seconds", "nearside_tls_cert_not_after_timestamp_seconds"];
    assert_eq!(unseen, absent);
    let page = page("metrics");
    for line in scrape.lines().filter_map(|line| line.strip_prefix("# TYPE process_")) {
        let name = line.split(' ').next().unwrap();
        assert!(page.contains(&format!("`process_{name}`")), "process_{name}");
    }
}

#[tokio::test]
async fn prometheus_finds_nothing_to_complain_about() {
    let (edge, _origins) = busy_edge().await;
    let (_, scrape) = edge.health("/metrics").await;
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        return crate::skipped("the metrics page", "promtool, of Debian's package prometheus");
    };
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), scrape.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
