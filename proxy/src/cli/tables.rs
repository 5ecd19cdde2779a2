//! `nearside tables`.

use std::fs;
use std::process::ExitCode;

use control::admin::{Published, Tables};
use http::Method;

use super::admin::{Api, quoted};
use super::{AdminArgs, Output, TablesArgs, TablesCommand, columns, complain, say};

pub(super) fn tables(args: &TablesArgs) -> ExitCode {
    match &args.command {
        None => list(&args.admin),
        Some(TablesCommand::List(admin)) => list(admin),
        Some(TablesCommand::Show { version, admin }) => show(*version, admin),
        Some(TablesCommand::Publish { file, reason, admin }) => match fs::read(file) {
            Ok(text) => publish(text, reason, admin),
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
            let rows = tables.versions.iter().map(|about| {
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

fn publish(text: Vec<u8>, reason: &str, args: &AdminArgs) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    match api.json::<Published>(Method::POST, &format!("/v1/tables?reason={}", quoted(reason)), text) {
        Ok((_, text)) if args.output == Output::Json => say(&text),
        Ok((published, _)) => {
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
