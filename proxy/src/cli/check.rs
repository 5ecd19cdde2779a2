//! `nearside check`: everything that is wrong, before anything runs.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use control::access::EditError;
use control::document::{self, Finding};
use steer::{Spec, Table};

use super::{CheckArgs, Output, complain, say, say_json};
use crate::config::{self, EdgeSpec, Settings};
use crate::locate::database_problem;
use crate::tls::{self, ListenerTls};
use crate::worker::OriginTlsStore;

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let file = args.configured.file();
    let mut findings = Vec::new();
    let edge = match config::read(&file) {
        Ok(edge) => Some(edge),
        Err(found) => {
            findings.extend(found);
            None
        }
    };
    let configured = edge.as_ref().map(|(_, settings)| settings.table_file.clone());
    let beside = || file.parent().unwrap_or_else(|| Path::new("")).join("table.toml");
    let table_file = args.table.clone().or(configured).unwrap_or_else(beside);
    let spec = match table(&table_file) {
        Ok(spec) => Some(spec),
        Err(found) => {
            findings.extend(found);
            None
        }
    };
    if let Some((_, settings)) = &edge {
        findings.extend(files(&file.display().to_string(), settings));
    }
    match args.output {
        Output::Json => {
            say_json(&serde_json::to_string_pretty(&findings).expect("findings are text and numbers"));
        }
        Output::Table => findings.iter().for_each(|finding| complain(&finding.to_string())),
    }
    if !findings.is_empty() {
        if args.output == Output::Table {
            complain(&format!("{} mistakes", findings.len()));
        }
        return ExitCode::from(1);
    }
    if let (true, Some((edge, _)), Some(spec)) = (args.print, &edge, &spec) {
        say(&print(edge, spec));
    } else if args.output == Output::Table {
        say(&format!("{} and {} are valid", file.display(), table_file.display()));
    }
    for warning in edge.iter().flat_map(|(_, settings)| [settings.warnings(), out_of_date(settings)].concat())
    {
        complain(&format!("warning: {warning}"));
    }
    ExitCode::SUCCESS
}

/// Reads a table as it would be published.
pub(super) fn table(file: &Path) -> Result<Spec, Vec<Finding>> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| {
        let problem = format!("cannot be read: {error}");
        vec![Finding::of_file(
            &name,
            problem,
            "there is nowhere to send requests",
            "[edge]\ntable = \"table.toml\"",
        )]
    })?;
    let env = |variable: &str| std::env::var(variable).ok();
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    document::read(&name, &text, &env, |spec: Spec| {
        let table = Table::compile(&spec)?;
        let defects = OriginTlsStore::new(folder).check(&table);
        if defects.is_empty() { Ok(spec) } else { Err(defects) }
    })
}

/// Certificates that are out of date.
fn out_of_date(settings: &Settings) -> Vec<String> {
    let tls = settings.listeners.iter().filter_map(|listener| listener.tls.clone());
    let tls = tls.chain(settings.admin.tls.clone());
    let opened = tls.filter_map(|tls| ListenerTls::open(String::new(), tls).ok());
    opened.flat_map(|tls| tls.warnings()).collect()
}

/// What is wrong with the files that the configuration `file` names.
fn files(file: &str, settings: &Settings) -> Vec<Finding> {
    let broken = settings.listeners.iter().enumerate().filter_map(|(index, listener)| {
        let problem = ListenerTls::open(String::new(), listener.tls.clone()?).err()?;
        let problem = format!("listeners[{index}].{problem}");
        let example = "tls = { certificate_file = \"edge.pem\", key_file = \"edge.key\" }";
        Some(Finding::of_file(file, problem, "this edge would not start", example))
    });
    let unreadable = settings.databases.iter().filter_map(|file| {
        let problem = database_problem(file)?;
        let consequence = "places would come from the other databases and built-in data";
        Some(Finding::of_file(
            &file.display().to_string(),
            problem,
            consequence,
            "databases = [\"GeoLite2-City.mmdb\"]",
        ))
    });
    let authorities = settings.tracing.iter().filter_map(|tracing| {
        let file = tracing.ca_file.as_deref()?;
        let problem = tls::collector_config(Some(file)).err()?;
        let example = "ca_file = \"collector-ca.pem\"";
        Some(Finding::of_file(&file.display().to_string(), problem, "this edge would not start", example))
    });
    let admin = settings.admin.tls.iter().filter_map(|tls| {
        let problem = format!("admin.{}", ListenerTls::open(String::new(), tls.clone()).err()?);
        let example = "tls = { certificate_file = \"admin.pem\", key_file = \"admin.key\" }";
        Some(Finding::of_file(file, problem, "this edge would not start", example))
    });
    broken.chain(unreadable).chain(authorities).chain(admin).chain(tokens(file, settings)).collect()
}

/// What is wrong with the files of tokens.
fn tokens(file: &str, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let first = &settings.admin.token_file;
    if let Some(problem) = control::access::first_token_problem(first) {
        let problem = format!("admin.token_file: {}: {problem}", first.display());
        let example = format!("rm {}: the next start makes one", first.display());
        findings.push(Finding::of_file(file, problem, "it would open nothing", &example));
    }
    findings.extend(other_tokens(settings));
    findings
}

fn other_tokens(settings: &Settings) -> Vec<Finding> {
    let file = &settings.admin.tokens_file;
    match control::access::read_tokens(file) {
        Ok(_) => Vec::new(),
        Err(EditError::Broken(findings)) => findings,
        Err(EditError::System(_, error)) => {
            let (name, example) = (file.display().to_string(), format!("chmod 600 {}", file.display()));
            vec![Finding::of_file(&name, error.to_string(), "no token in it would open anything", &example)]
        }
        Err(EditError::Refused(_)) => Vec::new(),
    }
}

fn print(edge: &EdgeSpec, spec: &Spec) -> String {
    let toml = |result: Result<String, toml::ser::Error>| {
        result.expect("what was read from TOML can be written as it")
    };
    let edge = toml(toml::to_string_pretty(edge));
    format!("# this edge\n{edge}\n# the table\n{}", toml(toml::to_string_pretty(spec)))
}
