//! What a change would take away that nobody means to take away at three in the morning.
//!
//! Two sides are compared, the world before a change and after it; they may have different tables, and names tell what
//! belongs together. Told are routes that had a usable region and would have none, and routes that would lose more than half of
//! the weight that carries them: of the placements that may serve *them*, for a pool of nine regions does not help a route whose
//! clients may go to three. Regions that stand by count: they can carry. So do the later ones of an `active-passive` order.
//!
//! Left out: what to do about it. Whoever wants the change all the same says so to whoever asks here. A route that a table no
//! longer has is no violation: somebody wrote that.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decide::World;
use crate::effective::{DIAL_WHOLE, Effective};
use crate::ids::{LaneId, PlacementId, RegionId};
use crate::signals::{Health, Observed, Signals};
use crate::spec::State;
use crate::table::{Lane, Table};

/// Routes that are named in one violation; the others are counted.
const NAMED: usize = 20;

/// One side of a change.
#[derive(Debug)]
pub struct Side<'a, S> {
    /// The table.
    pub table: &'a Table,
    /// States and weights, with overrides, at the moment that is judged.
    pub effective: &'a Effective,
    /// What is observed.
    pub signals: &'a S,
}

impl<S> Clone for Side<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Side<'_, S> {}

/// Something that a change would take away.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Violation {
    /// Routes had a usable region, and would have none.
    NothingUsable {
        /// The pool that answers them, before.
        pool: String,
        /// The routes; the first twenty.
        routes: Vec<String>,
        /// How many more there are.
        more_routes: usize,
        /// The regions that are usable.
        before: Vec<String>,
        /// What would become of the regions that may serve them.
        after: Vec<Unusable>,
    },
    /// Routes would lose more than half of the weight that carries them.
    MoreThanHalf {
        /// The pool that answers them, before.
        pool: String,
        /// The routes; the first twenty.
        routes: Vec<String>,
        /// How many more there are.
        more_routes: usize,
        /// The sum of the weights of the usable placements that may serve them, in percent of one whole placement.
        before: f64,
        /// The same afterwards.
        after: f64,
    },
    /// What is left of a pool has no room for what runs in a region.
    NoRoom {
        /// The pool.
        pool: String,
        /// The region that would be missing.
        region: String,
        /// Requests that this edge runs there.
        before: u64,
        /// Requests that `max_in_flight` of the others still lets in.
        after: u64,
    },
}

/// A region that could not be used, and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Unusable {
    /// The region.
    pub region: String,
    /// Why, in a few words.
    pub why: String,
}

/// What would be taken away between two sides.
#[must_use]
pub fn violations<A: Signals, B: Signals>(before: Side<'_, A>, after: Side<'_, B>) -> Vec<Violation> {
    let was: Vec<u64> = before.table.lanes.iter().map(|lane| before.carries(lane)).collect();
    let is: Vec<u64> = after.table.lanes.iter().map(|lane| after.carries(lane)).collect();
    // Whatever loses everything loses more than half.
    let is_halved = |from: usize, to: usize| 2 * is[to] < was[from];
    // Most changes take nothing away from anybody, and ten thousand routes share few lanes.
    if std::ptr::eq(before.table, after.table) && !(0..was.len()).any(|lane| is_halved(lane, lane)) {
        return Vec::new();
    }
    let then: BTreeMap<&str, LaneId> = forwards(after.table).collect();
    // Routes of the same lanes fare alike, and are told together.
    let mut losing: BTreeMap<(LaneId, LaneId), Vec<&str>> = BTreeMap::new();
    for (route, lane) in forwards(before.table) {
        if let Some(next) = then.get(route)
            && is_halved(lane.index(), next.index())
        {
            losing.entry((lane, *next)).or_default().push(route);
        }
    }
    let (mut alone, mut halved) = (Vec::new(), Vec::new());
    for ((from, to), routes) in losing {
        let (was, is) = (was[from.index()], is[to.index()]);
        let (lane, next) = (before.table.lane(from), after.table.lane(to));
        let pool = before.table.pool(lane.pool).name.clone();
        let (routes, more_routes) = named(&routes);
        if is == 0 {
            alone.push(Violation::NothingUsable {
                pool: pool.clone(),
                routes: routes.clone(),
                more_routes,
                before: before.usable(lane).map(|placement| before.region(placement)).collect(),
                after: next.candidates.iter().map(|candidate| after.unusable(candidate.placement)).collect(),
            });
        }
        let percent = |dials: u64| dials as f64 * 100.0 / f64::from(DIAL_WHOLE);
        let (before, after) = (percent(was), percent(is));
        halved.push(Violation::MoreThanHalf { pool, routes, more_routes, before, after });
    }
    alone.append(&mut halved);
    alone
}

/// The routes that are forwarded, and the lane of each, in the table's order.
fn forwards(table: &Table) -> impl Iterator<Item = (&str, LaneId)> {
    table.routes.iter().filter_map(|route| Some((route.name.as_str(), route.forward()?.lane)))
}

/// The first of some routes, by name, and how many more there are.
fn named(routes: &[&str]) -> (Vec<String>, usize) {
    let mut all: Vec<&str> = routes.to_vec();
    all.sort_unstable();
    let named = all.iter().take(NAMED).map(|route| (*route).to_owned()).collect();
    (named, all.len().saturating_sub(NAMED))
}

