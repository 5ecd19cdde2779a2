//! Orders upon orders, before anything is in force.

use std::sync::Arc;

use super::order::{Made, Order, Refused, What};
use crate::effect::{if_dead, refused};
use crate::publisher::{Draft, Publisher, Step};
use crate::snapshot::Snapshot;

/// What would be in force if everything that was staged were.
pub(super) struct Staged<'a> {
    publisher: &'a Publisher,
    last: Arc<Snapshot>,
}

impl<'a> Staged<'a> {
    pub(super) const fn upon(publisher: &'a Publisher, current: Arc<Snapshot>) -> Self {
        Self { publisher, last: current }
    }

    /// Puts an order on top, if it stands: what it comes to, and what would be in force. Guards are not asked.
    pub(super) fn stage(
        &self,
        order: &Order,
        text: &dyn Fn(u64) -> Option<Arc<str>>,
    ) -> Result<(Step, Arc<Snapshot>), Refused> {
        let current = self.last.version.about.version;
        let named = [order.expects, order.forces].into_iter().flatten().find(|version| *version != current);
        if let Some(expected) = named {
            return Err(Refused::Moved { expected, current });
        }
        let step = self.step(order, text)?;
        let after = Arc::new(self.publisher.stepped(&self.last, &step));
        Ok((step, after))
    }

    /// As [`Staged::stage`], and it stays.
    pub(super) fn take(
        &mut self,
        order: &Order,
        text: &dyn Fn(u64) -> Option<Arc<str>>,
    ) -> Result<(Step, Made), Refused> {
        let (step, after) = self.stage(order, text)?;
        let version = self.last.version.about.version;
        if order.forces.is_none() {
            let violations = match &step {
                Step::Drill(drill) => if_dead(&self.last, &drill.region),
                Step::EndDrill | Step::Nothing => Vec::new(),
                Step::Table(_) | Step::Override(_) => refused(&self.last, &after),
            };
            if !violations.is_empty() {
                return Err(Refused::Guarded { version, violations });
            }
        }
        let made = match &step {
            Step::Table(version) => Made::Table(version.about.clone()),
            Step::Override(change) => Made::Override(change.clone()),
            Step::Drill(drill) => Made::Drill(drill.clone()),
            Step::Nothing => match &order.what {
                What::FileRead { fingerprint } => Made::FileRead(fingerprint.clone()),
                _ => return Err(Refused::Stopping),
            },
            Step::EndDrill => Made::DrillEnd(self.last.drill.clone().ok_or(Refused::NoDrill)?),
        };
        self.last = after;
        Ok((step, made))
    }

    /// The table version on top.
    pub(super) fn version(&self) -> u64 {
        self.last.version.about.version
    }

    fn step(&self, order: &Order, text: &dyn Fn(u64) -> Option<Arc<str>>) -> Result<Step, Refused> {
        let (author, reason) = (order.author.clone(), order.reason.clone());
        let table = |text: String, source: String| {
            let number = self.last.version.about.version + 1;
            let draft = Draft { text, source, author: author.clone(), reason: reason.clone() };
            self.publisher.compiled(draft, number).map(Step::Table).map_err(Refused::Table)
        };
        match &order.what {
            What::Publish { text, source, .. } => table(text.clone(), source.clone()),
            What::FileRead { .. } => Ok(Step::Nothing),
            What::Rollback { version } => {
                let former = text(*version).ok_or(Refused::UnknownVersion(*version))?;
                table(former.to_string(), format!("version {version}"))
            }
            What::Override(patch) => {
                let resolved = self.publisher.resolved(&self.last, patch.clone());
                resolved.map(Box::new).map(Step::Override).map_err(Refused::Patch)
            }
            What::Drill(draft) => {
                if let Some(running) = &self.last.drill {
                    return Err(Refused::Drilled(running.region.clone()));
                }
                let drill = self.publisher.drill(&self.last, draft.clone());
                drill.map(|drill| Step::Drill(Arc::new(drill))).map_err(Refused::Drill)
            }
            What::EndDrill { region } => match &self.last.drill {
                Some(running) if region.as_ref() == Some(&running.region) => Ok(Step::EndDrill),
                _ => Err(Refused::NoDrill),
            },
        }
    }
}
