//! What has happened in a simulated world, for the laws to look at.

use std::collections::BTreeSet;
use std::fmt::Write;

use steer::signals::{Health, Observed};
use steer::{Moment, Span};

use super::attempts::How;
use super::clients::{Due, Method};
use super::options::REGIONS;

/// Changes that are told.
const TOLD: usize = 40;

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
    /// Whether it was the request's first attempt.
    pub(super) is_first: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) region: usize,
    pub(super) from: Observed,
    pub(super) to: Observed,
    pub(super) at: Moment,
    /// Whether it was given up for what its requests came to, and not proved dead.
    pub(super) is_ejected: bool,
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

    pub(super) fn tried(&mut self, deed: Deed) {
        self.tried.push(deed);
    }

    pub(super) fn sent(&mut self, deed: Deed) {
        self.sent.push(deed);
    }

    pub(super) fn executed(&mut self, deed: Deed) {
        self.executed.push(deed);
    }

    pub(super) fn truncated(&mut self, request: usize) {
        self.truncated.insert(request);
    }

    pub(super) fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn suspected_uplink(&mut self, at: Moment) {
        self.uplink_suspected.push(at);
    }

    /// When placements fell: were given up that took requests.
    pub(super) fn falls(&self) -> impl Iterator<Item = &Change> {
        let is_out = |health| matches!(health, Health::Down | Health::Held);
        self.changes.iter().filter(move |change| change.from.is_usable() && is_out(change.to.health))
    }

    /// What became of health, in words; times in ms from `onset`.
    pub(super) fn told(&self, onset: Moment) -> String {
        let mut told = String::new();
        // The last ones explain most.
        let from = self.changes.len().saturating_sub(TOLD);
        for Change { region, from, to, at, is_ejected } in &self.changes[from..] {
            let ms = at.as_nanos() as f64 / 1e6 - onset.as_nanos() as f64 / 1e6;
            let (from, to) = (from.health.as_str(), to.health.as_str());
            let why = if *is_ejected { ", ejected" } else { "" };
            let _ = writeln!(told, "    {ms:+9.1} ms  {}: {from} -> {to}{why}", REGIONS[*region].0);
        }
        told
    }
}
