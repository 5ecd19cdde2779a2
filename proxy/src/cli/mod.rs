//! The command line: what a person types, and what happens then.
//!
//! Commands that look at or change a running edge speak to its admin API; they find its address and token in the same
//! configuration file that the edge runs with. Exit codes: 0 done, 1 not done (or invalid, or not ready), 2 not understood.

mod admin;
mod check;
mod conditions;
mod door;
mod explain;
mod ready;
mod reference;
mod regions;
mod run;
mod supervisor;
mod tables;
mod token;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use control::changes::Seen;
use steer::Span;
use steer::spec::State;

use crate::demo;

/// Where the configuration is looked for when nobody says.
const USUAL_PLACES: [&str; 2] = ["config/nearside.toml", "/etc/nearside/nearside.toml"];

/// A geo-aware load-balancing edge proxy: each request goes to the nearest healthy region.
#[derive(Debug, Parser)]
#[command(name = "nearside", version, max_term_width = 100)]
#[command(after_help = "Start here: nearside demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients until told to stop (SIGTERM: finish what runs; twice: at once; SIGHUP: read files again;
    /// SIGUSR1: open the access log anew)
    Run(Configured),
    /// Say everything that is wrong with the configuration, with file, line and column
    Check(CheckArgs),
    /// Show regions failing and returning, on this machine alone
    Demo(demo::DemoArgs),
    /// Say where a client's request would go, and why not elsewhere; or why a request of the past went where it went
    Explain(ExplainArgs),
    /// Show every region: configured, overridden, observed, and its predicted share of the traffic
    Regions(AdminArgs),
    /// Override a region's weight: 0 to 100 percent of the traffic that naturally arrives there
    Weight(WeightArgs),
    /// Override a region's state: active, standby, drain or off
    State(StateArgs),
    /// List the published tables, show one, or publish another
    Tables(TablesArgs),
    /// Say who may call the admin API, by tokens with names, roles and scopes
    Token(token::TokenArgs),
    /// Say whether the edge of this configuration is ready (for container health checks)
    Ready(Configured),
    /// Print every configuration key, or every metric, of this version, as Markdown
    Reference {
        /// Which page
        page: Page,
    },
}

#[derive(Args, Clone, Debug)]
struct Configured {
    /// The file that describes this edge [default: config/nearside.toml, then /etc/nearside/nearside.toml]
    #[arg(short, long, value_name = "FILE", env = "NEARSIDE_CONFIG")]
    config: Option<PathBuf>,
}

impl Configured {
    fn file(&self) -> PathBuf {
        let usual = || {
            let mut places = USUAL_PLACES.iter().map(PathBuf::from);
            places.find(|file| file.exists()).unwrap_or_else(|| PathBuf::from(USUAL_PLACES[0]))
        };
        self.config.clone().unwrap_or_else(usual)
    }
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// A reference page.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Page {
    /// Every key of nearside.toml and of the table.
    Configuration,
    /// Every metric.
    Metrics,
}

#[derive(Args, Debug)]
struct CheckArgs {
    #[command(flatten)]
    configured: Configured,
    /// Check this table instead of the one that the configuration names
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Print the effective configuration, with defaults and variables filled in
    #[arg(long)]
    print: bool,
    /// How findings are shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Args, Clone, Debug)]
struct AdminArgs {
    #[command(flatten)]
    configured: Configured,
    /// The admin address, instead of the configuration's; https:// for an edge that speaks it
    #[arg(long, value_name = "ADDRESS:PORT", env = "NEARSIDE_ADMIN")]
    admin: Option<String>,
    /// PEM file of the authorities to trust for https [default: the certificate that the configuration names, or the system's
    /// authorities]
    #[arg(long, value_name = "FILE", env = "NEARSIDE_CA")]
    ca: Option<PathBuf>,
    /// PEM file of a certificate to show instead of a token
    #[arg(long, value_name = "FILE", env = "NEARSIDE_CERT", requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", env = "NEARSIDE_KEY", requires = "cert")]
    key: Option<PathBuf>,
    /// The token's file, instead of the configuration's; NEARSIDE_TOKEN holds the token itself
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How the answer is shown
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What is asked of a request that has not come.
const ABOUT_NOW: [&str; 7] = ["ip", "host", "path", "method", "header", "kept_in", "offline"];

#[derive(Args, Debug)]
struct ExplainArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["decision", "request"])]
    ip: Option<std::net::IpAddr>,
    /// Instead: a decision of the past, as X-Nearside-Decision and the access log name it
    #[arg(long, value_name = "ID", conflicts_with_all = ABOUT_NOW)]
    decision: Option<String>,
    /// Instead: the last decision of the request with this X-Request-Id
    #[arg(long, value_name = "ID", conflicts_with_all = ABOUT_NOW, conflicts_with = "decision")]
    request: Option<String>,
    /// The host asked for [default: the first host of the first route]
    #[arg(long)]
    host: Option<String>,
    /// The path asked for
    #[arg(long, default_value = "/")]
    path: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header field sent, such as `x-canary: 1`; may be given several times
    #[arg(long, value_name = "FIELD", value_parser = parse_field)]
    header: Vec<String>,
    /// The region that the client's affinity cookie names
    #[arg(long, value_name = "REGION")]
    kept_in: Option<String>,
    /// Answer from the configuration files, without a running edge: no health, no measured latency
    #[arg(long)]
    offline: bool,
}