/// What would be taken away if a region were dead: whether the others could carry what it carries.
#[must_use]
pub fn without_region<S: Signals>(world: &World<'_, S>, region: RegionId) -> Vec<Violation> {
    let before = Side { table: world.table, effective: world.effective, signals: world.signals };
    let dead = world.effective.without(world.table, region);
    let after = Side { effective: &dead, ..before };
    let mut found = violations(before, after);
    let mut cramped: BTreeMap<&str, Violation> = BTreeMap::new();
    for lane in &before.table.lanes {
        let pool = before.table.pool(lane.pool).name.as_str();
        if let Some(violation) = cramped_without(before, after, lane, region) {
            cramped.entry(pool).or_insert(violation);
        }
    }
    found.extend(cramped.into_values());
    found
}

fn cramped_without<S: Signals>(
    before: Side<'_, S>,
    after: Side<'_, S>,
    lane: &Lane,
    region: RegionId,
) -> Option<Violation> {
    let gone = lane.candidates.iter().find(|candidate| candidate.region == region)?;
    if !before.is_usable(gone.placement) {
        return None;
    }
    let running = u64::from(before.signals.in_flight(gone.placement));
    let mut room = 0;
    for other in lane.candidates.iter().filter(|candidate| after.is_usable(candidate.placement)) {
        if other.max_in_flight == u32::MAX {
            return None;
        }
        room += u64::from(other.max_in_flight.saturating_sub(after.signals.in_flight(other.placement)));
    }
    (running > room).then(|| Violation::NoRoom {
        pool: before.table.pool(lane.pool).name.clone(),
        region: before.table.region(region).name.clone(),
        before: running,
        after: room,
    })
}

impl<'a, S: Signals> Side<'a, S> {
    /// Whether requests may go there now, be it after all others.
    fn is_usable(&self, placement: PlacementId) -> bool {
        let standing = self.effective.of_placement(placement);
        let takes = matches!(standing.state, State::Active | State::Standby) && standing.dial > 0;
        takes && standing.seen(self.signals.observed(placement)).is_usable()
    }

    fn usable(&self, lane: &'a Lane) -> impl Iterator<Item = PlacementId> {
        let placements = lane.candidates.iter().map(|candidate| candidate.placement);
        placements.filter(|placement| self.is_usable(*placement))
    }

    /// The weight of the usable placements of a lane, in [`DIAL_WHOLE`]ths; what is usable has some.
    fn carries(&self, lane: &'a Lane) -> u64 {
        self.usable(lane).map(|placement| u64::from(self.effective.of_placement(placement).dial)).sum()
    }

    fn region(&self, placement: PlacementId) -> String {
        self.table.region(self.table.placement(placement).region).name.clone()
    }

    fn unusable(&self, placement: PlacementId) -> Unusable {
        let standing = self.effective.of_placement(placement);
        let seen: Observed = standing.seen(self.signals.observed(placement));
        let why = match (standing.state, seen.health) {
            (State::Off, _) => "off",
            (State::Drain, _) => "draining",
            _ if standing.dial == 0 => "weight 0",
            (_, Health::Down) if standing.forced.is_some() => "forced down",
            (_, health) => health.as_str(),
        };
        Unusable { region: self.region(placement), why: why.to_owned() }
    }
}

impl Violation {
    /// Whether the other one takes the same kind of thing from the same routes, be it more of it or less.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.whose() == other.whose()
    }

    /// The pool, the routes, or the region, that are named, and how many routes are not.
    const fn whose(&self) -> (&String, &[String], usize) {
        match self {
            Self::NothingUsable { pool, routes, more_routes, .. }
            | Self::MoreThanHalf { pool, routes, more_routes, .. } => (pool, routes.as_slice(), *more_routes),
            Self::NoRoom { pool, region, .. } => (pool, std::slice::from_ref(region), 0),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingUsable { pool, routes, more_routes, before, after } => {
                tell_routes(f, routes, *more_routes)?;
                write!(f, " (pool {pool}) would have no usable region: before {}", before.join(", "))?;
                let after: Vec<String> =
                    after.iter().map(|Unusable { region, why }| format!("{region} {why}")).collect();
                match after.is_empty() {
                    true => write!(f, "; then none may serve"),
                    false => write!(f, "; then {}", after.join(", ")),
                }
            }
            Self::MoreThanHalf { pool, routes, more_routes, before, after } => {
                tell_routes(f, routes, *more_routes)?;
                write!(
                    f,
                    " (pool {pool}) would lose more than half of the usable weight: from {before} % to {after} % of one placement"
                )
            }
            Self::NoRoom { pool, region, before, after } => write!(
                f,
                "pool {pool} has {before} requests running in {region}, and its other regions have room for {after}"
            ),
        }
    }
}

fn tell_routes(f: &mut fmt::Formatter<'_>, routes: &[String], more_routes: usize) -> fmt::Result {
    let is_one = routes.len() == 1 && more_routes == 0;
    write!(f, "{} {}", if is_one { "route" } else { "routes" }, routes.join(", "))?;
    if more_routes > 0 {
        write!(f, " and {more_routes} more")?;
    }
    Ok(())
}
