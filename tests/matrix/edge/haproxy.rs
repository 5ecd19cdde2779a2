//! HAProxy as a process, in master-worker mode, with the configuration in `peers/haproxy.cfg`.
//!
//! Its log names only the last server of a request, so what was sent where is taken from the ways' own sightings.

use std::process::Stdio;

use super::{Contestant, Edge, Said, Site, Transition, free_door, listen};
use crate::Failure;
use crate::fault::Plane;
use crate::load::Doors;
use crate::process::{Guard, pinned};

const CONFIG: &str = include_str!("../peers/haproxy.cfg");

pub(super) fn start(site: &Site<'_>, guard: &Guard) -> Result<Edge, Failure> {
    let doors = Doors { http: free_door()?, grpc: free_door()? };
    let file = site.folder.join("haproxy.cfg");
    let is_tls = site.plane == Plane::Tls;
    let tls = if is_tls {
        format!(
            "ssl verify required ca-file {} sni str(origin.test) check-sni origin.test verifyhost origin.test",
            site.folder.join("ca.pem").display()
        )
    } else {
        String::new()
    };
    let servers = |more: &str| {
        let server = |(id, (region, address)): (usize, &(&str, std::net::SocketAddr))| {
            format!("    server {region} {address} id {} {more}\n", id + 1)
        };
        site.regions.iter().enumerate().map(server).collect::<String>()
    };
    let (http2, check) = if is_tls {
        ("alpn h2 check-alpn h2", "ssl alpn h2")
    } else {
        ("proto h2 check-proto h2", "proto h2")
    };
    let web = if site.plane == Plane::Http2 { http2 } else { "" };
    let config = CONFIG
        .replace("@HTTP@", &doors.http.to_string())
        .replace("@GRPC@", &doors.grpc.to_string())
        .replace("@TLS@", &tls)
        .replace("@CHECK@", check)
        .replace("@WEB@", &servers(web))
        .replace("@LIVE@", &servers(""))
        .replace("@CALLS@", &servers(http2));
    std::fs::write(&file, config)?;
    let mut command = pinned(super::nearside::PROCESSOR, site.program);
    command.args(["-W", "-db", "-f"]).arg(&file);
    let mut process =
        guard.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let said = Said::default();
    listen(process.child.stdout.take().ok_or("no stdout")?, &said);
    listen(process.child.stderr.take().ok_or("no stderr")?, &said);
    Ok(Edge {
        contestant: Contestant::Haproxy,
        process,
        doors,
        said,
        access_log: site.access_log.clone(),
        admin: None,
        table: String::new(),
    })
}

/// `Server web/near is DOWN, reason: ...`. The same is said on stderr, after a time of day.
pub(super) fn transition(line: &str, heard_ms: f64) -> Option<Transition> {
    let rest = line.strip_prefix("Server ")?;
    let (name, state) = rest.split_once(" is ")?;
    let (pool, region) = name.split_once('/')?;
    let to = state.split([',', '.', ' ']).next()?.to_lowercase();
    matches!(to.as_str(), "down" | "up").then(|| Transition {
        at_ms: heard_ms,
        pool: pool.to_owned(),
        region: region.to_owned(),
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_read_as_it_writes_them() {
        let line = "Server web/near is DOWN, reason: Layer4 connection problem, info: \"Connection refused\"";
        let seen = transition(line, 7.0).unwrap();
        assert_eq!((seen.region.as_str(), seen.to.as_str(), seen.at_ms), ("near", "down", 7.0));
        assert_eq!(transition("Proxy web started.", 0.0), None);
        assert_eq!(transition(&format!("[WARNING]  (11932) : {line}"), 0.0), None, "said twice");
    }
}
