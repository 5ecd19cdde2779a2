//! What a change would do, told before it is made: where traffic would go, and what would be taken away.
//!
//! Both sides are looked at with every ramp at its end, so that a drain over five minutes is judged by what it comes to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use steer::effective::Effective;
use steer::guard::{Side, Violation, violations, without_region};
use utoipa::ToSchema;

use crate::described;
use crate::share::{Basis, Samples};
use crate::snapshot::Snapshot;

/// What a change would do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Effect {
    /// What the shares are predicted from.
    pub predicted_from: Basis,
    /// Every region that is on either side, by name.
    pub shares: Vec<ShareChange>,
    /// What a guard refuses unless it is forced.
    #[schema(value_type = Vec<described::Violation>)]
    pub violations: Vec<Violation>,
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
    let (settled, come) = (at_the_end(before), at_the_end(after));
    let (predicted_from, [was, is]) = samples.compare(before, &after.under(come.clone()));
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
        violations: violations(side(before, &settled), side(after, &come)),
    }
}

/// What a guard refuses of a change, and nothing else.
#[must_use]
pub fn refused(before: &Snapshot, after: &Snapshot) -> Vec<Violation> {
    violations(side(before, &at_the_end(before)), side(after, &at_the_end(after)))
}

/// What a region's death would take away: whether the others can carry what it carries. An unknown region takes nothing away.
#[must_use]
pub fn if_dead(snapshot: &Snapshot, region: &str) -> Vec<Violation> {
    let region = snapshot.table().region_named(region);
    region.map_or_else(Vec::new, |region| without_region(&snapshot.world(), region))
}

fn at_the_end(snapshot: &Snapshot) -> Effective {
    snapshot.overlay.effective_at_the_end(snapshot.table())
}

fn side<'a>(snapshot: &'a Snapshot, effective: &'a Effective) -> Side<'a, crate::snapshot::Vitals> {
    Side { table: snapshot.table(), effective, signals: &snapshot.vitals }
}
