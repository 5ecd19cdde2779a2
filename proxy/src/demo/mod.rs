//! `nearside demo`: eight regions of the world and their users on one machine, regions failing and returning.
//!
//! Everything is real but the distance: the edge is the one that `run` runs, origins and users speak HTTP over sockets, and
//! relays between them add the round trips that were measured between real regions. The users come from thirty-six countries
//! with public addresses of those countries, which the edge believes because the demo's users connect from a trusted hop.

mod origin;
mod screen;
mod script;
mod stage;
mod users;
mod world;

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use steer::Span;

use crate::cli::{complain, say};
use script::Script;
use stage::{Stage, commands};
use users::Users;
use world::REGIONS;

/// How long the script takes when nobody says.
const USUAL: Duration = Duration::from_secs(60);

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Print lines instead of a live view (so does an output that is no terminal)
    #[arg(long)]
    headless: bool,
    /// End after this time, such as 20s [default: 60s headless; with a live view, when you quit]
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,
    /// Draw users and times from this seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// Leave the regions alone: only keys and the admin API move them
    #[arg(long)]
    no_script: bool,
}

pub(crate) fn demo(args: &DemoArgs) -> ExitCode {
    let mut stage = match Stage::build(f64::from(args.rate), args.seed) {
        Ok(stage) => stage,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(1);
        }
    };
    say(&format!(
        "The admin API is at http://{}, its token in {}",
        stage.edge.admin,
        stage.token_file.display()
    ));
    say("While this runs, paste into another terminal:");
    commands(&stage).iter().for_each(|command| say(&format!("  {command}")));
    let duration = args.duration.map(Duration::from);
    let script = (!args.no_script).then(|| Script::new(duration.unwrap_or(USUAL)));
    if args.headless || !stdout().is_terminal() {
        play(&mut stage, script, duration.unwrap_or(USUAL));
    } else if let Err(error) = screen::show(&mut stage, script, duration) {
        complain(&format!("the terminal cannot be drawn on: {error}"));
    }
    let (users, kills) = stage.finish();
    summarize(&users, &kills)
}

/// Plays the script and prints a line every second.
fn play(stage: &mut Stage, mut script: Option<Script>, duration: Duration) {
    let started = Instant::now();
    let mut next_line = Duration::ZERO;
    while started.elapsed() < duration {
        if let Some(said) = script.as_mut().and_then(|script| script.play(started.elapsed(), stage)) {
            say(&format!("{:6.1} s  ** {said}", started.elapsed().as_secs_f64()));
        }
        if started.elapsed() >= next_line {
            next_line += Duration::from_secs(1);
            say(&format!("{:6.1} s  {}", started.elapsed().as_secs_f64(), shares(&stage.users)));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Requests, failures, and the part of the users that each region serves now.
fn shares(users: &Users) -> String {
    let tally = users.tally();
    let total: f64 = tally.recent.iter().flatten().sum::<f64>().max(1e-9);
    let share =
        |region: usize| tally.recent.iter().map(|country| country[region]).sum::<f64>() / total * 100.0;
    let regions: Vec<String> = (0..REGIONS.len())
        .filter(|region| share(*region) >= 0.5)
        .map(|region| format!("{} {:.0} %", REGIONS[region].0, share(region)))
        .collect();
    format!("{:6} requests, {} failed   {}", tally.requests, tally.failures, regions.join("  "))
}

fn summarize(users: &Users, kills: &[(usize, Duration)]) -> ExitCode {
    let tally = users.tally();
    say("");
    say(&format!("requests            {}", tally.requests));
    say(&format!("failed              {}", tally.failures));
    say(&format!("slowest             {:.0} ms", tally.slowest.as_secs_f64() * 1000.0));
    for (region, last) in kills {
        let name = REGIONS[*region].0;
        say(&format!(
            "after {name}'s kill, the last request was sent there {:.0} ms later",
            last.as_secs_f64() * 1000.0
        ));
    }
    match &tally.last_failure {
        None => ExitCode::SUCCESS,
        Some(problem) => {
            say(&format!("the last failure    {problem}"));
            ExitCode::from(1)
        }
    }
}
