//! A process that appends and says so is killed at any moment, again and again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const FOLDER: &str = "NEARSIDE_JOURNAL";
/// How often it is killed; more by environment.
const ROUNDS: &str = "NEARSIDE_ROUNDS";
const MOST_IN_A_BATCH: u64 = 8;

/// Counts. The state is how far.
#[derive(Deserialize, Serialize)]
struct Step {
    number: u64,
    text: String,
}

impl Record for Step {
    type State = u64;
}

/// Some texts are long: a kill stops long writes half-way, and short ones hardly ever.
fn text(number: u64) -> String {
    let length = if number.is_multiple_of(4) { 200_000 } else { 700 };
    "x".repeat((number * 7919 % length) as usize)
}

fn open_steps(folder: &Path) -> (Journal<Step>, u64, Option<Torn>) {
    // Checkpoints all the time, so that many are killed too.
    let limits = Limits { segment_bytes: 300_000, segments: usize::MAX, bytes: u64::MAX };
    let (journal, recovered) = Journal::<Step>::open(folder, limits).unwrap();
    assert!(recovered.damage.is_none(), "{:?}", recovered.damage);
    let mut last = recovered.checkpoint.map_or(0, |written| written.entry.data);
    for written in recovered.entries {
        let Step { number, text } = written.entry.data;
        assert_eq!((number, text), (last + 1, self::text(last + 1)), "none is missing, none is half");
        last = number;
    }
    (journal, last, recovered.torn)
}

/// The process that is killed. It runs until then, or for a minute.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (mut journal, mut last, _) = open_steps(Path::new(&folder));
    let mut out = io::stdout();
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while std::time::Instant::now() < end {
        let step = |number| entry(Step { number, text: text(number) });
        let batch: Vec<_> = (last + 1..=last + 1 + last % MOST_IN_A_BATCH).map(step).collect();
        journal.append(&batch).unwrap();
        last += batch.len() as u64;
        // Whole in one write, and seen to be whole.
        out.write_all(format!("\nacknowledged {last} .\n").as_bytes()).unwrap();
        if journal.wants_checkpoint() {
            journal.checkpoint(&entry(last)).unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds = std::env::var(ROUNDS).map_or(30, |rounds| rounds.parse().unwrap());
    // On a real disk, with its delays.
    let temporary = TempDir::new().unwrap();
    let folder = temporary.path().join("journal");
    let (mut acknowledged, mut torn) = (0, 0);
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::crash::child", "--ignored", "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last_of = |acknowledged: &mut u64, only_one: bool| {
            for line in lines.by_ref().map_while(Result::ok) {
                let number = line.strip_prefix("acknowledged ").and_then(|rest| rest.strip_suffix(" ."));
                if let Some(number) = number {
                    *acknowledged = number.parse().unwrap();
                    if only_one {
                        break;
                    }
                }
            }
        };
        let before = acknowledged;
        // It is at work; now at any moment.
        last_of(&mut acknowledged, true);
        std::thread::sleep(Duration::from_micros(u64::from(getrandom::u32().unwrap() % 40_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        last_of(&mut acknowledged, false);
        assert!(acknowledged > before, "round {round}: it did nothing");
        let (_, last, unfinished) = open_steps(&folder);
        torn += u32::from(unfinished.is_some());
        assert!(
            (acknowledged..=acknowledged + MOST_IN_A_BATCH).contains(&last),
            "round {round}: {acknowledged} was acknowledged, {last} is the last"
        );
        // What was written and not acknowledged counts from here on: somebody may have seen it.
        acknowledged = last;
    }
    // Every one since the first, through all segments.
    let (journal, last, _) = open_steps(&folder);
    verify(&folder, Some(journal.head())).unwrap();
    let (history, mut numbers) = (journal.history(), Vec::new());
    let mut after = 0;
    while let Some(page) = Some(history.read(after, 100).unwrap()).filter(|page| !page.is_empty()) {
        after = page.last().map_or(after, |written| written.stamp.seq);
        numbers.extend(page.iter().map(|written| written.entry.data.number));
    }
    assert!(numbers.into_iter().eq(1..=last));
    let segments = segments(&folder).len();
    let line =
        format!("killed {rounds} times: {acknowledged} entries in {segments} segments, {torn} torn lines\n");
    io::stdout().write_all(line.as_bytes()).unwrap();
}
