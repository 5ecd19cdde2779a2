//! `nearside tables`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use control::admin::{Carried, Fate, Tables};
use control::reason::{is_obeyed, source_problem};
use control::version::About;
use http::Method;
use serde_json::json;

use super::admin::Api;
use super::call::{Call, quoted};
use super::conditions::ConditionArgs;
use super::look::{LookArgs, look};
use super::sheet::columns;
use super::trial::WatchArgs;
use super::{AdminArgs, Output, TablesArgs, TablesCommand, complain, hand_over, say_json};

pub(super) fn tables(args: &TablesArgs) -> ExitCode {
    match &args.command {
        None => list(&args.look),
        Some(TablesCommand::List(args)) => list(args),
        Some(TablesCommand::Show { version, admin }) => {
            text(*version, &format!("/v1/tables/{version}"), "text", admin)
        }
        Some(TablesCommand::Diff { version, against, admin }) => {
            let against = against.map_or_else(String::new, |against| format!("?against={against}"));
            text(*version, &format!("/v1/tables/{version}/diff{against}"), "diff", admin)
        }
        Some(TablesCommand::Rollback { version, reason, watch, conditions, admin }) => {
            let path = format!("/v1/tables/{version}/rollback?reason={}", quoted(reason));
            publish(&path, Vec::new(), watch, conditions, admin)
        }
        Some(TablesCommand::Publish { file, reason, watch, conditions, admin }) => match fs::read(file) {
            Ok(text) => {
                let path = format!("/v1/tables?reason={}{}", quoted(reason), source(file));
                publish(&path, text, watch, conditions, admin)
            }
            Err(error) => {
                complain(&format!("{}: cannot be read: {error}", file.display()));
                ExitCode::from(1)
            }
        },
    }
}

fn list(args: &LookArgs) -> ExitCode {
    look(args, "/v1/tables", |tables: &Tables| {
        let rows = tables.versions.iter().map(|held| {
            let about = &held.about;
            let current = if about.version == tables.current { " *" } else { "" };
            vec![
                format!("{}{current}", about.version),
                about.fingerprint.clone(),
                format!("{:.0}", about.published_at),
                about.author.clone(),
                about.source.clone(),
                about.reason.clone(),
            ]
        });
        let header = ["VERSION", "FINGERPRINT", "PUBLISHED", "AUTHOR", "SOURCE", "REASON"];
        format!("{}\n\n* in force", columns(&header, rows))
    })
}

/// Prints a text of a version, under a name where it is for programs.
fn text(version: u64, path: &str, name: &str, args: &AdminArgs) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    match (api.text(&Call::get(path)), args.output) {
        (Ok(text), Output::Json) => say_json(&json!({ "version": version, name: text }).to_string()),
        (Ok(text), Output::Table) => hand_over(&text),
        (Err(failure), _) => return failure.report(),
    }
    ExitCode::SUCCESS
}

/// The file's name as the edge is told it, without what no name may have there. Its folder says nothing to whoever reads it there.
fn source(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy().replace(is_obeyed, "");
    match source_problem(&name) {
        Some(_) => String::new(),
        None => format!("&source={}", quoted(&name)),
    }
}

fn publish(
    path: &str,
    text: Vec<u8>,
    watch: &WatchArgs,
    conditions: &ConditionArgs,
    args: &AdminArgs,
) -> ExitCode {
    let call = Call::change(Method::POST, path.to_owned() + &watch.query(), text).patiently();
    watch.carry_out(
        conditions,
        args,
        call,
        |Carried { shown: about, fate: Fate { note, watch, .. } }: Carried<About>| {
            let told = format!("version {} ({}) is in force; {note}", about.version, about.fingerprint);
            (told, watch)
        },
    )
}
