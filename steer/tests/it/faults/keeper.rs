//! What the prober makes of answers and silences. Modelled after the proxy's `probe::keeper` and `probe::placements`.

use steer::health::{Event as Happened, OriginHealth, Silence, Surroundings, beside, most_recovered};
use steer::ranking::tick;
use steer::signals::{Health, Observed};
use steer::{Moment, Span};

use super::options::Flaw;
use super::prober::{Failure, FailureKind};
use super::record::Change;
use super::sim::{Event, Sim};

const HEALTH_TICK: Span = Span::from_millis(100);
const RANKING_TICK: Span = Span::from_secs(1);
const EARLY_RANKING_TICK: Span = Span::from_millis(100);
const EARLY: Moment = Moment::from_millis(3_000);
/// How often references are asked while that is wanted, and how far they are.
const REFERENCES_EVERY: Span = Span::from_millis(250);
const REFERENCE_RTT: Span = Span::from_millis(12);
/// The nearest placements that are always in demand.
const NEAREST: usize = 2;
/// Attempts a second that make a placement one that serves.
const SERVING: f64 = 0.1;

/// How a problem of a probe shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    Answered,
    Refused,
    Silence,
}

impl Sim {
    pub(super) fn keeper_answered(&mut self, origin: usize, took: Span, was_late: bool) {
        let (now, placement) = (self.now, self.placement_of(origin));
        self.board.last_success[placement] = self.board.last_success[placement].max(Some(now));
        self.heard_at(now);
        let event = if was_late { Happened::ProbeLate } else { Happened::ProbeOk };
        self.happened(origin, event, self.prober.around());
        if !was_late {
            self.settle(placement, now - took);
        }
        let (estimate, ms) = (&mut self.prober.estimates[origin], took.as_millis_f64());
        let has_shifted = if was_late { estimate.add_late(ms, now) } else { estimate.add(ms, now) };
        if has_shifted {
            self.rank();
        }
    }

    /// Whether the origin has just become suspect, so that a burst should settle it.
    pub(super) fn keeper_lost(
        &mut self,
        origin: usize,
        problem: Problem,
        sent: Moment,
        connection: u64,
    ) -> bool {
        if problem == Problem::Silence {
            self.prober.uplink.unanswered(sent);
        } else {
            self.heard_at(self.now);
        }
        if self.excuses(sent) {
            return false;
        }
        let around = self.prober.around();
        if let Some(at) = self.last_served(origin) {
            self.happened(origin, Happened::Served { at }, around);
        }
        self.happened(origin, Happened::ProbeLost { sent, connection }, around)
    }

    /// An attempt of a request failed.
    pub(super) fn keeper_failed(&mut self, failure: &Failure) {
        if self.excuses(failure.began) {
            return;
        }
        let around = self.prober.around();
        let is_accused = !self.has(Flaw::NoAccrual) && self.accrue(failure);
        self.show_excesses();
        let connection = failure.connection;
        let event = (failure.kind != FailureKind::Bad).then_some(Happened::Refused { connection });
        let is_suspect = event.is_some_and(|event| self.happened(failure.origin, event, around));
        if is_suspect || is_accused {
            self.burst(failure.origin, 0);
        }
    }

    /// Whether it says nothing of an origin that what began then was in vain.
    fn excuses(&self, began: Moment) -> bool {
        let uplink = &self.prober.uplink;
        if self.has(Flaw::OutageIsForgotten) { uplink.is_suspected() } else { uplink.excuses(began) }
    }

    pub(super) fn last_served(&self, origin: usize) -> Option<Moment> {
        self.workers.iter().filter_map(|worker| worker.origins[origin].last_served).max()
    }

    pub(super) fn heard_at(&mut self, at: Moment) {
        if self.prober.uplink.heard(at) {
            let now = self.now;
            self.prober.estimates.iter_mut().for_each(|estimate| estimate.resume(now));
        }
    }

    /// Something happened to an origin. Whether it has just become suspect.
    pub(super) fn happened(&mut self, origin: usize, event: Happened, around: Surroundings) -> bool {
        let placement = self.placement_of(origin);
        let at = origin - self.table.placements[placement].origins.start;
        let is_other_usable = self
            .prober
            .kept
            .iter()
            .enumerate()
            .any(|(other, kept)| other != placement && kept.observed.is_usable());
        let kept = &mut self.prober.kept[placement];
        let before = kept.machine.origins()[at].health();
        let around = Surroundings { is_last: !is_other_usable, ..around };
        let observed = kept.machine.on(at, event, self.now, around);
        self.show_origins(placement);
        let after = self.prober.kept[placement].machine.origins()[at].health();
        self.publish(placement, observed);
        before != OriginHealth::Suspect && after == OriginHealth::Suspect
    }

