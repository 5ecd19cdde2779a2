//! What part of the traffic each region would get if the next requests were like the last ones.
//!
//! Weights say what a region keeps of what naturally arrives there; nobody can add that up in his head. Here the decisions
//! of recent requests are taken again under the current snapshot, by the same function, and the regions counted. Workers
//! leave a sample of their requests in a ring each; while there is none, a thousand made-up clients at this PoP stand in, and
//! the answer says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
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

/// Requests that each worker remembers.
const PER_WORKER: usize = 512;
const MADE_UP: u32 = 1000;

/// Recent requests, a ring per worker.
#[derive(Debug)]
pub struct Samples {
    rings: Box<[ArrayQueue<Sample>]>,
}

/// A request as the decision saw it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The version of the table that the lane belongs to.
    pub version: u64,
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
    /// Made-up clients at this PoP, as nobody has asked yet.
    ClientsAtThisPop(usize),
}

impl Samples {
    /// Empty rings for that many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { rings: (0..workers).map(|_| ArrayQueue::new(PER_WORKER)).collect() }
    }

    /// Remembers a request of a worker, instead of its oldest when there are many.
    pub fn add(&self, worker: usize, sample: Sample) {
        self.rings[worker].force_push(sample);
    }

    /// Predicts shares under a snapshot.
    #[must_use]
    pub fn predict(&self, snapshot: &Snapshot) -> Shares {
        let (basis, samples) = self.of(snapshot);
        Shares { basis, of: shares(snapshot, &samples) }
    }

    /// Predicts the shares of regions, by name, under a snapshot and under one that might follow it. The same requests are asked
    /// for on both sides; those whose route the other table does not have are left out of it.
    #[must_use]
    pub fn compare(&self, before: &Snapshot, after: &Snapshot) -> (Basis, [BTreeMap<String, f64>; 2]) {
        let (basis, samples) = self.of(before);
        let named = |snapshot: &Snapshot, samples: &[Sample]| {
            let shares = shares(snapshot, samples).into_iter();
            shares.map(|(region, share)| (snapshot.table().region(region).name.clone(), share)).collect()
        };
        let was = named(before, &samples);
        let is = match Arc::ptr_eq(&before.version.table, &after.version.table) {
            true => named(after, &samples),
            false => named(after, &carried(before.table(), after.table(), samples)),
        };
        (basis, [was, is])
    }

    /// What to ask of a snapshot: recent requests, or made-up clients while there are none.
    fn of(&self, snapshot: &Snapshot) -> (Basis, Vec<Sample>) {
        let recent = self.recent(snapshot.version.about.version);
        if recent.is_empty() {
            let made_up = made_up(snapshot);
            (Basis::ClientsAtThisPop(made_up.len()), made_up)
        } else {
            (Basis::RecentRequests(recent.len()), recent)
        }
    }

    fn recent(&self, version: u64) -> Vec<Sample> {
        let mut recent = Vec::new();
        for ring in &self.rings {
            // Taken out and put back; what a worker adds meanwhile counts next time.
            for sample in (0..ring.len()).map_while(|_| ring.pop()).collect::<Vec<_>>() {
                if sample.version == version {
                    let _ = ring.push(sample.clone());
                    recent.push(sample);
                }
            }
        }
        recent
    }
}

/// The parts of the samples that regions get.
fn shares(snapshot: &Snapshot, samples: &[Sample]) -> BTreeMap<RegionId, f64> {
    let mut counts: BTreeMap<RegionId, usize> = BTreeMap::new();
    let world = snapshot.world();
    for sample in samples {
        if let Ok(decision) = decide(&world, sample.lane, &sample.client, &mut ()) {
            *counts.entry(snapshot.table().placement(decision.first).region).or_default() += 1;
        }
    }
    let total: usize = counts.values().sum();
    counts.into_iter().map(|(region, n)| (region, n as f64 / total.max(1) as f64)).collect()
}

/// The samples as another table sees them: the lane that a route of the same name has there, and regions by name.
fn carried(before: &Table, after: &Table, samples: Vec<Sample>) -> Vec<Sample> {
    let lane = |route: &Route| route.forward().map(|forward| forward.lane);
    let then: BTreeMap<&str, LaneId> =
        after.routes.iter().filter_map(|route| Some((route.name.as_str(), lane(route)?))).collect();
    let mut lanes: Vec<Option<LaneId>> = vec![None; before.lanes.len()];
    for route in &before.routes {
        if let (Some(from), Some(to)) = (lane(route), then.get(route.name.as_str())) {
            lanes[from.index()].get_or_insert(*to);
        }
    }
    let sample = |mut sample: Sample| {
        sample.lane = lanes[sample.lane.index()]?;
        sample.client.kept = sample.client.kept.and_then(|kept| {
            let region = after.region_named(&before.region(kept.region).name)?;
            Some(Kept { region, ..kept })
        });
        Some(sample)
    };
    samples.into_iter().filter_map(sample).collect()
}

/// Clients at this PoP with keys of all kinds, over the lanes in turn.
fn made_up(snapshot: &Snapshot) -> Vec<Sample> {
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
    let sample = |key: u32| {
        let lane = LaneId::new(key as usize % lanes.max(1))?;
        Some(Sample { version: snapshot.version.about.version, lane, client: client(key) })
    };
    (0..MADE_UP).filter_map(sample).collect()
}
