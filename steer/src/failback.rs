//! Where an `active-passive` lane of manual failback stands.
//!
//! With automatic failback the order alone decides. With manual failback traffic stays where it went until an operator
//! drains that region: the lane remembers its incumbent. The memory is an input of the decision, advanced once a second
//! beside the ranking; a placement that was down stays out of use for at least two seconds, so no return slips through.

use crate::effective::Effective;
use crate::ids::RegionId;
use crate::signals::{Health, Signals};
use crate::spec::{Failback, State, Steering};
use crate::table::{Lane, Table};

/// The region where each lane stands, `None` where that is not remembered. `before` names the former incumbent of a lane.
pub fn incumbents<S: Signals>(
    table: &Table,
    effective: &Effective,
    signals: &S,
    mut before: impl FnMut(&Lane) -> Option<RegionId>,
) -> Vec<Option<RegionId>> {
    table
        .lanes
        .iter()
        .map(|lane| {
            let remembers = lane.steering == Steering::ActivePassive && lane.failback == Failback::Manual;
            remembers.then(|| advance(lane, effective, signals, before(lane))).flatten()
        })
        .collect()
}

fn advance<S: Signals>(
    lane: &Lane,
    effective: &Effective,
    signals: &S,
    before: Option<RegionId>,
) -> Option<RegionId> {
    let usable = |region: RegionId| {
        lane.candidates.iter().any(|candidate| {
            let standing = effective.of_placement(candidate.placement);
            let health = standing.seen(signals.observed(candidate.placement)).health;
            candidate.region == region
                && standing.state == State::Active
                && standing.dial > 0
                && !matches!(health, Health::Down | Health::Held | Health::Recovering)
        })
    };
    let stays = before.filter(|region| usable(*region));
    let first = lane.candidates.iter().map(|candidate| candidate.region).find(|region| usable(*region));
    stays.or(first).or(before)
}
