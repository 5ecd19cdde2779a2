//! Where a worker takes its decisions: each is taken with exactly what is then written down of it.
//!
//! What other threads change meanwhile is copied first and decided on afterwards, so that what explains the decision later has
//! seen the same: a placement that falls between two looks cannot make the record lie.

use std::cell::RefCell;
use std::sync::Arc;

use steer::attempt::Reach;
use steer::choice::{Nowhere, Onward, Step, choose};
use steer::client::Client;
use steer::decide::World;
use steer::draw::Rng;
use steer::health::OriginHealth;
use steer::ids::{LaneId, OriginId, PlacementId, RouteId};
use steer::pick::{Belongs, OriginView, pick_in};
use steer::signals::{Observed, Signals};
use steer::{Moment, Table};

use super::id::DecisionId;
use super::record::{Draft, Numbers, Placed, Seen, is_set};
use super::ring::Writer;
use crate::snapshot::{Snapshot, Vitals, board_words, observed_in};
use crate::vitals::OriginVitals;

/// A worker's place to decide at, and its end of its ring.
#[derive(Debug)]
pub struct Desk {
    start: u64,
    worker: u16,
    writer: Writer,
    seen: Seen,
    rare: RefCell<Rare>,
    words: Vec<u64>,
}

/// What is asked of other threads only where it matters.
#[derive(Debug, Default)]
struct Rare {
    in_flight: Vec<(PlacementId, u32)>,
    last_success: Vec<(PlacementId, Option<Moment>)>,
}

/// A request as the decision knows it.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// When it came, or its attempt before failed.
    pub at: Moment,
    /// [`request_hash`](super::request_hash) of its id.
    pub request: u64,
    /// Its route.
    pub route: RouteId,
    /// How the route finds a region.
    pub lane: LaneId,
    /// Who asks.
    pub client: &'a Client,
    /// The origin that it belongs to.
    pub belongs: Belongs,
}

/// What came before an attempt that is not the first.
pub struct Tries<'a> {
    /// Where the attempt before it was made; `None` if the table has no such placement any more.
    pub failed: Option<PlacementId>,
    /// Whether the request has tried an origin.
    pub has_tried: &'a dyn Fn(&Arc<OriginVitals>) -> bool,
    /// How far it may go.
    pub reach: Reach,
    /// Whether no attempt can follow it.
    pub is_last: bool,
}

/// A decision that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Its name; `None` if it was too large to be kept.
    pub id: Option<DecisionId>,
    /// What came of it.
    pub outcome: Result<Placed, Nowhere>,
}

