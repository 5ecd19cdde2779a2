//! `nearside run`: an edge, from its files to its end.

use std::path::Path;
use std::process::ExitCode;

use control::changes::FILE;
use control::document::Finding;
use control::publisher::Draft;
use tokio::signal::unix::{SignalKind, signal};

use super::{complain, configuration, supervisor};
use crate::edge::Edge;
use crate::observe::process_log;

pub(super) fn run(file: &Path) -> ExitCode {
    let settings = match configuration(file) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    process_log::start();
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    let source = settings.table_file.display().to_string();
    let table = std::fs::read_to_string(&settings.table_file)
        .map(|text| Draft {
            text,
            source: source.clone(),
            author: FILE.to_owned(),
            reason: "start".to_owned(),
        })
        .map_err(|error| {
            let problem = format!("it cannot be read: {error}");
            Box::new(Finding::of_file(&source, problem, "nobody would know where to send anything", ""))
        });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a process that has started gets its event loop");
    // Signals that come while the edge starts are kept for when it can obey.
    let _guard = runtime.enter();
    let signals =
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::user_defined1()];
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup), Ok(mut reopen)] = signals.map(signal) else {
        complain("signals cannot be received");
        return ExitCode::from(1);
    };
    let inherited = match supervisor::inherited() {
        Ok(inherited) => inherited,
        Err(error) => {
            complain(&format!("a socket that was passed to this process cannot be used: {error}"));
            return ExitCode::from(1);
        }
    };
    let grace = settings.limits.readiness_grace;
    let edge = match Edge::start(settings, table, inherited) {
        Ok(edge) => edge,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(1);
        }
    };
    for address in &edge.listeners {
        tracing::info!(%address, "listening for clients");
    }
    tracing::info!(address = %edge.admin, "listening for operators");
    tracing::info!(address = %edge.health, "listening for health checks");
    runtime.block_on(async {
        tokio::spawn(supervisor::watchdog(edge.pulse()));
        supervisor::ready(&edge);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    supervisor::reloading();
                    edge.reload().await;
                    supervisor::ready(&edge);
                }
                _ = reopen.recv() => edge.reopen_log(),
            }
        }
        tracing::info!(readiness_grace = ?grace, "draining; once more to stop at once");
        supervisor::stopping("draining");
        let stopped = tokio::task::spawn_blocking(move || edge.stop());
        tokio::select! {
            _ = stopped => tracing::info!("stopped"),
            _ = terminate.recv() => std::process::exit(0),
            _ = interrupt.recv() => std::process::exit(0),
        }
    });
    ExitCode::SUCCESS
}
