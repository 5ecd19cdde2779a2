//! Vitals by name. Touched when tables are built, never by a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use steer::health::OriginHealth;
use steer::ids::{OriginId, PlacementId};
use steer::signals::Observed;
use steer::{Moment, Table};

use super::cells::{AnswerCounts, OriginCells, PlacementCells};

/// What tells placements apart across tables.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PlacementKey {
    /// The pool's name.
    pub pool: String,
    /// The region's name.
    pub region: String,
}

/// What tells origins apart across tables.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OriginKey {
    /// Where it stands.
    pub placement: PlacementKey,
    /// As written: `host:port`.
    pub address: String,
}

/// Everything learnt about one origin.
#[derive(Debug)]
pub struct OriginVitals {
    /// Which one.
    pub key: OriginKey,
    /// Where it is reached now: fixed for an address, resolved again and again for a name. Empty until first resolved.
    pub addresses: ArcSwap<Vec<SocketAddr>>,
    cells: Box<[OriginCells]>,
    health: AtomicU8,
    health_since: AtomicU64,
    last_probed: AtomicU64,
    last_error: ArcSwapOption<LastError>,
}

/// The last thing that went wrong at an origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LastError {
    /// What, in words.
    pub what: String,
    /// When.
    pub at: Moment,
}

/// Everything learnt about one placement.
#[derive(Debug)]
pub struct PlacementVitals {
    /// Which one.
    pub key: PlacementKey,
    cells: Box<[PlacementCells]>,
    observed: AtomicU8,
    observed_since: AtomicU64,
}

impl OriginVitals {
    /// The cells of a worker. Only that worker writes them.
    #[must_use]
    pub fn cells(&self, worker: usize) -> &OriginCells {
        &self.cells[worker]
    }

    /// When it last answered anything, a probe or a request; `None` is never.
    #[must_use]
    pub fn last_success(&self) -> Option<Moment> {
        let probed = Some(self.last_probed.load(Relaxed)).filter(|nanos| *nanos > 0).map(Moment::from_nanos);
        self.last_served().max(probed)
    }

    /// When it last answered a request; `None` is never.
    #[must_use]
    pub fn last_served(&self) -> Option<Moment> {
        self.cells.iter().filter_map(OriginCells::last_success).max()
    }

    /// A probe was answered. For the prober.
    pub fn probed(&self, at: Moment) {
        self.last_probed.store(at.as_nanos(), Relaxed);
    }

    /// The last thing that went wrong here, if anything has.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<LastError>> {
        self.last_error.load_full()
    }

    /// Something went wrong. For the prober.
    pub fn erred(&self, what: String, at: Moment) {
        self.last_error.store(Some(Arc::new(LastError { what, at })));
    }

    /// Its health inside its placement.
    #[must_use]
    pub fn health(&self) -> OriginHealth {
        match self.health.load(Relaxed) {
            1 => OriginHealth::Up,
            2 => OriginHealth::Suspect,
            3 => OriginHealth::Down,
            _ => OriginHealth::Unknown,
        }
    }

    /// Since when its health is what it is; `None` is for as long as this edge knows it.
    #[must_use]
    pub fn health_since(&self) -> Option<Moment> {
        Some(self.health_since.load(Relaxed)).filter(|nanos| *nanos > 0).map(Moment::from_nanos)
    }

    /// Its health changed. For the prober.
    pub fn set_health(&self, health: OriginHealth, at: Moment) {
        self.health_since.store(at.as_nanos(), Relaxed);
        self.health.store(health as u8, Relaxed);
    }

    /// Requests running here from all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.cells.iter().map(OriginCells::in_flight).sum()
    }

    /// The worst peak EWMA of all workers, in ms; `None` before the first answer.
    #[must_use]
    pub fn ttfb_ms(&self, now: Moment) -> Option<f64> {
        let of = |cells: &OriginCells| {
            let ewma = cells.ewma();
            (ewma.ms > 0.0).then(|| ewma.at(now, ewma.ms))
        };
        self.cells.iter().filter_map(of).max_by(f64::total_cmp)
    }
}

impl PlacementVitals {
    /// The cells of a worker. Only that worker writes them.
    #[must_use]
    pub fn cells(&self, worker: usize) -> &PlacementCells {
        &self.cells[worker]
    }

