//! Orders upon orders, before anything is in force.

use std::sync::Arc;

use super::order::{Made, Order, Refused, What};
use super::seen::Seen;
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

    /// What an order comes to if it stands, and what would be in force. Guards are not asked.
    pub(super) fn stage(
        &self,
        order: &Order,
        text: &dyn Fn(u64) -> Option<Arc<str>>,
    ) -> Result<(Step, Made, Arc<Snapshot>), Refused> {
        let mut named = [order.expects, order.forces].into_iter().flatten();
        if let Some(expected) = named.find(|seen| !seen.is_still(&self.last)) {
            return Err(Refused::Moved { expected, current: Seen::of(&self.last) });
        }
        let (step, made) = self.step(order, text)?;
        let after = Arc::new(self.publisher.stepped(&self.last, &step));
        Ok((step, made, after))
    }

    /// Puts an order on top, if it stands and no guard refuses it.
    pub(super) fn take(
        &mut self,
        order: &Order,
        text: &dyn Fn(u64) -> Option<Arc<str>>,
    ) -> Result<(Step, Made), Refused> {
        let (step, made, after) = self.stage(order, text)?;
        if order.forces.is_none() {
            let violations = match &step {
                Step::Drill(drill) => if_dead(&self.last, &drill.region, drill.ends),
                Step::EndDrill | Step::Nothing => Vec::new(),
                Step::Table(_) | Step::Override(_) | Step::Overlay(_) => refused(&self.last, &after),
            };
            if !violations.is_empty() {
                return Err(Refused::Guarded { seen: Seen::of(&self.last), violations });
            }
        }
        self.last = after;
        Ok((step, made))
    }

    /// The table version on top.
    pub(super) fn version(&self) -> u64 {
        self.last.version.about.version
    }

    fn step(&self, order: &Order, text: &dyn Fn(u64) -> Option<Arc<str>>) -> Result<(Step, Made), Refused> {
        let table = |text: String, source: String| {
            let (author, reason) = (order.author.clone(), order.reason.clone());
            let draft = Draft { text, source, author, reason };
            let version = self.publisher.compiled(draft, self.version() + 1).map_err(Refused::Table)?;
            let made = Made::Table(version.about.clone());
            Ok((Step::Table(version), made))
        };
        match &order.what {
            What::Publish { text, source, .. } => table(text.clone(), source.clone()),
            What::Rollback { version } => {
                let former = text(*version).ok_or(Refused::UnknownVersion(*version))?;
                table(former.to_string(), format!("version {version}"))
            }
            What::LogLevel(draft) => {
                let set = draft.clone().begun(self.publisher.clock());
                Ok((Step::Nothing, Made::LogLevel(Arc::new(set))))
            }
            What::FileRead { fingerprint } => Ok((Step::Nothing, Made::FileRead(fingerprint.clone()))),
            What::Override(patch) => {
                let change = self.publisher.resolved(&self.last, patch.clone()).map_err(Refused::Patch)?;
                let change = Box::new(change);
                Ok((Step::Override(change.clone()), Made::Override(change)))
            }
            What::Restore { from, to } if *self.last.overlay.of(&from.target) == from.overrides => {
                // What has expired meanwhile does not come back, and nobody is told that it did.
                let mut to = to.clone();
                to.overrides.expire(self.publisher.clock().now());
                Ok((Step::Override(to.clone()), Made::Override(to)))
            }
            What::Restore { .. } => Err(Refused::Overtaken),
            What::Watch(trial) => Ok((Step::Nothing, Made::Watch(trial.clone()))),
            What::Tokens(tokens) => Ok((Step::Nothing, Made::Tokens(tokens.clone()))),
            What::Drill(draft) => match &self.last.drill {
                Some(running) => Err(Refused::Drilled(running.region.clone())),
                None => {
                    let drill = self.publisher.drill(&self.last, draft.clone()).map_err(Refused::Drill)?;
                    let drill = Arc::new(drill);
                    Ok((Step::Drill(drill.clone()), Made::Drill(drill)))
                }
            },
            What::EndDrill { region } => match &self.last.drill {
                Some(running) if region.as_ref() == Some(&running.region) => {
                    Ok((Step::EndDrill, Made::DrillEnd(running.clone())))
                }
                _ => Err(Refused::NoDrill),
            },
        }
    }
}
