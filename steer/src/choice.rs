//! Where an attempt goes: the first one of a request, and those that follow one that failed or is late.
//!
//! The first goes where the decision says. A later one is decided anew, in the world of its own moment, and takes of that
//! plan what [`crate::attempt`] leaves of it: the same placement while that is trusted and has an origin left to try, then
//! the next one, and what is out of use and would answer when nothing else is left.
//!
//! Everything that is asked here is an argument, so that a choice can be repeated later from what was written down of it.
//! Left out: the origin inside the placement ([`crate::pick`]).

use crate::attempt::{Failed, Reach, next_placement};
use crate::client::Client;
use crate::decide::{Cause, Decision, World, decide, last_resorts, plan_in_lane};
use crate::ids::{LaneId, OriginId, PlacementId};
use crate::plan::{MAX_HOPS, Ordered};
use crate::signals::Signals;
use crate::table::Table;
use crate::trace::Recorder;

/// Which attempt of a request is to be placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// The first.
    First,
    /// One after, or beside, another.
    Onward(Onward<'a>),
}

/// What came before an attempt that is not the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Onward<'a> {
    /// Where the attempt before it was made; `None` if the table has no such placement any more.
    pub failed: Option<PlacementId>,
    /// The origins of this table that the request has tried.
    pub tried: &'a [OriginId],
    /// How far it may go.
    pub reach: Reach,
    /// Whether no attempt can follow it.
    pub is_last: bool,
}

/// Where an attempt goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The decision that it follows.
    pub decision: Decision,
    /// The placement: the decision's first, unless other attempts came before.
    pub placement: PlacementId,
}

/// Why an attempt goes nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nowhere {
    /// No placement may serve.
    NoCandidate(Cause),
    /// Some may, and none that this request may still go to.
    NothingLeft,
}

impl Step<'_> {
    /// The origins that were tried before.
    #[must_use]
    pub const fn tried(&self) -> &[OriginId] {
        match self {
            Self::First => &[],
            Self::Onward(onward) => onward.tried,
        }
    }
}

/// Where an attempt goes.
///
/// # Errors
/// [`Nowhere`], and why.
pub fn choose<S: Signals, R: Recorder>(
    world: &World<'_, S>,
    lane: LaneId,
    client: &Client,
    step: Step<'_>,
    recorder: &mut R,
) -> Result<Choice, Nowhere> {
    match step {
        Step::First => {
            let decision = decide(world, lane, client, recorder).map_err(Nowhere::NoCandidate)?;
            Ok(Choice { placement: decision.first, decision })
        }
        Step::Onward(onward) => {
            let (decision, plan) =
                plan_in_lane(world, lane, client, recorder).map_err(Nowhere::NoCandidate)?;
            let placement = next(world, lane, client, &plan, onward).ok_or(Nowhere::NothingLeft)?;
            Ok(Choice { decision, placement })
        }
    }
}

fn next<S: Signals>(
    world: &World<'_, S>,
    lane: LaneId,
    client: &Client,
    plan: &Ordered,
    onward: Onward<'_>,
) -> Option<PlacementId> {
    let Onward { failed, tried, reach, is_last } = onward;
    let has_untried = |placement: &PlacementId| has_untried(world.table, *placement, tried);
    let exhausted: arrayvec::ArrayVec<PlacementId, MAX_HOPS> =
        plan.iter().copied().filter(|placement| !has_untried(placement)).collect();
    let next = match failed {
        Some(placement) => {
            let standing = world.effective.of_placement(placement);
            let health = standing.seen(world.signals.observed(placement)).health;
            let untried_left = !exhausted.contains(&placement);
            next_placement(plan, Failed { placement, health, untried_left }, &exhausted, reach, is_last)
        }
        // It is no part of the table any more, and nothing may replace what must stay there.
        None if reach < Reach::Anywhere => None,
        None => plan.iter().copied().find(|placement| !exhausted.contains(placement)),
    };
    // What is still recovering is better than nothing.
    next.or_else(|| {
        let untried = last_resorts(world, lane, client).into_iter().find(has_untried);
        untried.filter(|_| reach == Reach::Anywhere)
    })
}

fn has_untried(table: &Table, placement: PlacementId, tried: &[OriginId]) -> bool {
    table.origins_of(placement).any(|origin| !tried.contains(&origin))
}
