//! What became of a request, as its client saw it.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::{Due, Method};
use crate::clock::Clock;

/// How a request ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// With the whole right answer.
    Answered,
    /// With an answer that says no.
    Refused,
    /// Without an answer: the connection broke or could not be had.
    Broken,
    /// In the middle of an answer that had begun.
    Truncated,
    /// Not at all, within the client's patience.
    Hung,
}

/// A request and its end.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) id: u32,
    pub(crate) method: Method,
    /// When it was due.
    pub(crate) at_ms: f64,
    /// How much later it was sent: the load generator's own fault.
    pub(crate) late_ms: f64,
    /// From when it was due to the head of the answer, and to its end.
    pub(crate) head_ms: Option<f64>,
    pub(crate) took_ms: f64,
    pub(crate) end: End,
    pub(crate) status: u16,
    /// The region that answered, if an origin did.
    pub(crate) region: Option<String>,
    /// What the edge said instead.
    pub(crate) words: Option<String>,
}

impl Outcome {
    /// Whether there was no answer, or one that says no. What was truncated is counted apart.
    pub(crate) fn has_failed(&self) -> bool {
        !matches!(self.end, End::Answered | End::Truncated)
    }

    /// What its latency is: for what lasts, the time to the head.
    pub(crate) fn latency_ms(&self) -> f64 {
        match self.method {
            Method::Stream | Method::WebSocket => self.head_ms.unwrap_or(self.took_ms),
            _ => self.took_ms,
        }
    }
}

/// Filled in while a request runs, so that one that is given up has told what it knew.
pub(super) struct Slot {
    outcome: Mutex<Outcome>,
    clock: Clock,
}

impl Slot {
    pub(super) fn new(due: Due, late_ms: f64, clock: Clock) -> Self {
        let outcome = Outcome {
            id: due.id,
            method: due.method,
            at_ms: due.at_ms,
            late_ms,
            head_ms: None,
            took_ms: 0.0,
            end: End::Hung,
            status: 0,
            region: None,
            words: None,
        };
        Self { outcome: Mutex::new(outcome), clock }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().expect("nobody panics with it")
    }

    /// The head of an answer came.
    pub(super) fn head(&self, status: u16, region: Option<&str>) {
        let mut outcome = self.known();
        outcome.head_ms = Some(self.clock.now_ms() - outcome.at_ms);
        outcome.status = status;
        outcome.region = region.map(str::to_owned);
    }

    /// What was said with a refusal.
    pub(super) fn said(&self, words: &str) {
        let short: String = words.trim().chars().take(120).collect();
        self.known().words = Some(short);
    }

    /// Whether an answer has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.known().head_ms.is_some()
    }

    pub(super) fn over(self, end: End) -> Outcome {
        let mut outcome = self.outcome.into_inner().expect("nobody panics with it");
        // An answer that began and hangs is cut short, not missing.
        outcome.end = match end {
            End::Hung if outcome.status / 100 == 2 || outcome.status == 101 => End::Truncated,
            end => end,
        };
        outcome.took_ms = self.clock.now_ms() - outcome.at_ms;
        outcome
    }
}
