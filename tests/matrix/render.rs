//! The document: tables that an operator can read, made from results alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::Failure;
use crate::edge::Contestant;
use crate::fault::Fault;
use crate::load::Method;
use crate::quantile::{largest, median};
use crate::results::{About, CellResult, load};

/// Writes the document anew from a folder of results.
pub(crate) fn write(results: &Path, file: &Path) -> Result<(), Failure> {
    let (about, cells) = load(results)?;
    Ok(std::fs::write(file, document(&about, &cells))?)
}

/// All runs of a fault against an edge.
struct Row<'a>(Vec<&'a CellResult>);

impl Row<'_> {
    /// The worst of all runs, or nothing where no run has it.
    fn worst(&self, value: impl Fn(&CellResult) -> Option<f64>) -> Option<f64> {
        self.0.iter().filter_map(|cell| value(cell)).reduce(f64::max)
    }

    fn sum(&self, value: impl Fn(&CellResult) -> usize) -> usize {
        self.0.iter().map(|cell| value(cell)).sum()
    }

    /// The middle of all runs and the worst.
    fn middle_and_worst(&self, value: impl Fn(&CellResult) -> Option<f64>) -> String {
        let values: Vec<f64> = self.0.iter().filter_map(|cell| value(cell)).collect();
        match values.len() {
            0 => "–".to_owned(),
            1 => format!("{:.0}", values[0]),
            _ => format!("{:.0}, worst {:.0}", median(&values), largest(values.iter().copied())),
        }
    }

    /// Whether all promises were kept; otherwise which were not, and in how many runs.
    fn verdict(&self) -> String {
        let names: BTreeSet<&str> = self.broken().map(|verdict| verdict.what.as_str()).collect();
        if names.is_empty() {
            return "met".to_owned();
        }
        let mut words = Vec::new();
        for name in names {
            let seen: Vec<&str> = self
                .broken()
                .filter(|verdict| verdict.what == name)
                .map(|verdict| verdict.seen.as_str())
                .collect();
            words.push(format!("{name} ({} of {} runs; {})", seen.len(), self.0.len(), seen[0]));
        }
        format!("**not met**: {}", words.join("; "))
    }

    fn broken(&self) -> impl Iterator<Item = &crate::results::Verdict> {
        self.0.iter().flat_map(|cell| cell.broken())
    }
}

fn document(about: &About, cells: &[CellResult]) -> String {
    let faults: BTreeSet<Fault> = cells.iter().map(|cell| cell.fault).collect();
    let row = |fault: Fault, contestant: Contestant| {
        Row(cells.iter().filter(|cell| cell.fault == fault && cell.contestant == contestant).collect())
    };
    let mut text = String::new();
    text +=
        "<!-- Made by `just matrix`; `nearside-matrix render` writes it again from the raw results. -->\n\n";
    text += "# What survives which fault\n\n";
    text += &introduction(about, cells);
    text += "\n## The faults\n\n";
    text += "| fault | GETs failed | unsent requests failed | ran twice | slowest GET, ms | last request there, ms | doubted, ms | \
             down, ms | retries and hedges | promised |\n|---|---|---|---|---|---|---|---|---|---|\n";
    for fault in &faults {
        let row = row(*fault, Contestant::Nearside);
        if row.0.is_empty() {
            continue;
        }
        let gets = format!(
            "{} of {}",
            row.sum(|cell| cell.method(Method::Get).failed),
            row.sum(|cell| cell.method(Method::Get).requests)
        );
        let extra = row
            .worst(|cell| cell.extra_share)
            .map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let _ = writeln!(
            text,
            "| {} | {gets} | {} | {} | {} | {} | {} | {} | {extra} | {} |",
            fault.title(),
            row.sum(unsaved),
            row.sum(twice),
            row.middle_and_worst(|cell| Some(cell.method(Method::Get).slowest_ms)),
            row.middle_and_worst(|cell| cell.last_tried_ms.filter(|_| !fault.is_everywhere())),
            row.middle_and_worst(|cell| cell.doubted_ms),
            row.middle_and_worst(|cell| cell.down_ms),
            row.verdict(),
        );
    }
    text += "\nWhat is done:\n\n";
    for fault in &faults {
        let _ = writeln!(text, "- **{}**: {}.", fault.title(), fault.what());
    }
    text += &methods(&faults, &row);
    text += &beside(&faults, cells, &row);
    text += NATURE;
    text
}

/// Failed requests that were not sent, of methods that must not run twice.
fn unsaved(cell: &CellResult) -> usize {
    let of_method = |method: &Method| {
        let result = cell.method(*method);
        result.failed - result.by_nature
    };
    Method::ALL.iter().filter(|method| !method.is_safe()).map(of_method).sum()
}

/// Requests that ran twice and must not.
fn twice(cell: &CellResult) -> usize {
    [Method::Post, Method::LargePost, Method::Grpc].iter().map(|method| cell.method(*method).twice).sum()
}

