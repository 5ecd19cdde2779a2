//! `nearside token`: who may call the admin API. It works on the file, so it needs no running edge; one that runs
//! looks at the file with each call.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::access::{Editor, Role, TokenEntry, read_tokens};
use jiff::Timestamp;
use steer::Span;

use super::check::table;
use super::sheet::columns;
use super::{Configured, Output, complain, configuration, say, say_json};
use crate::config::Settings;

/// The longest that a token may last: longer ones are kept for ever and forgotten.
const MAX_DAYS: u64 = 3660;

#[derive(Args, Debug)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token, and print it this once
    Add(TokenAddArgs),
    /// List the tokens; the secrets are not kept
    List {
        #[command(flatten)]
        configured: Configured,
        /// How they are shown
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Remove a token: it opens nothing any more
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Args, Debug)]
struct TokenAddArgs {
    /// Whose it is; the author of what is changed with it
    name: String,
    /// What may be done with it: viewer (look), operator (also overrides, drains, drills) or admin (also tables, the log level, tokens)
    #[arg(long, value_parser = parse_role)]
    role: Role,
    /// An operator's region; may be given several times [default: all]
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,
    /// How long it lasts, such as 90d or 12h [default: until it is removed]
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    expires_in: Option<Span>,
    #[command(flatten)]
    configured: Configured,
}

pub(super) fn token(args: &TokenArgs) -> ExitCode {
    let done = match &args.command {
        TokenCommand::Add(args) => settings(&args.configured).and_then(|settings| add(args, &settings)),
        TokenCommand::List { configured, output } => {
            settings(configured).and_then(|settings| list(&settings, *output))
        }
        TokenCommand::Remove { name, configured } => {
            settings(configured).and_then(|settings| remove(name, &settings))
        }
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}

fn settings(configured: &Configured) -> Result<Settings, ExitCode> {
    configuration(&configured.file())
}

fn failed(error: impl std::fmt::Display) -> ExitCode {
    complain(&error.to_string());
    ExitCode::from(1)
}

fn add(args: &TokenAddArgs, settings: &Settings) -> Result<(), ExitCode> {
    let now = Timestamp::now();
    let lifetime = args.expires_in.map(std::time::Duration::from);
    let expires_at = lifetime.map(|lifetime| now + lifetime);
    let regions = (!args.regions.is_empty()).then(|| args.regions.clone());
    let added = Editor::open(&settings.admin.tokens_file)
        .and_then(|editor| editor.add(&args.name, args.role, regions, expires_at, now));
    let secret = added.map_err(failed)?;
    // The secret alone, so that it can be piped to where it is kept.
    say(secret.reveal());
    complain(&format!(
        "{:?} is {}; this is told once, and in force: send it as \"Authorization: Bearer <token>\", or put it \
         into NEARSIDE_TOKEN",
        args.name, args.role
    ));
    for region in unknown(&args.regions, settings) {
        complain(&format!("warning: the table {} has no region {region:?}", settings.table_file.display()));
    }
    if args.role == Role::Admin && expires_at.is_none() {
        complain("warning: it opens everything and never expires; for example: --expires-in 90d");
    }
    Ok(())
}

/// Regions that the table does not have, as far as that can be known.
fn unknown<'a>(regions: &'a [String], settings: &Settings) -> Vec<&'a String> {
    let Ok(spec) = table(&settings.table_file) else { return Vec::new() };
    regions.iter().filter(|name| !spec.regions.iter().any(|region| region.name.0 == **name)).collect()
}

fn list(settings: &Settings, output: Output) -> Result<(), ExitCode> {
    let tokens = read_tokens(&settings.admin.tokens_file).map_err(failed)?;
    if output == Output::Json {
        let text = serde_json::to_string_pretty(&tokens.entries).expect("texts and times");
        say_json(&text);
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = tokens.entries.iter().map(|token| row(token, now));
    say(&columns(&["NAME", "ROLE", "REGIONS", "CREATED", "EXPIRES"], rows));
    Ok(())
}

fn row(token: &TokenEntry, now: Timestamp) -> Vec<String> {
    let expires = match token.expires_at {
        None => "never".to_owned(),
        Some(at) if token.is_expired(now) => format!("{at:.0} (expired)"),
        Some(at) => format!("{at:.0}"),
    };
    vec![
        token.name.clone(),
        token.role.to_string(),
        token.regions.as_ref().map_or_else(|| "all".to_owned(), |regions| regions.join(", ")),
        format!("{:.0}", token.created_at),
        expires,
    ]
}

fn remove(name: &str, settings: &Settings) -> Result<(), ExitCode> {
    let removed = Editor::open(&settings.admin.tokens_file).and_then(|editor| editor.remove(name));
    let removed = removed.map_err(failed)?;
    say(&format!("{:?} ({}) is removed: its token opens nothing any more", removed.name, removed.role));
    Ok(())
}

/// A lifetime: days too, which nobody wants to count in hours.
fn parse_lifetime(text: &str) -> Result<Span, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    let span = match days {
        Some(days) if days <= MAX_DAYS => Span::from_secs(days * 24 * 3600),
        Some(_) => return Err(format!("at most {MAX_DAYS}d")),
        None => text.parse().map_err(|_| {
            format!("{text:?} is not a length of time: write a whole number and a unit, such as \"90d\" or \"12h\"")
        })?,
    };
    if span == Span::ZERO || span > Span::from_secs(MAX_DAYS * 24 * 3600) {
        return Err(format!("longer than nothing, and at most {MAX_DAYS}d"));
    }
    Ok(span)
}

/// A role, as the command line has it.
fn parse_role(text: &str) -> Result<Role, String> {
    let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
    found.ok_or_else(|| "a role is viewer, operator or admin".to_owned())
}
