//! The process's own log, on standard error, and how much it says.
//!
//! A process has one, so its level is this file's. `NEARSIDE_LOG` sets what it usually says; an operator may change that for a while. Below
//! `info`, only nearside itself is heard: what the libraries say of each frame of each request would keep workers from their work.
//! What is not said costs a worker a look at one number that nobody writes.

use std::io::IsTerminal;
use std::sync::OnceLock;

use control::log_level::{Level, LogLevels};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// The crates that are nearside.
const OURS: [&str; 3] = ["nearside", "control", "steer"];

static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    usual: Level,
    filter: reload::Handle<Targets, Registry>,
}

/// Opens it, for a process that is an edge.
pub(crate) fn start() {
    let usual = std::env::var("NEARSIDE_LOG").ok().and_then(|level| named(&level)).unwrap_or(Level::Info);
    let (filter, handle) = reload::Layer::new(targets(usual));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(lines).init();
    let _ = LOG.set(Log { usual, filter: handle });
}

/// How much it says; a process that has not opened it leaves that to somebody else.
pub(crate) fn levels() -> LogLevels {
    match LOG.get() {
        None => LogLevels::new(Level::Info, None),
        Some(log) => LogLevels::new(
            log.usual,
            Some(Box::new(move |level| {
                if let Err(error) = log.filter.reload(targets(level)) {
                    tracing::error!(%error, "the log level cannot be changed");
                }
            })),
        ),
    }
}

/// A level by its name, in any case.
fn named(name: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(name))
}

fn targets(level: Level) -> Targets {
    let filter = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let others = filter.min(LevelFilter::INFO);
    Targets::new().with_default(others).with_targets(OURS.map(|ours| (ours, filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_heard_as_far_as_info() {
        let is_heard = |level, target: &str, of: tracing::Level| targets(level).would_enable(target, &of);
        assert!(is_heard(Level::Debug, "nearside::forward", tracing::Level::DEBUG));
        assert!(is_heard(Level::Debug, "control::admin", tracing::Level::DEBUG));
        assert!(!is_heard(Level::Debug, "control::admin", tracing::Level::TRACE));
        assert!(!is_heard(Level::Trace, "h2::codec", tracing::Level::DEBUG));
        assert!(is_heard(Level::Trace, "h2::codec", tracing::Level::INFO));
        assert!(!is_heard(Level::Error, "nearside", tracing::Level::WARN));
        assert_eq!((named("WARN"), named("loud")), (Some(Level::Warn), None));
    }
}
