//! The decision: which placements may answer a request, in which order.
//!
//! ```text
//! match the route ─► hard filters ─► health ─► cost ─► dial and ramp ─► limits ─► ordered plan
//! ```
//!
//! **Hard filters** (jurisdiction, `off`, `drain`, weight 0) never relax, whatever is down. Health and limits do: a suspect
//! placement comes after healthy ones. Where none of a lane is usable, those come that are out of use and would answer (given
//! up for their errors, held, or back for less than two seconds); where none of these is left, one attempt may go to the
//! least bad.
//!
//! **What an operator forces.** Forced health counts instead of what is observed. A region that is drilled ([`crate::drill`])
//! comes last of all for the keys that the drill hits.
//!
//! **The dial.** A region keeps a client's key if the key's lot falls below its weight. The natural region is the first in
//! order of cost that keeps it; as keeping does not depend on the order, it is found without sorting, and raising a weight
//! from 50 to 60 moves exactly the keys whose lot lies between. Keys that nobody keeps go to the nearest of weight above 0.
//!
//! **One order.** Every candidate gets a [`Class`] (what it is), a preference (`geo` lists) and a cost (how far it is, see
//! [`crate::score`]); the plan sorts by these and then by the table's order. The order is total whatever the inputs: a cost that is not a number
//! counts as infinite. Taking the head's health away leaves the rest of the plan in place, so that a request that fails over
//! goes where the next one will go. The exception is a client whose place is vague: regions nearer to each other than his
//! accuracy tells apart are tied, and latency decides between them for the head of the plan.
//!
//! Most requests need only the head, so [`decide`] looks no further at candidates that cost more than the best so far;
//! [`plan_in_lane`] orders them all, for a request that failed somewhere and for whoever asks why.
//!
//! Nothing here reads a clock, draws a number or allocates; see [`crate::pick`] for the origin inside a placement and
//! [`crate::attempt`] for what follows a failure. The recorder learns why; `()` learns nothing and costs nothing.

mod resort;

use crate::affinity::Kept;
use crate::client::Client;
use crate::draw::{Purpose, falls_below, lot};
use crate::drill::Drill;
use crate::effective::{DIAL_WHOLE, Effective, Forced, Standing};
use crate::geo::BATCH;
use crate::ids::{LaneId, PlacementId, RegionId};
use crate::plan::{Class, Key, Ordered, Plan, rounded};
use crate::ranking::Ranking;
use crate::score::View;
use crate::signals::{Health, Observed, RAMP_WHOLE, Signals};
use crate::spec::{State, Steering};
use crate::table::{Candidate, Table};
use crate::trace::{Recorder, Verdict};

use resort::last_resort;
pub use resort::last_resorts;

/// Everything a decision sees: one snapshot.
#[derive(Debug)]
pub struct World<'a, S> {
    /// What the operator wrote.
    pub table: &'a Table,
    /// States and weights, with overrides.
    pub effective: &'a Effective,
    /// Published latencies.
    pub ranking: &'a Ranking,
    /// The region that each lane of manual failback is at; see [`crate::failback`].
    pub incumbents: &'a [Option<RegionId>],
    /// The drill that runs, if one does.
    pub drill: Option<&'a Drill>,
    /// What is observed.
    pub signals: &'a S,
}

impl<S> World<'_, S> {
    /// The draw subject of the region that a drill makes look dead to this key.
    #[inline]
    fn drilled(&self, key: u64) -> Option<u64> {
        self.drill.filter(|drill| drill.hits(key)).map(|drill| drill.region)
    }
}

/// Where a request may go, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The lane that decided.
    pub lane: LaneId,
    /// The placement to try first.
    pub first: PlacementId,
    /// Where the key goes when everything is well: by cost and dial alone, before health and limits.
    pub natural: Option<PlacementId>,
    /// The placement that would have headed the plan, had its limit not been reached.
    pub spilled_from: Option<PlacementId>,
    /// What the order rests on.
    pub basis: Basis,
    /// Whether it goes first where the client was, and not where the order says.
    pub kept: bool,
    /// Whether a drill sends it elsewhere than it would have gone.
    pub drilled: bool,
}

/// What a plan's order rests on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// Costs.
    Ranked,
    /// The table's order: no place and no latency is known.
    Unranked,
    /// Nothing is usable; the plan is what is out of use and would answer, by cost.
    LastResort,
    /// Nothing is usable, and nothing would answer; the plan is one attempt at the least bad.
    AllDown,
}

/// Why no placement was left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// None is healthy, or none may take requests.
    Unhealthy,
    /// Healthy ones are left, all at their limit.
    Full,
    /// Healthy ones are left, outside the route's jurisdictions.
    Jurisdiction,
}

/// Decides for a client of a lane.
///
/// # Errors
/// [`Cause`] if no placement is left.
pub fn decide<S: Signals, R: Recorder>(
    world: &World<'_, S>,
    lane: LaneId,
    client: &Client,
    recorder: &mut R,
) -> Result<Decision, Cause> {
    scan::<S, R, false>(world, lane, client, recorder).map(|(decision, _)| decision)
}

