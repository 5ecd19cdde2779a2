//! Configured state and weight with the operator's overrides laid over them, and forced health.
//!
//! An override never edits the table: it lies beside it and the two are combined here, once per change, into one dense
//! array that a decision reads. Placement and region combine too: the less willing state, the product of the weights, and
//! forced `down` before forced `up`.

use serde::{Deserialize, Serialize};

use crate::ids::{PlacementId, RegionId};
use crate::signals::{Health, Observed};
use crate::spec::State;
use crate::table::Table;

/// What an operator overrides of a region or of a placement.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Override {
    /// Instead of the configured weight, 0 to 100.
    pub weight: Option<u8>,
    /// The weight counts no more than this, whoever says it: a drain is on its way.
    pub at_most: Option<u8>,
    /// The part of those whom affinity keeps that may stay, in percent: a drain on its way takes them along. A mere weight leaves
    /// them alone.
    pub staying: Option<u8>,
    /// Instead of the configured state.
    pub state: Option<State>,
    /// Instead of what is observed.
    pub health: Option<Forced>,
}

/// A health that an operator says, whatever is observed. It relaxes neither state nor weight nor jurisdiction.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Forced {
    /// Usable, whatever probes say.
    Up,
    /// Never used.
    Down,
}

impl Forced {
    /// The word an operator writes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl Override {
    /// The weight that counts where `configured` is.
    #[must_use]
    pub fn weight_over(&self, configured: u8) -> u8 {
        self.weight.unwrap_or(configured).min(self.at_most.unwrap_or(100)).min(100)
    }
}

/// How a placement stands after table and overrides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The less willing of the region's and the placement's state.
    pub state: State,
    /// The health that counts instead of the observed one, if an operator forced it.
    pub forced: Option<Forced>,
    /// The part of those whom affinity keeps that may stay, in percent; the lesser of both.
    pub staying: u8,
    /// The product of both weights, in [`DIAL_WHOLE`]ths.
    pub dial: u32,
}

impl Standing {
    /// What counts as observed.
    #[inline]
    #[must_use]
    pub const fn seen(self, observed: Observed) -> Observed {
        match self.forced {
            None => observed,
            Some(Forced::Up) => Observed::plain(Health::Up),
            Some(Forced::Down) => Observed::out_of_use(Health::Down, false),
        }
    }
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
        Self::with(table, overridden, |_| Override::default())
    }

    /// Combines a table with the overrides of its regions and of its placements.
    #[must_use]
    pub fn with(
        table: &Table,
        regions: impl Fn(RegionId) -> Override,
        placements: impl Fn(PlacementId) -> Override,
    ) -> Self {
        let regions: Vec<Override> =
            (0..table.regions.len()).filter_map(RegionId::new).map(regions).collect();
        let standing = |(index, placement): (usize, &crate::table::Placement)| {
            let region = table.region(placement.region);
            let over_region = regions[placement.region.index()];
            let over = PlacementId::new(index).map(&placements).unwrap_or_default();
            let state = over.state.unwrap_or(placement.state);
            let weights = [over_region.weight_over(region.weight), over.weight_over(placement.weight)];
            Standing {
                state: over_region.state.unwrap_or(region.state).max(state),
                forced: over_region.health.max(over.health),
                staying: over_region.staying.unwrap_or(100).min(over.staying.unwrap_or(100)),
                dial: u32::from(weights[0]) * u32::from(weights[1]),
            }
        };
        Self { placements: table.placements.iter().enumerate().map(standing).collect() }
    }

    /// How a placement of the same table stands.
    #[inline]
    #[must_use]
    pub fn of_placement(&self, placement: PlacementId) -> Standing {
        self.placements[placement.index()]
    }

    /// The same if a region of the same table were dead.
    #[must_use]
    pub fn without(&self, table: &Table, region: RegionId) -> Self {
        let mut without = self.clone();
        for (standing, placement) in without.placements.iter_mut().zip(&table.placements) {
            if placement.region == region {
                standing.forced = Some(Forced::Down);
            }
        }
        without
    }

    /// All of them, in the table's order.
    #[must_use]
    pub fn placements(&self) -> &[Standing] {
        &self.placements
    }
}
