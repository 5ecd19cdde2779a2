//! Where a request goes when nothing is usable: to what is out of use and would answer, and else to the least bad.

use super::{Basis, Cause, Decision, World, unwanted};
use crate::client::Client;
use crate::effective::Forced;
use crate::ids::{LaneId, PlacementId};
use crate::plan::{Class, Key, Ordered, Plan, rounded};
use crate::score::View;
use crate::signals::Signals;
use crate::spec::OnAllDown;
use crate::table::Candidate;

/// The permitted placements that are out of use and would answer, doubtful as they are; if there are none, all are down.
pub(super) fn last_resort<S: Signals>(
    world: &World<'_, S>,
    id: LaneId,
    view: &View<'_>,
    natural: Option<PlacementId>,
    is_drilled: impl Fn(&Candidate) -> bool,
) -> Result<(Decision, Plan), Cause> {
    let lane = world.table.lane(id);
    let (mut plan, mut any) = (Plan::empty(), false);
    for (index, candidate) in lane.candidates.iter().enumerate() {
        let standing = world.effective.of_placement(candidate.placement);
        let would_answer = standing.seen(world.signals.observed(candidate.placement)).is_last_resort();
        if !would_answer || unwanted(standing).is_some() {
            continue;
        }
        any = true;
        if candidate.max_in_flight == u32::MAX
            || world.signals.in_flight(candidate.placement) < candidate.max_in_flight
        {
            let cost = view.terms(world.table, index, candidate, standing).cost;
            let class = if is_drilled(candidate) { Class::Drilled } else { Class::Suspect };
            plan.push(Key::of(class, view.preference(candidate.region), rounded(cost), index));
        }
    }
    let Some(head) = plan.head() else {
        return if any { Err(Cause::Full) } else { all_down(world, id, view, natural, is_drilled) };
    };
    Ok((in_need(id, lane.candidates[head.index()].placement, natural, Basis::LastResort), plan))
}

/// The placements that are out of use and would answer, best first: for a request that everything usable has failed.
#[must_use]
pub fn last_resorts<S: Signals>(world: &World<'_, S>, lane: LaneId, client: &Client) -> Ordered {
    let region = world.drilled(client.key);
    let is_drilled = |candidate: &Candidate| region == Some(candidate.hash);
    match last_resort(world, lane, &View::of(world, lane, client), None, is_drilled) {
        Ok((Decision { basis: Basis::LastResort, .. }, plan)) => plan.ordered(world.table.lane(lane)),
        _ => Ordered::new(),
    }
}

/// One attempt at the permitted placement that answered most recently, then by cost; or none, if the policy says so.
fn all_down<S: Signals>(
    world: &World<'_, S>,
    id: LaneId,
    view: &View<'_>,
    natural: Option<PlacementId>,
    is_drilled: impl Fn(&Candidate) -> bool,
) -> Result<(Decision, Plan), Cause> {
    let lane = world.table.lane(id);
    let usable = |placement| {
        let standing = world.effective.of_placement(placement);
        standing.seen(world.signals.observed(placement)).is_usable() && unwanted(standing).is_none()
    };
    let elsewhere =
        !lane.jurisdictions.is_empty() && lane.excluded.iter().any(|(placement, _)| usable(*placement));
    let cause = if elsewhere { Cause::Jurisdiction } else { Cause::Unhealthy };
    if lane.on_all_down == OnAllDown::FailFast {
        return Err(cause);
    }
    let permitted = lane.candidates.iter().enumerate().filter_map(|(index, candidate)| {
        let standing = world.effective.of_placement(candidate.placement);
        let may_try = unwanted(standing).is_none() && standing.forced != Some(Forced::Down);
        may_try.then(|| {
            let cost = view.terms(world.table, index, candidate, standing).cost;
            let answered = world.signals.last_success(candidate.placement);
            (
                is_drilled(candidate),
                std::cmp::Reverse(answered),
                Key::of(Class::Suspect, view.preference(candidate.region), rounded(cost), index),
            )
        })
    });
    let Some((_, _, key)) = permitted.min() else { return Err(cause) };
    let mut plan = Plan::empty();
    plan.push(key);
    Ok((in_need(id, lane.candidates[key.index()].placement, natural, Basis::AllDown), plan))
}

/// A decision that nothing but need has made.
const fn in_need(lane: LaneId, first: PlacementId, natural: Option<PlacementId>, basis: Basis) -> Decision {
    Decision { lane, first, natural, spilled_from: None, kept: false, drilled: false, basis }
}
