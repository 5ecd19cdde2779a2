//! Where a request goes next: the decision, and the origin inside the placement that it names.

use std::rc::Rc;
use std::sync::Arc;

use control::share::Sample;
use steer::attempt::next_placement;
use steer::client::Client;
use steer::decide::{Decision, Refusal, decide, plan_in_lane};
use steer::ids::{OriginId, PlacementId, RouteId};
use steer::pick::pick;
use steer::signals::Signals;

use super::view::{Resolved, RouteHandle};
use super::{SAMPLE_ALL_OF_FIRST, SAMPLE_EVERY, Worker};
use crate::forward::{Origin, PathTimes};
use crate::observe::RequestSeries;
use crate::request::Refused;

/// What a decision needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) client: &'a Client,
}

/// Where an attempt goes, and what is told about it.
pub(crate) struct Target {
    pub(crate) origin: Rc<Origin>,
    pub(crate) route: Rc<RouteHandle>,
    pub(crate) series: Arc<RequestSeries>,
    pub(crate) times: PathTimes,
    /// The table's version.
    pub(crate) version: u64,
    /// The number of the overrides.
    pub(crate) overlay: u64,
    /// The number of the ranking.
    pub(crate) ranking: u64,
    /// Where the client's requests go when everything is well, if that is elsewhere.
    pub(crate) natural_region: Option<Rc<str>>,
    /// Whether it goes here because the nearest placement is full.
    pub(crate) spilled: bool,
}

/// The origins that a request has tried.
#[derive(Default)]
pub(crate) struct Tried(Vec<Rc<Origin>>);

impl Tried {
    pub(crate) fn add(&mut self, origin: &Rc<Origin>) {
        self.0.push(origin.clone());
    }

    fn contains(&self, origin: &Rc<Origin>) -> bool {
        // By what was learnt: a publish in between may have made another handle of the same origin.
        self.0.iter().any(|tried| Arc::ptr_eq(&tried.vitals, &origin.vitals))
    }
}

impl Worker {
    /// Where a request's first attempt goes.
    pub(crate) fn first_target(&self, asked: &Asked<'_>) -> Result<Target, Refused> {
        let mut view = self.view.borrow_mut();
        let mut resolved = view.current();
        let decided = decide(&resolved.snapshot.world(), asked.host, asked.path, asked.client, &mut ());
        let (route, decision) = decided.map_err(|refusal| match refusal {
            Refusal::NoRoute(why) => Refused::no_route(why),
            Refusal::NoCandidate(cause) => Refused::no_candidate(cause),
        })?;
        self.remember(&resolved, &decision, asked.client);
        let origin = self.pick_origin(&mut resolved, decision.first, &Tried::default());
        let origin = origin.ok_or(Refused::no_candidate(steer::decide::Cause::Unhealthy))?;
        if let Some(from) = decision.spilled_from {
            let table = resolved.snapshot.table();
            let from = &table.region(table.placement(from).region).name;
            let series = self.shard.region(from);
            let mut spilled = series.spilled_to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *spilled.entry(origin.region.to_string()).or_default() += 1;
        }
        Ok(target(&mut resolved, route, &decision, origin))
    }

    /// Where the `number`th attempt goes, after one at `failed`. Decided anew, under the snapshot of this moment.
    pub(crate) fn next_target(
        &self,
        asked: &Asked<'_>,
        failed: &Rc<Origin>,
        tried: &Tried,
        number: u32,
    ) -> Option<Target> {
        let mut view = self.view.borrow_mut();
        let mut resolved = view.current();
        let snapshot = resolved.snapshot.clone();
        let route = snapshot.table().router.find(asked.host, asked.path).ok()?;
        let lane = snapshot.table().route(route).lane;
        let (decision, plan) = plan_in_lane(&snapshot.world(), lane, asked.client, &mut ()).ok()?;
        let exhausted: Vec<PlacementId> =
            plan.iter().copied().filter(|placement| !has_untried(&mut resolved, *placement, tried)).collect();
        let next = match resolved.placement_of(failed) {
            Some(placement) => {
                let health = snapshot.vitals.observed(placement).health;
                let untried_left = !exhausted.contains(&placement);
                next_placement(&plan, placement, health, untried_left, &exhausted, number)
            }
            // It is no part of the table any more.
            None => plan.iter().copied().find(|placement| !exhausted.contains(placement)),
        }?;
        let origin = self.pick_origin(&mut resolved, next, tried)?;
        Some(target(&mut resolved, route, &decision, origin))
    }

    fn pick_origin(
        &self,
        resolved: &mut Resolved<'_>,
        placement: PlacementId,
        tried: &Tried,
    ) -> Option<Rc<Origin>> {
        let snapshot = resolved.snapshot.clone();
        let mut ids = snapshot.table().origins_of(placement);
        if ids.len() == 1 {
            return ids.next().map(|id| resolved.origin(id));
        }
        let prior_ms = latency_ms(resolved, placement).unwrap_or(0.0);
        let now = self.clock.now();
        let views: Vec<(OriginId, steer::pick::OriginView)> = ids
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
        let picked = pick(ids, view, &mut self.rng.borrow_mut())?;
        Some(resolved.origin(picked))
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

fn target(resolved: &mut Resolved<'_>, route: RouteId, decision: &Decision, origin: Rc<Origin>) -> Target {
    let route = resolved.route(route);
    let natural = decision.natural.filter(|natural| *natural != decision.first);
    let table = resolved.snapshot.table();
    let natural_region =
        natural.map(|natural| table.region(table.placement(natural).region).name.as_str().into());
    let latency_ms = resolved.placement_of(&origin).and_then(|placement| latency_ms(resolved, placement));
    Target {
        series: resolved.series(&route, &origin.region),
        times: PathTimes::of(latency_ms),
        version: resolved.snapshot.version.about.version,
        overlay: resolved.snapshot.overlay.number,
        ranking: resolved.snapshot.ranking.number,
        natural_region,
        spilled: decision.spilled_from.is_some(),
        origin,
        route,
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
