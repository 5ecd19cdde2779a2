//! nginx as a process, with the configuration in `peers/nginx.conf`.

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;

use super::{Attempt, Contestant, Edge, Logged, Said, Site, free_door, listen};
use crate::Failure;
use crate::clock::Clock;
use crate::fault::Plane;
use crate::load::Doors;
use crate::process::{Guard, pinned};
use crate::world::region_of;

const CONFIG: &str = include_str!("../peers/nginx.conf");

pub(super) fn start(site: &Site<'_>, guard: &Guard) -> Result<Edge, Failure> {
    let doors = Doors { http: free_door()?, grpc: free_door()? };
    let file = site.folder.join("nginx.conf");
    let is_tls = site.plane == Plane::Tls;
    let tls: String = if is_tls {
        let ca = site.folder.join("ca.pem");
        let of = |module: &str| {
            format!(
                "    {module}_ssl_verify on;\n    {module}_ssl_trusted_certificate {};\n    {module}_ssl_name \
                 origin.test;\n    {module}_ssl_server_name on;\n    {module}_ssl_protocols TLSv1.3;\n",
                ca.display()
            )
        };
        [of("proxy"), of("grpc")].concat()
    } else {
        String::new()
    };
    let server = |(index, (_, address)): (usize, &(&str, SocketAddr))| {
        let backup = if index == 0 { "" } else { " backup" };
        format!("        server {address} max_fails=1 fail_timeout=10s{backup};\n")
    };
    let servers: String = site.regions.iter().enumerate().map(server).collect();
    let config = CONFIG
        .replace("@HTTP@", &doors.http.to_string())
        .replace("@GRPC@", &doors.grpc.to_string())
        .replace("@RUN@", &site.folder.display().to_string())
        .replace("@LOG@", &site.access_log.display().to_string())
        .replace("@TLS@", &tls)
        .replace("@WEB@", &servers)
        .replace("@SCHEME@", if is_tls { "https" } else { "http" })
        .replace("@GRPCSCHEME@", if is_tls { "grpcs" } else { "grpc" });
    std::fs::write(&file, config)?;
    let mut command = pinned(super::nearside::PROCESSOR, site.program);
    command.arg("-p").arg(site.folder).arg("-c").arg(&file);
    let mut process =
        guard.spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let said = Said::default();
    listen(process.child.stderr.take().ok_or("no stderr")?, &said);
    Ok(Edge {
        contestant: Contestant::Nginx,
        process,
        doors,
        said,
        access_log: site.access_log.clone(),
        admin: None,
        table: String::new(),
    })
}

/// A line of its access log. All attempts stand in each field, one after the other, with commas.
pub(super) fn logged(line: &str, clock: &Clock) -> Option<Logged> {
    let line: Value = serde_json::from_str(line).ok()?;
    let end_us = (line["end"].as_f64()? * 1e6) as i64;
    let began_ms = clock.of_wall(end_us) - line["took"].as_f64()? * 1e3;
    let list = |name: &str| -> Vec<String> {
        line[name].as_str().unwrap_or_default().split(',').map(|word| word.trim().to_owned()).collect()
    };
    let (to, connected, took) = (list("to"), list("connected"), list("answered"));
    let mut sum_ms = 0.0;
    let mut attempts = Vec::new();
    for (index, address) in to.iter().enumerate() {
        let Some(region) = address.parse::<SocketAddr>().ok().and_then(|address| region_of(address.ip()))
        else {
            continue;
        };
        // "-" stands where no connection came about.
        let is_sent = connected.get(index).is_some_and(|time| time != "-");
        attempts.push(Attempt { region: region.to_owned(), began_ms: began_ms + sum_ms, is_sent });
        sum_ms += took.get(index).and_then(|time| time.parse::<f64>().ok()).unwrap_or(0.0) * 1e3;
    }
    Some(Logged { id: line["id"].as_str().and_then(|id| id.parse().ok()), began_ms, attempts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_read_as_it_writes_them() {
        let clock = Clock::starting_in(std::time::Duration::ZERO);
        let line = "{\"end\":1795726806.500,\"took\":0.050,\"id\":\"7\",\"to\":\"127.0.0.11:80, 127.0.0.12:80\",\
                    \"connected\":\"-, 0.001\",\"answered\":\"0.010, 0.040\",\"status\":\"502, 200\"}";
        let seen = logged(line, &clock).unwrap();
        assert_eq!((seen.id, seen.attempts.len()), (Some(7), 2));
        assert_eq!((seen.attempts[0].region.as_str(), seen.attempts[0].is_sent), ("near", false));
        assert_eq!((seen.attempts[1].region.as_str(), seen.attempts[1].is_sent), ("middle", true));
        assert!((seen.attempts[1].began_ms - seen.began_ms - 10.0).abs() < 0.1);
    }
}
