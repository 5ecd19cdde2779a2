//! The failover matrix: regions that fail in every way they do, requests of every kind meanwhile, and what became of each.
//!
//! `just matrix` runs it and writes `docs/failover-matrix.md`. Every cell is a process of its own: a load generator, the ways
//! to three regions and the regions' origins on one processor, the edge on another. What is promised is in [`fault`], how it
//! is judged in [`judge`]. Left out: what only real networks do, such as loss and congestion.

mod admin;
mod cell;
mod clock;
mod edge;
mod evidence;
mod fault;
mod judge;
mod load;
mod machine;
mod matrix;
mod origin;
mod process;
mod quantile;
mod random;
mod relay;
mod render;
mod results;
mod script;
mod sighting;
mod soak;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What can go wrong with the harness itself.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(about = "Regions fail in every way they do; what becomes of requests?")]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    matrix: matrix::Options,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Writes the tables again, from results that are there
    Render {
        /// The folder with the results
        #[arg(long, default_value = "target/matrix")]
        results: PathBuf,
        /// The file that is written
        #[arg(long, default_value = "docs/failover-matrix.md")]
        write: PathBuf,
    },
    /// Nothing fails, both processors are busy with other things: no placement may fall
    Soak(soak::Options),
    /// One run of one fault; what the matrix starts
    Cell(cell::Options),
    /// A region's origin; what a cell starts
    #[command(hide = true)]
    Origin(origin::Options),
    /// Keeps a processor busy
    #[command(hide = true)]
    Burn,
    /// Kills what is left when whoever started it is gone
    #[command(hide = true)]
    Guard,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.part {
        None => matrix::run(&cli.matrix),
        Some(Part::Render { results, write }) => render::write(results, write).map(|()| true),
        Some(Part::Soak(options)) => soak::run(options),
        Some(Part::Cell(options)) => cell::run(options).map(|()| true),
        Some(Part::Origin(options)) => origin::run(options).map(|()| true),
        Some(Part::Burn) => {
            soak::burn();
            Ok(true)
        }
        Some(Part::Guard) => {
            process::guard();
            Ok(true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            tell(&format!("failure: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// One line for whoever started this, at once.
fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // Whoever should read it may be gone; then nobody misses it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// One line for a person.
fn tell(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
