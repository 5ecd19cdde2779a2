//! What one worker of the edge has for itself: unused connections, what it knows of origins' answers, its budgets.

use steer::budget::{Allowance, Budget, Hedging};
use steer::ewma::PeakEwma;
use steer::retry::Budgets;
use steer::usual::Usual;
use steer::{Moment, Span};

/// Seconds that a budget looks back.
const WINDOW_SECONDS: u32 = 10;
const WORKERS: u32 = 2;
/// The soonest that an answer counts as late.
const SOONEST_LATE: Span = Span::from_millis(5);
/// When it counts as late while nothing is known of its class.
const UNKNOWN_LATE: Span = Span::from_millis(100);

pub(super) struct Worker {
    pub(super) index: u32,
    pub(super) origins: Vec<Known>,
    pub(super) placements: Vec<Served>,
    connections: u64,
}

/// An origin as a worker knows it.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) idle: Vec<Connection>,
    /// Grows whenever all its connections are given up.
    generation: u32,
    pub(super) in_flight: u32,
    pub(super) ewma: PeakEwma,
    pub(super) last_served: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    generation: u32,
}

/// A placement as a worker knows it.
#[derive(Debug, Default)]
pub(super) struct Served {
    retries: Budget,
    hedges: Hedging,
    class: Usual,
    pub(super) counts: Counts,
}

/// Good answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) answered: u64,
    pub(super) judged: u64,
    pub(super) slow: u64,
    pub(super) excess_us: u64,
}

impl Worker {
    pub(super) fn new(index: u32, origins: usize, placements: usize) -> Self {
        Self {
            index,
            origins: (0..origins).map(|_| Known::default()).collect(),
            placements: (0..placements).map(|_| Served::default()).collect(),
            connections: 0,
        }
    }

    pub(super) fn forget_idle(&mut self, origin: usize) {
        self.origins[origin].idle.clear();
        self.origins[origin].generation += 1;
    }

    pub(super) fn new_connection(&mut self, origin: usize) -> Connection {
        self.connections += 1;
        Connection { number: self.connections, generation: self.origins[origin].generation }
    }

    pub(super) fn give_back(&mut self, origin: usize, connection: Connection) {
        let known = &mut self.origins[origin];
        if connection.generation == known.generation {
            known.idle.push(connection);
        }
    }

    pub(super) fn comes_first(&mut self, placement: usize, now: Moment) {
        let served = &mut self.placements[placement];
        served.retries.earn(now);
        served.hedges.earn(now);
    }

    pub(super) fn may_retry(&mut self, placement: usize, budgets: Budgets, now: Moment) -> bool {
        let at_least = (budgets.retry_per_second * WINDOW_SECONDS).div_ceil(WORKERS);
        let allowance = Allowance { percent: f64::from(budgets.retry_percent), at_least };
        self.placements[placement].retries.spend(allowance, now)
    }

    pub(super) fn may_hedge(&mut self, placement: usize, budgets: Budgets, now: Moment) -> bool {
        self.placements[placement].hedges.spend(f64::from(budgets.hedge_percent), now)
    }

    pub(super) fn hedge_won(&mut self, placement: usize) {
        self.placements[placement].hedges.won();
    }
}

impl Served {
    /// An answer began so long after its request was sent.
    pub(super) fn answered(&mut self, took: Span) {
        let us = took.as_nanos() / 1_000;
        self.counts.answered += 1;
        if let Some((is_slow, excess_us)) = self.lateness(us) {
            self.judged(is_slow, excess_us);
        }
        self.class.add(us);
    }

    /// An attempt was given up for another after so long.
    pub(super) fn given_up(&mut self, after: Span) {
        if let Some((_, excess_us)) = self.lateness(after.as_nanos() / 1_000) {
            self.judged(true, excess_us);
        }
    }

    fn judged(&mut self, is_slow: bool, excess_us: u64) {
        self.counts.judged += 1;
        self.counts.slow += u64::from(is_slow);
        self.counts.excess_us += excess_us;
    }

    fn lateness(&self, us: u64) -> Option<(bool, u64)> {
        let usual = self.class.percentiles()?;
        Some((usual.is_slow(us), us.saturating_sub(usual.median_us)))
    }

    /// When an answer is late, and whether that is known.
    pub(super) fn late_after(&self, latency_ms: Option<f64>) -> (Span, bool) {
        let path = Span::from_millis_f64(latency_ms.unwrap_or(0.0) * 1.5);
        match self.class.percentiles() {
            Some(usual) => (Span::from_nanos(usual.p95_us * 1_000).max(path).max(SOONEST_LATE), true),
            None => (path.max(UNKNOWN_LATE), false),
        }
    }
}

impl Counts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            answered: self.answered + other.answered,
            judged: self.judged + other.judged,
            slow: self.slow + other.slow,
            excess_us: self.excess_us + other.excess_us,
        }
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            answered: self.answered - before.answered,
            judged: self.judged - before.judged,
            slow: self.slow - before.slow,
            excess_us: self.excess_us - before.excess_us,
        }
    }
}
