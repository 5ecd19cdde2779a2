//! What group commit brings on the disk of this machine: `cargo test -p nearside-control pace -- --ignored --nocapture`.

use std::io::Write;
use std::time::{Duration, Instant};

use super::*;

#[test]
#[ignore = "figures, not a test: it takes ten seconds and wants the disk for itself"]
fn appends_a_second() {
    let temporary = TempDir::new().unwrap();
    let mut out = io::stdout();
    for batch in [1, 16, 256] {
        let folder = temporary.path().join(batch.to_string());
        let (mut journal, _) = Journal::<Weight>::open(&folder, Limits::default()).unwrap();
        let entries: Vec<_> = (0..batch).map(weight).collect();
        let begin = Instant::now();
        let mut times = Vec::new();
        while begin.elapsed() < Duration::from_secs(3) {
            let before = Instant::now();
            journal.append(&entries).unwrap();
            times.push(before.elapsed());
            if journal.wants_checkpoint() {
                journal.checkpoint(&state(batch)).unwrap();
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        times.sort();
        let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
        let pace = (times.len() * batch) as f64 / seconds;
        let (median, late) = (at(50), at(99));
        let line = format!(
            "batches of {batch:3}: {pace:8.0} entries/s, a batch takes {median:.2} ms, 99th {late:.2} ms\n"
        );
        out.write_all(line.as_bytes()).unwrap();
    }
    let folder = temporary.path().join("256");
    let before = Instant::now();
    let (_, recovered) = Journal::<Weight>::open(&folder, Limits::default()).unwrap();
    let (count, ms) = (recovered.entries.len(), before.elapsed().as_secs_f64() * 1e3);
    let before = Instant::now();
    let verified = verify(&folder, None).unwrap();
    let (all, checked_ms) = (verified.entries, before.elapsed().as_secs_f64() * 1e3);
    let line =
        format!("a start reads {count} entries in {ms:.0} ms; {all} are verified in {checked_ms:.0} ms\n");
    out.write_all(line.as_bytes()).unwrap();
}
