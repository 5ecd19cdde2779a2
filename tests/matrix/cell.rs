//! One run of one fault against one edge, in a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::clock::Clock;
use crate::edge::{Contestant, Edge, Site};
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::judge::{Run, judge};
use crate::load::{Load, schedule};
use crate::process::Guard;
use crate::results::{CellResult, save};
use crate::script::Script;
use crate::world::{Region, World};

/// Requests per second.
const RATE: f64 = 500.0;
/// In short runs, which are made with unoptimised binaries.
const SHORT_RATE: f64 = 250.0;
/// The file system that fills up.
const SMALL_DISK: &str = "size=4m";
/// For a run beyond its phases: starting, the last answers, stopping.
pub(crate) const EXTRA: Duration = Duration::from_secs(45);

/// What a cell is started with.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[arg(long)]
    pub(crate) fault: Fault,
    #[arg(long)]
    pub(crate) contestant: Contestant,
    /// The edge's program
    #[arg(long)]
    pub(crate) program: PathBuf,
    #[arg(long, default_value_t = 0)]
    pub(crate) run: u32,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[arg(long)]
    pub(crate) short: bool,
    /// The folder for the result, and its name
    #[arg(long)]
    pub(crate) results: PathBuf,
    #[arg(long)]
    pub(crate) name: String,
    /// Keep the edge's log and access log there
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
}

/// Runs the cell and saves its result.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let guard = Guard::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let limit = options.fault.phases(options.short);
    let limit = Duration::from_secs_f64((limit.before_ms + limit.during_ms + limit.after_ms) / 1e3) + EXTRA;
    let result = runtime.block_on(async { timeout(limit, play(options, &guard)).await });
    save(&options.results, &options.name, &result.map_err(|_| "the cell took too long")??)
}

async fn play(options: &Options, guard: &Guard) -> Result<CellResult, Failure> {
    let folder = guard.folder()?;
    let logs = folder.join("logs");
    std::fs::create_dir(&logs)?;
    if options.fault.is_apart() {
        set_apart(options.fault, &logs)?;
    }
    let clock = Clock::starting_in(Duration::ZERO);
    let mut world = World::start(options.fault.plane(), &folder, clock, guard).await?;
    let site = Site {
        program: &options.program,
        folder: &folder,
        regions: world.addresses(),
        plane: options.fault.plane(),
        access_log: logs.join("access.log"),
        log_share: 1.0,
        deadline: options.fault.deadline(options.short),
    };
    let mut edge = Edge::start(options.contestant, &site, guard).await?;
    let phases = options.fault.phases(options.short);
    let seconds = (phases.before_ms + phases.during_ms + phases.after_ms) / 1e3;
    let base_ms = clock.now_ms() + 100.0;
    let mut dues = schedule(if options.short { SHORT_RATE } else { RATE }, seconds, options.seed);
    for due in &mut dues {
        due.at_ms += base_ms;
    }
    let load = Load::start(edge.doors, dues, clock);
    tokio::time::sleep_until(clock.at(base_ms + phases.before_ms).into()).await;
    let script = Script {
        fault: options.fault,
        world: &mut world,
        edge: &edge,
        clock,
        is_short: options.short,
        small_disk: (options.fault == Fault::LogDiskFull).then_some(logs),
    };
    let events = script.play().await?;
    while !load.is_over() {
        sleep(Duration::from_millis(20)).await;
    }
    let outcomes = load.outcomes();
    edge.stop().await;
    if let Some(keep) = &options.keep {
        std::fs::create_dir_all(keep)?;
        edge.keep(keep)?;
        std::fs::write(keep.join("outcomes.json"), serde_json::to_string(&outcomes)?)?;
    }
    let mut executions: BTreeMap<u32, Vec<&'static str>> = BTreeMap::new();
    for execution in world.executions() {
        executions.entry(execution.id).or_default().push(execution.region);
    }
    let seen =
        |region: &Region| region.relay.sightings().into_iter().map(|seen| (region.name, seen)).collect();
    let sightings: Vec<Vec<_>> = world.regions.iter().map(seen).collect();
    let evidence = Evidence {
        fault: options.fault,
        events,
        deadline_ms: options.fault.deadline(options.short).as_secs_f64() * 1e3,
        outcomes,
        executions,
        sightings: sightings.concat(),
        logged: if options.fault == Fault::LogDiskFull { Vec::new() } else { edge.requests(&clock) },
        transitions: edge.transitions(&clock),
    };
    let run = Run {
        contestant: options.contestant,
        run: options.run,
        seed: options.seed,
        is_short: options.short,
        base_ms,
    };
    Ok(judge(&evidence, &run))
}

/// In the namespaces of its own that this process was started in: a loopback, or a small file system.
fn set_apart(fault: Fault, logs: &Path) -> Result<(), Failure> {
    let mut command = match fault {
        Fault::Dropped => Command::new("ip"),
        _ => Command::new("mount"),
    };
    match fault {
        Fault::Dropped => command.args(["link", "set", "lo", "up"]),
        _ => command.args(["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"]).arg(logs),
    };
    let done = command.status()?;
    if done.success() { Ok(()) } else { Err(format!("{command:?}: {done}").into()) }
}
