//! Configured state and weight with the operator's overrides laid over them.
//!
//! An override never edits the table: it lies beside it and the two are combined here, once per change, into one dense
//! array that a decision reads. Placement and region combine too: the less willing state, the product of the weights.

use crate::ids::{PlacementId, RegionId};
use crate::spec::State;
use crate::table::Table;

/// What an operator overrides of a region.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Override {
    /// Instead of the configured weight, 0 to 100.
    pub weight: Option<u8>,
    /// Instead of the configured state.
    pub state: Option<State>,
}

/// How a placement stands after table and overrides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The less willing of the region's and the placement's state.
    pub state: State,
    /// The product of both weights, in [`DIAL_WHOLE`]ths.
    pub dial: u32,
}

/// A dial that keeps everything: 100 % of 100 %.
pub const DIAL_WHOLE: u32 = 10_000;

/// The standing of every placement of a table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Effective {
    placements: Vec<Standing>,
}

impl Effective {
    /// Combines a table with the overrides of its regions.
    #[must_use]
    pub fn of(table: &Table, overridden: impl Fn(RegionId) -> Override) -> Self {
        let placements = table
            .placements
            .iter()
            .map(|placement| {
                let region = table.region(placement.region);
                let over = overridden(placement.region);
                let weight = over.weight.unwrap_or(region.weight).min(100);
                Standing {
                    state: over.state.unwrap_or(region.state).max(placement.state),
                    dial: u32::from(weight) * u32::from(placement.weight),
                }
            })
            .collect();
        Self { placements }
    }

    /// How a placement of the same table stands.
    #[inline]
    #[must_use]
    pub fn of_placement(&self, placement: PlacementId) -> Standing {
        self.placements[placement.index()]
    }

    /// All of them, in the table's order.
    #[must_use]
    pub fn placements(&self) -> &[Standing] {
        &self.placements
    }
}
