//! `nearside version`: what runs on the edge that answers, since when, and with which table. `--version` is this binary's own.

use std::process::ExitCode;

use control::admin::Running;

use super::ago::ago;
use super::look::{LookArgs, look};
use super::sheet::facts;

pub(super) fn version(args: &LookArgs) -> ExitCode {
    look(args, "/v1/version", |running: &Running| {
        let table = &running.table;
        facts([
            (
                "edge",
                format!(
                    "nearside {}, started {:.0}, {} ago",
                    running.version,
                    running.started_at,
                    ago(running.uptime_ms)
                ),
            ),
            ("command", format!("nearside {}", env!("CARGO_PKG_VERSION"))),
            (
                "table",
                format!(
                    "{} ({}) from {} by {}: {}",
                    table.version, table.fingerprint, table.source, table.author, table.reason
                ),
            ),
            ("inputs", format!("overlay {}, ranking {}", running.overlay, running.ranking)),
            (
                "changes",
                match running.changes_kept {
                    Some(true) => "kept".to_owned(),
                    Some(false) => "not being kept: a restart forgets them".to_owned(),
                    None => String::new(),
                },
            ),
        ])
    })
}