/// Decides for a client of a lane, and orders everything that the decision allows, best first.
///
/// # Errors
/// [`Cause`] if no placement is left.
pub fn plan_in_lane<S: Signals, R: Recorder>(
    world: &World<'_, S>,
    lane: LaneId,
    client: &Client,
    recorder: &mut R,
) -> Result<(Decision, Ordered), Cause> {
    let (decision, plan) = scan::<S, R, true>(world, lane, client, recorder)?;
    Ok((decision, plan.ordered(world.table.lane(lane))))
}

/// Looks at the candidates of a lane: at all of them, or at those that can still become the head.
#[inline]
fn scan<S: Signals, R: Recorder, const ALL: bool>(
    world: &World<'_, S>,
    id: LaneId,
    client: &Client,
    recorder: &mut R,
) -> Result<(Decision, Plan), Cause> {
    if world.drill.is_some()
        && let Some(region) = world.drilled(client.key)
    {
        return drilled::<S, R, ALL>(world, id, client, region, recorder);
    }
    scan_without::<S, R, ALL, false>(world, id, client, 0, recorder)
}

/// Decides for a key that a drill hits.
#[cold]
fn drilled<S: Signals, R: Recorder, const ALL: bool>(
    world: &World<'_, S>,
    id: LaneId,
    client: &Client,
    region: u64,
    recorder: &mut R,
) -> Result<(Decision, Plan), Cause> {
    let (mut decision, plan) = scan_without::<S, R, ALL, true>(world, id, client, region, recorder)?;
    // Whether the drill moves it is known only from where it would have gone.
    let otherwise = scan_without::<S, (), false, false>(world, id, client, 0, &mut ());
    decision.drilled = otherwise.is_ok_and(|(otherwise, _)| otherwise.first != decision.first);
    Ok((decision, plan))
}

/// The same, with a region behind all others if `DRILL`.
#[inline]
fn scan_without<S: Signals, R: Recorder, const ALL: bool, const DRILL: bool>(
    world: &World<'_, S>,
    id: LaneId,
    client: &Client,
    region: u64,
    recorder: &mut R,
) -> Result<(Decision, Plan), Cause> {
    let is_drilled = |candidate: &Candidate| DRILL && candidate.hash == region;
    let lane = world.table.lane(id);
    let view = View::of(world, id, client);
    let slack = view.slack(lane.steering);
    let mut plan = Plan::empty();
    let mut natural = Key::LAST;
    let mut first_full = Key::LAST;
    let mut any_usable = false;

    let mut costs = [f32::INFINITY; BATCH];
    // Nothing that costs more can become the head or the natural one.
    let mut bound = f64::INFINITY;
    for (start, batch) in (0..).step_by(BATCH).zip(lane.candidates.chunks(BATCH)) {
        let least = view.costs(lane, world.effective, start, batch, &mut costs);
        // The cheapest comes first: nearly always it settles the matter.
        for step in 0..=batch.len() {
            let at = step.checked_sub(1).unwrap_or(least);
            let (candidate, cost, index) = (&batch[at], costs[at], start + at);
            if step > 0 && (at == least || !ALL && f64::from(cost) > bound) {
                continue;
            }
            let preference = view.preference(candidate.region);
            let standing = world.effective.of_placement(candidate.placement);
            let terms = || view.terms(world.table, index, candidate, standing);
            if let Some(unwanted) = unwanted(standing) {
                recorder.candidate(candidate, unwanted, terms);
                continue;
            }
            let keeps = lane.steering == Steering::Weighted || keeps(candidate, standing, client.key);
            natural =
                natural.min(Key::of(class(standing.state, keeps, Fitness::Fit), preference, cost, index));
            let observed = standing.seen(world.signals.observed(candidate.placement));
            let Some(fitness) = fitness(candidate, observed, client.key) else {
                let unhealthy = match standing.forced {
                    Some(Forced::Down) => Verdict::ForcedDown,
                    _ => Verdict::Unhealthy(observed.health),
                };
                recorder.candidate(candidate, unhealthy, terms);
                continue;
            };
            any_usable = true;
            let class = match is_drilled(candidate) {
                true => Class::Drilled,
                false => class(standing.state, keeps, fitness),
            };
            let key = Key::of(class, preference, cost, index);
            if candidate.max_in_flight != u32::MAX
                && world.signals.in_flight(candidate.placement) >= candidate.max_in_flight
            {
                first_full = first_full.min(key);
                recorder.candidate(candidate, Verdict::Full, terms);
                continue;
            }
            let verdict = if is_drilled(candidate) { Verdict::Drilled } else { Verdict::Usable(class) };
            recorder.candidate(candidate, verdict, terms);
            plan.push(key);
            bound = plan.bound(natural, slack);
        }
    }

    view.settle_ties(lane, slack, &mut plan);
    let placement = |key: Key| lane.candidates[key.index()].placement;
    let natural = (natural != Key::LAST).then(|| placement(natural));
    let Some(head) = plan.head() else {
        return if any_usable {
            Err(Cause::Full)
        } else {
            last_resort(world, id, &view, natural, is_drilled)
        };
    };
    let kept = client.kept.and_then(|kept| kept_at(world, id, &view, (client.key, kept), head, is_drilled));
    if let Some(kept) = kept {
        plan.lead(kept);
    }
    let spilled_from = (first_full < head).then(|| placement(first_full));
    let head = kept.unwrap_or(head);
    let decision = Decision {
        lane: id,
        first: placement(head),
        natural,
        spilled_from: spilled_from.filter(|_| kept.is_none()),
        kept: kept.is_some(),
        drilled: false,
        basis: if head.is_unranked() { Basis::Unranked } else { Basis::Ranked },
    };
    Ok((decision, plan))
}

