//! What part of the traffic each region would get if the next requests were like the last ones.
//!
//! Weights say what a region keeps of what naturally arrives there; nobody can add that up in his head. Here the decisions
//! of recent requests are taken again under the current snapshot, by the same function, and the regions counted. Workers
//! leave a sample of their requests in a ring each. A table that is new has seen few, so those of the tables before it are asked
//! for as well, by the routes' names; while there is none at all, a thousand made-up clients at this PoP stand in. The answer says
//! which.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crossbeam_queue::ArrayQueue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::affinity::Kept;
use steer::client::Spot;
use steer::decide::decide;
use steer::draw::bytes_hash;
use steer::ids::{LaneId, RegionId};
use steer::route::Route;
use steer::{Client, Table};
use utoipa::ToSchema;

use crate::snapshot::Snapshot;
use crate::version::Version;

/// Requests that each worker remembers.
const PER_WORKER: usize = 512;
const MADE_UP: u32 = 1000;
/// Requests that say something. With fewer of its own, a table is asked for those of its predecessors too.
const ENOUGH: usize = 50;
/// Predecessors that are looked at for requests.
const MAX_FORMER: usize = 8;

/// Recent requests, a ring per worker.
#[derive(Debug)]
pub struct Samples {
    rings: Box<[ArrayQueue<Sample>]>,
    /// The newest versions that workers have met, newest first. Samples name them by number: a count of who holds a table would be
    /// written by all workers.
    tables: Mutex<Vec<(u64, Weak<Table>)>>,
}

/// A request as the decision saw it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The version of the table that the lane belongs to; a sample says nothing once nobody holds that.
    pub version: u64,
    /// When it came.
    pub at: Timestamp,
    /// How it found its region.
    pub lane: LaneId,
    /// Who asked.
    pub client: Client,
}

/// Predicted shares of the regions.
#[derive(Clone, Debug)]
pub struct Shares {
    /// What they were predicted from, in words.
    pub basis: Basis,
    /// Of every region that gets anything, 0 to 1.
    pub of: BTreeMap<RegionId, f64>,
}

/// What shares were predicted from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Requests that this edge has served lately.
    RecentRequests(usize),
    /// Requests that it has served under former tables too, as it has served few under this one.
    FormerRequests {
        /// All of them.
        requests: usize,
        /// Those that were served under this table.
        under_this_table: usize,
        /// When the first of them came.
        since: Timestamp,
    },
    /// Made-up clients at this PoP, as nobody has asked yet.
    ClientsAtThisPop(usize),
}

/// A request that may be decided again.
#[derive(Clone)]
struct Asked {
    table: Arc<Table>,
    lane: LaneId,
    client: Client,
}

impl Basis {
    /// Whether that is too little to say that a share does not change.
    #[must_use]
    pub const fn is_thin(self) -> bool {
        match self {
            Self::RecentRequests(requests) | Self::FormerRequests { requests, .. } => requests < ENOUGH,
            // All at one spot.
            Self::ClientsAtThisPop(_) => true,
        }
    }
}

impl Samples {
    /// Empty rings for that many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let rings = (0..workers).map(|_| ArrayQueue::new(PER_WORKER)).collect();
        Self { rings, tables: Mutex::default() }
    }

    /// A worker has met a version, of whose requests it will leave samples.
    pub fn meet(&self, version: &Version) {
        let mut tables = self.lock();
        if !tables.iter().any(|(known, _)| *known == version.about.version) {
            tables.push((version.about.version, Arc::downgrade(&version.table)));
            tables.sort_by_key(|(number, _)| Reverse(*number));
            tables.truncate(MAX_FORMER + 1);
        }
    }

    /// Remembers a request of a worker, instead of its oldest when there are many.
    pub fn add(&self, worker: usize, sample: Sample) {
        self.rings[worker].force_push(sample);
    }

    /// Predicts shares under a snapshot.
    #[must_use]
    pub fn predict(&self, snapshot: &Snapshot) -> Shares {
        let (basis, asked) = self.of(snapshot);
        Shares { basis, of: shares(snapshot, &asked) }
    }

    /// Predicts the shares of regions, by name, under a snapshot and under one that might follow it. The same requests are asked
    /// for on both sides; those whose route the other table does not have are left out of it.
    #[must_use]
    pub fn compare(&self, before: &Snapshot, after: &Snapshot) -> (Basis, [BTreeMap<String, f64>; 2]) {
        let (basis, asked) = self.of(before);
        let named = |snapshot: &Snapshot| {
            let shares = shares(snapshot, &asked).into_iter();
            shares.map(|(region, share)| (snapshot.table().region(region).name.clone(), share)).collect()
        };
        (basis, [named(before), named(after)])
    }

    /// What to ask of a snapshot: recent requests, those of former tables if there are few, or made-up clients while there are none.
    fn of(&self, snapshot: &Snapshot) -> (Basis, Vec<Asked>) {
        let table = &snapshot.version.table;
        let (mut known, mut former): (Vec<_>, Vec<_>) =
            self.held().into_iter().partition(|(_, asked)| Arc::ptr_eq(&asked.table, table));
        let under_this_table = known.len();
        former.sort_by_key(|(at, _)| Reverse(*at));
        let mut tables: Vec<Arc<Table>> = Vec::new();
        for (_, asked) in &former {
            if tables.len() < MAX_FORMER && !tables.iter().any(|known| Arc::ptr_eq(known, &asked.table)) {
                tables.push(asked.table.clone());
            }
        }
        let by_route = by_route(table);
        for from in tables {
            if known.len() >= ENOUGH {
                break;
            }
            let lanes = lanes_in(&from, &by_route);
            let is_told =
                |asked: &Asked| Arc::ptr_eq(&asked.table, &from) && lanes[asked.lane.index()].is_some();
            known.extend(former.iter().filter(|(_, asked)| is_told(asked)).cloned());
        }
        let since = known.iter().map(|(at, _)| *at).min();
        let asked: Vec<Asked> = known.into_iter().map(|(_, asked)| asked).collect();
        let requests = asked.len();
        match since {
            None => {
                let made_up = made_up(snapshot);
                (Basis::ClientsAtThisPop(made_up.len()), made_up)
            }
            Some(since) if requests > under_this_table => {
                (Basis::FormerRequests { requests, under_this_table, since }, asked)
            }
            Some(_) => (Basis::RecentRequests(requests), asked),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Weak<Table>)>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests whose tables are still held, and when they came.
    fn held(&self) -> Vec<(Timestamp, Asked)> {
        let tables = self.lock().clone().into_iter();
        let tables: BTreeMap<u64, Arc<Table>> =
            tables.filter_map(|(version, table)| Some((version, table.upgrade()?))).collect();
        let mut held = Vec::new();
        for ring in &self.rings {
            // Taken out and put back; what a worker adds meanwhile counts next time.
            for sample in (0..ring.len()).map_while(|_| ring.pop()).collect::<Vec<_>>() {
                if let Some(table) = tables.get(&sample.version) {
                    let _ = ring.push(sample.clone());
                    let (table, lane, client) = (table.clone(), sample.lane, sample.client);
                    held.push((sample.at, Asked { table, lane, client }));
                }
            }
        }
        held
    }
}

