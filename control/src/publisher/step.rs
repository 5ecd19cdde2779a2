//! Changes that are ready to be made: what each would lead to, and making them.

use std::sync::Arc;

use super::inherited::{carried, remembered};
use super::{Draft, Publisher, compile, version};
use crate::document::Finding;
use crate::drill::{Drill, DrillDraft, DrillRefused};
use crate::overlay::{Change, Overlay, OverridePatch, PatchRefused};
use crate::snapshot::{Snapshot, Vitals};
use crate::version::Version;

/// One change, ready to be made.
#[derive(Clone, Debug)]
pub enum Step {
    /// A table comes into force.
    Table(Arc<Version>),
    /// Overrides do.
    Override(Box<Change>),
    /// All overrides that a former run left do, instead of those in force.
    Overlay(Arc<Overlay>),
    /// A drill begins, instead of the one that runs.
    Drill(Arc<Drill>),
    /// The drill that runs ends.
    EndDrill,
    /// Something was written down that changes nothing.
    Nothing,
}

impl Publisher {
    /// A table, compiled under a number; nothing is changed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compiled(&self, draft: Draft, number: u64) -> Result<Arc<Version>, Vec<Finding>> {
        let table = compile(&draft, &self.check)?;
        Ok(version(number, draft, table, &self.clock))
    }

    /// What a change of overrides comes to in a snapshot.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn resolved(&self, upon: &Snapshot, patch: OverridePatch) -> Result<Change, PatchRefused> {
        patch.resolve(upon.table(), &upon.overlay, self.clock.wall(), self.clock.now())
    }

    /// What a drill comes to in a snapshot.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn drill(&self, upon: &Snapshot, draft: DrillDraft) -> Result<Drill, DrillRefused> {
        upon.table().region_named(&draft.region).ok_or(DrillRefused::UnknownRegion)?;
        draft.begun(self.clock.wall(), self.clock.now())
    }

    /// A snapshot after one more step; nothing is changed.
    #[must_use]
    pub fn stepped(&self, upon: &Snapshot, step: &Step) -> Snapshot {
        match step {
            Step::Table(version) => self.under_table(upon, version.clone()),
            Step::Override(change) => {
                let mut overlay = (*upon.overlay).clone();
                overlay.apply(Change::clone(change));
                overlay.at = self.clock.now();
                let effective = Arc::new(overlay.effective(upon.table()));
                Snapshot { overlay: Arc::new(overlay), effective, ..upon.clone() }
            }
            Step::Overlay(overlay) => {
                let effective = Arc::new(overlay.effective(upon.table()));
                Snapshot { overlay: overlay.clone(), effective, ..upon.clone() }
            }
            Step::Drill(drill) => Snapshot { drill: Some(drill.clone()), ..upon.clone() },
            Step::EndDrill => Snapshot { drill: None, ..upon.clone() },
            Step::Nothing => upon.clone(),
        }
    }

    /// Makes changes current, all in one swap. The overlay's number since.
    pub fn adopt(&self, steps: &[Step]) -> u64 {
        if steps.iter().all(|step| matches!(step, Step::Nothing)) {
            return self.snapshot().overlay.number;
        }
        let mut inner = self.lock();
        let before = self.snapshot();
        let mut next = Snapshot { overlay: Arc::new(inner.overlay.clone()), ..Snapshot::clone(&before) };
        for step in steps {
            next = self.stepped(&next, step);
            if let Step::Table(version) = step {
                inner.versions.push_back(version.clone());
            }
        }
        inner.overlay = (*next.overlay).clone();
        let number = inner.overlay.number;
        let version = next.version.clone();
        let is_new_table = !Arc::ptr_eq(&version, &before.version);
        if is_new_table {
            next.incumbents = Arc::new(remembered(&inner.incumbents, &version.table));
            inner.forget_old_versions();
        }
        self.swap(&mut inner, next);
        if is_new_table {
            // What the former table mentioned is kept for requests that are still on their way.
            self.registry.retain(&[before.version.table.clone(), version.table.clone()]);
            self.tables.send_replace(version.about.version);
        }
        if steps.iter().any(|step| !matches!(step, Step::Table(_))) {
            self.operated.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
        number
    }

    /// Lets go of what was learnt of tables that were only looked at.
    pub fn forget_unpublished(&self) {
        let inner = self.lock();
        let newest: Vec<_> =
            inner.versions.iter().rev().take(2).map(|version| version.table.clone()).collect();
        self.registry.retain(&newest);
    }

    fn under_table(&self, upon: &Snapshot, version: Arc<Version>) -> Snapshot {
        let table = &version.table;
        Snapshot {
            number: upon.number,
            effective: Arc::new(upon.overlay.effective(table)),
            ranking: Arc::new(carried(&upon.ranking, Some(upon.table()), table)),
            // Those of a table that is made current are remembered when it is.
            incumbents: Arc::default(),
            vitals: Arc::new(Vitals::new(self.registry.origins(table), self.registry.placements(table))),
            overlay: upon.overlay.clone(),
            drill: upon.drill.clone(),
            version,
        }
    }
}
