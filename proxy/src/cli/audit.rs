//! `nearside audit`: who changed what, when and why.
//!
//! Lines are read loosely: an edge of another version may know changes that this one does not, and they are told by their name.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::admin::Api;
use super::call::Call;
use super::changed::changed;
use super::look::{LookArgs, look};
use super::sheet::{columns, folded};
use super::verify::{VerifyArgs, verify};
use super::{AdminArgs, Output, complain, print, terminal};

/// How often it is asked for what is new.
const PAUSE: Duration = Duration::from_secs(1);
/// What is asked for at once; the API gives no more.
const PAGE: usize = 1000;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// The changes after that number, oldest first
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// So many at most [default: 100]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    last: Option<u16>,
    /// Go on with what is changed from now on, line by line, until Ctrl-C
    #[arg(long, conflicts_with = "watch")]
    follow: bool,
    #[command(flatten)]
    look: LookArgs,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check the journal on disk: that no line was edited, removed, put in or moved
    Verify(VerifyArgs),
}

/// A part of the audit.
#[derive(Debug, Deserialize)]
struct Page {
    /// The newest line: its number and its hash.
    anchor: String,
    /// Oldest first.
    changes: Vec<Value>,
}

/// A line of it.
#[derive(Debug, Deserialize)]
struct Line {
    seq: u64,
    time: Timestamp,
    author: String,
    role: String,
    reason: String,
    #[serde(default)]
    late: bool,
    /// What kind of change it is.
    change: String,
    #[serde(flatten)]
    more: Map<String, Value>,
}

pub(super) fn audit(args: &AuditArgs) -> ExitCode {
    if let Some(AuditCommand::Verify(args)) = &args.command {
        return verify(args);
    }
    let said =
        [args.after.map(|after| format!("after={after}")), args.last.map(|last| format!("last={last}"))];
    let said: Vec<String> = said.into_iter().flatten().collect();
    let path = format!("/v1/audit?{}", said.join("&"));
    if args.follow { follow(&args.look.admin, &path) } else { look(&args.look, &path, table) }
}

fn table(page: &Page) -> String {
    let rows = page.changes.iter().map(|change| match Line::deserialize(change) {
        Ok(line) => vec![
            line.seq.to_string(),
            format!("{:.0}", line.time),
            format!("{} ({})", line.author, line.role),
            line.what(),
            line.reason,
        ],
        Err(_) => vec![String::new(), String::new(), String::new(), change.to_string(), String::new()],
    });
    let table = columns(&["NUMBER", "TIME", "AUTHOR", "CHANGE", "REASON"], rows);
    format!("{table}\n\n{}", folded(&format!("The newest line is {}", page.anchor), 2))
}

/// Tells what there is, and then each change as it is made.
fn follow(args: &AdminArgs, path: &str) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    let mut call = Call::get(path);
    let (mut is_first, mut is_lost) = (true, false);
    loop {
        let page: Page = match api.json(&call) {
            Ok((page, _)) => page,
            // Nor does a token that has ended begin to count again.
            Err(failure) if is_first || failure.is_final() => return failure.report(),
            Err(failure) => {
                // An edge that is started anew is worth waiting for, and to be told of once.
                if !std::mem::replace(&mut is_lost, true) {
                    complain(&failure.to_string());
                }
                thread::sleep(PAUSE);
                continue;
            }
        };
        (is_first, is_lost) = (false, false);
        for change in &page.changes {
            let told = match args.output {
                Output::Json => terminal::harmless_json(&change.to_string()).into_owned(),
                Output::Table => match Line::deserialize(change) {
                    Ok(line) => folded(&line.sentence(), 4),
                    Err(_) => change.to_string(),
                },
            };
            // Whoever read it has seen enough.
            if print(&told).is_err() {
                return ExitCode::SUCCESS;
            }
        }
        let number = |change: &Value| change["seq"].as_u64();
        let head = || page.anchor.split(':').next().and_then(|number| number.parse().ok());
        // Where nothing is told, nothing before the anchor is to come.
        let after = page.changes.last().map_or_else(head, number);
        if page.changes.len() < PAGE {
            thread::sleep(PAUSE);
        }
        if let Some(after) = after {
            call = Call::get(format!("/v1/audit?after={after}&last={PAGE}"));
        }
    }
}

impl Line {
    /// In one line, however long.
    fn sentence(&self) -> String {
        let Self { seq, time, author, role, reason, .. } = self;
        let what = self.what();
        terminal::one_line(&format!("{seq}  {time:.0}  {author} ({role})  {what}: {reason}")).into_owned()
    }

    fn what(&self) -> String {
        let key = match self.change.as_str() {
            "table" => "about",
            "drill" | "drill-end" => "drill",
            "log-level" => "set",
            "watch" => "watch",
            "tokens" => "tokens",
            // What else there is to say stands beside it.
            _ => "",
        };
        let what = match self.more.get(key) {
            Some(what) => changed(&self.change, what),
            None => changed(&self.change, &Value::Object(self.more.clone())),
        };
        let what = what.unwrap_or_else(|| self.change.clone());
        if self.late { format!("{what} (written late)") } else { what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(more: &Value) -> Line {
        let mut line = json!({
            "seq": 7, "hash": "00", "time": "2026-03-01T03:00:00.25Z", "author": "ann", "role": "operator", "reason": "new\nrelease",
        });
        let fields = line.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        Line::deserialize(line).expect("a line")
    }

    #[test]
    fn a_change_that_this_version_does_not_know_is_told_by_its_name() {
        let line = line(&json!({"change": "teleport", "late": true}));
        assert_eq!(
            line.sentence(),
            "7  2026-03-01T03:00:00Z  ann (operator)  teleport (written late): new\\nrelease"
        );
    }

    #[test]
    fn each_kind_of_change_is_told_from_where_its_line_has_it() {
        let set = json!({
            "level": "debug", "author": "ann", "reason": "x", "since": "2026-03-01T03:00:00Z", "expires_at": "2026-03-01T03:30:00Z",
        });
        let level = line(&json!({"change": "log-level", "set": set}));
        assert_eq!(level.what(), "log level debug until 2026-03-01T03:30:00Z");
        let target = json!({"placement": {"pool": "app", "region": "eu"}});
        let over = line(&json!({"change": "override", "target": target, "overrides": {}}));
        assert_eq!(over.what(), "app/eu now: no override");
    }
}
