//! `nearside watches`: changes under watch with what was seen of them, and ending a watch.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::admin::Watches;
use control::trial::{NOT_KEPT, Trial};
use http::Method;

use super::admin::Api;
use super::call::{Call, quoted};
use super::look::{LookArgs, look};
use super::sheet::{columns, folded};
use super::{AdminArgs, Output, say, say_json, terminal};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct WatchesArgs {
    #[command(subcommand)]
    command: Option<WatchesCommand>,
    #[command(flatten)]
    look: LookArgs,
}

#[derive(Debug, Subcommand)]
enum WatchesCommand {
    /// Show the change under watch and the last ones (what `watches` alone does)
    List(LookArgs),
    /// End a watch, without asking: the change stays in force
    End(EndArgs),
}

#[derive(Args, Debug)]
struct EndArgs {
    /// The watch's number
    number: u64,
    /// Why; shown to whoever looks later
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn watches(args: &WatchesArgs) -> ExitCode {
    match &args.command {
        None => list(&args.look),
        Some(WatchesCommand::List(args)) => list(args),
        Some(WatchesCommand::End(args)) => end(args),
    }
}

fn list(args: &LookArgs) -> ExitCode {
    look(args, "/v1/watches", |Watches { running, ended }: &Watches| {
        let all: Vec<Vec<String>> = running.iter().chain(ended).map(row).collect();
        if all.is_empty() {
            return "No change is watched, or was since this edge was started.".to_owned();
        }
        columns(&["NUMBER", "STATE", "CHANGE", "BY", "SINCE", "UNTIL", "GUARDS", "REASON", "SEEN"], all)
    })
}

fn row(trial: &Trial) -> Vec<String> {
    let guards: Vec<String> = trial.guards.iter().map(ToString::to_string).collect();
    let evidence = trial.evidence.iter().map(ToString::to_string);
    let note = Some(trial.note.clone()).filter(|note| !note.is_empty());
    let seen: Vec<String> = evidence.chain(note).collect();
    vec![
        trial.number.to_string(),
        trial.state.to_string(),
        trial.of.to_string(),
        trial.author.clone(),
        format!("{:.0}", trial.since),
        format!("{:.0}", trial.ended_at.unwrap_or(trial.ends_at)),
        guards.join(", "),
        trial.reason.clone(),
        seen.join(". "),
    ]
}

fn end(EndArgs { number, reason, admin }: &EndArgs) -> ExitCode {
    let api = match Api::of(admin) {
        Ok(api) => api,
        Err(code) => return code,
    };
    let path = format!("/v1/watches/{number}?reason={}", quoted(reason));
    match api.json::<Trial>(&Call::change(Method::DELETE, path, Vec::new())) {
        Ok((_, text)) if admin.output == Output::Json => say_json(&text),
        Ok((trial, _)) => {
            let kept = if trial.note.ends_with(NOT_KEPT) { format!("; {NOT_KEPT}") } else { String::new() };
            let told = format!("The watch of {} is over; what was changed stays in force{kept}.", trial.of);
            say(&folded(&terminal::one_line(&told), 0));
        }
        Err(failure) => return failure.report(),
    }
    ExitCode::SUCCESS
}
