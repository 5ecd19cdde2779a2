//! What hours came to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::edge::Transition;
use crate::load::{End, Load, Method, Outcome};
use crate::quantile::quantile;
use crate::world::{Execution, HIT};

/// Failures that are told one by one.
const EXAMPLES: usize = 20;

/// Counts so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rounds: u32,
    requests: usize,
    failed: usize,
    /// How often a placement was thought late: it costs more from then on, and others may be preferred.
    pub(super) called_late: usize,
    /// Answered by another region than the nearest: moved or hedged without need.
    elsewhere: usize,
    twice: usize,
    /// Worst of all rounds: 99 of 100, in ms.
    late_p99_ms: f64,
    latency_p99_ms: f64,
    /// Changes of health by what they were to, as the edge's metrics count them; `None` until they were read.
    changes: Option<BTreeMap<String, u64>>,
    /// How late probes were sent on average, in ms.
    probes_late_ms: f64,
    /// What must not run twice.
    unsafe_ids: BTreeSet<u32>,
    examples: Vec<String>,
    pub(super) transitions: Vec<Transition>,
}

impl Tally {
    /// Counts what came of loads that are over.
    pub(super) fn take(&mut self, loads: Vec<Load>) {
        for load in loads {
            self.count(&load.outcomes());
        }
    }

    fn count(&mut self, outcomes: &[Outcome]) {
        self.requests += outcomes.len();
        for outcome in outcomes {
            if outcome.end != End::Answered {
                self.failed += 1;
                let words = outcome.words.as_deref().unwrap_or_default();
                self.examples.push(format!(
                    "{} m{} at {:.1} s: {:?} after {:.0} ms, status {}: {words}",
                    outcome.method.title(),
                    outcome.id,
                    outcome.at_ms / 1e3,
                    outcome.end,
                    outcome.took_ms,
                    outcome.status,
                ));
                self.examples.truncate(EXAMPLES);
            }
            self.elsewhere += usize::from(outcome.region.as_deref().is_some_and(|region| region != HIT));
            if matches!(outcome.method, Method::Post | Method::LargePost | Method::Grpc) {
                self.unsafe_ids.insert(outcome.id);
            }
        }
        let worst = |former: f64, values: &mut dyn Iterator<Item = f64>| {
            former.max(quantile(&mut values.collect::<Vec<_>>(), 0.99))
        };
        self.late_p99_ms = worst(self.late_p99_ms, &mut outcomes.iter().map(|outcome| outcome.late_ms));
        self.latency_p99_ms = worst(self.latency_p99_ms, &mut outcomes.iter().map(Outcome::latency_ms));
    }

    /// Reads the edge's metrics page.
    pub(super) fn look(&mut self, page: &str) {
        let mut changes: BTreeMap<String, u64> = BTreeMap::new();
        for (labels, value) in series(page, "nearside_health_transitions_total") {
            let to = labels.split("to=\"").nth(1).and_then(|rest| rest.split('"').next());
            *changes.entry(to.unwrap_or_default().to_owned()).or_default() += value as u64;
        }
        let sum = |name: &str| series(page, name).map(|(_, value)| value).sum::<f64>();
        let rounds = sum("nearside_probe_rounds_total");
        if !changes.is_empty() && rounds > 0.0 {
            self.changes = Some(changes);
            self.probes_late_ms = sum("nearside_probe_lateness_seconds_total") * 1e3 / rounds;
        }
    }

    /// Counts what ran more than once and must not.
    pub(super) fn count_twice(&mut self, executions: &[Execution]) {
        let mut times: BTreeMap<u32, u32> = BTreeMap::new();
        for execution in executions.iter().filter(|execution| self.unsafe_ids.contains(&execution.id)) {
            *times.entry(execution.id).or_default() += 1;
        }
        self.twice = times.into_values().filter(|times| *times > 1).count();
    }

    fn changes_to(&self, state: &str) -> u64 {
        self.changes.as_ref().and_then(|changes| changes.get(state)).copied().unwrap_or(0)
    }

