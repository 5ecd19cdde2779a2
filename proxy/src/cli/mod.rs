//! The command line: what a person types, and what happens then.
//!
//! Commands that look at or change a running edge speak to its admin API; they find its address and token in the same
//! configuration file that the edge runs with. What moves traffic is told and asked for first (`conditions`); what is shown fits
//! the terminal and cannot move its cursor (`sheet`, `terminal`); how it ends, a script can tell (`exit`).

mod admin;
mod ago;
mod audit;
mod call;
mod changed;
mod check;
mod completions;
mod conditions;
mod confirm;
mod door;
mod drill;
mod events;
mod exit;
mod explain;
mod geo;
mod happened;
mod health;
mod listed;
mod log_level;
mod look;
mod origins;
mod overrides;
mod overriding;
mod pages;
mod placements;
mod pools;
mod preview;
mod ready;
mod reference;
mod regions;
mod routes;
mod run;
mod sheet;
mod stream;
mod supervisor;
mod tables;
mod terminal;
mod token;
mod trial;
mod verify;
mod version;
mod watches;
mod word;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::demo;
use conditions::ConditionArgs;
use look::LookArgs;

/// Where the configuration is looked for when nobody says.
const USUAL_PLACES: [&str; 2] = ["config/nearside.toml", "/etc/nearside/nearside.toml"];

/// A geo-aware load-balancing edge proxy: each request goes to the nearest healthy region.
#[derive(Debug, Parser)]
#[command(name = "nearside", version, max_term_width = 100)]
#[command(after_help = exit::AFTER_HELP)]
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
    Explain(explain::ExplainArgs),
    /// Show every region: configured, overridden, observed, and its predicted share of the traffic; or one, with its placements
    Regions(regions::RegionsArgs),
    /// Show which requests lead where; or one route, and where it may go
    Routes(listed::ListedArgs),
    /// Show the applications; or one, with its probe and its placements
    Pools(listed::ListedArgs),
    /// Show every origin and what this edge sees of it
    Origins(origins::OriginsArgs),
    /// Show the health of every placement and of the edge itself, or force one: up or down, whatever probes say
    Health(health::HealthArgs),
    /// Show all that is overridden, by whom, why and until when
    Overrides(LookArgs),
    /// Override a region's weight: 0 to 100 percent of the traffic that naturally arrives there
    Weight(overriding::WeightArgs),
    /// Override a region's state: active, standby, drain or off
    State(overriding::StateArgs),
    /// Send nothing new to a region while what runs finishes; at once, or in a steady ramp
    Drain(overriding::DrainArgs),
    /// End an override of a region's state: the table's counts again
    Undrain(overriding::UndrainArgs),
    /// Make a region look dead to a part of the clients, for a while
    Drill(drill::DrillArgs),
    /// Show changes under watch and what was seen of them, or end a watch
    Watches(watches::WatchesArgs),
    /// List the published tables, show one, or publish another
    Tables(TablesArgs),
    /// Show who changed what, when and why; or verify that nobody changed that
    Audit(audit::AuditArgs),
    /// Tell what happens, while it happens, until Ctrl-C: changes, health, what ends by itself
    Events(events::EventsArgs),
    /// Show how much the log says, or have it say more for a while
    LogLevel(log_level::LogLevelArgs),
    /// Say where an address is taken to be, and who said so
    Geo(geo::GeoArgs),
    /// Say what runs on the edge that answers, since when, and with which table
    Version(LookArgs),
    /// Say who may call the admin API, by tokens with names, roles and scopes
    Token(token::TokenArgs),
    /// Say whether the edge of this configuration is ready (for container health checks)
    Ready(Configured),
    /// Print every configuration key or every metric of this version as Markdown, or the admin API as OpenAPI
    Reference {
        /// Which page
        page: Page,
    },
    /// Print what a shell needs to complete this command line
    Completions {
        /// Which shell
        shell: Shell,
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
    /// The admin API, as an OpenAPI document.
    Openapi,
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

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
struct TablesArgs {
    #[command(subcommand)]
    command: Option<TablesCommand>,
    #[command(flatten)]
    look: LookArgs,
}

#[derive(Debug, Subcommand)]
enum TablesCommand {
    /// List the published tables, newest first (what `tables` alone does)
    List(LookArgs),
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
        watch: trial::WatchArgs,
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
        watch: trial::WatchArgs,
        #[command(flatten)]
        conditions: ConditionArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(configured) => run::run(&configured.file()),
        Command::Check(args) => check::check(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Regions(args) => regions::regions(&args),
        Command::Routes(args) => routes::routes(&args),
        Command::Pools(args) => pools::pools(&args),
        Command::Origins(args) => origins::origins(&args),
        Command::Health(args) => health::health(&args),
        Command::Overrides(args) => overrides::overrides(&args),
        Command::Weight(args) => overriding::weight(&args),
        Command::State(args) => overriding::state(&args),
        Command::Drain(args) => overriding::drain(&args),
        Command::Undrain(args) => overriding::undrain(&args),
        Command::Drill(args) => drill::drill(&args),
        Command::Watches(args) => watches::watches(&args),
        Command::Tables(args) => tables::tables(&args),
        Command::Audit(args) => audit::audit(&args),
        Command::Events(args) => events::events(&args),
        Command::LogLevel(args) => log_level::log_level(&args),
        Command::Geo(args) => geo::geo(&args),
        Command::Version(args) => version::version(&args),
        Command::Token(args) => token::token(&args),
        Command::Ready(configured) => ready::ready(&configured.file()),
        Command::Reference { page } => reference::reference(page),
        Command::Completions { shell } => completions::completions(shell),
    }
}

/// Prints to standard output; whoever closed it wants no more.
pub(crate) fn say(text: &str) {
    let _ = print(text);
}

/// Prints to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", terminal::harmless(text));
}

/// Prints a JSON document.
fn say_json(text: &str) {
    let _ = print(&terminal::harmless_json(text));
}

/// Prints to standard output, unless that is closed.
fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", terminal::harmless(text))
}

/// Prints a text of somebody else's as it is; what a terminal would obey is shown there.
fn hand_over(text: &str) {
    let mut output = io::stdout();
    let _ = match output.is_terminal() {
        true => print(text.trim_end()),
        false => output.write_all(text.as_bytes()).and_then(|()| output.flush()),
    };
}

/// Reads a configuration, or says what is wrong with it.
fn configuration(file: &Path) -> Result<crate::config::Settings, ExitCode> {
    crate::config::read(file).map(|(_, settings)| settings).map_err(|findings| {
        findings.iter().for_each(|finding| complain(&finding.to_string()));
        ExitCode::from(1)
    })
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
