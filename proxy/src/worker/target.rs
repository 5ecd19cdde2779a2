//! Where a request goes next: the decision, and the origin inside the placement that it names.

use std::rc::Rc;
use std::sync::Arc;

use control::decisions::{Asking, Decided, DecisionId, Placed, Tries, numbers, request_hash};
use control::share::Sample;
use control::vitals::OriginVitals;
use http::HeaderMap;
use steer::attempt::Reach;
use steer::choice::{Choice, Nowhere};
use steer::client::Client;
use steer::decide::{Basis, Cause, Decision};
use steer::effective::Forced;
use steer::ids::{LaneId, OriginId, PlacementId, RouteId};
use steer::matching::RequestHead;
use steer::retry::Budgets;
use steer::route::Forward;
use steer::{Moment, Table};

use super::affinity::{Affine, Belongs};
use super::view::Resolved;
use super::{Class, RouteHandle, SAMPLE_ALL_OF_FIRST, SAMPLE_EVERY, Worker};
use crate::connect::PathTimes;
use crate::forward::Origin;
use crate::observe::{DecidedBy, RequestSeries};
use crate::request::{Refused, request_id};

/// What a decision needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) head: RequestHead<'a>,
    /// The header that `head` lets routes look at.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: &'a Client,
    /// When it came.
    pub(crate) at: Moment,
}

/// A request that goes nowhere, and what that was decided by, if a decision was taken at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declined {
    pub(crate) refused: Refused,
    pub(crate) decision: Option<DecidedBy>,
}

impl From<Refused> for Declined {
    fn from(refused: Refused) -> Self {
        Self { refused, decision: None }
    }
}

/// What becomes of a request.
pub(crate) enum Chosen {
    /// It goes to an origin.
    Origin(Target),
    /// Its route says the answer.
    Direct(Direct),
}

/// A route that says the answer, and where that is counted.
pub(crate) struct Direct {
    pub(crate) route: Rc<RouteHandle>,
    pub(crate) series: Arc<RequestSeries>,
    /// What it was decided by.
    pub(crate) decision: DecidedBy,
}

/// Where an attempt goes, and what is told about it.
pub(crate) struct Target {
    pub(crate) origin: Rc<Origin>,
    pub(crate) route: Rc<RouteHandle>,
    pub(crate) series: Arc<RequestSeries>,
    /// How long such requests usually take there.
    pub(crate) class: Rc<Class>,
    pub(crate) times: PathTimes,
    /// The latency of its region, if there is one.
    pub(crate) latency_ms: Option<f64>,
    /// How much of the pool's traffic may be sent again.
    pub(crate) budgets: Budgets,
    /// Whether answers from there have become late.
    pub(crate) is_slow: bool,
    /// Whether nothing is usable, and this is the least bad.
    pub(crate) is_least_bad: bool,
    /// What it was decided by.
    pub(crate) decision: DecidedBy,
    /// Where the client's requests go when everything is well, if that is elsewhere.
    pub(crate) natural_region: Option<Rc<str>>,
    /// Whether it goes here because the nearest placement is full.
    pub(crate) spilled: bool,
    /// Whether a drill sends it here.
    pub(crate) drilled: bool,
    /// Whether an operator forced the placement to count as up.
    pub(crate) is_forced_up: bool,
    /// The cookie that the answer must carry, without `Secure`.
    pub(crate) cookie: Option<String>,
}

/// Where a request may go after an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Onward {
    pub(crate) reach: Reach,
    /// Whether no attempt can follow the next one.
    pub(crate) is_last: bool,
}

/// The origins that a request has tried.
#[derive(Default)]
pub(crate) struct Tried(Vec<Rc<Origin>>);

impl Tried {
    pub(crate) fn add(&mut self, origin: &Rc<Origin>) {
        if !self.contains(&origin.vitals) {
            self.0.push(origin.clone());
        }
    }

    fn contains(&self, vitals: &Arc<OriginVitals>) -> bool {
        // By what was learnt: a publish in between may have made another handle of the same origin.
        self.0.iter().any(|tried| Arc::ptr_eq(&tried.vitals, vitals))
    }
}

impl Worker {
    /// What becomes of a request, and where its first attempt goes.
    pub(crate) fn choose(&self, asked: &Asked<'_>) -> Result<Chosen, Declined> {
        let mut view = self.view.borrow_mut();
        let mut resolved = view.current();
        let snapshot = resolved.snapshot;
        let table = snapshot.table();
        let id = table.router.find(&asked.head).map_err(|why| Declined::from(Refused::no_route(why)))?;
        let Some(forward) = table.route(id).forward() else {
            let route = resolved.route(id);
            return Ok(Chosen::Direct(Direct {
                series: resolved.at(&route, &self.nowhere).series,
                decision: decided_by(&resolved, None),
                route,
            }));
        };
        let Affine { client, belongs } = self.affine(table, forward, asked);
        let client = client.as_ref().unwrap_or(asked.client);
        let decided = self.decide(&resolved, asked, (id, forward.lane, client, belongs), None);
        let decision = decided_by(&resolved, decided.id);
        let declined = |cause| Declined { refused: Refused::no_candidate(cause), decision: Some(decision) };
        let Placed { choice: Choice { decision: order, placement }, origin } = match decided.outcome {
            Ok(placed) => placed,
            Err(Nowhere::NoCandidate(cause)) => return Err(declined(cause)),
            Err(Nowhere::NothingLeft) => return Err(declined(Cause::Unhealthy)),
        };
        self.remember(&resolved, &order, client);
        let picked = origin.ok_or(declined(Cause::Unhealthy))?;
        let origin = resolved.origin(picked);
        if let Some(from) = order.spilled_from {
            let table = resolved.snapshot.table();
            let from = &table.region(table.placement(from).region).name;
            let series = self.shard.region(from);
            let mut spilled = series.spilled_to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *spilled.entry(origin.region.to_string()).or_default() += 1;
        }
        let cookie = self.cookie(&resolved, forward, belongs, picked);
        Ok(Chosen::Origin(target(&mut resolved, id, &order, (placement, origin), cookie, decision)))
    }

