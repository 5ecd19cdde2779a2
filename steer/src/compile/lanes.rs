//! Lanes: what routes with the same pool, policy and jurisdictions share.

use super::{Compiler, NOWHERE};
use crate::defect::KeyPath;
use crate::ids::{LaneId, PoolId, RegionId};
use crate::spec::{Name, PolicySpec, RouteSpec, Steering};
use crate::table::{Candidate, Exclusion, Lane};

impl<'a> Compiler<'a> {
    pub(super) fn lane(
        &mut self,
        pool: PoolId,
        spec: &'a RouteSpec,
        policy: Option<&'a PolicySpec>,
        path: &KeyPath,
    ) -> LaneId {
        let steering = policy.map_or(spec.steering.unwrap_or_default(), |policy| policy.steering);
        let key = (pool, policy.map(|policy| policy.name.0.as_str()), steering as u8, &*spec.jurisdictions);
        if let Some(lane) = self.lanes.get(&key) {
            return *lane;
        }
        let order: Option<Vec<RegionId>> = (steering == Steering::ActivePassive)
            .then(|| self.ids(policy.and_then(|policy| policy.order.as_deref()).unwrap_or_default()));
        let (mut candidates, mut excluded) = (Vec::new(), Vec::new());
        for placement in self.table.placements_of(pool) {
            let placed = self.table.placement(placement);
            let region = self.table.region(placed.region);
            let permitted = spec.jurisdictions.is_empty()
                || region.jurisdiction.as_ref().is_some_and(|at| spec.jurisdictions.contains(at));
            let listed = order.as_ref().is_none_or(|order| order.contains(&placed.region));
            match (permitted, listed) {
                (false, _) => excluded.push((placement, Exclusion::Jurisdiction)),
                (_, false) => excluded.push((placement, Exclusion::NotListed)),
                _ => candidates.push(Candidate {
                    placement,
                    region: placed.region,
                    hash: region.hash,
                    bias_ms: region.bias_ms,
                    max_in_flight: placed.max_in_flight.unwrap_or(u32::MAX),
                }),
            }
        }
        match &order {
            Some(order) => candidates
                .sort_by_key(|candidate| order.iter().position(|region| *region == candidate.region)),
            None => candidates.sort_by_key(|candidate| candidate.region),
        }
        if candidates.is_empty() && self.defects.is_empty() {
            let name = &self.table.pool(pool).name;
            let (key, problem) = if spec.jurisdictions.is_empty() {
                ("policy", format!("pool {name:?} has no placement in the policy's order"))
            } else {
                let wanted = spec.jurisdictions.join(", ");
                ("jurisdictions", format!("pool {name:?} has no placement in {wanted}"))
            };
            self.defect(path.key(key), problem, NOWHERE, "jurisdictions = [\"EU\"]");
        }
        let preferred = |names: &Vec<Name>| self.ids(names);
        let lane = Lane {
            pool,
            policy: policy.map(|policy| policy.name.0.clone()),
            steering,
            on_all_down: policy.map(|policy| policy.on_all_down).unwrap_or_default(),
            failback: policy.and_then(|policy| policy.failback).unwrap_or_default(),
            jurisdictions: spec.jurisdictions.clone(),
            points: candidates.iter().map(|candidate| self.table.region(candidate.region).point).collect(),
            candidates,
            excluded,
            countries: policy
                .map(|policy| {
                    policy.countries.iter().map(|(code, names)| (*code, preferred(names))).collect()
                })
                .unwrap_or_default(),
            continents: policy
                .map(|policy| {
                    policy.continents.iter().map(|(code, names)| (*code, preferred(names))).collect()
                })
                .unwrap_or_default(),
        };
        let id = LaneId::new(self.table.lanes.len()).unwrap_or_default();
        self.table.lanes.push(lane);
        self.lanes.insert(key, id);
        id
    }
}
