//! The operator's overrides of regions and placements: beside the table, never in it.
//!
//! An override has an author, a reason and perhaps an expiry, and it survives a publish, even of a table that does not have
//! what it names: such a table may go again. Weight, state and health are overridden apart from each other, so that ending
//! one leaves the others alone. What changes by itself, ramps and expiry, follows from the clock.
//!
//! Left out: keeping them across a restart. [`Saved`] and [`Change`] are what can be kept; [`Overlay::restore`] takes it back.

mod afterwards;
mod overrides;
mod patch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::effective::{Effective, Override};
use steer::{Moment, Span, Table};
use utoipa::ToSchema;

use crate::journal::json_bytes;

pub use overrides::{Overridden, Overrides, WeightRamp};
pub use patch::{Change, MAX_EXPIRY, MAX_OVER, OverridePatch, PatchRefused, Target};

/// Regions and placements that may be overridden at once.
pub const MAX_TARGETS: usize = 4096;
/// What they may take together where they are kept, in bytes: the whole state has to fit into one line of the journal.
pub const MAX_KEPT_BYTES: usize = 8 << 20;
/// The shortest time from one step of a ramp to the next.
const STEP_PAUSE: Span = Span::from_millis(250);
/// When every ramp has ended.
const THE_END: Moment = Moment::from_nanos(u64::MAX);

/// All overrides, by name. A clone shares what they say.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Counts changes, and the steps of ramps; part of a decision's inputs.
    pub number: u64,
    /// What the number was when an operator, or an expiry, changed something last. Steps of ramps are on their way already.
    changed: u64,
    /// The moment that ramps are counted at, so that an overlay says the same whenever it is asked.
    pub at: Moment,
    /// What it takes where it is kept, in bytes.
    kept_bytes: usize,
    regions: BTreeMap<String, Arc<Overrides>>,
    /// By pool, then by region.
    placements: BTreeMap<String, BTreeMap<String, Arc<Overrides>>>,
}

/// An overlay as it is kept: with times of the wall clock.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Saved {
    /// The overlay's number.
    pub number: u64,
    /// What is overridden.
    pub overrides: Vec<Change>,
}

/// What is overridden of a target, and whether a table has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = ListedOverride)]
pub struct Listed {
    /// What it applies to.
    pub target: Target,
    /// Whether the table in force has it; if not, it applies to nothing, until a table has.
    pub applies: bool,
    /// What is overridden.
    pub overrides: Overrides,
}