    /// What must not have happened and did.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.changes.is_none() {
            problems.push("the edge's metrics did not tell changes of health".to_owned());
        }
        for state in ["down", "held"] {
            let times = self.changes_to(state);
            if times > 0 {
                problems.push(format!("healthy placements were marked {state} {times} times"));
            }
        }
        for (count, what) in [(self.failed, "requests failed"), (self.twice, "requests ran twice")] {
            if count > 0 {
                problems.push(format!("{count} of {} {what}", self.requests));
            }
        }
        if self.requests == 0 {
            problems.push("nothing was asked".to_owned());
        }
        problems
    }

    /// Where things stand, in a line.
    pub(super) fn line(&self) -> String {
        format!(
            "{} requests, {} failed; placements suspect {}, down {}, held {}; probes sent {:.2} ms late on average",
            self.requests,
            self.failed,
            self.changes_to("suspect"),
            self.changes_to("down"),
            self.changes_to("held"),
            self.probes_late_ms,
        )
    }

    /// All of it. `idle` is the share of each processor's time in which it had nothing to do.
    pub(super) fn report(&self, idle: &[f64]) -> String {
        let mut text = self.line();
        let idle: Vec<String> = idle.iter().map(|share| format!("{:.1} %", share * 100.0)).collect();
        let _ = write!(
            text,
            "\nran twice {}; placements thought late {} times, {} requests answered elsewhere than by the nearest; answers within {:.0} ms, requests {:.1} ms late (99 of 100, worst half \
             minute); processors idle {}",
            self.twice,
            self.called_late,
            self.elsewhere,
            self.latency_p99_ms,
            self.late_p99_ms,
            idle.join(" and "),
        );
        // From "unknown" to "up" is how each begins.
        for transition in self.transitions.iter().filter(|transition| transition.to != "up").take(EXAMPLES) {
            let Transition { at_ms, pool, region, to } = transition;
            let _ = write!(text, "\n    at {:.1} s {pool} in {region}: {to}", at_ms / 1e3);
        }
        for example in &self.examples {
            let _ = write!(text, "\n    {example}");
        }
        text
    }
}

/// The series of a metric: labels and value.
fn series<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        // Another metric may begin with the same name.
        (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE nearside_health_transitions_total counter\n\
        nearside_health_transitions_total{pool=\"web\",region=\"near\",to=\"up\"} 1\n\
        nearside_health_transitions_total{pool=\"web\",region=\"near\",to=\"suspect\"} 2\n\
        nearside_health_transitions_total{pool=\"web\",region=\"far\",to=\"suspect\"} 1\n\
        nearside_probe_rounds_total 100\nnearside_probe_lateness_seconds_total 0.05\n";

    fn outcome(id: u32, method: Method, end: End) -> Outcome {
        let region = Some(HIT.to_owned());
        let (head_ms, took_ms, status, words) = (None, 6.0, 200, None);
        Outcome { id, method, at_ms: 0.0, late_ms: 0.1, head_ms, took_ms, end, status, region, words }
    }

    #[test]
    fn a_fall_a_failure_and_what_ran_twice_are_problems_and_suspects_are_not() {
        let mut tally = Tally::default();
        assert_eq!(tally.problems().len(), 2, "who saw nothing has proved nothing: {:?}", tally.problems());
        tally.look(PAGE);
        tally.count(&[outcome(1, Method::Get, End::Answered), outcome(2, Method::Post, End::Answered)]);
        let execution = |id| Execution { id, region: HIT };
        tally.count_twice(&[execution(1), execution(1), execution(2)]);
        assert_eq!(tally.problems(), Vec::<String>::new());
        assert_eq!((tally.changes_to("suspect"), tally.changes_to("up")), (3, 1));
        assert!((tally.probes_late_ms - 0.5).abs() < 1e-9);

        tally.count_twice(&[execution(1), execution(2), execution(2)]);
        assert_eq!(tally.problems(), ["1 of 2 requests ran twice"]);
        tally.count(&[outcome(3, Method::Stream, End::Truncated)]);
        assert_eq!(tally.problems()[0], "1 of 3 requests failed");
        let fallen =
            format!("{PAGE}nearside_health_transitions_total{{pool=\"web\",region=\"far\",to=\"down\"}} 1\n");
        tally.look(&fallen);
        assert_eq!(tally.problems()[0], "healthy placements were marked down 1 times");
    }
}