/// Where the client was, if it may stay: the placement is active, healthy, has room, and is not too much farther than the
/// best. A weight that gives the key away does not count: it moves clients as they come, not those who are here. A drain on its
/// way does, or it would move nobody for as long as it lasts, and then all at once.
fn kept_at<S: Signals>(
    world: &World<'_, S>,
    id: LaneId,
    view: &View<'_>,
    (key, kept): (u64, Kept),
    head: Key,
    is_drilled: impl Fn(&Candidate) -> bool,
) -> Option<Key> {
    let lane = world.table.lane(id);
    let index = lane.candidates.iter().position(|candidate| candidate.region == kept.region)?;
    let candidate = &lane.candidates[index];
    let standing = world.effective.of_placement(candidate.placement);
    let is_healthy = standing.seen(world.signals.observed(candidate.placement)).health == Health::Up;
    if unwanted(standing).is_some() || standing.state != State::Active || !is_healthy || is_drilled(candidate)
    {
        return None;
    }
    let stays = || falls_below(lot(key, candidate.hash, Purpose::Dial), u32::from(standing.staying), 100);
    if standing.staying < 100 && !stays() {
        return None;
    }
    if candidate.max_in_flight != u32::MAX
        && world.signals.in_flight(candidate.placement) >= candidate.max_in_flight
    {
        return None;
    }
    let cost = view.terms(world.table, index, candidate, standing).cost;
    let is_ms = matches!(lane.steering, Steering::Nearest | Steering::Latency | Steering::Geo);
    let more = cost - f64::from(head.cost());
    // Unknown costs cannot be compared; nothing speaks against staying.
    if is_ms && more.is_finite() && more > kept.within_ms {
        return None;
    }
    Some(Key::of(Class::Kept, view.preference(candidate.region), rounded(cost), index))
}

#[inline]
fn unwanted(standing: Standing) -> Option<Verdict> {
    match standing.state {
        State::Off => Some(Verdict::Off),
        State::Drain => Some(Verdict::Draining),
        State::Active | State::Standby if standing.dial == 0 => Some(Verdict::WeightZero),
        State::Active | State::Standby => None,
    }
}

#[inline]
fn keeps(candidate: &Candidate, standing: Standing, key: u64) -> bool {
    standing.dial >= DIAL_WHOLE
        || falls_below(lot(key, candidate.hash, Purpose::Dial), standing.dial, DIAL_WHOLE)
}

/// How far health lets a candidate be used; `None` is not at all.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Fitness {
    Fit,
    Doubtful,
    Ramping,
}

#[inline]
fn fitness(candidate: &Candidate, observed: Observed, key: u64) -> Option<Fitness> {
    match observed.health {
        Health::Up => Some(Fitness::Fit),
        Health::Unknown | Health::Suspect => Some(Fitness::Doubtful),
        Health::Recovering if observed.ramp == 0 => None,
        Health::Recovering => {
            let lot = lot(key, candidate.hash, Purpose::Ramp);
            let reached = falls_below(lot, u32::from(observed.ramp), u32::from(RAMP_WHOLE));
            Some(if reached { Fitness::Fit } else { Fitness::Ramping })
        }
        Health::Down | Health::Held => None,
    }
}

#[inline]
fn class(state: State, keeps: bool, fitness: Fitness) -> Class {
    match (state == State::Standby, fitness, keeps) {
        (false, Fitness::Fit, true) => Class::Kept,
        (false, Fitness::Fit, false) => Class::GivenAway,
        (false, Fitness::Doubtful, true) => Class::Suspect,
        (false, Fitness::Doubtful, false) => Class::SuspectGivenAway,
        (false, Fitness::Ramping, _) => Class::Ramping,
        (true, Fitness::Fit, true) => Class::Standby,
        (true, Fitness::Fit, false) => Class::StandbyGivenAway,
        (true, Fitness::Doubtful, _) => Class::StandbySuspect,
        (true, Fitness::Ramping, _) => Class::StandbyRamping,
    }
}
