//! `nearside pools`: the applications, what is there to answer for each, and how that is checked.

use std::process::ExitCode;

use control::admin::{Pool, PoolSummary, Pools, Probe};
use steer::spec::ProbeKind;

use super::listed::ListedArgs;
use super::pages::below;
use super::placements::layers;
use super::sheet::{columns, facts};

pub(super) fn pools(args: &ListedArgs) -> ExitCode {
    args.show("/v1/pools", list, one)
}

fn list(Pools { version, pools, next }: &Pools) -> String {
    let rows = pools.iter().map(|pool| {
        vec![
            pool.name.clone(),
            usable(pool),
            pool.origins.to_string(),
            pool.in_flight.to_string(),
            pool.routes.to_string(),
            speaks(pool),
        ]
    });
    let table = columns(&["POOL", "USABLE", "ORIGINS", "RUNNING", "ROUTES", "SPEAKS"], rows);
    let told = format!("Usable are so many of its regions. Table {version}.");
    format!("{table}\n\n{}", below(&told, next.as_deref()))
}

fn one(Pool { summary, probe, placements }: &Pool) -> String {
    let facts = facts([
        ("pool", summary.name.clone()),
        ("speaks", speaks(summary)),
        ("probe", probed(probe)),
        ("usable", format!("{} regions", usable(summary))),
        ("origins", summary.origins.to_string()),
        ("running", format!("{} requests from here", summary.in_flight)),
        ("routes", summary.routes.to_string()),
    ]);
    format!("{facts}\n\n{}", layers(placements))
}

fn usable(pool: &PoolSummary) -> String {
    format!("{} of {}", pool.usable, pool.regions)
}

fn speaks(pool: &PoolSummary) -> String {
    format!("{}{}", pool.protocol.as_str(), if pool.tls { " over TLS" } else { "" })
}

fn probed(Probe { kind, path, host, statuses, interval }: &Probe) -> String {
    let what = match kind {
        ProbeKind::Http => {
            let range = |(from, to): &(u16, u16)| match from == to {
                true => from.to_string(),
                false => format!("{from} to {to}"),
            };
            let statuses: Vec<String> = statuses.iter().map(range).collect();
            let host = host.as_ref().map_or_else(String::new, |host| format!(" of {host}"));
            format!("GET {path}{host}, well with {}", statuses.join(", "))
        }
        ProbeKind::Grpc if path.is_empty() => "gRPC health of the whole server".to_owned(),
        ProbeKind::Grpc => format!("gRPC health of {path}"),
        ProbeKind::Tcp => "a connection".to_owned(),
    };
    format!("{what}, every {interval}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_probe_is_told_with_what_counts_as_well() {
        let probe = |kind: &str, path: &str| -> String {
            let probe = json!({
                "kind": kind, "path": path, "host": "a.test", "statuses": [[200, 299], [304, 304]], "interval": "1s",
            });
            probed(&serde_json::from_value(probe).expect("as the API writes it"))
        };
        assert_eq!(probe("http", "/up"), "GET /up of a.test, well with 200 to 299, 304, every 1s");
        assert_eq!(probe("grpc", ""), "gRPC health of the whole server, every 1s");
        assert_eq!(probe("grpc", "shop"), "gRPC health of shop, every 1s");
        assert_eq!(probe("tcp", ""), "a connection, every 1s");
    }
}
