//! A decision, taken again: by the same functions, with what is written down of it.

use steer::choice::{Nowhere, choose};
use steer::decide::World;
use steer::draw::Rng;
use steer::ids::{OriginId, PlacementId};
use steer::pick::{OriginView, pick_in};
use steer::signals::{Observed, Signals};
use steer::trace::Recorder;
use steer::{Moment, Table};

use super::desk::pool_of;
use super::record::{Placed, Record};
use crate::archive::Past;
use crate::snapshot::{board_words, observed_in};

/// What was observed, as a record has it.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    record: &'a Record,
    first: usize,
}

impl<'a> Recorded<'a> {
    /// What a record has observed of a table; `None` if the record is not of this table.
    #[must_use]
    pub fn of(record: &'a Record, table: &Table) -> Option<Self> {
        if record.lane.index() >= table.lanes.len() || record.route.index() >= table.routes.len() {
            return None;
        }
        let words = board_words(&pool_of(table, record.lane));
        let is_of = words.len() == record.seen.observed.len()
            && record.seen.tried.iter().all(|origin| origin.index() < table.origins.len())
            && record.step_placement().is_none_or(|placement| placement.index() < table.placements.len());
        is_of.then_some(Self { record, first: words.start })
    }
}

impl Record {
    fn step_placement(&self) -> Option<PlacementId> {
        self.onward.as_ref().and_then(|before| before.failed)
    }
}

impl Signals for Recorded<'_> {
    fn observed(&self, placement: PlacementId) -> Observed {
        observed_in(&self.record.seen.observed, self.first, placement)
    }

    /// Of what the decision did not look at, nothing is known, and nothing changes it.
    fn in_flight(&self, placement: PlacementId) -> u32 {
        let known = &self.record.seen.in_flight;
        known.iter().find(|(of, _)| *of == placement).map_or(0, |(_, n)| *n)
    }

    fn last_success(&self, placement: PlacementId) -> Option<Moment> {
        let known = &self.record.seen.last_success;
        known.iter().find(|(of, _)| *of == placement).and_then(|(_, at)| *at)
    }
}

/// Takes a decision again. `None` if the record does not belong to this past.
pub fn repeat<R: Recorder>(
    past: &Past,
    record: &Record,
    recorder: &mut R,
) -> Option<Result<Placed, Nowhere>> {
    let table = past.table();
    let signals = Recorded::of(record, table)?;
    let world: World<'_, Recorded<'_>> = past.world(&signals);
    let chosen = choose(&world, record.lane, &record.client, record.step(), recorder);
    Some(chosen.map(|choice| {
        let origins = table.placement(choice.placement).origins.clone();
        let seen = &record.seen;
        let view = |origin: OriginId| OriginView {
            trusted: seen.is_trusted(origin.index() - origins.start),
            tried: seen.tried.contains(&origin),
        };
        let load = |origin: OriginId| {
            let known = seen.loads.iter().find(|(of, _)| *of == origin);
            known.map_or(f64::INFINITY, |(_, load)| *load)
        };
        let mut rng = Rng::new(seen.seed);
        let origin = pick_in(table, choice.placement, record.belongs, view, load, &mut rng);
        Placed { choice, origin }
    }))
}
