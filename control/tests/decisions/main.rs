//! Whatever happens meanwhile, a decision of the past is explained as it was taken.
//!
//! Random tables, overrides of regions and placements, ramps, drills, health, latencies, loads and clients; decisions are taken at a
//! worker's desk, as a worker takes them, and explained some changes later from the words in its ring. 3,000 cases by default;
//! `NEARSIDE_CASES=1000000` and `NEARSIDE_SEED` ask for more and for others. A failing case prints its seed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says what it did")]

mod dice;
mod edge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use control::decisions::repeat;
use steer::draw::Rng;
use steer::signals::{Health, Observed};

use dice::Dice;
use edge::Edge;

/// Decisions that may be taken before one is explained.
const DELAY: usize = 40;
/// Cases with the same edge.
const CASES_PER_EDGE: usize = 250;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

fn run(cases: usize, seed: u64, mut between: impl FnMut(&Edge) -> bool) -> BTreeMap<&'static str, usize> {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for first in (0..cases).step_by(CASES_PER_EDGE) {
        let seed = seed.wrapping_add(first as u64);
        let failed = Seed(seed);
        let mut dice = Dice(Rng::new(seed));
        let mut edge = Edge::new(&mut dice);
        let is_watched = between(&edge);
        for _ in 0..CASES_PER_EDGE.min(cases - first) {
            (0..dice.0.below(4)).for_each(|_| edge.disturb(&mut dice));
            edge.advance();
            edge.decide(&mut dice);
            if edge.waiting.len() > DELAY || dice.one_in(3) {
                edge.explain();
            }
        }
        while !edge.waiting.is_empty() {
            edge.explain();
        }
        for (what, count) in &edge.seen {
            *seen.entry(what).or_default() += count;
        }
        if is_watched {
            between(&edge);
        }
        failed.passed();
    }
    seen
}

/// Tells the seed of what panics.
struct Seed(u64);

impl Seed {
    fn passed(self) {
        std::mem::forget(self);
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        println!("failed with NEARSIDE_SEED={} NEARSIDE_CASES={CASES_PER_EDGE}", self.0);
    }
}

#[test]
fn an_explanation_is_the_live_choice() {
    let (cases, seed) = (number("NEARSIDE_CASES", 3000), number("NEARSIDE_SEED", 1));
    let started = std::time::Instant::now();
    let seen = run(cases as usize, seed, |_| false);
    println!("{cases} cases from seed {seed} in {:.1} s: {seen:?}", started.elapsed().as_secs_f64());
    if cases >= 3000 {
        for kind in [
            "ranked",
            "unranked",
            "last resort",
            "all down",
            "kept",
            "spilled",
            "next",
            "refused",
            "nothing left",
            "elsewhere now",
            "drilled",
            "region overridden",
            "placement overridden",
            "overlay moved on",
        ] {
            assert!(seen.get(kind).is_some_and(|count| *count > 0), "no case of {kind}: {seen:?}");
        }
    }
}

/// The same while another thread changes health and loads without a pause, so that they change under every decision.
#[test]
fn what_changes_under_a_decision_does_not_change_its_explanation() {
    let (cases, seed) = (number("NEARSIDE_CASES", 3000) / 2, number("NEARSIDE_SEED", 1));
    let mut chaos: Option<(Arc<AtomicBool>, thread::JoinHandle<u64>)> = None;
    let mut changes = 0;
    run(cases as usize, seed.wrapping_add(1 << 32), |edge| {
        if let Some((done, thread)) = chaos.take() {
            done.store(true, Relaxed);
            changes += thread.join().unwrap();
            return true;
        }
        let done = Arc::new(AtomicBool::new(false));
        let (publisher, stop) = (edge.publisher.clone(), done.clone());
        let thread = thread::spawn(move || {
            let mut dice = Dice(Rng::new(seed));
            let mut changes = 0;
            while !stop.load(Relaxed) {
                let snapshot = publisher.snapshot();
                let index = dice.0.below(snapshot.vitals.placements.len() as u32) as usize;
                let placement = &snapshot.vitals.placements[index];
                publisher.observe(&placement.key, dice.observed());
                let cells = placement.cells(0);
                if dice.one_in(2) {
                    cells.begin();
                } else {
                    cells.end();
                }
                changes += 1;
            }
            changes
        });
        chaos = Some((done, thread));
        true
    });
    println!("{cases} cases, {changes} changes meanwhile");
    assert!(changes > cases, "{changes}");
}

#[test]
fn a_record_that_lies_is_found_out() {
    let mut dice = Dice(Rng::new(5));
    let mut edge = Edge::new(&mut dice);
    let mut found_out = 0;
    for _ in 0..200 {
        edge.disturb(&mut dice);
        edge.decide(&mut dice);
        let (id, _, _) = edge.waiting.pop_back().unwrap();
        let mut record = edge.decisions.find(id).unwrap();
        let past = edge.publisher.past(record.by.snapshot).unwrap();
        assert_eq!(repeat(&past, &record, &mut ()), Some(record.outcome.clone()));
        let Ok(placed) = &record.outcome else { continue };
        // Where it went is said to have been down.
        let placement = placed.choice.decision.first.index();
        let pool = past.table().pool(past.table().lane(record.lane).pool).placements.clone();
        let word = &mut record.seen.observed[placement / 8 - pool.start / 8];
        let mut bytes = word.to_le_bytes();
        bytes[placement % 8] = Observed::plain(Health::Down).to_byte();
        *word = u64::from_le_bytes(bytes);
        found_out += u32::from(repeat(&past, &record, &mut ()) != Some(record.outcome.clone()));
        record.seen.observed.pop();
        assert_eq!(repeat(&past, &record, &mut ()), None, "it does not fit the table");
    }
    assert!(found_out > 50, "{found_out}");
}
