//! What part of the traffic each region would get if the next requests were like the last ones.
//!
//! Weights say what a region keeps of what naturally arrives there; nobody can add that up in his head. Here the decisions
//! of recent requests are taken again under the current snapshot, by the same function, and the regions counted. Workers
//! leave a sample of their requests in a ring each; while there is none, a thousand made-up clients at this PoP stand in, and
//! the answer says so.

use std::collections::BTreeMap;

use crossbeam_queue::ArrayQueue;
use serde::{Deserialize, Serialize};
use steer::Client;
use steer::client::Spot;
use steer::decide::decide;
use steer::draw::bytes_hash;
use steer::ids::{LaneId, RegionId};

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
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
        let mut counts: BTreeMap<RegionId, usize> = BTreeMap::new();
        let mut count = |sample: &Sample| {
            let decision = decide(&snapshot.world(), sample.lane, &sample.client, &mut ());
            if let Ok(decision) = decision {
                *counts.entry(snapshot.table().placement(decision.first).region).or_default() += 1;
            }
        };
        let mut recent = 0;
        for ring in &self.rings {
            // Taken out and put back; what a worker adds meanwhile counts next time.
            for sample in (0..ring.len()).map_while(|_| ring.pop()).collect::<Vec<_>>() {
                if sample.version == snapshot.version.about.version {
                    count(&sample);
                    recent += 1;
                    let _ = ring.push(sample);
                }
            }
        }
        let basis = if recent > 0 {
            Basis::RecentRequests(recent)
        } else {
            let made_up = made_up(snapshot);
            made_up.iter().for_each(count);
            Basis::ClientsAtThisPop(made_up.len())
        };
        let total: usize = counts.values().sum();
        let of = counts.into_iter().map(|(region, n)| (region, n as f64 / total.max(1) as f64)).collect();
        Shares { basis, of }
    }
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