    /// Requests running here from all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.cells.iter().map(PlacementCells::in_flight).sum()
    }

    /// What all workers have counted of its good answers.
    #[must_use]
    pub fn counts(&self) -> AnswerCounts {
        self.cells.iter().map(PlacementCells::counts).fold(AnswerCounts::default(), AnswerCounts::plus)
    }

    /// What is observed.
    #[must_use]
    pub fn observed(&self) -> Observed {
        Observed::from_byte(self.observed.load(Relaxed))
    }

    /// Since when its health is what it is; `None` is for as long as this edge knows it.
    #[must_use]
    pub fn observed_since(&self) -> Option<Moment> {
        Some(self.observed_since.load(Relaxed)).filter(|nanos| *nanos > 0).map(Moment::from_nanos)
    }

    pub(crate) fn set_observed(&self, observed: Observed, now: Moment) {
        if self.observed().health != observed.health {
            self.observed_since.store(now.as_nanos(), Relaxed);
        }
        self.observed.store(observed.to_byte(), Relaxed);
    }
}

/// All vitals of this edge.
#[derive(Debug)]
pub struct Registry {
    workers: usize,
    origins: DashMap<OriginKey, Arc<OriginVitals>>,
    placements: DashMap<PlacementKey, Arc<PlacementVitals>>,
}

impl Registry {
    /// An empty registry for that many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers, origins: DashMap::new(), placements: DashMap::new() }
    }

    /// How many workers have cells.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// The vitals of a table's origins, in its order; new ones where nothing was learnt yet.
    pub(crate) fn origins(&self, table: &Table) -> Vec<Arc<OriginVitals>> {
        (0..table.origins.len())
            .filter_map(OriginId::new)
            .map(|id| self.origin(&origin_key(table, id)))
            .collect()
    }

    /// The vitals of a table's placements, in its order.
    pub(crate) fn placements(&self, table: &Table) -> Vec<Arc<PlacementVitals>> {
        let ids = (0..table.placements.len()).filter_map(PlacementId::new);
        ids.map(|id| self.placement(&placement_key(table, id))).collect()
    }

    /// Forgets what no table in use mentions. Requests still running keep their vitals alive.
    pub(crate) fn retain(&self, tables: &[Arc<Table>]) {
        let mut origins = std::collections::BTreeSet::new();
        let mut placements = std::collections::BTreeSet::new();
        for table in tables {
            origins
                .extend((0..table.origins.len()).filter_map(OriginId::new).map(|id| origin_key(table, id)));
            let ids = (0..table.placements.len()).filter_map(PlacementId::new);
            placements.extend(ids.map(|id| placement_key(table, id)));
        }
        self.origins.retain(|key, _| origins.contains(key));
        self.placements.retain(|key, _| placements.contains(key));
    }

    fn origin(&self, key: &OriginKey) -> Arc<OriginVitals> {
        let new = || {
            Arc::new(OriginVitals {
                key: key.clone(),
                addresses: ArcSwap::from_pointee(key.address.parse().into_iter().collect()),
                cells: (0..self.workers).map(|_| OriginCells::default()).collect(),
                health: AtomicU8::new(OriginHealth::Unknown as u8),
                health_since: AtomicU64::new(0),
                last_probed: AtomicU64::new(0),
                last_error: ArcSwapOption::empty(),
            })
        };
        self.origins.entry(key.clone()).or_insert_with(new).clone()
    }

    fn placement(&self, key: &PlacementKey) -> Arc<PlacementVitals> {
        let new = || {
            Arc::new(PlacementVitals {
                key: key.clone(),
                cells: (0..self.workers).map(|_| PlacementCells::default()).collect(),
                observed: AtomicU8::new(Observed::UNKNOWN.to_byte()),
                observed_since: AtomicU64::new(0),
            })
        };
        self.placements.entry(key.clone()).or_insert_with(new).clone()
    }
}

fn placement_key(table: &Table, id: PlacementId) -> PlacementKey {
    let placement = table.placement(id);
    PlacementKey {
        pool: table.pool(placement.pool).name.clone(),
        region: table.region(placement.region).name.clone(),
    }
}

fn origin_key(table: &Table, id: OriginId) -> OriginKey {
    let origin = table.origin(id);
    OriginKey { placement: placement_key(table, origin.placement), address: origin.address.clone() }
}
