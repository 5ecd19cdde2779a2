//! Everything that a decision sees, published as one pointer.
//!
//! Table, overrides, ranking and the handles of what is observed must agree with each other, so they are swapped together.
//! A decision loads the pointer once. The board of observed states is the one part that changes in place: a byte per
//! placement, eight of them in a word, written on transitions.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
    /// Counts up with every change of anything below; told to no operator.
    pub number: u64,
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
    /// What is observed, a byte per placement.
    board: Box<[AtomicU64]>,
}

/// Placements whose observed bytes share a word.
const PER_WORD: usize = 8;

/// The words of a board that hold the bytes of these placements.
#[must_use]
pub fn board_words(placements: &Range<usize>) -> Range<usize> {
    placements.start / PER_WORD..placements.end.div_ceil(PER_WORD)
}

/// The byte of a placement, in words of a board that begin with the `first`th. Unknown if it is in none of them.
#[inline]
#[must_use]
pub fn observed_in(words: &[u64], first: usize, placement: PlacementId) -> Observed {
    let index = placement.index();
    let word = (index / PER_WORD).checked_sub(first).and_then(|at| words.get(at));
    word.map_or(Observed::UNKNOWN, |word| Observed::from_byte(word.to_le_bytes()[index % PER_WORD]))
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
        let board = placements.chunks(PER_WORD).map(|placements| {
            let mut bytes = [0; PER_WORD];
            for (byte, placement) in bytes.iter_mut().zip(placements) {
                *byte = placement.observed().to_byte();
            }
            AtomicU64::new(u64::from_le_bytes(bytes))
        });
        let board = board.collect();
        Self { origins, placements, board }
    }

    /// Writes a placement's byte. Its neighbours' words are written by nobody else meanwhile: whoever publishes holds the lock.
    pub(crate) fn set_observed(&self, placement: PlacementId, observed: Observed) {
        let word = &self.board[placement.index() / PER_WORD];
        let mut bytes = word.load(Relaxed).to_le_bytes();
        bytes[placement.index() % PER_WORD] = observed.to_byte();
        word.store(u64::from_le_bytes(bytes), Relaxed);
    }

    /// Copies words of the board, all at once as far as one word goes.
    pub(crate) fn copy_board(&self, words: Range<usize>, to: &mut Vec<u64>) {
        to.extend(self.board[words].iter().map(|word| word.load(Relaxed)));
    }
}

impl Signals for Vitals {
    #[inline]
    fn observed(&self, placement: PlacementId) -> Observed {
        let word = self.board[placement.index() / PER_WORD].load(Relaxed);
        Observed::from_byte(word.to_le_bytes()[placement.index() % PER_WORD])
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
