//! What a change would do, told before it is made: where traffic would go, and what would be taken away.
//!
//! Shares are predicted with every ramp at its end: a drain over five minutes is looked at by what it comes to. A guard judges now,
//! and again at every moment when a ramp ends or an override expires, on either side: a region that serves for an hour does not
//! carry those whose own is drained for good, one that is on its way in carries nobody yet, and a drain for an hour takes nothing
//! away after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::decide::World;
use steer::effective::Effective;
use steer::guard::{Side, Violation, violations, without_region};
use steer::{Moment, Span};
use utoipa::ToSchema;

use crate::described;
use crate::overlay::{Overlay, Target};
use crate::share::{Basis, Samples};
use crate::snapshot::Snapshot;

/// Moments beside its own that a change is judged at; the latest stands for those beyond.
const MAX_TURNS: usize = 32;
/// If there are more, what comes within so long is judged at once: calls of one script, one after the other.
const TOGETHER: Span = Span::from_secs(1);
/// Overrides that are named where they expire together; the others are counted.
const NAMED: usize = 20;

/// What a change would do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Effect {
    /// What the shares are predicted from.
    pub predicted_from: Basis,
    /// Every region that is on either side, by name.
    pub shares: Vec<ShareChange>,
    /// What a guard refuses unless it is forced.
    pub violations: Vec<TakenAway>,
    /// What counts once what is set here has expired, where it takes the place of what would have lasted longer; in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub afterwards: Vec<String>,
}

/// Something that a change would take away, and when.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct TakenAway {
    /// What.
    #[serde(flatten)]
    #[schema(value_type = described::Violation)]
    pub violation: Violation,
    /// What has to expire before; not there if it comes with the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Expiry, required = false)]
    pub once: Option<Expiry>,
}

/// Overrides that expire together.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Expiry {
    /// What they apply to; the first twenty.
    pub overrides: Vec<Target>,
    /// How many more there are.
    pub more_overrides: usize,
    /// When.
    pub at: Timestamp,
}

/// The predicted part of the traffic that a region gets, 0 to 1.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ShareChange {
    /// The region.
    pub region: String,
    /// Now; `None` if the table does not have it.
    pub before: Option<f64>,
    /// After the change, once its ramps have ended; `None` if the table will not have it.
    pub after: Option<f64>,
}

/// What it would do if `after` came after `before`.
#[must_use]
pub fn preview(before: &Snapshot, after: &Snapshot, samples: &Samples) -> Effect {
    let come = after.overlay.effective_at_the_end(after.table());
    let (predicted_from, [was, is]) = samples.compare(before, &after.under(come));
    let names = |snapshot: &Snapshot| -> BTreeSet<String> {
        snapshot.table().regions.iter().map(|region| region.name.clone()).collect()
    };
    let (old, new) = (names(before), names(after));
    let share = |names: &BTreeSet<String>, shares: &BTreeMap<String, f64>, region: &str| {
        names.contains(region).then(|| shares.get(region).copied().unwrap_or(0.0))
    };
    let shares = old.union(&new).map(|region| ShareChange {
        region: region.clone(),
        before: share(&old, &was, region),
        after: share(&new, &is, region),
    });
    Effect {
        predicted_from,
        shares: shares.collect(),
        violations: refused(before, after),
        afterwards: Vec::new(),
    }
}

/// What a guard refuses of a change, and nothing else: what it takes away at once, then what it does as ramps end and overrides
/// expire. Between two such moments weights move in straight lines, so nothing is worse there than at one of them.
///
/// Taken away is what would be there without the change and is there now: to keep up what holds already takes nothing away.
#[must_use]
pub fn refused(before: &Snapshot, after: &Snapshot) -> Vec<TakenAway> {
    let now = side(before, &before.effective);
    let mut found = Found::default();
    found.add(violations(now, side(after, &after.effective)), None);
    let (mut was, mut is) = (Overlay::clone(&before.overlay), Overlay::clone(&after.overlay));
    for (moment, once) in turns(&was, &is) {
        was.pass(moment);
        is.pass(moment);
        let (without, with) = (was.effective(before.table()), is.effective(after.table()));
        let mut taken = violations(side(before, &without), side(after, &with));
        if !taken.is_empty() {
            let than_now = violations(now, side(after, &with));
            taken.retain(|taken| than_now.iter().any(|known| known.is_like(taken)));
        }
        found.add(taken, once.as_ref());
    }
    found.gravest_first()
}