impl Overlay {
    /// The overrides of a region; none for most.
    #[must_use]
    pub fn region(&self, name: &str) -> &Overrides {
        self.regions.get(name).map_or(&Overrides::NONE, |overrides| overrides)
    }

    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        // A name, some overridden values, and their authors and reasons.
        const PER_TARGET: usize = size_of::<Overrides>() + 256;
        self.len() * PER_TARGET
    }

    /// The overrides of a placement, its region's apart; none for most.
    #[must_use]
    pub fn placement(&self, pool: &str, region: &str) -> &Overrides {
        let found = self.placements.get(pool).and_then(|placements| placements.get(region));
        found.map_or(&Overrides::NONE, |overrides| overrides)
    }

    /// The overrides of a target.
    #[must_use]
    pub fn of(&self, target: &Target) -> &Overrides {
        match target {
            Target::Region(region) => self.region(region),
            Target::Placement { pool, region } => self.placement(pool, region),
        }
    }

    /// How many regions and placements are overridden.
    #[must_use]
    pub fn len(&self) -> usize {
        self.regions.len() + self.placements.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Whether nothing is overridden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty() && self.placements.is_empty()
    }

    /// A table under these overrides.
    #[must_use]
    pub fn effective(&self, table: &Table) -> Effective {
        self.effective_at(table, self.at)
    }

    /// A table under these overrides once every ramp has ended.
    #[must_use]
    pub fn effective_at_the_end(&self, table: &Table) -> Effective {
        self.effective_at(table, THE_END)
    }

    fn effective_at(&self, table: &Table, at: Moment) -> Effective {
        let regions = |id| self.region(&table.region(id).name).at(at);
        if self.placements.is_empty() {
            return Effective::of(table, regions);
        }
        let mut placements = vec![Override::default(); table.placements.len()];
        for pool in &table.pools {
            let Some(overridden) = self.placements.get(&pool.name) else { continue };
            for index in pool.placements.clone() {
                let region = &table.region(table.placements[index].region).name;
                if let Some(overrides) = overridden.get(region) {
                    placements[index] = overrides.at(at);
                }
            }
        }
        Effective::with(table, regions, |id| placements[id.index()])
    }

    /// All that is overridden, and what of it a table does not have.
    #[must_use]
    pub fn list(&self, table: &Table) -> Vec<Listed> {
        let listed = self.changes().map(|Change { target, overrides }| Listed {
            applies: target.configured(table).is_some(),
            target,
            overrides,
        });
        listed.collect()
    }

    /// As it is kept.
    #[must_use]
    pub fn saved(&self) -> Saved {
        Saved { number: self.number, overrides: self.changes().collect() }
    }

    /// What was kept, in a process in which it is `wall` at `now`: expiry and ramps go on by the wall clock. What has expired
    /// is left out, and so is what goes beyond the bound.
    #[must_use]
    pub fn restore(saved: Saved, wall: Timestamp, now: Moment) -> Self {
        let mut overlay = Self::default();
        for Change { target, mut overrides } in saved.overrides {
            overrides.revive(wall, now);
            if overlay.len() < MAX_TARGETS || !overlay.of(&target).is_empty() {
                overlay.apply(Change { target, overrides });
            }
        }
        (overlay.number, overlay.changed, overlay.at) = (saved.number, saved.number, now);
        overlay
    }

    /// Applies a change that was resolved in this process.
    pub fn apply(&mut self, change: Change) {
        self.number += 1;
        self.changed = self.number;
        self.kept_bytes = self.kept_bytes_with(&change);
        let Change { target, overrides } = change;
        let overrides = Some(overrides).filter(|overrides| !overrides.is_empty()).map(Arc::new);
        match (target, overrides) {
            (Target::Region(region), Some(overrides)) => {
                self.regions.insert(region, overrides);
            }
            (Target::Region(region), None) => {
                self.regions.remove(&region);
            }
            (Target::Placement { pool, region }, Some(overrides)) => {
                self.placements.entry(pool).or_default().insert(region, overrides);
            }
            (Target::Placement { pool, region }, None) => {
                if let Some(placements) = self.placements.get_mut(&pool) {
                    placements.remove(&region);
                }
                self.placements.retain(|_, placements| !placements.is_empty());
            }
        }
    }

    /// What it would take where it is kept, in bytes, after one more change.
    fn kept_bytes_with(&self, change: &Change) -> usize {
        let before = kept_bytes(&change.target, self.of(&change.target));
        (self.kept_bytes + kept_bytes(&change.target, &change.overrides)).saturating_sub(before)
    }

    /// Counts ramps at `now`. Whether a table looks different then.
    pub(crate) fn step(&mut self, table: &Table, now: Moment) -> bool {
        let before = self.effective(table);
        let at = std::mem::replace(&mut self.at, now);
        let is_different = self.effective(table) != before;
        if is_different {
            self.number += 1;
        } else {
            self.at = at;
        }
        is_different
    }

    /// Ends what has expired at `now`. What it applied to.
    pub(crate) fn expire(&mut self, now: Moment) -> Vec<Target> {
        if !self.values().any(|overrides| overrides.has_expired(now)) {
            return Vec::new();
        }
        let expired = self.each().filter(|(_, overrides)| overrides.has_expired(now));
        let mut expired: Vec<Change> =
            expired.map(|(target, overrides)| Change { target, overrides: overrides.clone() }).collect();
        expired.iter_mut().for_each(|change| change.overrides.expire(now));
        let ended = expired.iter().map(|change| change.target.clone()).collect();
        for change in expired {
            self.apply(change);
        }
        ended
    }

    /// When values expire, as moments and as times, and of what; in no order.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = (Moment, Timestamp, Target)> {
        self.each().flat_map(|(target, overrides)| {
            overrides.expiries().map(move |(moment, at)| (moment, at, target.clone()))
        })
    }

    /// When ramps end that are under way, as moments and as times, in no order.
    pub(crate) fn ramp_ends(&self) -> impl Iterator<Item = (Moment, Timestamp)> {
        self.values().flat_map(Overrides::ramp_ends).filter(|(moment, _)| *moment > self.at)
    }

    /// What it comes to by itself at a later moment.
    pub(crate) fn pass(&mut self, later: Moment) {
        self.expire(later);
        self.at = later;
    }

    /// When an override expires or a weight moves on by itself, after `now`.
    pub(crate) fn next(&self, now: Moment) -> Option<Moment> {
        self.values().filter_map(|overrides| overrides.next(now, STEP_PAUSE)).min()
    }

    /// Whether it says what it said under that number, steps of ramps apart.
    #[must_use]
    pub fn is_as_changed_at(&self, number: u64) -> bool {
        (self.changed..=self.number).contains(&number)
    }

    /// Whether a weight is on its way.
    #[must_use]
    pub fn is_moving(&self, now: Moment) -> bool {
        self.values().any(|overrides| overrides.is_moving(now))
    }

    fn values(&self) -> impl Iterator<Item = &Overrides> {
        let placements = self.placements.values().flat_map(BTreeMap::values);
        self.regions.values().chain(placements).map(|overrides| &**overrides)
    }

    fn changes(&self) -> impl Iterator<Item = Change> {
        self.each().map(|(target, overrides)| Change { target, overrides: overrides.clone() })
    }

    fn each(&self) -> impl Iterator<Item = (Target, &Overrides)> {
        let regions =
            self.regions.iter().map(|(region, overrides)| (Target::Region(region.clone()), &**overrides));
        let placements = self.placements.iter().flat_map(|(pool, placements)| {
            placements.iter().map(|(region, overrides)| {
                (Target::Placement { pool: pool.clone(), region: region.clone() }, &**overrides)
            })
        });
        regions.chain(placements)
    }
}

/// What the overrides of a target take where they are kept, in bytes; none take nothing.
fn kept_bytes(target: &Target, overrides: &Overrides) -> usize {
    #[derive(Serialize)]
    struct Written<'a> {
        target: &'a Target,
        overrides: &'a Overrides,
    }
    if overrides.is_empty() {
        return 0;
    }
    // With the comma behind it.
    json_bytes(&Written { target, overrides }) + 1
}
