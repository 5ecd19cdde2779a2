//! All cells, one after the other: starting each, throwing away late runs, and saying what came out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::cell::EXTRA;
use crate::edge::Contestant;
use crate::fault::Fault;
use crate::judge::UNEXCUSED;
use crate::process::{Guard, has, pinned};
use crate::results::{About, CellResult, MAX_LATE_MS, save};
use crate::{Failure, clock, machine, render, tell};

/// The processor of the load and of all regions.
pub(crate) const PROCESSOR: usize = 1;
/// How many runs of a cell may be late and thrown away, or not start; and of short ones, of which a late one counts after that
/// for all but times.
const MAX_AGAIN: u32 = 4;
const SHORT_AGAIN: u32 = 1;
/// Failures of a cell that are told at once.
const EXAMPLES: usize = 5;

/// How the matrix is run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Runs of each fault
    #[arg(long, default_value_t = 10)]
    runs: u32,
    /// Runs of each fault against peers; default: as many
    #[arg(long)]
    peer_runs: Option<u32>,
    /// Who stands beside nearside, if installed
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Contestant>,
    /// Only these faults
    #[arg(long, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Without nearside itself
    #[arg(long)]
    only_peers: bool,
    /// One run of all faults in two minutes, for CI: fails where a promise is broken, and writes no document
    #[arg(long)]
    short: bool,
    /// nearside's program; default: the one beside this one
    #[arg(long)]
    nearside: Option<PathBuf>,
    /// The first seed; each run has the next
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where raw results go
    #[arg(long, default_value = "target/matrix")]
    results: PathBuf,
    /// The document that is written
    #[arg(long, default_value = "docs/failover-matrix.md")]
    write: PathBuf,
    /// Keep results that are there, and run only what is missing
    #[arg(long)]
    resume: bool,
    /// Keep each cell's logs below this folder
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Runs it. Whether all promises were kept by nearside.
pub(crate) fn run(options: &Options) -> Result<bool, Failure> {
    let guard = Guard::start()?;
    let programs = programs(options)?;
    let mut about = About {
        machine: machine::machine(),
        commit: machine::commit(),
        date: clock::today(),
        command: std::env::args().skip(1).fold("nearside-matrix".to_owned(), |line, arg| line + " " + &arg),
        versions: programs.iter().map(|(_, program)| machine::version(program)).collect(),
        ..About::default()
    };
    for contestant in options.peers.iter().filter(|peer| programs.iter().all(|(there, _)| there != *peer)) {
        skip(&mut about, format!("{}: not installed", contestant.title()));
    }
    let faults: Vec<Fault> = match options.only.is_empty() {
        true => Fault::value_variants().to_vec(),
        false => options.only.clone(),
    };
    let faults: Vec<Fault> = faults.into_iter().filter(|fault| can_run(*fault, &mut about)).collect();
    if !options.resume {
        let _ = std::fs::remove_dir_all(&options.results);
    }
    save(&options.results, "about.json", &about)?;
    let mut is_kept = true;
    let runs = if options.short { 1 } else { options.runs };
    for run in 0..runs {
        for fault in &faults {
            for (contestant, program) in &programs {
                let is_peer = *contestant != Contestant::Nearside;
                if is_peer && run >= options.peer_runs.unwrap_or(runs) {
                    continue;
                }
                let cell = Cell { fault: *fault, contestant: *contestant, program, run, options };
                match cell.until_in_time(&guard) {
                    Ok(result) => {
                        is_kept &= is_peer || result.is_met();
                        report(&result);
                    }
                    Err(failure) => {
                        is_kept &= is_peer;
                        tell(&format!("{}: {failure}", cell.name()));
                        about.lost.push(format!("{}: {failure}", cell.name()));
                        save(&options.results, "about.json", &about)?;
                    }
                }
            }
        }
    }
    if !options.short {
        render::write(&options.results, &options.write)?;
    }
    Ok(is_kept)
}

/// Whose programs are there.
fn programs(options: &Options) -> Result<Vec<(Contestant, PathBuf)>, Failure> {
    let nearside = nearside(options.nearside.as_deref())?;
    let own = (!options.only_peers).then_some((Contestant::Nearside, nearside));
    let peers = options.peers.iter().filter_map(|peer| Some((*peer, peer.program()?)));
    Ok(own.into_iter().chain(peers).collect())
}

/// nearside's program: the one that is named, or the one beside this one.
pub(crate) fn nearside(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe()?.with_file_name("nearside");
    let program = named.unwrap_or(&beside);
    let missing = |error| format!("{}: {error}; build it first", program.display());
    Ok(std::fs::canonicalize(program).map_err(missing)?)
}

fn skip(about: &mut About, what: String) {
    tell(&format!("SKIPPED: {what}"));
    about.skipped.push(what);
}