impl std::fmt::Debug for Tries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tries").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn new(start: u64, worker: u16, writer: Writer) -> Self {
        Self { start, worker, writer, seen: Seen::default(), rare: RefCell::default(), words: Vec::new() }
    }

    /// Decides where an attempt goes, and writes it down. `tries` says what came before, if it is not the first.
    pub fn decide(
        &mut self,
        snapshot: &Snapshot,
        asking: &Asking<'_>,
        tries: Option<&Tries<'_>>,
        rng: &mut Rng,
    ) -> Decided {
        let table = snapshot.table();
        let vitals = &*snapshot.vitals;
        self.look(table, vitals, asking.lane, tries);
        let signals = Live {
            vitals,
            first: board_words(&pool_of(table, asking.lane)).start,
            observed: &self.seen.observed,
            rare: &self.rare,
        };
        let world = World {
            table,
            effective: &snapshot.effective,
            ranking: &snapshot.ranking,
            incumbents: &snapshot.incumbents,
            drill: snapshot.drill.as_deref().map(|drill| &drill.decided),
            signals: &signals,
        };
        let step = match tries {
            None => Step::First,
            Some(Tries { failed, reach, is_last, .. }) => Step::Onward(Onward {
                failed: *failed,
                tried: &self.seen.tried,
                reach: *reach,
                is_last: *is_last,
            }),
        };
        let outcome = choose(&world, asking.lane, asking.client, step, &mut ()).map(|choice| {
            let Seen { tried, trusted, loads, seed, .. } = &mut self.seen;
            *seed = rng.seed();
            let origins = table.placement(choice.placement).origins.clone();
            if origins.len() > 1 {
                look_at_origins(&vitals.origins[origins.clone()], trusted);
            }
            let view = |origin: OriginId| OriginView {
                trusted: is_set(trusted, origin.index() - origins.start),
                tried: tried.contains(&origin),
            };
            let prior_ms = latency_ms(snapshot, choice.placement).unwrap_or(0.0);
            let load = |origin: OriginId| {
                let cells = vitals.origins[origin.index()].cells(self.worker.into());
                let load = cells.ewma().load(asking.at, prior_ms, cells.in_flight());
                loads.push((origin, load));
                load
            };
            let origin = pick_in(table, choice.placement, asking.belongs, view, load, rng);
            Placed { choice, origin }
        });
        self.write(snapshot, asking, tries, outcome)
    }

    /// Copies what others change and every decision looks at.
    fn look(&mut self, table: &Table, vitals: &Vitals, lane: LaneId, tries: Option<&Tries<'_>>) {
        let Seen { observed, in_flight, last_success, tried, trusted, loads, .. } = &mut self.seen;
        let rare = self.rare.get_mut();
        observed.clear();
        tried.clear();
        trusted.clear();
        loads.clear();
        in_flight.clear();
        last_success.clear();
        rare.in_flight.clear();
        rare.last_success.clear();
        let placements = pool_of(table, lane);
        vitals.copy_board(board_words(&placements), observed);
        if let Some(Tries { has_tried, .. }) = tries {
            let all = table.placements[placements].iter().flat_map(|placement| placement.origins.clone());
            let those = all.filter(|index| has_tried(&vitals.origins[*index]));
            tried.extend(those.filter_map(OriginId::new));
        }
    }

    fn write(
        &mut self,
        snapshot: &Snapshot,
        asking: &Asking<'_>,
        tries: Option<&Tries<'_>>,
        outcome: Result<Placed, Nowhere>,
    ) -> Decided {
        let rare = self.rare.get_mut();
        std::mem::swap(&mut self.seen.in_flight, &mut rare.in_flight);
        std::mem::swap(&mut self.seen.last_success, &mut rare.last_success);
        let step = tries.map_or(Step::First, |Tries { failed, reach, is_last, .. }| {
            Step::Onward(Onward { failed: *failed, tried: &[], reach: *reach, is_last: *is_last })
        });
        let draft = Draft {
            at: asking.at,
            request: asking.request,
            by: numbers(snapshot),
            route: asking.route,
            lane: asking.lane,
            client: asking.client,
            step,
            belongs: asking.belongs,
            outcome: outcome.as_ref().map_err(|nowhere| *nowhere),
        };
        draft.encode(&self.seen, &mut self.words);
        let line = self.writer.write(&self.words);
        let id = line.map(|line| DecisionId { start: self.start, worker: self.worker, line });
        Decided { id, outcome }
    }
}

/// What a snapshot is called.
#[must_use]
pub fn numbers(snapshot: &Snapshot) -> Numbers {
    Numbers {
        snapshot: snapshot.number,
        table: snapshot.version.about.version,
        overlay: snapshot.overlay.number,
        ranking: snapshot.ranking.number,
    }
}

/// The placements of a lane's pool.
pub(super) fn pool_of(table: &Table, lane: LaneId) -> std::ops::Range<usize> {
    table.pool(table.lane(lane).pool).placements.clone()
}

fn look_at_origins(origins: &[Arc<OriginVitals>], trusted: &mut Vec<u64>) {
    trusted.resize(origins.len().div_ceil(64), 0);
    for (index, origin) in origins.iter().enumerate() {
        let is_trusted = matches!(origin.health(), OriginHealth::Up | OriginHealth::Unknown);
        trusted[index / 64] |= u64::from(is_trusted) << (index % 64);
    }
}

fn latency_ms(snapshot: &Snapshot, placement: PlacementId) -> Option<f64> {
    let region = snapshot.table().placement(placement).region;
    snapshot.ranking.regions.get(region.index())?.latency_ms
}

/// The world as it was copied. What is asked of other threads is asked once each.
struct Live<'a> {
    vitals: &'a Vitals,
    first: usize,
    observed: &'a [u64],
    rare: &'a RefCell<Rare>,
}

impl Signals for Live<'_> {
    #[inline]
    fn observed(&self, placement: PlacementId) -> Observed {
        observed_in(self.observed, self.first, placement)
    }

    fn in_flight(&self, placement: PlacementId) -> u32 {
        let known = &mut self.rare.borrow_mut().in_flight;
        once(known, placement, || self.vitals.in_flight(placement))
    }

    fn last_success(&self, placement: PlacementId) -> Option<Moment> {
        let known = &mut self.rare.borrow_mut().last_success;
        once(known, placement, || self.vitals.last_success(placement))
    }
}

fn once<T: Copy>(known: &mut Vec<(PlacementId, T)>, placement: PlacementId, ask: impl FnOnce() -> T) -> T {
    if let Some((_, value)) = known.iter().find(|(of, _)| *of == placement) {
        return *value;
    }
    let value = ask();
    known.push((placement, value));
    value
}
