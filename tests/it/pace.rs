//! What a minute of changes does to requests: figures, not a test. With the release build, alone on the machine:
//! `cargo test --release -p nearside --test it pace_of_changes -- --ignored --nocapture`.
//!
//! Clients ask as fast as they are answered, before, while and after an operator's program changes things at a steady pace, each
//! by a call of its own to the real admin API. Told is the slowest second of each part: a step would be seen there.
//! `NEARSIDE_SECONDS` makes the parts shorter, `NEARSIDE_PUBLISHES` and `NEARSIDE_OVERRIDES` are per minute,
//! `NEARSIDE_SHARES=1` has each answer predict shares, `NEARSIDE_ROUTES` makes the table larger.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use testkit::{Admin, Client, Edge, EdgeBuilder, Origin};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::NEARSIDE;

/// Clients that wait for nothing but their answers.
const CLIENTS: usize = 16;
const REGIONS: [&str; 3] = ["one", "two", "three"];
/// Calls of the API at once.
const CALLERS: u64 = 4;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn large_table(origins: &[Origin], routes: u64) -> String {
    let mut text = testkit::table(&[
        (REGIONS[0], &[origins[0].host()]),
        (REGIONS[1], &[origins[1].host()]),
        (REGIONS[2], &[origins[2].host()]),
    ]);
    for route in 0..routes {
        writeln!(
            text,
            "[[routes]]\nname = \"r{route}\"\nhosts = [\"h{route}.test\"]\npath_prefix = \"/service\"\npool = \"app\""
        )
        .unwrap();
    }
    text
}

/// What requests of one part came to, second by second.
#[derive(Default)]
struct Part {
    seconds: Vec<Vec<u32>>,
    failed: u64,
}

impl Part {
    fn add(&mut self, other: Self) {
        self.failed += other.failed;
        self.seconds.resize_with(self.seconds.len().max(other.seconds.len()), Vec::new);
        for (all, more) in self.seconds.iter_mut().zip(other.seconds) {
            all.extend(more);
        }
    }

    fn tell(mut self, name: &str, seconds: u64) -> u64 {
        // What runs over the end has too few requests to say anything.
        self.seconds.truncate(usize::try_from(seconds).unwrap());
        let at = |times: &mut Vec<u32>, share: f64| {
            times.sort_unstable();
            let index = (times.len() as f64 * share) as usize;
            f64::from(times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or(0)) / 1000.0
        };
        let mut late: Vec<f64> = self.seconds.iter_mut().map(|times| at(times, 0.99)).collect();
        late.sort_by(f64::total_cmp);
        let (middle, worst) = (late[late.len() / 2], late[late.len() - 1]);
        let mut all: Vec<u32> = self.seconds.concat();
        let (median, p99, most) = (at(&mut all, 0.5), at(&mut all, 0.99), at(&mut all, 1.0));
        let pace = all.len() as u64 / seconds;
        say(&format!(
            "{name:<8} {pace:>6} requests/s, {} failed; median {median:.2} ms, p99 {p99:.2} ms, longest {most:.1} ms; p99 of a second: \
             median {middle:.2} ms, worst {worst:.2} ms",
            self.failed
        ));
        self.failed
    }
}

/// Clients ask for so many seconds.
async fn asked(edge: &Edge, seconds: u64) -> Part {
    let begin = Instant::now();
    let clients: Vec<JoinHandle<Part>> = (0..CLIENTS)
        .map(|index| {
            let address = edge.address();
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let from = format!("81.2.{}.{index}", 16 * index);
                let mut part = Part::default();
                while begin.elapsed() < Duration::from_secs(seconds) {
                    let before = Instant::now();
                    let fields = [("x-forwarded-for", from.as_str())];
                    match client.try_ask(Method::GET, "/", &fields, "").await {
                        Ok(answer) if answer.status == 200 => {}
                        Ok(_) => part.failed += 1,
                        Err(_) => {
                            part.failed += 1;
                            client = Client::connect(address).await;
                        }
                    }
                    let second = usize::try_from(begin.elapsed().as_secs()).unwrap();
                    let times = part.seconds.len().max(second + 1);
                    part.seconds.resize_with(times, Vec::new);
                    part.seconds[second].push(u32::try_from(before.elapsed().as_micros()).unwrap());
                }
                part
            })
        })
        .collect();
    let mut all = Part::default();
    for client in clients {
        all.add(client.await.unwrap());
    }
    all
}

/// What an operator's program has changed.
#[derive(Default)]
struct Changed {
    publishes: AtomicU64,
    overrides: AtomicU64,
    /// Calls that were not answered 200.
    refused: AtomicU64,
    /// The longest call, in ms.
    longest_ms: AtomicU64,
}

