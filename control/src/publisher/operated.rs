//! What operators change beside the table: overrides and drills, and how these go on by themselves.

use std::sync::Arc;

use steer::Moment;
use tokio::sync::watch;

use super::{Inner, Publisher};
use crate::drill::{Drill, DrillDraft, DrillRefused};
use crate::overlay::{Change, Overlay, OverridePatch, PatchRefused, Saved};
use crate::snapshot::Snapshot;

impl Publisher {
    /// Changes the overrides of a region or placement. What took effect.
    ///
    /// # Errors
    /// Why it is refused; everything stays as it was.
    pub fn patch(&self, patch: OverridePatch) -> Result<Change, PatchRefused> {
        let mut inner = self.lock();
        let (change, now) = self.resolved(&inner, patch)?;
        inner.overlay.apply(change.clone());
        inner.overlay.at = now;
        self.republish_overlay(&mut inner);
        self.operated.send_modify(|changes| *changes = changes.wrapping_add(1));
        Ok(change)
    }

    /// What a change of overrides comes to, and the snapshot that it would make current; nothing is changed.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn preview(&self, patch: OverridePatch) -> Result<(Change, Snapshot), PatchRefused> {
        let inner = self.lock();
        let (change, now) = self.resolved(&inner, patch)?;
        let mut overlay = inner.overlay.clone();
        overlay.apply(change.clone());
        overlay.at = now;
        Ok((change, self.overlaid(overlay)))
    }

    /// Takes back overrides that were kept, instead of those that there are.
    pub fn restore_overrides(&self, saved: Saved) {
        let mut inner = self.lock();
        inner.overlay = Overlay::restore(saved, self.clock.wall(), self.clock.now());
        self.republish_overlay(&mut inner);
        self.operated.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Begins a drill, instead of the one that runs. Whether the other regions can carry it is for the caller to ask before:
    /// see [`crate::effect::if_dead`].
    ///
    /// # Errors
    /// Why it is refused.
    pub fn set_drill(&self, draft: DrillDraft) -> Result<Arc<Drill>, DrillRefused> {
        let mut inner = self.lock();
        let before = self.snapshot();
        before.table().region_named(&draft.region).ok_or(DrillRefused::UnknownRegion)?;
        let drill = Arc::new(draft.begun(self.clock.wall(), self.clock.now())?);
        self.swap(&mut inner, Snapshot { drill: Some(drill.clone()), ..Snapshot::clone(&before) });
        self.operated.send_modify(|changes| *changes = changes.wrapping_add(1));
        Ok(drill)
    }

    /// Ends the drill that runs. Which one that was.
    pub fn clear_drill(&self) -> Option<Arc<Drill>> {
        let mut inner = self.lock();
        let before = self.snapshot();
        let drill = before.drill.clone()?;
        self.swap(&mut inner, Snapshot { drill: None, ..Snapshot::clone(&before) });
        Some(drill)
    }

    /// Tells when an operator has changed an override or begun a drill: what goes on by itself may be due sooner.
    #[must_use]
    pub fn operated(&self) -> watch::Receiver<u64> {
        self.operated.subscribe()
    }

    /// Lets go on what goes on by itself: overrides and drills end, ramps take their next step. When to do so again.
    pub fn advance(&self) -> Option<Moment> {
        let mut inner = self.lock();
        let now = self.clock.now();
        let ended = inner.overlay.expire(now);
        for target in &ended {
            tracing::info!(%target, "override expired");
        }
        let before = self.snapshot();
        let has_moved = inner.overlay.step(before.table(), now);
        if has_moved || !ended.is_empty() {
            self.republish_overlay(&mut inner);
        }
        let drill = before.drill.as_ref();
        if let Some(over) = drill.filter(|drill| drill.ends <= now) {
            tracing::info!(region = over.region, "drill over");
            let current = self.snapshot();
            self.swap(&mut inner, Snapshot { drill: None, ..Snapshot::clone(&current) });
        }
        inner.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        let drill_ends = drill.map(|drill| drill.ends).filter(|ends| *ends > now);
        inner.overlay.next(now).into_iter().chain(drill_ends).min()
    }

    fn resolved(&self, inner: &Inner, patch: OverridePatch) -> Result<(Change, Moment), PatchRefused> {
        let (wall, now) = (self.clock.wall(), self.clock.now());
        let change = patch.resolve(self.snapshot().table(), &inner.overlay, wall, now)?;
        Ok((change, now))
    }

    fn republish_overlay(&self, inner: &mut Inner) {
        let next = self.overlaid(inner.overlay.clone());
        self.swap(inner, next);
    }

    /// The current snapshot with another overlay.
    fn overlaid(&self, overlay: Overlay) -> Snapshot {
        let before = self.snapshot();
        let effective = overlay.effective(before.table());
        Snapshot { overlay: Arc::new(overlay), effective: Arc::new(effective), ..Snapshot::clone(&before) }
    }
}
