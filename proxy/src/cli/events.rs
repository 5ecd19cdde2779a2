//! `nearside events`: what happens on an edge, a line each, while it happens.
//!
//! It goes on where it was when the connection breaks: an edge that is started anew is worth waiting for.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use control::events::EventId;
use serde_json::{Value, json};
use steer::Span;
use tokio::signal::unix::{SignalKind, signal};

use super::admin::Api;
use super::exit::Exit;
use super::happened::happened;
use super::sheet::folded;
use super::stream::{Event, Stream};
use super::{AdminArgs, Output, complain, print, terminal};

/// How long it is waited before it is listened again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it is waited at the end for a line that is being printed.
const LAST_LINE: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub(super) struct EventsArgs {
    /// End after so many events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, such as 10m; with --count, that is a failure
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<Span>,
    /// Begin after the event with this id, as far as the edge still holds what came since
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    after: Option<EventId>,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn events(args: &EventsArgs) -> ExitCode {
    let api = match Api::of(&args.admin) {
        Ok(api) => api,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a process that has started gets its event loop");
    let code = runtime.block_on(async {
        let mut interrupts = match signal(SignalKind::interrupt()) {
            Ok(interrupts) => interrupts,
            Err(error) => {
                complain(&format!("Ctrl-C could not end it: {error}"));
                return ExitCode::from(Exit::Failed);
            }
        };
        tokio::select! {
            _ = interrupts.recv() => ExitCode::from(Exit::Interrupted),
            () = over(args.lasts) => match args.count {
                None => ExitCode::SUCCESS,
                Some(_) => ExitCode::from(Exit::Failed),
            },
            code = listen(&api, args) => code,
        }
    });
    // A line that somebody takes is over at once; one that nobody takes never is.
    runtime.shutdown_timeout(LAST_LINE);
    code
}

/// Comes when a time is over; never, if there is none.
async fn over(lasts: Option<Span>) {
    match lasts {
        Some(lasts) => tokio::time::sleep(lasts.into()).await,
        None => std::future::pending().await,
    }
}

async fn listen(api: &Api, args: &EventsArgs) -> ExitCode {
    let (mut last, mut left) = (args.after, args.count);
    let mut stream = match api.listen(last).await {
        Ok(stream) => stream,
        Err(failure) => return failure.report(),
    };
    // Told once, however often an edge that is about to end lets itself be asked.
    let mut is_lost = false;
    loop {
        let event = match stream.next().await {
            Ok(event) => event,
            Err(failure) if failure.is_final() => return failure.report(),
            Err(failure) => {
                if !std::mem::replace(&mut is_lost, true) {
                    complain(&format!("{failure}; listening again as soon as somebody answers"));
                }
                stream = match again(api, last).await {
                    Ok(stream) => stream,
                    Err(code) => return code,
                };
                continue;
            }
        };
        let is_end = event.name == "end";
        // Whoever read it has seen enough.
        if !(is_end && is_lost) && tell(told(&event, args.admin.output)).await.is_err() {
            return ExitCode::SUCCESS;
        }
        is_lost = is_lost && is_end;
        if event.id.is_some() {
            last = event.id;
            left = left.map(|left| left - 1);
        }
        if left == Some(0) {
            return ExitCode::SUCCESS;
        }
    }
}

/// Listens again, as soon as that can be done; unless it is refused for good.
async fn again(api: &Api, last: Option<EventId>) -> Result<Stream, ExitCode> {
    loop {
        tokio::time::sleep(PAUSE).await;
        match api.listen(last).await {
            Ok(stream) => return Ok(stream),
            Err(failure) if failure.is_final() => return Err(failure.report()),
            Err(_) => {}
        }
    }
}

/// Prints on a thread of its own: while nobody takes it, Ctrl-C still counts, and the end of the time.
async fn tell(told: String) -> io::Result<()> {
    tokio::task::spawn_blocking(move || print(&told)).await.map_err(io::Error::other)?
}

fn told(event: &Event, output: Output) -> String {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|_| Value::String(event.data.clone()));
    match output {
        Output::Json => {
            let id = event.id.map(|id| id.to_string());
            let whole = json!({ "id": id, "event": event.name, "data": data }).to_string();
            terminal::harmless_json(&whole).into_owned()
        }
        Output::Table => folded(&terminal::one_line(&happened(&event.name, &data)), 4),
    }
}

fn parse_id(text: &str) -> Result<EventId, String> {
    text.parse().map_err(|_| "an id is as an event has it, such as 19ac2f0b7d1.812".to_owned())
}