/// The parts of the requests that regions get. Those whose route the table does not have are left out.
fn shares(snapshot: &Snapshot, asked: &[Asked]) -> BTreeMap<RegionId, f64> {
    let mut counts: BTreeMap<RegionId, usize> = BTreeMap::new();
    let world = snapshot.world();
    for (lane, client) in seen_under(&snapshot.version.table, asked) {
        if let Ok(decision) = decide(&world, lane, &client, &mut ()) {
            *counts.entry(snapshot.table().placement(decision.first).region).or_default() += 1;
        }
    }
    let total: usize = counts.values().sum();
    counts.into_iter().map(|(region, n)| (region, n as f64 / total.max(1) as f64)).collect()
}

/// The requests as a table sees them, whichever they came under: the lane of the route of that name, and regions by name.
fn seen_under(table: &Arc<Table>, asked: &[Asked]) -> Vec<(LaneId, Client)> {
    let by_route = by_route(table);
    let mut lanes: Vec<(&Arc<Table>, Vec<Option<LaneId>>)> = Vec::new();
    let seen = asked.iter().filter_map(|Asked { table: from, lane, client }| {
        let mut client = client.clone();
        if Arc::ptr_eq(from, table) {
            return Some((*lane, client));
        }
        let known = lanes.iter().position(|(known, _)| Arc::ptr_eq(known, from));
        let known = known.unwrap_or_else(|| {
            lanes.push((from, lanes_in(from, &by_route)));
            lanes.len() - 1
        });
        let lane = lanes[known].1[lane.index()]?;
        client.kept = client.kept.and_then(|kept| {
            let region = table.region_named(&from.region(kept.region).name)?;
            Some(Kept { region, ..kept })
        });
        Some((lane, client))
    });
    seen.collect()
}

/// The lanes of a table by their routes' names.
fn by_route(table: &Table) -> BTreeMap<&str, LaneId> {
    let lane = |route: &Route| Some(route.forward()?.lane);
    table.routes.iter().filter_map(|route| Some((route.name.as_str(), lane(route)?))).collect()
}

/// For each lane of a table, the one that a route of the same name has in another.
fn lanes_in(before: &Table, after: &BTreeMap<&str, LaneId>) -> Vec<Option<LaneId>> {
    let mut lanes: Vec<Option<LaneId>> = vec![None; before.lanes.len()];
    for route in &before.routes {
        let Some(from) = route.forward().map(|forward| &mut lanes[forward.lane.index()]) else { continue };
        // Ten thousand routes share few lanes.
        if from.is_none() {
            *from = after.get(route.name.as_str()).copied();
        }
    }
    lanes
}

/// Clients at this PoP with keys of all kinds, over the lanes in turn.
fn made_up(snapshot: &Snapshot) -> Vec<Asked> {
    let pop = &snapshot.ranking.pop;
    let lanes = snapshot.table().lanes.len();
    let client = |key: u32| {
        let key = bytes_hash(&key.to_le_bytes());
        let here = |point| Spot {
            point: Some(point),
            country: pop.country,
            continent: None,
            accuracy_km: 0.0,
            country_only: false,
        };
        pop.point.map_or_else(|| Client::unknown(key), |point| Client::at(key, here(point), pop))
    };
    let asked = |key: u32| {
        let lane = LaneId::new(key as usize % lanes.max(1))?;
        Some(Asked { table: snapshot.version.table.clone(), lane, client: client(key) })
    };
    (0..MADE_UP).filter_map(asked).collect()
}

#[cfg(test)]
mod tests;