/// Whether this machine allows a fault.
fn can_run(fault: Fault, about: &mut About) -> bool {
    let Some(needs) = fault.needs() else { return true };
    let tools: &[&str] = if fault == Fault::Dropped { &["unshare", "ip", "nft"] } else { &["unshare"] };
    let may = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount", "true"]).stderr(Stdio::null());
        unshare.status().is_ok_and(|status| status.success())
    };
    let can = tools.iter().all(|tool| has(tool)) && may();
    if !can {
        skip(about, format!("{}: needs {needs}", fault.title()));
    }
    can
}

struct Cell<'a> {
    fault: Fault,
    contestant: Contestant,
    program: &'a Path,
    run: u32,
    options: &'a Options,
}

impl Cell<'_> {
    fn name(&self) -> String {
        let word = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let (contestant, fault) =
            (word(self.contestant.to_possible_value()), word(self.fault.to_possible_value()));
        format!("cell-{contestant}-{fault}-{}", self.run)
    }

    fn read(&self) -> Result<CellResult, Failure> {
        let file = self.options.results.join(format!("{}.json", self.name()));
        Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
    }

    /// Runs it, again if the load was late.
    fn until_in_time(&self, guard: &Guard) -> Result<CellResult, Failure> {
        if self.options.resume
            && let Ok(result) = self.read()
        {
            return Ok(result);
        }
        let (mut discarded, mut unstarted) = (0, 0);
        let mut has_missed = false;
        let is_short = self.options.short;
        let most = if is_short { SHORT_AGAIN } else { MAX_AGAIN };
        loop {
            let is_last = discarded + unstarted >= most;
            if let Err(failure) = self.once(guard) {
                if is_last {
                    return Err(failure);
                }
                unstarted += 1;
                tell(&format!("{}: {failure}, once more", self.name()));
                continue;
            }
            let mut result = self.read()?;
            let is_late = result.late_p99_ms > MAX_LATE_MS;
            if is_short && !has_missed && !result.is_met() {
                has_missed = true;
                // Short runs share the machine with whatever else it does; what is broken misses again.
                report(&result);
                tell(&format!("{}: missed, once more; a second time fails", self.name()));
                continue;
            }
            if !is_late || (is_last && is_short) {
                (result.discarded, result.unstarted) = (discarded, unstarted);
                save(&self.options.results, &format!("{}.json", self.name()), &result)?;
                return Ok(result);
            }
            std::fs::remove_file(self.options.results.join(format!("{}.json", self.name())))?;
            if is_last {
                return Err("the load was late in every run: this machine does something else".into());
            }
            discarded += 1;
            tell(&format!("{}: late by {:.1} ms, thrown away", self.name(), result.late_p99_ms));
        }
    }

    fn once(&self, guard: &Guard) -> Result<(), Failure> {
        let itself = std::env::current_exe()?;
        let mut command = if self.fault.is_apart() {
            let mut command = pinned(PROCESSOR, "unshare");
            let spaces: &[&str] = if self.fault == Fault::Dropped { &["--net"] } else { &["--mount"] };
            command.args(spaces).arg("--").arg(itself);
            command
        } else {
            pinned(PROCESSOR, itself)
        };
        let word = |value: Option<clap::builder::PossibleValue>| {
            value.map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        command.arg("cell").args(["--fault", &word(self.fault.to_possible_value())]);
        command.args(["--contestant", &word(self.contestant.to_possible_value())]);
        command.arg("--program").arg(self.program).args(["--run", &self.run.to_string()]);
        command.args(["--seed", &(self.options.seed + u64::from(self.run)).to_string()]);
        command
            .arg("--results")
            .arg(&self.options.results)
            .args(["--name", &format!("{}.json", self.name())]);
        if self.options.short {
            command.arg("--short");
        }
        if let Some(keep) = &self.options.keep {
            command.arg("--keep").arg(keep.join(self.name()));
        }
        let phases = self.fault.phases(self.options.short);
        let seconds = (phases.before_ms + phases.during_ms + phases.after_ms) / 1e3;
        let deadline = Instant::now() + Duration::from_secs_f64(seconds) + EXTRA + Duration::from_secs(5);
        let mut process = guard.spawn(command.stdin(Stdio::null()))?;
        if !process.ended_by(deadline) {
            return Err("it did not end, and was killed".into());
        }
        match process.child.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("it ended with {status}").into()),
        }
    }
}

fn report(result: &CellResult) {
    let bad = result.broken().map(|verdict| format!("    {}: {}", verdict.what, verdict.seen));
    let examples = result.examples.iter().filter(|example| example.ends_with(UNEXCUSED));
    let mut bad: Vec<String> = bad.collect();
    let word = match bad.is_empty() {
        false => "NOT MET",
        true if result.late_p99_ms > MAX_LATE_MS => "met but for times, which a late load says nothing about",
        true => "met",
    };
    if !bad.is_empty() {
        bad.extend(examples.take(EXAMPLES).map(|example| format!("        {example}")));
    }
    let (who, what) = (result.contestant.title(), result.fault.title());
    tell(&format!("{who}, {what}, run {}: {word} (late {:.1} ms)", result.run + 1, result.late_p99_ms));
    if !bad.is_empty() {
        tell(&bad.join("\n"));
    }
}