    fn show_origins(&mut self, placement: usize) {
        let start = self.table.placements[placement].origins.start;
        for (at, origin) in self.prober.kept[placement].machine.origins().iter().enumerate() {
            self.board.origins[start + at] = origin.health();
        }
    }

    pub(super) fn publish(&mut self, placement: usize, observed: Observed) {
        let kept = &mut self.prober.kept[placement];
        let before = std::mem::replace(&mut kept.observed, observed);
        if before == observed {
            return;
        }
        let is_out = |health| matches!(health, Health::Down | Health::Held);
        if !is_out(before.health) && is_out(observed.health) {
            kept.accrual.forget(self.now);
            kept.accused = None;
        }
        let whole = most_recovered(self.prober.kept.iter().map(|kept| kept.observed));
        for (shown, kept) in self.board.observed.iter_mut().zip(&self.prober.kept) {
            *shown = beside(kept.observed, whole);
        }
        self.hand_over(Event::Trouble);
        if before.health != observed.health {
            let region = self.options.regions.start + placement;
            let is_ejected = self.prober.kept[placement].machine.is_ejected(self.now);
            self.record.changed(Change { region, from: before, to: observed, at: self.now, is_ejected });
        }
    }

    pub(super) fn health_tick(&mut self) {
        let now = self.now;
        let silence = self.prober.uplink.tick(now);
        let placements = 0..self.prober.kept.len();
        if silence == Silence::Suspected {
            self.record.suspected_uplink(now);
            let since = self.prober.uplink.silent_since().unwrap_or(now);
            for placement in placements.clone() {
                self.prober.kept[placement].accused = None;
                let observed = self.prober.kept[placement].machine.doubt(since);
                self.show_origins(placement);
                self.publish(placement, observed);
            }
        }
        let is_frozen = self.prober.uplink.is_suspected();
        for placement in placements {
            let kept = &mut self.prober.kept[placement];
            let is_calm = !is_frozen && kept.accrual.is_calm(now);
            let observed = kept.machine.tick(now, is_calm);
            kept.slowness.tick(now);
            self.publish(placement, observed);
        }
        self.show_excesses();
        let urgent = self.look_for_demand();
        for origin in 0..self.board.origins.len() {
            if silence == Silence::AskAll || urgent.contains(&self.placement_of(origin)) {
                self.ask_now(origin);
            }
        }
        self.after(HEALTH_TICK, Event::HealthTick);
    }

    /// Looks who is in demand now. Who has become so.
    fn look_for_demand(&mut self) -> Vec<usize> {
        let mut known: Vec<(f64, usize)> = (0..self.prober.kept.len())
            .map(|placement| (self.latency_ms(placement).unwrap_or(f64::INFINITY), placement))
            .collect();
        known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let is_any_usable = self.prober.kept.iter().any(|kept| kept.observed.is_usable());
        let (mut newly, mut nearest_up) = (Vec::new(), 0);
        for (rank, (_, placement)) in known.into_iter().enumerate() {
            let kept = &mut self.prober.kept[placement];
            let health = kept.observed.health;
            nearest_up += usize::from(health == Health::Up);
            let is_near = rank < NEAREST || (health == Health::Up && nearest_up <= NEAREST);
            let is_unsettled = matches!(health, Health::Unknown | Health::Suspect | Health::Recovering);
            let serves = kept.accrual.per_second(self.now) >= SERVING;
            let is_in_demand = is_near || is_unsettled || serves || !is_any_usable;
            if is_in_demand && !kept.is_in_demand {
                newly.push(placement);
            }
            kept.is_in_demand = is_in_demand;
        }
        newly
    }

    pub(super) fn ranking_tick(&mut self) {
        self.rank();
        let next = if self.now < EARLY { EARLY_RANKING_TICK } else { RANKING_TICK };
        self.after(next, Event::Ranking);
    }

    fn rank(&mut self) {
        if self.prober.uplink.is_suspected() {
            return;
        }
        for region in 0..self.table.regions.len() {
            let origins = self.table.placements[region].origins.clone();
            let targets = self.prober.estimates[origins].iter();
            let (pop, point) = (&self.ranking.pop, &self.table.regions[region].point);
            let ranked = tick(&mut self.prober.regions[region], pop, point, targets, self.now);
            if self.ranking.regions[region] != ranked {
                self.ranking.regions[region] = ranked;
                self.ranking.number += 1;
            }
        }
    }

    pub(super) fn ask_references(&mut self) {
        if self.prober.uplink.wants_references() && self.options.references == Some(true) {
            self.after(REFERENCE_RTT, Event::ReferenceHeard);
        }
        self.after(REFERENCES_EVERY, Event::References);
    }
}
