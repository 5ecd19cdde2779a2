//! What has happened in a simulated world, for the laws to look at.

use std::collections::BTreeSet;
use std::fmt::Write;

use steer::signals::Health;
use steer::{Moment, Span};

use super::attempts::How;
use super::clients::{Due, Method};
use super::sim::REGIONS;

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Answered,
    /// Its last attempt failed, and none might follow.
    Failed(How),
    /// One might, but for the budget.
    BudgetSpent,
    /// No region was left to ask.
    Nowhere,
    Deadline,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) request: usize,
    pub(super) method: Method,
    pub(super) at: Moment,
    pub(super) took: Span,
    pub(super) end: End,
}

/// Something was done with a request at a region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed {
    pub(super) request: usize,
    pub(super) region: usize,
    pub(super) at: Moment,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) region: usize,
    pub(super) from: Health,
    pub(super) to: Health,
    pub(super) at: Moment,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) outcomes: Vec<Outcome>,
    /// Attempts that were begun, sent or not.
    pub(super) tried: Vec<Deed>,
    /// Requests written to a connection.
    pub(super) sent: Vec<Deed>,
    /// Requests that an origin looked at.
    pub(super) executed: Vec<Deed>,
    pub(super) truncated: BTreeSet<usize>,
    pub(super) changes: Vec<Change>,
    pub(super) uplink_suspected: Vec<Moment>,
}

impl Record {
    pub(super) fn ended(&mut self, request: usize, due: &Due, end: End, now: Moment) {
        let took = now.since(due.at);
        self.outcomes.push(Outcome { request, method: due.method, at: due.at, took, end });
    }

    pub(super) fn tried(&mut self, request: usize, region: usize, at: Moment) {
        self.tried.push(Deed { request, region, at });
    }

    pub(super) fn sent(&mut self, request: usize, region: usize, at: Moment) {
        self.sent.push(Deed { request, region, at });
    }

    pub(super) fn executed(&mut self, request: usize, region: usize, at: Moment) {
        self.executed.push(Deed { request, region, at });
    }

    pub(super) fn truncated(&mut self, request: usize) {
        self.truncated.insert(request);
    }

    pub(super) fn changed(&mut self, region: usize, from: Health, to: Health, at: Moment) {
        self.changes.push(Change { region, from, to, at });
    }

    pub(super) fn suspected_uplink(&mut self, at: Moment) {
        self.uplink_suspected.push(at);
    }

    /// When placements fell.
    pub(super) fn falls(&self) -> impl Iterator<Item = &Change> {
        let is_out = |health| matches!(health, Health::Down | Health::Held);
        self.changes.iter().filter(move |change| !is_out(change.from) && is_out(change.to))
    }

    /// What became of health, in words; times in ms from `onset`.
    pub(super) fn told(&self, onset: Moment) -> String {
        let mut told = String::new();
        for Change { region, from, to, at } in &self.changes {
            let ms = at.as_nanos() as f64 / 1e6 - onset.as_nanos() as f64 / 1e6;
            let (from, to) = (from.as_str(), to.as_str());
            let _ = writeln!(told, "    {ms:+9.1} ms  {}: {from} -> {to}", REGIONS[*region].0);
        }
        told
    }
}
