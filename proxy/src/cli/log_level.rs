//! `nearside log-level`: how much the log of an edge says, and more of it for a while.

use std::process::ExitCode;

use clap::Args;
use control::admin::{Carried, Fate, LogLevel};
use control::log_level::Level;
use http::Method;
use serde_json::json;
use steer::Span;

use super::call::Call;
use super::conditions::ConditionArgs;
use super::look::{LookArgs, look};
use super::sheet::folded;
use super::terminal;
use super::word::one_of;

#[derive(Args, Debug)]
pub(super) struct LogLevelArgs {
    /// How much it shall say, until that ends by itself; without it, what counts now is shown
    #[arg(value_parser = one_of(&Level::ALL, Level::as_str), requires = "reason", conflicts_with = "watch")]
    level: Option<Level>,
    /// For how long, such as 10m, a day at most [default: 30m]
    #[arg(long = "for", value_name = "TIME", requires = "level")]
    lasts: Option<Span>,
    /// Why; shown to whoever looks later
    #[arg(long, requires = "level")]
    reason: Option<String>,
    /// Tell what it would do, and do nothing
    #[arg(long, requires = "level")]
    dry_run: bool,
    /// Do it even if it cannot be kept: the audit may lack it after a restart
    #[arg(long, requires = "level")]
    volatile: bool,
    #[command(flatten)]
    look: LookArgs,
}

pub(super) fn log_level(args: &LogLevelArgs) -> ExitCode {
    let LogLevelArgs { level, lasts, reason, dry_run, volatile, look: how } = args;
    let Some(level) = level else { return look(how, "/v1/log-level", |level| folded(&told(level), 0)) };
    let mut body = json!({ "level": level, "reason": reason });
    if let Some(lasts) = lasts {
        body["expires_in"] = json!(lasts);
    }
    let call = Call::change(Method::PUT, "/v1/log-level", body.to_string().into_bytes());
    // It moves no traffic, so that no guard is to be overruled either.
    ConditionArgs::new(*dry_run, *volatile).carry_out_unasked(
        &how.admin,
        call,
        |Carried { shown, fate: Fate { note, .. } }: Carried<LogLevel>| {
            format!("{}; in force, {note}", told(&shown))
        },
    )
}

fn told(LogLevel { level, usual, set }: &LogLevel) -> String {
    let told = match set {
        None => format!("{}, as usual", level.as_str()),
        Some(set) => format!(
            "{} until {:.0} and then {}, by {}: {}",
            level.as_str(),
            set.expires_at,
            usual.as_str(),
            set.author,
            set.reason
        ),
    };
    terminal::one_line(&told).into_owned()
}
