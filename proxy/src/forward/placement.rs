//! A placement as one worker knows it: its numbers, and how much of its traffic may be sent again.
//!
//! Budgets are the worker's own, so that no request waits for another's; a share of each worker's traffic is the same share
//! of all of it. What is allowed however little traffic there is, is split among the workers.

use std::cell::RefCell;
use std::sync::Arc;

use control::vitals::{PlacementCells, PlacementVitals};
use steer::Moment;
use steer::budget::{Allowance, Budget, Hedging};
use steer::retry::Budgets;
use steer::signals::Health;

/// Seconds that a budget looks back.
const WINDOW_SECONDS: u32 = 10;

/// A placement as one worker knows it.
pub(crate) struct Placement {
    pub(crate) vitals: Arc<PlacementVitals>,
    worker: usize,
    workers: u32,
    budgets: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    retries: Budget,
    hedges: Hedging,
}

impl Placement {
    pub(crate) fn new(vitals: Arc<PlacementVitals>, worker: usize, workers: usize) -> Self {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        Self { vitals, worker, workers, budgets: RefCell::default() }
    }

    pub(crate) fn cells(&self) -> &PlacementCells {
        self.vitals.cells(self.worker)
    }

    pub(crate) fn health(&self) -> Health {
        self.vitals.observed().health
    }

    /// A request comes here first.
    pub(crate) fn comes_first(&self, now: Moment) {
        let mut kept = self.budgets.borrow_mut();
        kept.retries.earn(now);
        kept.hedges.earn(now);
    }

    /// Whether a request that failed here may be sent again; takes it from the budget.
    pub(crate) fn may_retry(&self, budgets: Budgets, now: Moment) -> bool {
        let at_least = (budgets.retry_per_second * WINDOW_SECONDS).div_ceil(self.workers);
        let allowance = Allowance { percent: f64::from(budgets.retry_percent), at_least };
        self.budgets.borrow_mut().retries.spend(allowance, now)
    }

    /// Whether a request that is late here may be sent a second time; takes it from the budget.
    pub(crate) fn may_hedge(&self, budgets: Budgets, now: Moment) -> bool {
        self.budgets.borrow_mut().hedges.spend(f64::from(budgets.hedge_percent), now)
    }

    /// A hedge of a request that was late here was answered first.
    pub(crate) fn hedge_won(&self) {
        self.budgets.borrow_mut().hedges.won();
    }
}