/// What a region's death would take away until a moment: whether the others can carry what it carries. An unknown region takes
/// nothing away.
#[must_use]
pub fn if_dead(snapshot: &Snapshot, region: &str, until: Moment) -> Vec<TakenAway> {
    let Some(region) = snapshot.table().region_named(region) else { return Vec::new() };
    let mut found = Found::default();
    found.add(without_region(&snapshot.world(), region), None);
    let mut overlay = Overlay::clone(&snapshot.overlay);
    for (moment, once) in turns(&overlay, &overlay).into_iter().take_while(|(moment, _)| *moment < until) {
        overlay.pass(moment);
        let effective = overlay.effective(snapshot.table());
        found
            .add(without_region(&World { effective: &effective, ..snapshot.world() }, region), once.as_ref());
    }
    found.gravest_first()
}

/// What would be taken away, each thing once, with the first moment at which it would.
#[derive(Default)]
struct Found(Vec<TakenAway>);

impl Found {
    fn add(&mut self, violations: Vec<Violation>, once: Option<&Expiry>) {
        for violation in violations {
            // What is gone already is not taken away once more.
            if !self.0.iter().any(|known| known.violation.is_like(&violation)) {
                self.0.push(TakenAway { violation, once: once.cloned() });
            }
        }
    }

    /// Whenever it comes.
    fn gravest_first(mut self) -> Vec<TakenAway> {
        self.0.sort_by_key(|taken| !matches!(taken.violation, Violation::NothingUsable { .. }));
        self.0
    }
}

/// The routes that had a usable region and have none since, as things stand; twenty of each kind at most.
pub(crate) fn left_alone(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let found = violations(side(before, &before.effective), side(after, &after.effective));
    let alone = found.into_iter().filter_map(|violation| match violation {
        Violation::NothingUsable { routes, .. } => Some(routes),
        Violation::MoreThanHalf { .. } | Violation::NoRoom { .. } => None,
    });
    alone.flatten().collect()
}

/// When a ramp ends or something expires, and what does.
type Turns = BTreeMap<Moment, (Timestamp, BTreeSet<Target>)>;

/// What comes within a second of another, with it.
fn together(all: Turns) -> Turns {
    let (mut together, mut began) = (Turns::new(), Moment::default());
    for (moment, (at, mut targets)) in all {
        match together.pop_last() {
            Some((_, (_, sooner))) if moment.since(began) < TOGETHER => targets.extend(sooner),
            last => {
                together.extend(last);
                began = moment;
            }
        }
        together.insert(moment, (at, targets));
    }
    together
}

/// The moments at which ramps of either side end and overrides expire, and which, soonest first; before each, the last moment until
/// then.
fn turns(before: &Overlay, after: &Overlay) -> Vec<(Moment, Option<Expiry>)> {
    let mut all = Turns::new();
    for (moment, at, target) in before.expiries().chain(after.expiries()) {
        all.entry(moment).or_insert_with(|| (at, BTreeSet::new())).1.insert(target);
    }
    for (moment, at) in before.ramp_ends().chain(after.ramp_ends()) {
        all.entry(moment).or_insert_with(|| (at, BTreeSet::new()));
    }
    if all.len() > MAX_TURNS {
        all = together(all);
    }
    while all.len() > MAX_TURNS
        && let (Some((last, (at, mut targets))), Some((_, (_, sooner)))) = (all.pop_last(), all.pop_last())
    {
        targets.extend(sooner);
        all.insert(last, (at, targets));
    }
    let turn = |(moment, (at, targets)): (Moment, (Timestamp, BTreeSet<Target>))| {
        let more_overrides = targets.len().saturating_sub(NAMED);
        let expires = !targets.is_empty();
        let overrides = targets.into_iter().take(NAMED).collect();
        let once = expires.then_some(Expiry { overrides, more_overrides, at });
        // What ends at a moment counts until then.
        [(moment - Span::from_nanos(1), None), (moment, once)]
    };
    all.into_iter().flat_map(turn).collect()
}

fn side<'a>(snapshot: &'a Snapshot, effective: &'a Effective) -> Side<'a, crate::snapshot::Vitals> {
    Side { table: snapshot.table(), effective, signals: &snapshot.vitals }
}

impl fmt::Display for TakenAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.once {
            Some(expiry) => write!(f, "once {expiry}, {}", self.violation),
            None => write!(f, "{}", self.violation),
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.overrides.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        match (self.overrides.len(), self.more_overrides) {
            (1, 0) => write!(f, "the override of {names} expires (at {:.0})", self.at),
            (_, 0) => write!(f, "the overrides of {names} expire (at {:.0})", self.at),
            (_, more) => write!(f, "the overrides of {names} and {more} more expire (at {:.0})", self.at),
        }
    }
}

#[cfg(test)]
mod tests;
