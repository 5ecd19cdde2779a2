//! Changes under watch, made and followed to the end: `nearside tables publish ... --watch 60s`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use control::admin::Watches;
use control::trial::{Guard, NoGuard, Trial, TrialState};
use serde::de::DeserializeOwned;
use steer::Span;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::admin::{Api, Failure};
use super::call::{Call, quoted};
use super::conditions::ConditionArgs;
use super::exit::Exit;
use super::{AdminArgs, Output, complain, say, say_json};

/// How often the edge is asked.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it may not answer in a row.
const MOST_UNANSWERED: u32 = 10;
/// How often what was seen is shown.
const POLLS_PER_LINE: u32 = 5;

/// Whether a change is watched.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct WatchArgs {
    /// Watch it for this time, wait for the end, and take it back if it does harm: 5s to 1h
    #[arg(long, value_name = "TIME")]
    watch: Option<Span>,
    /// What harm is: error_rate=1% (at most), error_rate=+0.5% (more than before), no_route=1%, p99=+50ms; several with commas
    #[arg(long, value_name = "GUARD", requires = "watch", value_parser = parse_guards)]
    guard: Option<String>,
}

pub(super) fn parse_guards(text: &str) -> Result<String, NoGuard> {
    Guard::list(text).map(|_| text.to_owned())
}

impl WatchArgs {
    /// What the API is told, behind what a path's query says already.
    pub(super) fn query(&self) -> String {
        let said = [
            self.watch.map(|watch| format!("&watch={watch}")),
            self.guard.as_ref().map(|guard| format!("&guard={}", quoted(guard))),
        ];
        said.into_iter().flatten().collect()
    }

    /// Has a change made, and waits for the end of its watch if it has one; `done` tells what came of the change, and how it is
    /// watched.
    pub(super) fn carry_out<T: DeserializeOwned>(
        &self,
        conditions: &ConditionArgs,
        admin: &AdminArgs,
        call: Call,
        done: impl FnOnce(T) -> (String, Option<Trial>),
    ) -> ExitCode {
        let mut made = None;
        let code = conditions.carry_out(admin, call, |answer| {
            let (told, watch) = done(answer);
            made = Some(watch);
            told
        });
        match made {
            Some(Some(trial)) => {
                Api::of(admin).map_or_else(|code| code, |api| follow(&api, &trial, admin.output))
            }
            Some(None) if self.watch.is_some() => {
                complain(
                    "It is in force and not watched: what it replaced is not known, for it came before, or with too many others.",
                );
                Exit::Failed.into()
            }
            _ => code,
        }
    }
}

/// Waits until a trial is over, and shows what is seen meanwhile: the command succeeds if the change has passed.
fn follow(api: &Api, begun: &Trial, output: Output) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a process that has started gets its event loop");
    let interrupts = runtime.block_on(async { signal(SignalKind::interrupt()) });
    let mut interrupts = match interrupts {
        Ok(interrupts) => interrupts,
        Err(error) => {
            complain(&format!("the watch goes on, and cannot be followed: {error}"));
            return Exit::Failed.into();
        }
    };
    let is_shown = output != Output::Json;
    if is_shown {
        let guards: Vec<String> = begun.guards.iter().map(ToString::to_string).collect();
        say(&format!("watching it for {}: {}", begun.lasts, guards.join(", ")));
    }
    let (mut unanswered, mut polls) = (0, 0);
    loop {
        if !runtime.block_on(pause(&mut interrupts)) {
            complain(&format!(
                "interrupted: watch {} goes on without you, and takes the change back if it does harm",
                begun.number
            ));
            return Exit::Interrupted.into();
        }
        let trial = match poll(api, begun.number) {
            Ok(trial) => trial,
            Err(Failure::Unreachable(_) | Failure::Unanswered(_)) if unanswered < MOST_UNANSWERED => {
                unanswered += 1;
                continue;
            }
            Err(failure) => {
                complain(&format!("watch {} goes on, and cannot be followed any more", begun.number));
                return failure.report();
            }
        };
        (unanswered, polls) = (0, polls + 1);
        let Some(trial) = trial.filter(|trial| trial.since == begun.since) else {
            complain(
                "the edge does not know this watch any more: a restart has ended it, and the change is in force",
            );
            return Exit::Failed.into();
        };
        if trial.state != TrialState::Running {
            return end(&trial, output);
        }
        if is_shown && u32::is_multiple_of(polls, POLLS_PER_LINE) {
            trial.evidence.iter().for_each(|evidence| say(&evidence.to_string()));
        }
    }
}

/// Waits for the next look; whether nobody wants to leave.
async fn pause(interrupts: &mut Signal) -> bool {
    tokio::select! {
        _ = interrupts.recv() => false,
        () = tokio::time::sleep(PAUSE) => true,
    }
}

fn poll(api: &Api, number: u64) -> Result<Option<Trial>, Failure> {
    let (Watches { running, ended }, _) = api.json(&Call::get("/v1/watches"))?;
    Ok(running.into_iter().chain(ended).find(|trial| trial.number == number))
}

fn end(trial: &Trial, output: Output) -> ExitCode {
    if output == Output::Json {
        match serde_json::to_string(trial) {
            Ok(text) => say_json(&text),
            Err(error) => complain(&error.to_string()),
        }
    } else {
        trial.evidence.iter().for_each(|evidence| say(&evidence.to_string()));
        say(&format!("{}: {}", trial.state, trial.note));
    }
    match trial.state {
        TrialState::Passed => ExitCode::SUCCESS,
        _ => Exit::Failed.into(),
    }
}
