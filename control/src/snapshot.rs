//! Everything that a decision sees, published as one pointer.
//!
//! Table, overrides, ranking and the handles of what is observed must agree with each other, so they are swapped together.
//! A decision loads the pointer once. The board of observed states is the one part that changes in place: a byte per
//! placement, written on transitions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use steer::decide::World;
use steer::effective::Effective;
use steer::ids::{PlacementId, RegionId};
use steer::ranking::Ranking;
use steer::signals::{Observed, Signals};
use steer::{Moment, Table};

use crate::drill::Drill;
use crate::overlay::Overlay;
use crate::version::Version;
use crate::vitals::{OriginVitals, PlacementVitals};

/// One consistent view of the world. A clone shares everything.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The table and where it came from.
    pub version: Arc<Version>,
    /// The operator's overrides.
    pub overlay: Arc<Overlay>,
    /// Table and overrides combined.
    pub effective: Arc<Effective>,
    /// Published latencies.
    pub ranking: Arc<Ranking>,
    /// Where lanes of manual failback stand.
    pub incumbents: Arc<Vec<Option<RegionId>>>,
    /// The drill that runs, if one does.
    pub drill: Option<Arc<Drill>>,
    /// What was learnt, in the table's order.
    pub vitals: Arc<Vitals>,
}

/// Handles of what was learnt, by the dense ids of one table.
#[derive(Debug)]
pub struct Vitals {
    /// Per origin.
    pub origins: Vec<Arc<OriginVitals>>,
    /// Per placement.
    pub placements: Vec<Arc<PlacementVitals>>,
    /// What is observed, per placement.
    board: Box<[AtomicU8]>,
}

impl Snapshot {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.version.table
    }

    /// What a decision takes.
    #[must_use]
    pub fn world(&self) -> World<'_, Vitals> {
        World {
            table: &self.version.table,
            effective: &self.effective,
            ranking: &self.ranking,
            incumbents: &self.incumbents,
            drill: self.drill.as_deref().map(|drill| &drill.decided),
            signals: &self.vitals,
        }
    }

    /// The same with other states and weights.
    #[must_use]
    pub fn under(&self, effective: Effective) -> Self {
        Self { effective: Arc::new(effective), ..self.clone() }
    }
}

impl Vitals {
    pub(crate) fn new(origins: Vec<Arc<OriginVitals>>, placements: Vec<Arc<PlacementVitals>>) -> Self {
        let board =
            placements.iter().map(|placement| AtomicU8::new(placement.observed().to_byte())).collect();
        Self { origins, placements, board }
    }

    pub(crate) fn set_observed(&self, placement: PlacementId, observed: Observed) {
        self.board[placement.index()].store(observed.to_byte(), Relaxed);
    }
}

impl Signals for Vitals {
    #[inline]
    fn observed(&self, placement: PlacementId) -> Observed {
        Observed::from_byte(self.board[placement.index()].load(Relaxed))
    }

    fn in_flight(&self, placement: PlacementId) -> u32 {
        self.placements[placement.index()].in_flight()
    }

    fn last_success(&self, placement: PlacementId) -> Option<Moment> {
        let key = &self.placements[placement.index()].key;
        let here = self.origins.iter().filter(|origin| origin.key.placement == *key);
        here.filter_map(|origin| origin.last_success()).max()
    }
}
