//! What a worker does beside its requests: close what is old, warm what will be needed, end what was drained.

use std::rc::Rc;
use std::time::Duration;

use steer::ids::PlacementId;
use steer::spec::State;

use super::{Blame, Worker};
use crate::connect::{PathTimes, Purpose};
use crate::forward::{Origin, connect};

/// How often a worker looks after its connections and hands over its log.
const EVERY: Duration = Duration::from_millis(250);
/// A placement that was used within this time is kept warm.
const RECENT: steer::Span = steer::Span::from_secs(60);
/// Placements of each pool that are kept warm because they are the nearest.
const WARM_RANKS: usize = 2;
/// Connections that are opened in one round to warm up.
const OPEN_AT_ONCE: usize = 16;

/// Looks after a worker for as long as it runs.
pub(crate) async fn maintain(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.shard.rounds.one();
        if let Some(log) = &worker.log {
            log.flush();
        }
        worker.view.borrow_mut().settle();
        if worker.uplink.is_suspected() {
            // What is under way on them is lost, and what is written to them may be told to nobody.
            worker.view.borrow().known().for_each(|origin| origin.forget_idle());
        }
        enforce_states(&worker);
        close_old(&worker);
        warm_up(&worker);
    }
}

/// Ends what may no longer run at placements that are drained or off. What a table no longer mentions may finish as if it
/// were drained.
fn enforce_states(worker: &Worker) {
    let now = worker.clock.now();
    let mut view = worker.view.borrow_mut();
    for origin in view.leaving() {
        origin.enforce(State::Drain, now);
    }
    let known: Vec<Rc<Origin>> = view.known().cloned().collect();
    let resolved = view.current();
    for origin in known {
        if let Some(placement) = resolved.placement_of(&origin) {
            origin.enforce(resolved.snapshot.effective.of_placement(placement).state, now);
        }
    }
}

fn close_old(worker: &Worker) {
    let now = worker.clock.now();
    for origin in worker.view.borrow().known() {
        origin.close_old(now, worker.settings.limits.origin_idle_timeout);
    }
}

/// Opens connections to placements that are likely to be used next and have none: the nearest two of each pool, those that
/// stand by, and those used within the last minute.
fn warm_up(worker: &Rc<Worker>) {
    let limit = worker.settings.limits.warm_connections;
    let mut view = worker.view.borrow_mut();
    let idle: usize = view.known().map(|origin| origin.idle_count()).sum();
    if worker.stopping.has_begun() || idle >= limit {
        return;
    }
    let now = worker.clock.now();
    let mut resolved = view.current();
    let snapshot = resolved.snapshot.clone();
    let table = snapshot.table();
    let latency = |placement: PlacementId| {
        let region = table.placement(placement).region;
        snapshot.ranking.regions.get(region.index()).and_then(|ranked| ranked.latency_ms)
    };
    let mut cold: Vec<(Rc<Origin>, PathTimes)> = Vec::new();
    for pool in &table.pools {
        let placements = pool.placements.clone().filter_map(PlacementId::new);
        let standing = |placement: &PlacementId| snapshot.effective.of_placement(*placement);
        let mut wanted: Vec<PlacementId> = placements
            .filter(|placement| standing(placement).state <= State::Standby && standing(placement).dial > 0)
            .collect();
        wanted.sort_by(|a, b| {
            let far = f64::INFINITY;
            latency(*a).unwrap_or(far).total_cmp(&latency(*b).unwrap_or(far)).then(a.cmp(b))
        });
        for (rank, placement) in wanted.into_iter().enumerate() {
            let stands_by = standing(&placement).state == State::Standby;
            let origins: Vec<Rc<Origin>> =
                table.origins_of(placement).map(|id| resolved.origin(id)).collect();
            let is_recent =
                |origin: &Rc<Origin>| origin.used_at.get().is_some_and(|used| now.since(used) < RECENT);
            let is_wanted = rank < WARM_RANKS || stands_by || origins.iter().any(is_recent);
            let is_warm = origins.iter().any(|origin| origin.is_warm());
            if is_wanted && !is_warm {
                let trusted = origins.into_iter().find(|origin| origin.is_trusted());
                cold.extend(trusted.map(|origin| (origin, PathTimes::of(latency(placement)))));
            }
        }
    }
    for (origin, times) in cold.into_iter().take(OPEN_AT_ONCE.min(limit - idle)) {
        let worker = worker.clone();
        tokio::task::spawn_local(async move {
            if let Ok(conn) = connect(&worker, &origin, times, Purpose::Requests, Blame::default()).await {
                conn.give_back(worker.clock.now());
            }
        });
    }
}