fn introduction(about: &About, cells: &[CellResult]) -> String {
    let late = largest(cells.iter().map(|cell| cell.late_p99_ms));
    let discarded: u32 = cells.iter().map(|cell| cell.discarded).sum();
    let unstarted: u32 = cells.iter().map(|cell| cell.unstarted).sum();
    let mut text = format!(
        "Three regions 5, 30 and 80 ms away, the nearest of which fails; 500 requests a second of all kinds at fixed times, whatever \
         became of those before; latency counted from when a request was due. Clients repeat nothing. Load, ways and origins have one \
         processor, the edge another; probes every 50 ms. Worst of all runs, unless it says otherwise.\n\n\
         - machine: {}\n- commit: {}\n- date: {}\n- command: `{}`\n- edges: {}\n\
         - load generator: at most {late:.1} ms late (99 of 100, worst run)\n\
         - runs: {}; {discarded} of them were late and made again, {unstarted} gave no result (something did not start or end) and \
         were made again\n",
        about.machine,
        about.commit,
        about.date,
        about.command,
        about.versions.join("; "),
        cells.len() + (discarded + unstarted) as usize,
    );
    for (what, list) in [("left out", &about.skipped), ("without a result", &about.lost)] {
        for item in list {
            let _ = writeln!(text, "- {what}: {item}");
        }
    }
    text
}

fn methods<'a>(faults: &BTreeSet<Fault>, row: &dyn Fn(Fault, Contestant) -> Row<'a>) -> String {
    let mut text = "\n## The methods\n\nFailed / of those, what nothing could have saved / broken off after the answer had begun / ran \
                    twice. A dash: nothing of it.\n\n| fault |"
        .to_owned();
    for method in Method::ALL {
        let _ = write!(text, " {} |", method.title());
    }
    text += "\n|---|---|---|---|---|---|---|---|\n";
    for fault in faults {
        let row = row(*fault, Contestant::Nearside);
        if row.0.is_empty() {
            continue;
        }
        let _ = write!(text, "| {} |", fault.title());
        for method in Method::ALL {
            let sums = [
                row.sum(|cell| cell.method(method).failed),
                row.sum(|cell| cell.method(method).by_nature),
                row.sum(|cell| cell.method(method).truncated),
                row.sum(|cell| cell.method(method).twice),
            ];
            let words = match sums {
                [0, 0, 0, 0] => "–".to_owned(),
                [failed, nature, truncated, twice] => format!("{failed} / {nature} / {truncated} / {twice}"),
            };
            let _ = write!(text, " {words} |");
        }
        text.push('\n');
    }
    text
}

fn beside<'a>(
    faults: &BTreeSet<Fault>,
    cells: &[CellResult],
    row: &dyn Fn(Fault, Contestant) -> Row<'a>,
) -> String {
    let contestants: BTreeSet<Contestant> = cells.iter().map(|cell| cell.contestant).collect();
    if contestants.len() < 2 {
        return String::new();
    }
    let mut text = "\n## Beside its peers\n\nGETs failed / unsent requests failed / ran twice / slowest GET in ms / last request sent \
                    there in ms, per run on average for counts and the worst for times. The peers are set up as their users would \
                    who want failover, see `tests/matrix/peers`.\n\n| fault |"
        .to_owned();
    for contestant in &contestants {
        let _ = write!(text, " {} |", contestant.title());
    }
    text = text + "\n|---|" + &"---|".repeat(contestants.len()) + "\n";
    for fault in faults {
        let _ = write!(text, "| {} |", fault.title());
        for contestant in &contestants {
            let row = row(*fault, *contestant);
            let runs = row.0.len();
            if runs == 0 {
                text += " – |";
                continue;
            }
            let mean = |sum: usize| (sum as f64 / runs as f64 * 10.0).round() / 10.0;
            let time = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.0}"));
            let _ = write!(
                text,
                " {} / {} / {} / {} / {} |",
                mean(row.sum(|cell| cell.method(Method::Get).failed)),
                mean(row.sum(unsaved)),
                mean(row.sum(twice)),
                time(row.worst(|cell| Some(cell.method(Method::Get).slowest_ms))),
                time(row.worst(|cell| cell.last_sent_ms.filter(|_| !fault.is_everywhere()))),
            );
        }
        text.push('\n');
    }
    text
}

/// What no proxy can save.
const NATURE: &str = "
## What fails by nature

- A request that must not run twice and that was written to a region which then says nothing: it may have run. It is answered 502 or
  504 with the reason `UN`, and whoever sent it has to find out. The same holds for one that an origin itself answers 503.
- An answer that had begun when its region died is broken off: its client has a part of it, and another region may say something else.
  Streams and large answers meet this more often than small ones.
- A WebSocket through the dead region is cut; its client connects again, elsewhere.
- While no region is left there is nothing but a clear 503, in time.
- A region that fails some requests while its probes are well is found out by counting: seven failures at once, or some forty requests
  of which a fifth fails, whatever time they take. gRPC calls have a pool of their own here, with a fourteenth of the requests; the
  time until no new request goes there is that of the pool with all the others.

Whether a request had been sent is not taken from the edge's word: what passes on the way to the region is read there, and origins tell
what they carried out. Where the way is encrypted or HTTP/2, or a filter drops what was written before anybody could read it, the edge's
access log has to do; a peer that tells too little in its own is believed. A connection is made without the round trip that requests
take: the kernel of the relay answers for the region.
";
