//! Where a request goes next: the decision, and the origin inside the placement that it names.

use std::rc::Rc;
use std::sync::Arc;

use control::share::Sample;
use http::HeaderMap;
use steer::Table;
use steer::attempt::{Failed, Reach, next_placement};
use steer::client::Client;
use steer::decide::{Basis, Cause, Decision, decide, last_resorts, plan_in_lane};
use steer::effective::Forced;
use steer::ids::{OriginId, PlacementId, RouteId};
use steer::matching::RequestHead;
use steer::pick::{OriginView, pick, pick_for_key};
use steer::retry::Budgets;
use steer::route::Forward;
use steer::signals::Signals;

use super::affinity::{Affine, Belongs};
use super::view::Resolved;
use super::{Class, RouteHandle, SAMPLE_ALL_OF_FIRST, SAMPLE_EVERY, Worker};
use crate::connect::PathTimes;
use crate::forward::Origin;
use crate::observe::{DecisionId, RequestSeries};
use crate::request::Refused;

/// What a decision needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) head: RequestHead<'a>,
    /// The header that `head` lets routes look at.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: &'a Client,
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
    pub(crate) decision: DecisionId,
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
    pub(crate) decision: DecisionId,
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
        if !self.contains(origin) {
            self.0.push(origin.clone());
        }
    }

    fn contains(&self, origin: &Rc<Origin>) -> bool {
        // By what was learnt: a publish in between may have made another handle of the same origin.
        self.0.iter().any(|tried| Arc::ptr_eq(&tried.vitals, &origin.vitals))
    }
}

impl Worker {
    /// What becomes of a request, and where its first attempt goes.
    pub(crate) fn choose(&self, asked: &Asked<'_>) -> Result<Chosen, Refused> {
        let mut view = self.view.borrow_mut();
        let mut resolved = view.current();
        let snapshot = resolved.snapshot;
        let table = snapshot.table();
        let id = table.router.find(&asked.head).map_err(Refused::no_route)?;
        let Some(forward) = table.route(id).forward() else {
            let route = resolved.route(id);
            return Ok(Chosen::Direct(Direct {
                series: resolved.at(&route, &self.nowhere).series,
                decision: decided_by(&resolved),
                route,
            }));
        };
        let Affine { client, belongs } = self.affine(table, forward, asked);
        let client = client.as_ref().unwrap_or(asked.client);
        let decision = decide(&snapshot.world(), forward.lane, client, &mut ());
        let decision = decision.map_err(Refused::no_candidate)?;
        self.remember(&resolved, &decision, client);
        let (picked, origin) = self
            .pick_origin(&mut resolved, decision.first, &Tried::default(), belongs)
            .ok_or(Refused::no_candidate(Cause::Unhealthy))?;
        if let Some(from) = decision.spilled_from {
            let table = resolved.snapshot.table();
            let from = &table.region(table.placement(from).region).name;
            let series = self.shard.region(from);
            let mut spilled = series.spilled_to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *spilled.entry(origin.region.to_string()).or_default() += 1;
        }
        let cookie = self.cookie(&resolved, forward, belongs, picked);
        Ok(Chosen::Origin(target(&mut resolved, id, &decision, origin, cookie)))
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
        let (decision, plan) = plan_in_lane(&snapshot.world(), forward.lane, client, &mut ()).ok()?;
        let exhausted: Vec<PlacementId> =
            plan.iter().copied().filter(|placement| !has_untried(&mut resolved, *placement, tried)).collect();
        let next = match resolved.placement_of(failed) {
            Some(placement) => {
                let standing = snapshot.effective.of_placement(placement);
                let health = standing.seen(snapshot.vitals.observed(placement)).health;
                let untried_left = !exhausted.contains(&placement);
                let failed = Failed { placement, health, untried_left };
                next_placement(&plan, failed, &exhausted, onward.reach, onward.is_last)
            }
            // It is no part of the table any more, and nothing may replace what must stay there.
            None if onward.reach < Reach::Anywhere => None,
            None => plan.iter().copied().find(|placement| !exhausted.contains(placement)),
        };
        // What is still recovering is better than nothing.
        let next = next.or_else(|| {
            let resorts = last_resorts(&snapshot.world(), forward.lane, client);
            let untried = resorts.into_iter().find(|placement| has_untried(&mut resolved, *placement, tried));
            untried.filter(|_| onward.reach == Reach::Anywhere)
        })?;
        let (picked, origin) = self.pick_origin(&mut resolved, next, tried, belongs)?;
        let cookie = self.cookie(&resolved, forward, belongs, picked);
        Some(target(&mut resolved, route, &decision, origin, cookie))
    }

