//! What a new table inherits from the one before, by names.

use std::collections::BTreeMap;

use steer::Table;
use steer::geo::expected_rtt_ms;
use steer::ids::RegionId;
use steer::ranking::{Ranked, Ranking};
use steer::table::{Lane, Placement};

/// The ranking of a new table: what is known of regions by the same name and place, priors for the others.
pub(super) fn carried(before: &Ranking, table: Option<&Table>, next: &Table) -> Ranking {
    let known = |region: &steer::table::Region| {
        let table = table?;
        let id = table.region_named(&region.name)?;
        let same_place = table.region(id).place == region.place;
        before.regions.get(id.index()).filter(|_| same_place).copied()
    };
    let prior = |region: &steer::table::Region| Ranked {
        latency_ms: before.pop.point.map(|pop| expected_rtt_ms(pop.km_to(&region.point))),
        rise_ms: 0.0,
        measured: false,
    };
    let regions = next.regions.iter().map(|region| known(region).unwrap_or_else(|| prior(region))).collect();
    let late = |placement: &Placement| {
        let table = table?;
        let same = |other: &Placement| {
            table.pool(other.pool).name == next.pool(placement.pool).name
                && table.region(other.region).name == next.region(placement.region).name
        };
        before.excesses.get(table.placements.iter().position(same)?).copied()
    };
    let excesses = match before.excesses.is_empty() {
        true => Vec::new(),
        false => next.placements.iter().map(|placement| late(placement).unwrap_or_default()).collect(),
    };
    Ranking { number: before.number + 1, pop: before.pop.clone(), regions, excesses }
}

pub(super) fn lane_key(table: &Table, lane: &Lane) -> (String, Option<String>) {
    (table.pool(lane.pool).name.clone(), lane.policy.clone())
}

pub(super) fn remembered(
    incumbents: &BTreeMap<(String, Option<String>), String>,
    table: &Table,
) -> Vec<Option<RegionId>> {
    let of = |lane: &Lane| table.region_named(incumbents.get(&lane_key(table, lane))?);
    table.lanes.iter().map(of).collect()
}
