//! `nearside drill`: a region that looks dead to a part of the clients, on purpose and for a while.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::admin::{Carried, Drilled, Fate};
use control::drill::Drill;
use control::trial::NoGuard;
use http::Method;
use serde_json::json;
use steer::Span;

use super::call::{Call, quoted};
use super::conditions::ConditionArgs;
use super::look::{LookArgs, look};
use super::sheet::folded;
use super::{AdminArgs, terminal, trial};

/// Said instead of a guard by whoever wants none.
const NO_GUARD: &str = "off";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DrillArgs {
    #[command(subcommand)]
    command: Option<DrillCommand>,
    #[command(flatten)]
    look: LookArgs,
}

#[derive(Debug, Subcommand)]
enum DrillCommand {
    /// Show the drill that runs (what `drill` alone does)
    Show(LookArgs),
    /// Make a region look dead to a part of the clients, for a while
    Begin(BeginArgs),
    /// End the drill that runs, without asking: that only gives back
    End(EndArgs),
}

#[derive(Args, Debug)]
struct BeginArgs {
    /// The region
    region: String,
    /// To this percentage of the clients: 0.01 to 100
    #[arg(long, value_parser = parse_percent)]
    percent: f64,
    /// For how long, such as 5m; it ends by itself
    #[arg(long = "for", value_name = "TIME")]
    lasts: Span,
    /// What ends it before its time: error_rate=+1% (so much more than before), p99=+50ms; several with commas; off for nothing
    /// [default: a tenth of its clients fail, or one in a hundred of all]
    #[arg(long, value_name = "GUARD", value_parser = parse_guards)]
    guard: Option<String>,
    /// Why; shown to whoever looks later
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    conditions: ConditionArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Args, Debug)]
struct EndArgs {
    /// Why; shown to whoever looks later
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    conditions: ConditionArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn drill(args: &DrillArgs) -> ExitCode {
    match &args.command {
        None => show(&args.look),
        Some(DrillCommand::Show(args)) => show(args),
        Some(DrillCommand::Begin(args)) => begin(args),
        Some(DrillCommand::End(args)) => end(args),
    }
}

fn show(args: &LookArgs) -> ExitCode {
    look(args, "/v1/drill", |Drilled { drill }: &Drilled| match drill {
        None => "No drill runs.".to_owned(),
        Some(drill) => {
            let told = format!("{}, by {}: {}", told(drill), drill.author, drill.reason);
            folded(&terminal::one_line(&told), 0)
        }
    })
}

fn begin(args: &BeginArgs) -> ExitCode {
    let BeginArgs { region, percent, lasts, guard, reason, conditions, admin } = args;
    let mut body = json!({ "region": region, "percent": percent, "for": lasts, "reason": reason });
    if let Some(guard) = guard {
        body["guard"] = json!(guard);
    }
    let call = Call::change(Method::POST, "/v1/drill", body.to_string().into_bytes());
    conditions.carry_out(
        admin,
        call,
        |Carried { shown: Drilled { drill }, fate: Fate { note, watch, .. } }| {
            let drill = drill.as_ref().map_or_else(|| "the drill is over".to_owned(), told);
            let guards: Vec<String> =
                watch.iter().flat_map(|watch| &watch.guards).map(ToString::to_string).collect();
            let watched = match guards.is_empty() {
                true => "not watched".to_owned(),
                false => format!("watched: {}", guards.join(", ")),
            };
            format!("{drill}; in force, {note}; {watched}")
        },
    )
}

fn end(args: &EndArgs) -> ExitCode {
    let path = format!("/v1/drill?reason={}", quoted(&args.reason));
    let call = Call::change(Method::DELETE, path, Vec::new());
    let told = |Carried { fate: Fate { persisted, note, .. }, .. }: Carried<Drilled>| match persisted {
        true => "The drill is over.".to_owned(),
        false => format!("The drill is over; {note}."),
    };
    args.conditions.carry_out_unasked(&args.admin, call, told)
}

/// What it does to whom, and until when.
pub(super) fn told(drill: &Drill) -> String {
    let Drill { region, percent, since, ends_at, .. } = drill;
    format!("{region} looks dead to {percent} % of the clients from {since:.0} until {ends_at:.0}")
}

fn parse_guards(text: &str) -> Result<String, NoGuard> {
    match text {
        NO_GUARD => Ok(text.to_owned()),
        guards => trial::parse_guards(guards),
    }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.01..=100.0).contains(percent));
    percent.ok_or_else(|| "a drill hits from 0.01 to 100 percent of the clients".to_owned())
}