impl Changed {
    async fn call(&self, admin: &Admin, method: Method, path: &str, body: &str) {
        let before = Instant::now();
        let answer = admin.attempt(method, path, body).await;
        let ms = u64::try_from(before.elapsed().as_millis()).unwrap();
        self.longest_ms.fetch_max(ms, Relaxed);
        if answer.is_none_or(|(status, _)| status != 200) {
            self.refused.fetch_add(1, Relaxed);
        }
    }
}

/// Changes things at a steady pace until it is told to stop.
fn change(
    edge: &Edge,
    table: &str,
    changed: &Arc<Changed>,
    is_over: &Arc<AtomicBool>,
) -> Vec<JoinHandle<()>> {
    let (publishes, overrides) = (number("NEARSIDE_PUBLISHES", 1_000), number("NEARSIDE_OVERRIDES", 10_000));
    let query = if number("NEARSIDE_SHARES", 0) == 1 { "?shares=1" } else { "" };
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        for (per_minute, is_publish) in [(publishes, true), (overrides, false)] {
            if per_minute == 0 {
                continue;
            }
            let (admin, table) = (edge.admin.clone(), table.to_owned());
            let (changed, is_over) = (changed.clone(), is_over.clone());
            callers.push(tokio::spawn(async move {
                let mut pace =
                    interval(Duration::from_secs(60 * CALLERS) / u32::try_from(per_minute).unwrap());
                pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
                for turn in 0u64.. {
                    pace.tick().await;
                    if is_over.load(Relaxed) {
                        return;
                    }
                    if is_publish {
                        let table = format!("{table}\n# {caller} {turn}\n");
                        changed.call(&admin, Method::POST, "/v1/tables?reason=pace", &table).await;
                        changed.publishes.fetch_add(1, Relaxed);
                    } else {
                        let region = REGIONS[usize::try_from((caller + turn) % 3).unwrap()];
                        let body = json!({"weight": 60 + turn % 41, "reason": "pace"}).to_string();
                        let path = format!("/v1/regions/{region}{query}");
                        changed.call(&admin, Method::PATCH, &path, &body).await;
                        changed.overrides.fetch_add(1, Relaxed);
                    }
                }
            }));
        }
    }
    callers
}

/// The processor time that the edge's thread of that name has used, in seconds.
fn used_by(edge: &Edge, thread: &str) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", edge.pid())).unwrap();
    let of = |task: std::path::PathBuf| -> Option<f64> {
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        // User and system time, in hundredths: fields 14 and 15, counted from 1, of which the first two are gone.
        let ticks: f64 = fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?;
        (name.trim() == thread).then_some(ticks / 100.0)
    };
    tasks.filter_map(|task| of(task.ok()?.path())).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, not a test: it takes two minutes and wants the machine for itself"]
async fn pace_of_changes() {
    let (seconds, routes) = (number("NEARSIDE_SECONDS", 60), number("NEARSIDE_ROUTES", 100));
    let mut origins = Vec::new();
    for region in REGIONS {
        origins.push(Origin::named(region).await);
    }
    let table = large_table(&origins, routes);
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    say(&format!(
        "{CLIENTS} clients, {} regions, {routes} routes, a table of {} bytes",
        REGIONS.len(),
        table.len()
    ));
    // Warm first: pages that are touched for the first time, connections that are opened.
    asked(&edge, 3).await;
    let mut failed = asked(&edge, seconds / 2).await.tell("before", seconds / 2);

    let (changed, is_over) = (Arc::new(Changed::default()), Arc::new(AtomicBool::new(false)));
    let threads = ["control", "changes"];
    let used = threads.map(|thread| used_by(&edge, thread));
    let callers = change(&edge, &table, &changed, &is_over);
    failed += asked(&edge, seconds).await.tell("changing", seconds);
    is_over.store(true, Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    say(&format!(
        "         {} publishes and {} overrides in {seconds} s, {} not answered 200, the longest call {} ms",
        changed.publishes.load(Relaxed),
        changed.overrides.load(Relaxed),
        changed.refused.load(Relaxed),
        changed.longest_ms.load(Relaxed),
    ));
    for (thread, before) in threads.into_iter().zip(used) {
        say(&format!("         thread {thread}: {:.2} s of processor time", used_by(&edge, thread) - before));
    }
    failed += asked(&edge, seconds / 2).await.tell("after", seconds / 2);
    assert_eq!((failed, changed.refused.load(Relaxed)), (0, 0));
}
