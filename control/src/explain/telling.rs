//! The telling of a decision: every region of its lane with its terms, the choice, and why not the others.

use steer::decide::{Cause, Decision, World, plan_in_lane};
use steer::effective::DIAL_WHOLE;
use steer::ids::{LaneId, PlacementId};
use steer::ranking::Ranking;
use steer::score::Terms;
use steer::signals::Signals;
use steer::spec::Steering;
use steer::trace::{Trace, Verdict, WhyNot};
use steer::{Client, Table};

use super::words::{health, reason, summary};
use super::{Candidate, Cost, rounded};
use crate::layers::decided_by;
use crate::overlay::{Change, Overlay, Target};

/// What is told of a decision, whenever it was taken.
pub(super) struct Told {
    pub(super) steering: Steering,
    pub(super) policy: Option<String>,
    pub(super) regions: Vec<Candidate>,
    pub(super) choice: Option<String>,
    pub(super) ladder: Vec<String>,
    pub(super) natural_region: Option<String>,
    pub(super) detour_ms: Option<f64>,
    pub(super) summary: String,
}

/// Decides for a client of a lane, and tells it.
pub(super) fn tell<S: Signals>(world: &World<'_, S>, overlay: &Overlay, id: LaneId, client: &Client) -> Told {
    let table = world.table;
    let lane = table.lane(id);
    let mut trace = Trace::default();
    let planned = plan_in_lane(world, id, client, &mut trace);
    let region = |placement: PlacementId| table.region(table.placement(placement).region).name.clone();
    let (decision, plan): (Result<&Decision, Cause>, &[PlacementId]) = match &planned {
        Ok((decision, plan)) => (Ok(decision), plan),
        Err(cause) => (Err(*cause), &[]),
    };
    let choice = decision.ok().map(|decision| region(decision.first));
    let natural_region = decision.ok().and_then(|decision| decision.natural).map(region);
    let mut told = Told {
        steering: lane.steering,
        policy: lane.policy.clone(),
        summary: summary(&decision, choice.as_deref(), natural_region.as_deref(), &trace),
        regions: regions(world, overlay, id, &trace, decision.ok()),
        choice,
        ladder: plan.iter().map(|placement| region(*placement)).collect(),
        natural_region,
        detour_ms: decision.ok().and_then(|decision| detour_ms(table, world.ranking, decision, &trace)),
    };
    let rank = |candidate: &Candidate| {
        let at = told.ladder.iter().position(|name| *name == candidate.region).unwrap_or(usize::MAX);
        let cost = candidate.terms.as_ref().and_then(|terms| terms.cost).unwrap_or(f64::INFINITY);
        (at, cost)
    };
    told.regions.sort_by(|a, b| rank(a).0.cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1)));
    told
}

fn regions<S: Signals>(
    world: &World<'_, S>,
    overlay: &Overlay,
    id: LaneId,
    trace: &Trace,
    decision: Option<&Decision>,
) -> Vec<Candidate> {
    let table = world.table;
    let lane = table.lane(id);
    let mut regions: Vec<Candidate> = Vec::new();
    for (placement, why) in trace.why_not(lane, decision) {
        let judged = trace.candidates.iter().find(|judged| judged.placement == placement);
        let standing = world.effective.of_placement(placement);
        regions.push(Candidate {
            region: table.region(table.placement(placement).region).name.clone(),
            health: health(world.signals.observed(placement), standing.forced),
            decided_by: Some(decided_by(table, overlay, placement)),
            overridden: overridden(table, overlay, placement),
            state: Some(standing.state),
            weight: Some(f64::from(standing.dial) * 100.0 / f64::from(DIAL_WHOLE)),
            km: judged.and_then(|judged| judged.terms.km).map(rounded),
            terms: judged.map(|judged| cost(table, world.ranking, placement, &judged.terms)),
            chosen: why == WhyNot::Chosen,
            why: reason(&why, judged.map(|judged| judged.verdict), lane.steering, decision),
        });
    }
    let placed = |name: &str| regions.iter().any(|candidate| candidate.region == name);
    let elsewhere = table.regions.iter().filter(|region| !placed(&region.name)).map(|region| Candidate {
        region: region.name.clone(),
        health: "-".to_owned(),
        state: None,
        weight: None,
        decided_by: None,
        overridden: Vec::new(),
        km: None,
        terms: None,
        chosen: false,
        why: format!("the pool {:?} is not placed here", table.pool(lane.pool).name),
    });
    let elsewhere: Vec<Candidate> = elsewhere.collect();
    regions.extend(elsewhere);
    regions
}

/// What operators have changed of a placement's region and of itself.
fn overridden(table: &Table, overlay: &Overlay, id: PlacementId) -> Vec<Change> {
    let placement = table.placement(id);
    let region = table.region(placement.region).name.clone();
    let pool = table.pool(placement.pool).name.clone();
    let targets = [Target::Region(region.clone()), Target::Placement { pool, region }];
    let changes = targets.map(|target| Change { overrides: overlay.of(&target).clone(), target });
    changes.into_iter().filter(|change| !change.overrides.is_empty()).collect()
}

/// L(chosen) less the lowest L of all that could serve: the price of geography.
fn detour_ms(table: &Table, ranking: &Ranking, decision: &Decision, trace: &Trace) -> Option<f64> {
    let latency = |placement| ranking.regions.get(table.placement(placement).region.index())?.latency_ms;
    let usable = trace.candidates.iter().filter(|judged| matches!(judged.verdict, Verdict::Usable(_)));
    let lowest = usable.filter_map(|judged| judged.terms.latency_ms).min_by(f64::total_cmp)?;
    Some(rounded((latency(decision.first)? - lowest).max(0.0)))
}

fn cost(table: &Table, ranking: &Ranking, placement: PlacementId, terms: &Terms) -> Cost {
    let region = table.placement(placement).region;
    Cost {
        a: rounded(terms.blend),
        latency_ms: terms.latency_ms.map(rounded),
        measured: ranking.regions.get(region.index()).is_some_and(|ranked| ranked.measured),
        estimate_ms: terms.estimate_ms.map(rounded),
        rise_ms: rounded(terms.rise_ms),
        excess_ms: rounded(terms.excess_ms),
        bias_ms: terms.bias_ms,
        cost: Some(terms.cost).filter(|cost| cost.is_finite()).map(rounded),
    }
}
