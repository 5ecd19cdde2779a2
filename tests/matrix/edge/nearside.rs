//! nearside as a process: plain defaults, but for a shorter interval of probes and a deadline.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Attempt, Contestant, Edge, Logged, Said, Site, Transition, listen};
use crate::Failure;
use crate::clock::Clock;
use crate::fault::Plane;
use crate::load::{Doors, GRPC_HOST, HOST};
use crate::process::{Guard, pinned};

/// How often origins are asked: these are trusted to bear it.
const PROBE_INTERVAL: &str = "50ms";
/// The processor that the edge has for itself.
pub(crate) const PROCESSOR: usize = 0;

/// An admin API and its token.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    token: String,
    health: SocketAddr,
}

pub(super) async fn start(site: &Site<'_>, guard: &Guard) -> Result<Edge, Failure> {
    let file = site.folder.join("nearside.toml");
    // Two workers on one processor: what is learnt from requests is learnt from several threads, as everywhere.
    let config = format!(
        "[edge]\nname = \"matrix\"\nplace = {{ latitude = 50.11, longitude = 8.68 }}\nworkers = 2\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nhttp2_prior_knowledge = true\n\
         [client_address]\ntrusted_hops = [\"127.0.0.0/8\"]\n[limits]\nreadiness_grace = \"0s\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[health]\nlisten = \"127.0.0.1:0\"\n[access_log]\nto = {:?}\nsample = {:?}\n",
        site.access_log, site.log_share
    );
    std::fs::write(&file, config)?;
    let table = table(site);
    std::fs::write(site.folder.join("table.toml"), &table)?;
    let mut command = pinned(PROCESSOR, site.program);
    command.arg("run").arg("-c").arg(&file);
    let mut process =
        guard.spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let said = Said::default();
    listen(process.child.stderr.take().ok_or("no stderr")?, &said);
    let find = |what: &str| -> Option<SocketAddr> {
        let said = said.lock().expect("nobody panics with it");
        let (_, line) = said.iter().find(|(_, line)| line.contains(what))?;
        line.split("address=").nth(1)?.trim().parse().ok()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while find("listening for health checks").is_none() {
        let words = || {
            said.lock()
                .expect("nobody panics with it")
                .iter()
                .map(|(_, line)| line.clone())
                .collect::<Vec<_>>()
        };
        if Instant::now() > deadline || process.child.try_wait()?.is_some() {
            return Err(format!("nearside did not start:\n{}", words().join("\n")).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let missing = "an address is missing";
    let door = find("listening for clients").ok_or(missing)?;
    let admin = Admin {
        address: find("listening for operators").ok_or(missing)?,
        token: std::fs::read_to_string(site.folder.join("admin.token"))?.trim().to_owned(),
        health: find("listening for health checks").ok_or(missing)?,
    };
    Ok(Edge {
        contestant: Contestant::Nearside,
        process,
        doors: Doors { http: door, grpc: door },
        said,
        access_log: site.access_log.clone(),
        admin: Some(admin),
        table,
    })
}

/// Regions in a row, all clients steered to the fastest.
fn table(site: &Site<'_>) -> String {
    let mut text = String::new();
    let places = [(50.11, 8.68), (59.33, 18.07), (40.71, -74.01)];
    for ((name, _), (latitude, longitude)) in site.regions.iter().zip(places) {
        text += &format!(
            "[[regions]]\nname = {name:?}\nlatitude = {latitude:.2}\nlongitude = {longitude:.2}\njurisdiction = \"any\"\n\n"
        );
    }
    text += "[[policies]]\nname = \"fastest\"\nsteering = \"latency\"\n\n";
    let (web, live) = match site.plane {
        Plane::Plain => ("http1", "web"),
        Plane::Tls => ("http1", "web"),
        Plane::Http2 => ("http2", "live"),
    };
    let route = |name: &str, host: &str, prefix: &str, pool: &str, more: &str| {
        format!(
            "[[routes]]\nname = {name:?}\nhosts = [{host:?}]\npath_prefix = {prefix:?}\npool = {pool:?}\npolicy = \
             \"fastest\"\n{more}\n"
        )
    };
    let deadline = format!("timeouts = {{ total = \"{}ms\" }}\n", site.deadline.as_millis());
    text += &route("web", HOST, "/", "web", &deadline);
    text += &route("live", HOST, "/live", live, "");
    text += &route("calls", GRPC_HOST, "/", "calls", &deadline);
    let mut pools = vec![("web", web), ("calls", "http2")];
    if live != "web" {
        pools.push((live, "http1"));
    }
    for (pool, protocol) in pools {
        text += &format!(
            "[[pools]]\nname = {pool:?}\nprotocol = {protocol:?}\nprobe = {{ path = \"/healthz\", statuses = [\"200\"], interval = \
             {PROBE_INTERVAL:?} }}\n"
        );
        if site.plane == Plane::Tls {
            text += "tls = { server_name = \"origin.test\", ca_file = \"ca.pem\" }\n";
        }
        for (region, address) in &site.regions {
            let origin = address.to_string();
            text += &format!("[[pools.placements]]\nregion = {region:?}\norigins = [{origin:?}]\n");
        }
    }
    text
}

impl Admin {
    /// Publishes a table.
    pub(crate) async fn publish(&self, table: &str) -> Result<(), Failure> {
        let token = format!("Bearer {}", self.token);
        let fields = [("host", "localhost"), ("authorization", token.as_str())];
        let (status, text) =
            crate::admin::call(self.address, "POST", "/v1/tables?reason=matrix", &fields, table).await?;
        if status.is_success() { Ok(()) } else { Err(format!("publish: {status}: {text}").into()) }
    }

    /// How many placements are up.
    pub(crate) async fn healthy_placements(&self) -> usize {
        let page = self.metrics().await;
        let is_up = |line: &&str| {
            line.starts_with("nearside_region_health{")
                && line.contains("health=\"up\"")
                && line.ends_with(" 1")
        };
        page.lines().filter(is_up).count()
    }

    /// Its metrics page.
    pub(crate) async fn metrics(&self) -> String {
        let fields = [("host", "localhost")];
        let page = crate::admin::call(self.health, "GET", "/metrics", &fields, "").await;
        page.map(|(_, text)| text).unwrap_or_default()
    }
}

/// `TIME  WARN health changed pool=web region=near from="suspect" to="down"`.
pub(super) fn transition(line: &str, clock: &Clock) -> Option<Transition> {
    let (head, fields) = line.split_once("health changed ")?;
    let field = |name: &str| {
        let value = fields.split(name).nth(1)?;
        Some(value.split(' ').next()?.trim_matches('"').to_owned())
    };
    Some(Transition {
        at_ms: clock.of_text(head.split_whitespace().next()?)?,
        pool: field("pool=")?,
        region: field("region=")?,
        to: field("to=")?,
    })
}

/// A line of its access log.
pub(super) fn logged(line: &str, clock: &Clock) -> Option<Logged> {
    let line: Value = serde_json::from_str(line).ok()?;
    let began_ms = clock.of_text(line["ts"].as_str()?)? - line["dur_ms"].as_f64()?;
    let id = line["id"].as_str().and_then(|id| id.strip_prefix('m')?.parse().ok());
    let mut sum_ms = 0.0;
    let attempts = line["attempts"].as_array()?.iter().map(|attempt| {
        // Without its own offset, an attempt began when those before it had ended.
        let at_ms = attempt["at_ms"].as_f64().unwrap_or(sum_ms);
        sum_ms += attempt["ms"].as_f64().unwrap_or(0.0);
        let outcome = attempt["outcome"].as_str().unwrap_or_default();
        Attempt {
            region: attempt["region"].as_str().unwrap_or_default().to_owned(),
            began_ms: began_ms + at_ms,
            is_sent: !matches!(outcome, "not_sent" | "connect_timeout"),
        }
    });
    Some(Logged { id, began_ms, attempts: attempts.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_read_as_it_writes_them() {
        let clock = Clock::starting_in(Duration::ZERO);
        let line = "2026-11-26T21:00:06.825930Z  WARN health changed pool=web region=near from=\"suspect\" to=\"down\"";
        let seen = transition(line, &clock).unwrap();
        assert_eq!((seen.pool.as_str(), seen.region.as_str(), seen.to.as_str()), ("web", "near", "down"));
        assert_eq!(transition("2026-11-26T21:00:09.698779Z  INFO draining", &clock), None);

        let line = "{\"ts\":\"2026-11-26T21:00:08.221891Z\",\"id\":\"m12\",\"dur_ms\":9.5,\"attempts\":[{\"region\":\"near\",\
                    \"outcome\":\"not_sent\",\"ms\":0.5},{\"region\":\"far\",\"outcome\":\"answered\",\"ms\":8.0}]}";
        let seen = logged(line, &clock).unwrap();
        assert_eq!((seen.id, seen.attempts.len()), (Some(12), 2));
        assert!((seen.attempts[1].began_ms - seen.began_ms - 0.5).abs() < 1e-6);
        assert_eq!((seen.attempts[0].is_sent, seen.attempts[1].is_sent), (false, true));
    }
}
