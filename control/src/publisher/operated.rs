//! What operators change beside the table: overrides and drills, and how these go on by themselves.

use std::sync::Arc;

use steer::Moment;
use tokio::sync::watch;

use super::{Inner, Publisher, Step};
use crate::effect::left_alone;
use crate::events::{Ended, EndedEvent, Happened};
use crate::overlay::{Change, OverridePatch, PatchRefused};
use crate::snapshot::Snapshot;

impl Publisher {
    /// Changes the overrides of a region or placement, for whoever runs an edge in its own process. What took effect.
    ///
    /// # Errors
    /// Why it is refused; everything stays as it was.
    pub fn patch(&self, patch: OverridePatch) -> Result<Change, PatchRefused> {
        let change = self.resolved(&self.snapshot(), patch)?;
        self.adopt(&[Step::Override(Box::new(change.clone()))]);
        Ok(change)
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
        let alone = match ended.is_empty() {
            true => Vec::new(),
            false => left_alone(&before, &self.snapshot()),
        };
        if !alone.is_empty() {
            let expired: Vec<String> = ended.iter().map(ToString::to_string).collect();
            let (expired, routes) = (expired.join(", "), alone.join(", "));
            tracing::error!(%expired, %routes, "an override has expired, and these routes have no usable region any more");
        }
        let is_over = |ended: EndedEvent| self.events.add(&Happened::Ended(ended));
        for target in ended {
            is_over(EndedEvent { ended: Ended::Override(target), left_alone: alone.clone() });
        }
        let drill = before.drill.as_ref();
        if let Some(over) = drill.filter(|drill| drill.ends <= now) {
            tracing::info!(region = over.region, "drill over");
            let current = self.snapshot();
            self.swap(&mut inner, Snapshot { drill: None, ..Snapshot::clone(&current) });
            is_over(EndedEvent::of(Ended::Drill(over.region.clone())));
        }
        inner.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        inner.archive.forget_old(now);
        let drill_ends = drill.map(|drill| drill.ends).filter(|ends| *ends > now);
        inner.overlay.next(now).into_iter().chain(drill_ends).min()
    }

    fn republish_overlay(&self, inner: &mut Inner) {
        let before = self.snapshot();
        let effective = inner.overlay.effective(before.table());
        let overlay = Arc::new(inner.overlay.clone());
        self.swap(inner, Snapshot { overlay, effective: Arc::new(effective), ..Snapshot::clone(&before) });
    }
}