#[derive(Args, Debug)]
struct WeightArgs {
    /// The region
    region: String,
    /// 0 to 100; leave it out with --clear
    #[arg(required_unless_present = "clear", value_parser = clap::value_parser!(u8).range(0..=100))]
    weight: Option<u8>,
    /// End the override: the table's weight counts again
    #[arg(long, conflicts_with = "weight")]
    clear: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
struct StateArgs {
    /// The region
    region: String,
    /// Leave it out with --clear
    #[arg(required_unless_present = "clear", value_parser = parse_state)]
    state: Option<State>,
    /// End the override: the table's state counts again
    #[arg(long, conflicts_with = "state")]
    clear: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
struct ChangeArgs {
    /// Why; shown to whoever looks later
    #[arg(long)]
    reason: String,
    /// End the override after this time, such as 30m or 2h
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    #[command(flatten)]
    conditions: ConditionArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

/// On which conditions a change is made.
#[derive(Args, Clone, Debug)]
struct ConditionArgs {
    /// Tell what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it although a guard refuses, while this table version is in force, and this overlay if one is named
    #[arg(long, value_name = "VERSION[.OVERLAY]")]
    force: Option<Seen>,
    /// Do it even if it cannot be kept: a restart forgets it
    #[arg(long)]
    volatile: bool,
}

#[derive(Args, Debug)]
struct TablesArgs {
    #[command(subcommand)]
    command: Option<TablesCommand>,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
enum TablesCommand {
    /// List the published tables, newest first (what `tables` alone does)
    List(AdminArgs),
    /// Print a published table as it was written
    Show {
        /// Its version
        version: u64,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Publish a table; it is in force when this returns
    Publish {
        /// The file
        file: PathBuf,
        /// Why; shown to whoever looks later
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        conditions: ConditionArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show what a version changed
    Diff {
        /// The version
        version: u64,
        /// From which other one; default: the one before
        #[arg(long, value_name = "VERSION")]
        against: Option<u64>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Publish a former table again, as a new version
    Rollback {
        /// The former version
        version: u64,
        /// Why; shown to whoever looks later
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        conditions: ConditionArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

fn parse_field(text: &str) -> Result<String, String> {
    let is_field = text.split_once(':').is_some_and(|(name, _)| !name.trim().is_empty());
    if is_field {
        Ok(text.to_owned())
    } else {
        Err("a field is a name, a colon and a value: x-canary: 1".to_owned())
    }
}

fn parse_state(text: &str) -> Result<State, String> {
    let states = [State::Active, State::Standby, State::Drain, State::Off];
    let found = states.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| "a state is active, standby, drain or off".to_owned())
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(configured) => run::run(&configured.file()),
        Command::Check(args) => check::check(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Regions(args) => regions::list(&args),
        Command::Weight(args) => regions::weight(&args),
        Command::State(args) => regions::state(&args),
        Command::Tables(args) => tables::tables(&args),
        Command::Token(args) => token::token(&args),
        Command::Ready(configured) => ready::ready(&configured.file()),
        Command::Reference { page } => reference::reference(page),
    }
}

/// Prints to standard output; whoever closed it wants no more.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints to standard error.
pub(crate) fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Reads a configuration, or says what is wrong with it.
fn configuration(file: &Path) -> Result<crate::config::Settings, ExitCode> {
    crate::config::read(file).map(|(_, settings)| settings).map_err(|findings| {
        findings.iter().for_each(|finding| complain(&finding.to_string()));
        ExitCode::from(1)
    })
}

/// A table for people: no frame, columns two spaces apart.
fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    let trimmed: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    trimmed.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
