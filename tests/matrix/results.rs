//! What a cell's run is reduced to, and where that is kept, so that tables can be written again without running anything.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::edge::{Contestant, Transition};
use crate::fault::Fault;
use crate::load::Method;

/// A run whose requests were sent later than this is late (99 of 100, in ms).
pub(crate) const MAX_LATE_MS: f64 = 5.0;

/// One run of one fault against one edge.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CellResult {
    pub(crate) fault: Fault,
    pub(crate) contestant: Contestant,
    pub(crate) run: u32,
    pub(crate) seed: u64,
    pub(crate) is_short: bool,
    /// The load generator's own lateness; what is late is not counted.
    pub(crate) late_p99_ms: f64,
    /// Runs that were thrown away before this one because they were late.
    pub(crate) discarded: u32,
    /// Runs before this one that gave no result: something did not start, or end.
    #[serde(default)]
    pub(crate) unstarted: u32,
    pub(crate) methods: Vec<MethodResult>,
    /// From the onset to the last request that was sent to the region while it was hit; `None` if none was.
    pub(crate) last_sent_ms: Option<f64>,
    /// The same with attempts that could not be sent, where the edge's log tells them.
    pub(crate) last_tried_ms: Option<f64>,
    /// From the onset to the first word that the region is doubted, and that it is down.
    pub(crate) doubted_ms: Option<f64>,
    pub(crate) down_ms: Option<f64>,
    /// How often a pool of the region fell while it was hit.
    pub(crate) falls: usize,
    pub(crate) transitions: Vec<Transition>,
    /// Attempts beyond each request's first, never-sent ones excluded, as a share of requests in the worst 10 s.
    pub(crate) extra_share: Option<f64>,
    /// From the first region's return to the last GET that failed.
    pub(crate) serves_again_ms: Option<f64>,
    pub(crate) verdicts: Vec<Verdict>,
    /// Some of what went wrong, in words.
    pub(crate) examples: Vec<String>,
}

/// What became of one method's requests.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MethodResult {
    pub(crate) method: Method,
    pub(crate) requests: usize,
    /// Without an answer, or with one that says no.
    pub(crate) failed: usize,
    /// Of those, the ones that could not have been saved: they had been sent, or no region was there.
    pub(crate) by_nature: usize,
    /// Broken off after the answer had begun.
    pub(crate) truncated: usize,
    /// Of those, the ones whose answer the failing region had begun.
    pub(crate) truncated_by_nature: usize,
    /// Carried out more than once.
    pub(crate) twice: usize,
    /// Of those due from the onset on.
    pub(crate) slowest_ms: f64,
    pub(crate) before: Quantiles,
    pub(crate) during: Quantiles,
    pub(crate) from_one_second: Quantiles,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// One thing that must hold.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) is_met: bool,
    /// Whether it is about time: where the load itself was late, it says nothing.
    #[serde(default)]
    pub(crate) is_timing: bool,
    /// What was seen, in words.
    pub(crate) seen: String,
}

impl CellResult {
    pub(crate) fn method(&self, method: Method) -> &MethodResult {
        self.methods.iter().find(|result| result.method == method).expect("all methods are there")
    }

    /// What was not met. A run whose load was late says nothing about time.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &Verdict> {
        let is_late = self.late_p99_ms > MAX_LATE_MS;
        self.verdicts.iter().filter(move |verdict| !(verdict.is_met || is_late && verdict.is_timing))
    }

    pub(crate) fn is_met(&self) -> bool {
        self.broken().next().is_none()
    }
}

/// What is true of all runs together.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct About {
    pub(crate) machine: String,
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) command: String,
    pub(crate) versions: Vec<String>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<String>,
    /// Runs that gave no result, and why.
    pub(crate) lost: Vec<String>,
}

/// Writes a value to a file of a folder.
pub(crate) fn save(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let new = folder.join("new");
    std::fs::write(&new, serde_json::to_string_pretty(value)?)?;
    Ok(std::fs::rename(new, folder.join(name))?)
}

/// All cells of a folder, and what is true of them.
pub(crate) fn load(folder: &Path) -> Result<(About, Vec<CellResult>), Failure> {
    let about = serde_json::from_str(&std::fs::read_to_string(folder.join("about.json"))?)?;
    let mut cells: Vec<CellResult> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("cell-") && name.ends_with(".json") {
            cells.push(serde_json::from_str(&std::fs::read_to_string(path)?)?);
        }
    }
    cells.sort_by_key(|cell| (cell.fault, cell.contestant, cell.run));
    Ok((about, cells))
}
