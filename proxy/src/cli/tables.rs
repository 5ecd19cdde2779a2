//! `nearside tables`.

use std::fs;
use std::process::ExitCode;

use control::admin::{Published, Tables};
use http::Method;

use super::admin::{Api, quoted};
use super::conditions::{Outcome, told};
use super::{AdminArgs, ConditionArgs, Output, TablesArgs, TablesCommand, columns, complain, say};

pub(super) fn tables(args: &TablesArgs) -> ExitCode {
    match &args.command {
        None => list(&args.admin),
        Some(TablesCommand::List(admin)) => list(admin),
        Some(TablesCommand::Show { version, admin }) => show(*version, admin),
        Some(TablesCommand::Diff { version, against, admin }) => diff(*version, *against, admin),
        Some(TablesCommand::Rollback { version, reason, conditions, admin }) => {
            let path = format!("/v1/tables/{version}/rollback?reason={}", quoted(reason));
            publish(&path, Vec::new(), conditions, admin)
        }
        Some(TablesCommand::Publish { file, reason, conditions, admin }) => match fs::read(file) {
            Ok(text) => publish(&format!("/v1/tables?reason={}", quoted(reason)), text, conditions, admin),
            Err(error) => {
                complain(&format!("{}: cannot be read: {error}", file.display()));
                ExitCode::from(1)
            }
        },
    }
}

fn list(args: &AdminArgs) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    match api.json::<Tables>(Method::GET, "/v1/tables", Vec::new()) {
        Ok((_, text)) if args.output == Output::Json => say(&text),
        Ok((tables, _)) => {
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
            say(&columns(&["VERSION", "FINGERPRINT", "PUBLISHED", "AUTHOR", "SOURCE", "REASON"], rows));
            say("\n* in force");
        }
        Err(failure) => return failure.report(),
    }
    ExitCode::SUCCESS
}

fn show(version: u64, args: &AdminArgs) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    match api.text(Method::GET, &format!("/v1/tables/{version}"), Vec::new()) {
        Ok(text) => say(text.trim_end()),
        Err(failure) => return failure.report(),
    }
    ExitCode::SUCCESS
}

fn diff(version: u64, against: Option<u64>, args: &AdminArgs) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    let against = against.map_or_else(String::new, |against| format!("?against={against}"));
    match api.text(Method::GET, &format!("/v1/tables/{version}/diff{against}"), Vec::new()) {
        Ok(text) => say(text.trim_end()),
        Err(failure) => return failure.report(),
    }
    ExitCode::SUCCESS
}

fn publish(path: &str, text: Vec<u8>, conditions: &ConditionArgs, args: &AdminArgs) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    match conditions.call(&api, Method::POST, path, text) {
        Ok(Outcome::<Published>::Told(_, text) | Outcome::Done(_, text)) if args.output == Output::Json => {
            say(&text);
        }
        Ok(Outcome::Told(effect, _)) => say(&told(&effect)),
        Ok(Outcome::Done(published, _)) => {
            let about = published.about;
            say(&format!(
                "version {} ({}) is in force; {}",
                about.version, about.fingerprint, published.note
            ));
        }
        Err(failure) => return failure.report(),
    }
    ExitCode::SUCCESS
}
