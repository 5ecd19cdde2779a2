//! Retries: what a route and a pool say of sending requests again.

use super::Compiler;
use crate::defect::KeyPath;
use crate::retry::{Budgets, Retry};
use crate::spec::{KeyScope, RetryBudgetSpec, RetryScope, RetrySpec, RouteSpec};

/// The most bytes of one body that are kept.
const MAX_REPLAY_BYTES: u32 = 1 << 20;

const MAX_STATUSES: usize = 16;

impl Compiler<'_> {
    pub(super) fn retry(&mut self, route: &RouteSpec, path: &KeyPath) -> Retry {
        let Some(spec) = &route.retry else { return Retry::default() };
        if !(1..=5).contains(&spec.attempts) {
            self.defect(
                path.key("attempts"),
                format!("{} is not between 1 and 5", spec.attempts),
                "no request would be sent, or an outage would be multiplied",
                "attempts = 3",
            );
        }
        if spec.attempts == 1 {
            let keys = [
                ("idempotent_methods", spec.idempotent_methods),
                ("idempotency_key", spec.idempotency_key != KeyScope::Off),
                ("scope", spec.scope != RetryScope::Any),
                ("replay_bytes", spec.replay_bytes.is_some()),
            ];
            for (key, _) in keys.into_iter().filter(|(_, is_given)| *is_given) {
                let problem = format!("with one attempt, {key} means nothing");
                self.defect(path.key(key), problem, "nothing would enforce this key", "attempts = 3");
            }
        }
        if spec.replay_bytes.is_some_and(|bytes| bytes > MAX_REPLAY_BYTES) {
            let problem =
                format!("{} is more than {MAX_REPLAY_BYTES}", spec.replay_bytes.unwrap_or_default());
            let consequence = "a few uploads would use up what all of them share";
            self.defect(path.key("replay_bytes"), problem, consequence, "replay_bytes = 262144");
        }
        let statuses = self.statuses(&spec.statuses, &path.key("statuses"));
        let RetrySpec { attempts, idempotent_methods, idempotency_key, scope, replay_bytes, hedge, .. } =
            *spec;
        Retry { attempts, statuses, idempotent_methods, idempotency_key, scope, replay_bytes, hedge }
    }

    /// In order.
    fn statuses(&mut self, written: &[u16], path: &KeyPath) -> Vec<u16> {
        let example = "statuses = [502, 503, 504]";
        if written.len() > MAX_STATUSES {
            let problem = format!("there are {} statuses, more than {MAX_STATUSES}", written.len());
            self.defect(path.clone(), problem, "every answer would be looked up among them", example);
        }
        for (index, status) in written.iter().enumerate() {
            if !(500..=599).contains(status) {
                let problem = format!("{status} is not a status between 500 and 599");
                let consequence = "an answer that says what the request is like would be asked for again";
                self.defect(path.index(index), problem, consequence, example);
            } else if written[..index].contains(status) {
                let problem = format!("{status} stands here twice");
                self.defect(path.index(index), problem, "the second has no effect", example);
            }
        }
        let mut statuses = written.to_vec();
        statuses.sort_unstable();
        statuses
    }

    pub(super) fn budgets(&mut self, spec: &RetryBudgetSpec, path: &KeyPath) -> Budgets {
        for (key, value, most, example) in [
            ("percent", spec.percent, 100, "percent = 20"),
            ("per_second", spec.per_second, 1000, "per_second = 10"),
            ("hedge_percent", spec.hedge_percent, 50, "hedge_percent = 5"),
        ] {
            if value > most {
                let problem = format!("{value} is more than {most}");
                self.defect(path.key(key), problem, "an outage would be multiplied", example);
            }
        }
        let RetryBudgetSpec { percent, per_second, hedge_percent } = *spec;
        Budgets { retry_percent: percent, retry_per_second: per_second, hedge_percent }
    }
}
