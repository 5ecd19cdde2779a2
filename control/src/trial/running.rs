//! A trial while it runs: looked at every second, until it is proved that a guard was passed, or its time is over.

use steer::trial::{Bound, FEWEST_AFTER, FEWEST_BEFORE, Tally, chance_of_one, ends_worse, is_worse};
use steer::{Moment, Span};

use super::evidence::Evidence;
use super::guard::{Compared, Guard};
use super::recorder::Totals;
use super::report::{Trial, TrialState};
use super::way_back::WayBack;
use crate::changes::{Hold, Key};
use crate::snapshot::Snapshot;
use crate::traffic::Answers;

/// How often a trial is looked at.
pub(super) const LOOK: Span = Span::from_secs(1);
/// Sooner than this after a look, nothing is judged anew.
const TOO_SOON: Span = Span::from_millis(500);

/// A trial that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) trial: Trial,
    pub(super) way_back: WayBack,
    /// By which the order is known that began it.
    pub(super) key: Option<Key>,
    /// What was before is being put in force again.
    pub(super) is_going_back: bool,
    before: Totals,
    after: Totals,
    began: Moment,
    ends: Moment,
    /// How often it will be looked at.
    looks: u64,
    judged_at: Moment,
    /// What was proved first, if every look since has proved the same.
    proved: Option<Proved>,
    /// Its version keeps its number.
    pub(super) hold: Option<Hold>,
}

/// That a guard was passed, and by when.
#[derive(Debug)]
struct Proved {
    guard: Guard,
    route: Option<String>,
    after: Tally,
}

/// What follows from a look.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Another one.
    GoOn,
    /// It is over, and why in words.
    End(TrialState, String),
    /// A guard was tripped.
    GoBack(Evidence),
}

impl Proved {
    fn is_of(&self, guard: Guard, route: Option<&str>) -> bool {
        self.guard == guard && self.route.as_deref() == route
    }
}

impl Running {
    pub(super) fn new(
        trial: Trial,
        way_back: WayBack,
        key: Option<Key>,
        before: Totals,
        now: Moment,
        hold: Option<Hold>,
    ) -> Self {
        let limit = now + trial.lasts;
        let ends = way_back.ends().map_or(limit, |ends| ends.min(limit));
        Self {
            way_back,
            key,
            is_going_back: false,
            before,
            after: Totals::default(),
            began: now,
            ends,
            looks: ends.since(now).as_nanos() / LOOK.as_nanos() + 1,
            judged_at: now,
            proved: None,
            trial,
            hold,
        }
    }

    /// Takes in what has come since the last look, and judges.
    pub(super) fn look(&mut self, new: &Totals, now: Moment, snapshot: &Snapshot) -> Next {
        self.after.merge(new);
        let is_over = now >= self.ends;
        let has_ended_by_itself = self.way_back.ends().is_some_and(|ends| now >= ends);
        if !has_ended_by_itself && !self.way_back.is_in_force(snapshot) {
            return Next::End(TrialState::Superseded, self.way_back.instead(snapshot));
        }
        if !is_over && now.since(self.judged_at) < TOO_SOON {
            return Next::GoOn;
        }
        self.judged_at = now;
        let (before, after) = (self.before.all(), self.after.all());
        let lasted = now.since(self.began);
        self.trial.evidence = self.seen(&before, &after, lasted);
        match self.proof(&before, &after, lasted, is_over) {
            None => self.proved = None,
            Some((evidence, compared)) => {
                let route = evidence.route.clone();
                let before = self.proved.take_if(|proved| proved.is_of(evidence.guard, route.as_deref()));
                // What failed together within a moment is one piece of evidence: more than may must have failed since.
                let goes_on = before.as_ref().map(|proved| {
                    compared.after.since(proved.after).share() > compared.bound.most(compared.before)
                });
                if goes_on.unwrap_or(is_over) {
                    return Next::GoBack(evidence);
                }
                let first = || Proved { guard: evidence.guard, route, after: compared.after };
                self.proved = Some(before.unwrap_or_else(first));
            }
        }
        match (is_over, self.unknown(&before, &after)) {
            (false, _) => Next::GoOn,
            (true, Some(unknown)) => Next::End(TrialState::Inconclusive, unknown),
            (true, None) => Next::End(TrialState::Passed, "no guard was tripped".to_owned()),
        }
    }

    /// What every guard sees of all requests.
    fn seen(&self, before: &Answers, after: &Answers, lasted: Span) -> Vec<Evidence> {
        let guards = self.trial.guards.iter();
        let seen = guards.filter_map(|guard| Some((*guard, guard.compare(before, after)?)));
        seen.map(|(guard, compared)| Evidence::new(guard, &compared, (None, None), lasted)).collect()
    }

    /// What proves that a guard was passed: by all requests, or by those of the worst route, or the one that has proved it before.
    fn proof(
        &self,
        before: &Answers,
        after: &Answers,
        lasted: Span,
        is_over: bool,
    ) -> Option<(Evidence, Compared)> {
        // One half of what all may be wrong by is for all requests, the other for the routes that have enough.
        let routes: Vec<(&str, Answers)> = self
            .after
            .routes()
            .map(|route| (route, self.after.of_route(route)))
            .filter(|(_, after)| after.requests >= FEWEST_AFTER)
            .collect();
        let guards = self.trial.guards.len() as u64;
        let is_proved = |compared: &Compared, parts: u64| {
            let Compared { before, after, bound, .. } = *compared;
            let chance = chance_of_one(self.looks, 2 * guards * parts);
            if is_over {
                ends_worse(before, after, bound, chance)
            } else {
                is_worse(before, after, bound, chance)
            }
        };
        for guard in &self.trial.guards {
            let whole = guard.compare(before, after).filter(|compared| is_proved(compared, 1));
            let found = whole.map(|compared| (None, compared)).or_else(|| {
                let parts = routes.len() as u64;
                let compared = routes.iter().filter_map(|(route, after)| {
                    // What a route was before its name is not known; all requests are the nearest thing.
                    let known = self.before.of_route(route);
                    let before = if known.requests == 0 { before } else { &known };
                    let compared = guard.compare(before, after)?;
                    is_proved(&compared, parts).then_some((Some(*route), compared))
                });
                let is_known = |route| self.proved.as_ref().is_some_and(|proved| proved.is_of(*guard, route));
                compared.max_by_key(|(route, compared)| (is_known(*route), compared.after.bad))
            });
            if let Some((route, compared)) = found {
                let region = self.after.most(route, Evidence::count(*guard, compared.slower_than_ms));
                return Some((Evidence::new(*guard, &compared, (route, region), lasted), compared));
            }
        }
        None
    }

    /// What keeps the end from saying anything.
    fn unknown(&self, before: &Answers, after: &Answers) -> Option<String> {
        self.trial.guards.iter().find_map(|guard| {
            let Some(compared) = guard.compare(before, after) else {
                return Some(format!("{guard} has nothing to compare with"));
            };
            let (seen, known) = (compared.after.of, compared.before.of);
            if seen < FEWEST_AFTER {
                return Some(format!(
                    "{seen} requests are too few to judge by; {FEWEST_AFTER} are the fewest"
                ));
            }
            let is_relative = matches!(compared.bound, Bound::Rise(_));
            (is_relative && known < FEWEST_BEFORE).then(|| {
                format!("{known} requests before are too few to compare with; {FEWEST_BEFORE} are the fewest")
            })
        })
    }
}
