//! What the prober makes of requests' outcomes. Modelled after the proxy's `probe::outcomes`.

use steer::health::{
    Accrual, Event as Happened, Excess, Guard, Judgement, OriginHealth, Other, Slowness, Surroundings,
    is_common, may_eject,
};
use steer::signals::Health;
use steer::{Moment, Span};

use super::prober::{Failure, Kept};
use super::sim::{Event, Sim};
use super::workers::Counts;

const BUSY: Span = Span::from_millis(10);
const IDLE: Span = Span::from_millis(100);

impl Sim {
    /// Takes in what workers have counted.
    pub(super) fn look(&mut self) {
        let (mut is_busy, mut heard, mut slow, mut doubted) = (false, None, Vec::new(), Vec::new());
        for placement in 0..self.prober.kept.len() {
            let (answered, is_slow) = self.take_answers(placement);
            if is_slow {
                slow.push(placement);
            }
            let origins = self.table.placements[placement].origins.clone();
            if answered > 0 {
                heard = heard.max(origins.clone().filter_map(|origin| self.last_served(origin)).max());
                doubted.extend(origins.filter(|origin| self.board.origins[*origin] == OriginHealth::Suspect));
            }
            let kept = &self.prober.kept[placement];
            is_busy |= answered > 0 || kept.accrual.is_watching() || kept.slowness.is_watching();
        }
        for origin in doubted {
            if let Some(at) = self.last_served(origin) {
                self.happened(origin, Happened::Served { at }, Surroundings::default());
            }
        }
        for placement in slow {
            self.judge_slow(placement);
        }
        self.show_excesses();
        if let Some(at) = heard {
            self.heard_at(at);
        }
        self.after(if is_busy { BUSY } else { IDLE }, Event::Look);
    }

    /// How many attempts were answered well since the last time, and whether that shows the placement to be slow.
    fn take_answers(&mut self, placement: usize) -> (u64, bool) {
        let of = |worker: &super::workers::Worker| worker.placements[placement].counts;
        let counts = self.workers.iter().map(of).fold(Counts::default(), Counts::plus);
        let kept = &mut self.prober.kept[placement];
        let new = counts.since(kept.counted);
        kept.counted = counts;
        if new.answered > 0 {
            kept.accrual.answered(new.answered, self.now);
        }
        if !kept.accrual.is_watching() {
            kept.guarded = None;
        }
        (new.answered, kept.slowness.answered(new.judged, new.slow, new.excess_us, self.now))
    }

    /// An attempt failed. Whether that accuses its placement, so that a burst of probes should settle it.
    pub(super) fn accrue(&mut self, failure: &Failure) -> bool {
        let placement = self.placement_of(failure.origin);
        let (_, is_slow) = self.take_answers(placement);
        let now = self.now;
        let is_trusted = self.board.origins[failure.origin].is_trusted();
        let kept = &mut self.prober.kept[placement];
        let judged = if is_trusted && kept.observed.is_usable() && kept.accused.is_none() {
            kept.accrual.failed(failure.client, 1, failure.began, now)
        } else {
            Judgement::Ignored
        };
        if is_slow {
            self.judge_slow(placement);
        }
        let guard = match judged {
            Judgement::Ignored | Judgement::Counted => return false,
            Judgement::TooFewClients(_) => Err(Guard::Clients),
            Judgement::Proved(_) => {
                let others = self.others(placement, |other| other.accrual.failing_share(now));
                may_eject(&others, Accrual::least_proved_share())
            }
        };
        let kept = &mut self.prober.kept[placement];
        kept.guarded = guard.err();
        if guard.is_err() {
            return false;
        }
        let observed = kept.machine.accuse();
        self.publish(placement, observed);
        self.prober.kept[placement].accused = Some(now);
        true
    }

    /// A probe that was sent at `sent` was answered in time: who was accused before that does live, and fails.
    pub(super) fn settle(&mut self, placement: usize, sent: Moment) {
        let kept = &mut self.prober.kept[placement];
        if kept.accused.take_if(|accused| *accused <= sent).is_some() {
            let observed = kept.machine.eject(self.now);
            self.publish(placement, observed);
        }
    }

    /// A placement's answers have become late.
    fn judge_slow(&mut self, placement: usize) {
        let now = self.now;
        let others = self.others(placement, |other| other.slowness.slow_share(now));
        if is_common(&others, Slowness::least_proved_share()) {
            self.prober.kept.iter_mut().for_each(|kept| kept.slowness.forgive());
        } else if !others.iter().any(|other| other.is_eligible && other.is_usable) {
            self.prober.kept[placement].slowness.forgive();
        } else {
            self.prober.kept[placement].slowness.hold(now);
        }
    }

    fn others(&self, placement: usize, bad_share: impl Fn(&Kept) -> Option<f64>) -> Vec<Other> {
        let kept = self.prober.kept.iter().enumerate().filter(|(other, _)| *other != placement);
        kept.map(|(_, kept)| Other {
            is_eligible: true,
            is_usable: kept.observed.is_usable()
                && matches!(kept.observed.health, Health::Up | Health::Recovering),
            is_ejected: kept.accused.is_some() || kept.machine.is_ejected(self.now),
            bad_share: bad_share(kept),
        })
        .collect()
    }

    /// Publishes what placements cost more, if that has changed.
    pub(super) fn show_excesses(&mut self) {
        let mut changed = false;
        for kept in &mut self.prober.kept {
            let excess = kept.slowness.excess();
            changed |= std::mem::replace(&mut kept.excess, excess) != excess;
        }
        if changed {
            self.ranking.excesses = self.prober.kept.iter().map(|kept| kept.excess).collect();
            if self.ranking.excesses.iter().all(|excess| *excess == Excess::default()) {
                self.ranking.excesses.clear();
            }
        }
    }
}