    /// Where the next attempt goes, after or beside one at `failed`. Decided anew, under the snapshot of this moment.
    pub(crate) fn next_target(
        &self,
        asked: &Asked<'_>,
        failed: &Rc<Origin>,
        tried: &Tried,
        onward: Onward,
    ) -> Option<Target> {
        let mut view = self.view.borrow_mut();
        let mut resolved = view.current();
        let snapshot = resolved.snapshot.clone();
        let route = snapshot.table().router.find(&asked.head).ok()?;
        let forward = snapshot.table().route(route).forward()?;
        let Affine { client, belongs } = self.affine(snapshot.table(), forward, asked);
        let client = client.as_ref().unwrap_or(asked.client);
        let tries = Tries {
            failed: resolved.placement_of(failed),
            has_tried: &|vitals| tried.contains(vitals),
            reach: onward.reach,
            is_last: onward.is_last,
        };
        let asked = Asked { at: self.clock.now(), ..*asked };
        let decided = self.decide(&resolved, &asked, (route, forward.lane, client, belongs), Some(&tries));
        let decision = decided_by(&resolved, decided.id);
        let Placed { choice, origin } = decided.outcome.ok()?;
        let picked = origin?;
        let origin = resolved.origin(picked);
        let cookie = self.cookie(&resolved, forward, belongs, picked);
        Some(target(&mut resolved, route, &choice.decision, (choice.placement, origin), cookie, decision))
    }

    fn decide(
        &self,
        resolved: &Resolved<'_>,
        asked: &Asked<'_>,
        (route, lane, client, belongs): (RouteId, LaneId, &Client, Belongs),
        tries: Option<&Tries<'_>>,
    ) -> Decided {
        let request = request_hash(request_id(asked.headers).as_bytes());
        let asking = Asking { at: asked.at, request, route, lane, client, belongs: belongs.to_pick() };
        self.desk.borrow_mut().decide(resolved.snapshot, &asking, tries, &mut self.rng.borrow_mut())
    }

    fn affine(&self, table: &Table, forward: &Forward, asked: &Asked<'_>) -> Affine {
        let pool = table.lane(forward.lane).pool;
        let Asked { head, headers, client, .. } = asked;
        self.affinity.affine(forward.affinity.as_ref(), table, pool, head, headers, client)
    }

    fn cookie(
        &self,
        resolved: &Resolved<'_>,
        forward: &Forward,
        belongs: Belongs,
        picked: OriginId,
    ) -> Option<String> {
        self.affinity.cookie(forward.affinity.as_ref(), belongs, resolved.snapshot.table(), picked)
    }

    /// Leaves a sample of the requests for predictions.
    fn remember(&self, resolved: &Resolved<'_>, decision: &Decision, client: &Client) {
        let seen = self.seen.get().wrapping_add(1);
        self.seen.set(seen);
        if seen <= SAMPLE_ALL_OF_FIRST || seen.is_multiple_of(SAMPLE_EVERY) {
            let version = resolved.snapshot.version.about.version;
            if self.met.replace(version) != version {
                self.samples.meet(&resolved.snapshot.version);
            }
            let (lane, client) = (decision.lane, client.clone());
            self.samples.add(self.index, Sample { version, at: self.clock.wall(), lane, client });
        }
    }
}

fn target(
    resolved: &mut Resolved<'_>,
    route: RouteId,
    decision: &Decision,
    (placement, origin): (PlacementId, Rc<Origin>),
    cookie: Option<String>,
    decided_by: DecidedBy,
) -> Target {
    let route = resolved.route(route);
    let natural = decision.natural.filter(|natural| *natural != decision.first);
    let table = resolved.snapshot.table();
    let natural_region =
        natural.map(|natural| table.region(table.placement(natural).region).name.as_str().into());
    let latency_ms = latency_ms(resolved, placement);
    let mut times = PathTimes::of(latency_ms);
    let connect = route.route.forward().and_then(|forward| forward.timeouts.connect);
    times.connect = connect.map_or(times.connect, Into::into);
    let excess = resolved.snapshot.ranking.excesses.get(placement.index());
    let is_slow = excess.is_some_and(|excess| excess.ms > 0);
    let budgets = table.pool(table.lane(decision.lane).pool).budgets;
    let forced = resolved.snapshot.effective.of_placement(placement).forced;
    let known = resolved.at(&route, &origin.region);
    Target {
        series: known.series,
        class: known.class,
        budgets,
        latency_ms,
        is_slow,
        is_least_bad: decision.basis == Basis::AllDown,
        times,
        decision: decided_by,
        natural_region,
        spilled: decision.spilled_from.is_some(),
        drilled: decision.drilled,
        is_forced_up: forced == Some(Forced::Up),
        cookie,
        origin,
        route,
    }
}

fn decided_by(resolved: &Resolved<'_>, id: Option<DecisionId>) -> DecidedBy {
    let numbers = numbers(resolved.snapshot);
    DecidedBy { id, table: numbers.table, overlay: numbers.overlay, ranking: numbers.ranking }
}

fn latency_ms(resolved: &Resolved<'_>, placement: PlacementId) -> Option<f64> {
    let region = resolved.snapshot.table().placement(placement).region;
    resolved.snapshot.ranking.regions.get(region.index())?.latency_ms
}
