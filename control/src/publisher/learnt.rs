//! What the prober publishes: latencies, lateness, and what is observed.

use std::sync::Arc;

use steer::client::Pop;
use steer::health::Excess;
use steer::ids::PlacementId;
use steer::ranking::{Ranked, Ranking};
use steer::signals::Observed;
use steer::{Table, failback};

use super::Publisher;
use super::inherited::lane_key;
use crate::snapshot::Snapshot;
use crate::vitals::PlacementKey;

impl Publisher {
    /// Publishes a ranking if it differs from the current one, and advances lanes of manual failback. `rank` gives the
    /// latencies of a table's regions, in its order.
    pub fn rank(&self, rank: impl FnOnce(&Table, &Pop) -> Vec<Ranked>) {
        let mut inner = self.lock();
        let before = self.snapshot();
        let regions = rank(before.table(), &before.ranking.pop);
        let ranking = if regions == before.ranking.regions {
            before.ranking.clone()
        } else {
            let number = before.ranking.number + 1;
            Arc::new(Ranking { number, regions, ..Ranking::clone(&before.ranking) })
        };
        let incumbents = failback::incumbents(before.table(), &before.effective, &*before.vitals, |lane| {
            let name = inner.incumbents.get(&lane_key(before.table(), lane))?;
            before.table().region_named(name)
        });
        if Arc::ptr_eq(&ranking, &before.ranking) && incumbents == *before.incumbents {
            return;
        }
        for (lane, incumbent) in before.table().lanes.iter().zip(&incumbents) {
            if let Some(region) = incumbent {
                let name = before.table().region(*region).name.clone();
                inner.incumbents.insert(lane_key(before.table(), lane), name);
            }
        }
        let incumbents = Arc::new(incumbents);
        self.swap(&mut inner, Snapshot { ranking, incumbents, ..Snapshot::clone(&before) });
    }

    /// Publishes what placements cost more because their answers are late, if it differs from what is in force. `excess` gives
    /// it by placement.
    pub fn cost_more(&self, excess: impl Fn(&PlacementKey) -> Excess) {
        let mut inner = self.lock();
        let before = self.snapshot();
        let mut excesses: Vec<Excess> =
            before.vitals.placements.iter().map(|placement| excess(&placement.key)).collect();
        if excesses.iter().all(|excess| *excess == Excess::default()) {
            excesses.clear();
        }
        if excesses != before.ranking.excesses {
            let number = before.ranking.number + 1;
            let ranking = Ranking { number, excesses, ..Ranking::clone(&before.ranking) };
            self.swap(&mut inner, Snapshot { ranking: Arc::new(ranking), ..Snapshot::clone(&before) });
        }
    }

    /// Records what is observed of a placement. What was observed before, if that is different.
    pub fn observe(&self, key: &PlacementKey, observed: Observed) -> Option<Observed> {
        let _inner = self.lock();
        let snapshot = self.snapshot();
        let index = snapshot.vitals.placements.iter().position(|placement| placement.key == *key)?;
        let placement = &snapshot.vitals.placements[index];
        let before = placement.observed();
        if before == observed {
            return None;
        }
        placement.set_observed(observed, self.clock.now());
        snapshot.vitals.set_observed(PlacementId::new(index)?, observed);
        if before.health != observed.health {
            self.health.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
        Some(before)
    }
}
