//! Hours in which nothing fails: both processors busy with other things, and no region may be thought dead.
//!
//! An edge that wakes up late sees late answers. If it took its own lateness for the regions', a busy machine would move the
//! world's traffic about. So a burner competes with the edge on its processor and another with load, ways and regions on
//! theirs, and any placement that falls is one too many. Left out: regions that really fail; the cells are for those.

mod busy;
mod tally;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep_until;

use crate::clock::Clock;
use crate::edge::{Contestant, Edge, PROCESSOR as EDGE_PROCESSOR, Site};
use crate::fault::Plane;
use crate::load::{Load, PATIENCE, schedule};
use crate::matrix::PROCESSOR;
use crate::process::{Guard, pinned};
use crate::world::World;
use crate::{Failure, machine, tell};
use busy::Busy;
use tally::Tally;

pub(crate) use busy::burn;

/// Requests per second: some, so that health is learnt from requests too.
const RATE: f64 = 200.0;
/// Requests are made for so long at once. Memory is for one round, not for an hour.
const ROUND: Duration = Duration::from_secs(30);
/// One in so many ordinary requests gets a line in the access log; whatever went wrong gets one always.
const LOG_SHARE: f64 = 0.01;
/// Idle beyond this share, a processor was not busy, and the run says nothing.
const MOST_IDLE: f64 = 0.05;
/// For starting, the last answers and stopping.
const EXTRA: Duration = Duration::from_secs(60);

/// How it is run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long: `90s`, `2m`, `1h`
    #[arg(long, default_value = "1h", value_parser = duration)]
    duration: Duration,
    /// nearside's program; default: the one beside this one
    #[arg(long)]
    nearside: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the edge's log, its access log and its last metrics page in this folder
    #[arg(long)]
    keep: Option<PathBuf>,
    /// The part on the processor of the load; what this starts itself
    #[arg(long, hide = true)]
    inside: bool,
}

/// Runs it. Whether nothing fell and nothing failed.
pub(crate) fn run(options: &Options) -> Result<bool, Failure> {
    let guard = Guard::start()?;
    if options.inside {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let limit = options.duration + EXTRA;
        let played = runtime.block_on(async { tokio::time::timeout(limit, play(options, &guard)).await });
        return played.map_err(|_| "it took too long")?;
    }
    // Its threads and processes are where it is.
    let mut itself = pinned(PROCESSOR, std::env::current_exe()?);
    itself.args(std::env::args_os().skip(1)).arg("--inside").stdin(Stdio::null());
    let mut process = guard.spawn(&mut itself)?;
    if !process.ended_by(Instant::now() + options.duration + EXTRA * 2) {
        return Err("it did not end, and was killed".into());
    }
    Ok(process.child.wait()?.success())
}

async fn play(options: &Options, guard: &Guard) -> Result<bool, Failure> {
    let folder = guard.folder()?;
    let clock = Clock::starting_in(Duration::ZERO);
    let world = World::start(Plane::Plain, &folder, clock, guard).await?;
    let program = crate::matrix::nearside(options.nearside.as_deref())?;
    let site = Site {
        program: &program,
        folder: &folder,
        regions: world.addresses(),
        plane: Plane::Plain,
        access_log: folder.join("access.log"),
        log_share: LOG_SHARE,
        deadline: crate::edge::DEADLINE,
    };
    let mut edge = Edge::start(Contestant::Nearside, &site, guard).await?;
    tell(&format!("{}, on {}", machine::version(&program), machine::machine()));
    let busy = Busy::start(&[EDGE_PROCESSOR, PROCESSOR], guard)?;
    let mut tally = Tally::default();
    let (base_ms, round_ms) = (clock.now_ms() + 100.0, ROUND.as_secs_f64() * 1e3);
    let total_ms = options.duration.as_secs_f64() * 1e3;
    let mut running: Vec<Load> = Vec::new();
    let (mut at_ms, mut first_id) = (0.0, 0);
    while at_ms < total_ms {
        let this_ms = round_ms.min(total_ms - at_ms);
        let mut dues = schedule(RATE, this_ms / 1e3, options.seed + u64::from(tally.rounds));
        for due in &mut dues {
            due.at_ms += base_ms + at_ms;
            due.id += first_id;
        }
        first_id += u32::try_from(dues.len())?;
        running.push(Load::start(edge.doors, dues, clock));
        at_ms += this_ms;
        // The next round's clients begin a little before its first request is due.
        sleep_until(clock.at(base_ms + at_ms - 50.0).into()).await;
        let (over, still) = running.into_iter().partition(Load::is_over);
        running = still;
        tally.take(over);
        tally.rounds += 1;
        tally.look(&edge.metrics().await);
        tell(&format!("{:5.1} min: {}", at_ms / 6e4, tally.line()));
        if !matches!(edge.process.child.try_wait(), Ok(None)) {
            return Err(format!("the edge ended:\n{}", edge.words()).into());
        }
    }
    let deadline = Instant::now() + PATIENCE * 2;
    while running.iter().any(|load| !load.is_over()) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tally.take(running);
    let page = edge.metrics().await;
    tally.look(&page);
    let idle = busy.idle();
    edge.stop().await;
    tally.transitions = edge.transitions(&clock);
    tally.called_late = edge.words().matches("answers have become late").count();
    tally.count_twice(&world.executions());
    if let Some(keep) = &options.keep {
        std::fs::create_dir_all(keep)?;
        std::fs::write(keep.join("metrics.txt"), page)?;
        edge.keep(keep)?;
    }
    let problems = tally.problems();
    tell(&tally.report(&idle));
    if let Some(share) = idle.iter().copied().find(|share| *share > MOST_IDLE) {
        return Err(format!(
            "a processor was idle for {:.0} % of the time: this says nothing",
            share * 100.0
        )
        .into());
    }
    for problem in &problems {
        tell(&format!("NOT MET: {problem}"));
    }
    Ok(problems.is_empty())
}

/// `90s`, `2m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.char_indices().last().map_or(0, |(index, _)| index);
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => 0,
    };
    let number: u64 = number.parse().unwrap_or(0);
    match number * seconds {
        0 => Err("a whole number and s, m or h, such as 90s, 2m or 1h".to_owned()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("2m", 120), ("1h", 3_600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "0m", "7", "1.5h", "2 weeks", "5ü"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