    fn affine(&self, table: &Table, forward: &Forward, asked: &Asked<'_>) -> Affine {
        let pool = table.lane(forward.lane).pool;
        let Asked { head, headers, client } = asked;
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

    fn pick_origin(
        &self,
        resolved: &mut Resolved<'_>,
        placement: PlacementId,
        tried: &Tried,
        belongs: Belongs,
    ) -> Option<(OriginId, Rc<Origin>)> {
        let snapshot = resolved.snapshot.clone();
        let mut ids = snapshot.table().origins_of(placement);
        if ids.len() == 1 {
            return ids.next().map(|id| (id, resolved.origin(id)));
        }
        let prior_ms = latency_ms(resolved, placement).unwrap_or(0.0);
        let now = self.clock.now();
        let views: Vec<(OriginId, OriginView)> = ids
            .clone()
            .map(|id| {
                let origin = resolved.origin(id);
                (id, origin.view(now, prior_ms, tried.contains(&origin)))
            })
            .collect();
        let view = |id: OriginId| {
            let at = id.index() - views[0].0.index();
            views[at].1
        };
        let table = snapshot.table();
        let kept = match belongs {
            Belongs::Place(place) => ids.clone().find(|id| {
                let OriginView { trusted, tried, .. } = view(*id);
                trusted && !tried && place.is(table, *id)
            }),
            Belongs::Key(key) => pick_for_key(ids.clone(), view, |id| table.origin(id).hash, key),
            Belongs::Anywhere | Belongs::New => None,
        };
        let picked = kept.or_else(|| pick(ids, view, &mut self.rng.borrow_mut()))?;
        Some((picked, resolved.origin(picked)))
    }

    /// Leaves a sample of the requests for predictions.
    fn remember(&self, resolved: &Resolved<'_>, decision: &Decision, client: &Client) {
        let seen = self.seen.get().wrapping_add(1);
        self.seen.set(seen);
        if seen <= SAMPLE_ALL_OF_FIRST || seen.is_multiple_of(SAMPLE_EVERY) {
            let version = resolved.snapshot.version.about.version;
            self.samples.add(self.index, Sample { version, lane: decision.lane, client: client.clone() });
        }
    }
}

fn target(
    resolved: &mut Resolved<'_>,
    route: RouteId,
    decision: &Decision,
    origin: Rc<Origin>,
    cookie: Option<String>,
) -> Target {
    let route = resolved.route(route);
    let natural = decision.natural.filter(|natural| *natural != decision.first);
    let table = resolved.snapshot.table();
    let natural_region =
        natural.map(|natural| table.region(table.placement(natural).region).name.as_str().into());
    let placement = resolved.placement_of(&origin);
    let latency_ms = placement.and_then(|placement| latency_ms(resolved, placement));
    let mut times = PathTimes::of(latency_ms);
    let connect = route.route.forward().and_then(|forward| forward.timeouts.connect);
    times.connect = connect.map_or(times.connect, Into::into);
    let excess = placement.and_then(|placement| resolved.snapshot.ranking.excesses.get(placement.index()));
    let is_slow = excess.is_some_and(|excess| excess.ms > 0);
    let budgets = table.pool(table.lane(decision.lane).pool).budgets;
    let standing = placement.map(|placement| resolved.snapshot.effective.of_placement(placement));
    let forced = standing.and_then(|standing| standing.forced);
    let known = resolved.at(&route, &origin.region);
    Target {
        series: known.series,
        class: known.class,
        budgets,
        latency_ms,
        is_slow,
        is_least_bad: decision.basis == Basis::AllDown,
        times,
        decision: decided_by(resolved),
        natural_region,
        spilled: decision.spilled_from.is_some(),
        drilled: decision.drilled,
        is_forced_up: forced == Some(Forced::Up),
        cookie,
        origin,
        route,
    }
}

fn decided_by(resolved: &Resolved<'_>) -> DecisionId {
    let snapshot = resolved.snapshot;
    DecisionId {
        table: snapshot.version.about.version,
        overlay: snapshot.overlay.number,
        ranking: snapshot.ranking.number,
        key: None,
    }
}

fn latency_ms(resolved: &Resolved<'_>, placement: PlacementId) -> Option<f64> {
    let region = resolved.snapshot.table().placement(placement).region;
    resolved.snapshot.ranking.regions.get(region.index())?.latency_ms
}

fn has_untried(resolved: &mut Resolved<'_>, placement: PlacementId, tried: &Tried) -> bool {
    let ids = resolved.snapshot.table().origins_of(placement);
    ids.into_iter().any(|id| !tried.contains(&resolved.origin(id)))
}
