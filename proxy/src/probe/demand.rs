//! Which placements are probed at their pool's interval: those that serve, and those that would be the next to. The others are
//! asked once a second, since nobody notices how long their silence goes unnoticed. A thousand PoPs that asked every region
//! twenty times a second would be a load of their own.

use control::snapshot::Snapshot;
use control::vitals::PlacementKey;
use steer::Moment;
use steer::ids::PlacementId;
use steer::signals::Health;
use steer::spec::State;

use super::outcomes::is_eligible;
use super::placements::Placements;

/// The nearest placements of a pool that are always in demand.
const NEAREST: usize = 2;
/// Attempts a second that make a placement one that serves.
const SERVING: f64 = 0.1;

impl Placements {
    /// Looks who is in demand now. Who has become so.
    pub(super) fn look_for_demand(&mut self, now: Moment) -> Vec<PlacementKey> {
        let snapshot = self.publisher.snapshot();
        let mut newly = Vec::new();
        let table = snapshot.table();
        for pool in table.pools.iter().filter(|pool| pool.placements.len() > NEAREST) {
            let mut known: Vec<(f64, PlacementKey, PlacementId)> = pool
                .placements
                .clone()
                .filter_map(PlacementId::new)
                .map(|id| (latency(&snapshot, id), snapshot.vitals.placements[id.index()].key.clone(), id))
                .collect();
            known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
            let is_any_usable = known
                .iter()
                .any(|(_, key, _)| self.kept.get(key).is_some_and(|kept| kept.observed.is_usable()));
            let (mut nearest, mut nearest_up) = (0, 0);
            for (_, key, id) in known {
                let standing = snapshot.effective.of_placement(id);
                let (eligible, standby) = (is_eligible(standing), standing.state == State::Standby);
                let Some(kept) = self.kept.get_mut(&key) else { continue };
                let health = kept.observed.health;
                nearest += usize::from(eligible);
                nearest_up += usize::from(eligible && health == Health::Up);
                let is_near = eligible
                    && (nearest <= NEAREST || (health == Health::Up && nearest_up <= NEAREST) || standby);
                let is_unsettled = matches!(health, Health::Unknown | Health::Suspect | Health::Recovering);
                let serves = kept.accrual.per_second(now) >= SERVING;
                let is_in_demand = is_near || is_unsettled || serves || !is_any_usable;
                if is_in_demand && !std::mem::replace(&mut kept.is_in_demand, is_in_demand) {
                    newly.push(key);
                } else {
                    kept.is_in_demand = is_in_demand;
                }
            }
        }
        newly
    }
}

fn latency(snapshot: &Snapshot, id: PlacementId) -> f64 {
    let region = snapshot.table().placement(id).region;
    let ranked = snapshot.ranking.regions.get(region.index());
    ranked.and_then(|ranked| ranked.latency_ms).unwrap_or(f64::INFINITY)
}
