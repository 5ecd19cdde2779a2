//! Commands that look: once, or again and again until somebody has seen enough.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use steer::Span;

use super::admin::{Api, Failure};
use super::call::Call;
use super::{AdminArgs, Output, complain, print, say, say_json, terminal};

/// The shortest and the longest time between two looks.
const LEAST_PAUSE: Span = Span::from_millis(200);
const MOST_PAUSE: Span = Span::from_secs(3600);

/// How it is looked.
#[derive(Args, Clone, Debug)]
pub(super) struct LookArgs {
    /// Look again every 2s, or as often as you say, until Ctrl-C
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "2s", value_parser = parse_pause)]
    watch: Option<Span>,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

/// Shows what the API answers to a question; `tell` says it to people.
pub(super) fn look<T: DeserializeOwned>(
    args: &LookArgs,
    path: &str,
    tell: impl Fn(&T) -> String,
) -> ExitCode {
    let api = match Api::of(&args.admin) {
        Ok(api) => api,
        Err(code) => return code,
    };
    let call = Call::get(path);
    let is_json = args.admin.output == Output::Json;
    let once = || -> Result<String, Failure> {
        let (answer, text) = api.json::<T>(&call)?;
        Ok(if is_json { text } else { tell(&answer) })
    };
    match (once(), args.watch) {
        (Err(failure), _) => failure.report(),
        (Ok(shown), None) => {
            if is_json {
                say_json(&shown);
            } else {
                say(&shown);
            }
            ExitCode::SUCCESS
        }
        (Ok(first), Some(pause)) => watch(first, pause, is_json, once),
    }
}

/// Shows a first picture and then further ones. What goes wrong later is told and no reason to stop: an edge that is started anew
/// is worth waiting for.
fn watch(
    first: String,
    pause: Span,
    is_json: bool,
    mut once: impl FnMut() -> Result<String, Failure>,
) -> ExitCode {
    let size = || terminal::size(&io::stdout()).filter(|_| !is_json);
    let mut shown: Result<String, Failure> = Ok(first);
    loop {
        let drawn = match (&shown, size()) {
            (Ok(text), Some((_, rows))) => draw(text, pause, rows),
            (Err(failure), Some((_, rows))) => draw(&failure.to_string(), pause, rows),
            (Ok(text), None) if is_json => print(&terminal::harmless_json(text)),
            (Ok(text), None) => print(&format!("{text}\n")),
            (Err(failure), None) => {
                complain(&failure.to_string());
                Ok(())
            }
        };
        // Whoever read it has seen enough.
        if drawn.is_err() {
            return ExitCode::SUCCESS;
        }
        thread::sleep(Duration::from(pause));
        shown = once();
    }
}

/// Draws over what stands there, so that nothing flickers; what is too long is cut off and said to be.
fn draw(text: &str, pause: Span, rows: u16) -> io::Result<()> {
    const HOME: &str = "\x1b[H";
    const REST_OF_LINE: &str = "\x1b[K";
    const REST_OF_SCREEN: &str = "\x1b[J";
    let head = format!("{:.0}, every {pause}; Ctrl-C ends", Timestamp::now());
    let room = usize::from(rows).saturating_sub(4).max(1);
    let text = terminal::harmless(text);
    let mut picture = format!("{HOME}{head}{REST_OF_LINE}\n{REST_OF_LINE}\n");
    for line in text.lines().take(room) {
        picture += &format!("{line}{REST_OF_LINE}\n");
    }
    let more = text.lines().count().saturating_sub(room);
    if more > 0 {
        picture += &format!("({more} more lines: make the window higher){REST_OF_LINE}");
    }
    picture += REST_OF_SCREEN;
    let mut output = io::stdout().lock();
    output.write_all(picture.as_bytes())?;
    output.flush()
}

fn parse_pause(text: &str) -> Result<Span, String> {
    let pause = text.parse::<Span>().map_err(|error| error.to_string())?;
    if !(LEAST_PAUSE..=MOST_PAUSE).contains(&pause) {
        return Err(format!("from {LEAST_PAUSE} to {MOST_PAUSE}, such as 5s"));
    }
    Ok(pause)
}
