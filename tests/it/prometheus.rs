//! The dashboard and the alert rules, asked of a real Prometheus that scrapes a real edge.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Client, Edge, EdgeBuilder, Origin, Users, table_with, text, until};

use crate::NEARSIDE;

const NEEDS: &str = "prometheus and promtool, of Debian's package prometheus";

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").join(file)
}

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(deploy("grafana/nearside.json")).unwrap()).unwrap()
}

/// A query of the dashboard, where it stands, with what Grafana fills in.
fn queries() -> Vec<(String, String)> {
    let board = dashboard();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    let filled = |query: String| {
        query.replace("$job", "nearside").replace("$instance", ".*").replace("$__rate_interval", "30s")
    };
    targets.map(|(title, query)| (title, filled(query))).collect()
}

#[test]
fn dashboard_and_rules_use_only_metrics_that_exist() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md")).unwrap();
    let known = |name: &str| page.contains(&format!("`{name}`"));
    let mut used = BTreeSet::new();
    for file in ["grafana/nearside.json", "prometheus/rules.yml"] {
        let text = fs::read_to_string(deploy(file)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned);
        used.extend(words.filter(|word| word.starts_with("nearside_") || word.starts_with("process_")));
    }
    assert!(used.len() > 30, "{used:?}");
    for name in used {
        let base = name.strip_suffix("_bucket").unwrap_or(&name);
        assert!(known(base), "{name} is no metric of nearside");
    }
}

#[test]
fn every_panel_has_a_title_of_its_own_and_room() {
    let board = dashboard();
    let (mut titles, mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in board["panels"].as_array().unwrap() {
        assert!(titles.insert(panel["title"].as_str().unwrap()), "{}", panel["title"]);
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["id"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24, "{} is wider than the board", panel["title"]);
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn rules_are_sound_and_alerts_fire_when_they_should() {
    for args in [
        ["check", "rules", "prometheus/rules.yml"],
        ["check", "config", "prometheus/scrape.yml"],
        ["test", "rules", "prometheus/rules_test.yml"],
    ] {
        let Ok(output) = Command::new("promtool").args(&args[..2]).arg(deploy(args[2])).output() else {
            return crate::skipped("the alert rules", NEEDS);
        };
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
    }
}

/// A running Prometheus. Dropped, it is killed.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes an edge, with the shipped configuration and rules, only faster. `None` if there is no Prometheus.
    fn start(edge: SocketAddr) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let shipped = fs::read_to_string(deploy("prometheus/scrape.yml")).unwrap();
        assert!(shipped.contains("15s") && shipped.contains("127.0.0.1:9190"));
        let config = shipped.replace("15s", "1s").replace("127.0.0.1:9190", &edge.to_string());
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        fs::copy(deploy("prometheus/rules.yml"), folder.path().join("rules.yml")).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            said += &format!("{line}\n");
            let bound = line.contains("Listening on").then(|| line.split("address=").nth(1)).flatten()?;
            bound.trim().parse().ok()
        });
        // Somebody must read what it says, or it would wait for that.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.unwrap_or_else(|| panic!("prometheus does not listen:\n{said}"));
        Some(Self { child, address, _folder: folder })
    }

    async fn get(&self, path: &str) -> Value {
        let mut client = Client::connect(self.address).await;
        let answer = client.ask(Method::GET, path, &[], "").await;
        serde_json::from_str(answer.text()).unwrap_or(Value::Null)
    }

    /// How many series a query finds; what is wrong with it.
    async fn query(&self, query: &str) -> Result<usize, String> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={escaped}")).await;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().map_or(1, Vec::len)),
            _ => Err(format!("{}", answer["error"])),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An edge with everything going on that the dashboard shows: failovers, spills, errors, overrides.
async fn busy_edge() -> (Edge, [Origin; 2]) {
    let near = Origin::with(|request| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if request.uri().path() == "/broken" {
            testkit::break_off();
        }
        text("near")
    })
    .await;
    let far = Origin::named("far").await;
    let regions: [(&str, &[String]); 2] = [("near", &[near.host()]), ("far", &[far.host()])];
    let table = table_with(&regions, "", "policy = \"order\"").replace(
        &format!("origins = [{:?}]", near.host()),
        &format!("origins = [{:?}]\nmax_in_flight = 2", near.host()),
    ) + "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n";
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    edge.admin.patch("far", r#"{"weight": 50, "reason": "test"}"#).await;
    assert_eq!(Client::connect(edge.address()).await.get("/broken").await.text(), "far");
    (edge, [near, far])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_shows_something_and_every_rule_can_be_asked() {
    let (edge, _origins) = busy_edge().await;
    let Some(prometheus) = Prometheus::start(edge.health) else {
        return crate::skipped("the dashboard", NEEDS);
    };
    let users = Users::start(8, edge.address(), Duration::from_millis(5));
    until("the edge is scraped", async || prometheus.query("up{job=\"nearside\"} == 1").await == Ok(1)).await;
    for (title, query) in queries() {
        until(&format!("{title} shows something: {query}"), async || {
            match prometheus.query(&query).await {
                Ok(series) => series > 0,
                // It starts to answer later than it starts to listen.
                Err(error) if error == "null" => false,
                Err(error) => panic!("{title}: {query}: {error}"),
            }
        })
        .await;
    }
    let rules = async || {
        let answer = prometheus.get("/api/v1/rules").await;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups
            .iter()
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect::<Vec<Value>>()
    };
    until("the rules were asked", async || {
        let rules = rules().await;
        !rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown")
    })
    .await;
    let rules = rules().await;
    assert!(rules.len() >= 15, "{}", rules.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
    }
    users.stop().await;
}
