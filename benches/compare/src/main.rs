//! The fast parts of `benches/compare/run`: yardstick, origin, load generator, and the certificate that they share.
//!
//! One binary, so that it is linked once. It measures nothing about processors: the script that starts it reads the
//! scheduler's accounts. Nothing of nearside is in here.

mod answers;
mod forwarder;
mod listen;
mod load;
mod origin;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The yardstick's allocator is nearside's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a part of the comparison may fail with.
type Fault = Box<dyn std::error::Error>;

#[derive(Debug, Parser)]
#[command(version, about = "Yardstick, origin and load generator of benches/compare/run")]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Answer requests as the origin of all contestants
    Origin {
        /// Where to listen; may be given several times
        #[arg(long, required = true)]
        listen: Vec<SocketAddr>,
    },
    /// Forward requests with the same crates as nearside and nothing else: the yardstick
    Forward(forwarder::Options),
    /// Write a key and a certificate for localhost to a folder
    Certificate {
        /// The folder; it must exist
        #[arg(long)]
        folder: PathBuf,
    },
    /// Ask a contestant, in one of several ways
    #[command(subcommand)]
    Load(load::Load),
}

fn main() -> ExitCode {
    let done = match Cli::parse().part {
        Part::Origin { listen } => origin::run(&listen),
        Part::Forward(options) => forwarder::run(&options),
        Part::Certificate { folder } => certificate(&folder),
        Part::Load(load) => load::run(&load),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("fault: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes `edge.pem`, `edge.key`, and both in `edge-both.pem`, as some want them.
fn certificate(folder: &Path) -> Result<(), Fault> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    std::fs::write(folder.join("edge-both.pem"), format!("{chain}{key}"))?;
    std::fs::write(folder.join("edge.pem"), chain)?;
    std::fs::write(folder.join("edge.key"), key)?;
    Ok(())
}

/// One line for the script, at once.
fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // Whoever should read it may be gone; then nobody misses it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
