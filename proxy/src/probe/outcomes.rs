//! What workers tell of requests: good answers that they count, failures that they report. Taken in here for all workers
//! together, and judged.

use control::snapshot::Snapshot;
use control::vitals::PlacementKey;
use steer::Moment;
use steer::effective::Standing;
use steer::health::{
    Accrual, Event, Excess, Guard, Judgement, OriginHealth, Other, Slowness, Surroundings, is_common,
    may_eject,
};
use steer::ids::PlacementId;
use steer::spec::State;

use super::placements::{Kept, Placements};
use super::series::Trip;
use crate::worker::{Failure, FailureKind};

/// What taking in the workers' counts has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// The last answer of any origin, if there was one since the last time.
    pub(super) heard: Option<Moment>,
    /// Whether to look again soon.
    pub(super) is_busy: bool,
}

impl Placements {
    /// Takes in what was answered since the last time.
    pub(super) fn take_answers(&mut self, now: Moment) -> Taken {
        let mut taken = Taken::default();
        let mut slow = Vec::new();
        let mut doubted = Vec::new();
        for (key, kept) in &mut self.kept {
            let (answered, is_slow) = kept.take_answers(now);
            if is_slow {
                slow.push(key.clone());
            }
            if answered > 0 {
                let last = kept.origins.iter().filter_map(|origin| origin.last_served()).max();
                taken.heard = taken.heard.max(last);
                let is_suspect = |origin: &steer::health::Origin| origin.health() == OriginHealth::Suspect;
                let suspects = kept.origins.iter().zip(kept.machine.origins());
                doubted.extend(
                    suspects.filter(|(_, origin)| is_suspect(origin)).map(|(vitals, _)| vitals.clone()),
                );
            }
            taken.is_busy |= answered > 0 || kept.accrual.is_watching() || kept.slowness.is_watching();
        }
        // Whoever serves is not silent.
        for origin in doubted {
            if let Some(at) = origin.last_served() {
                let around = Surroundings::default();
                self.happened(&origin.key, Event::Served { at }, around, now, "a request was answered");
            }
        }
        for key in slow {
            self.judge_slow(&key, now);
        }
        self.show_excesses();
        taken
    }

    /// An attempt failed. Whether that accuses its placement, so that a burst of probes should settle it.
    pub(super) fn failed(&mut self, failure: &Failure, now: Moment) -> bool {
        let key = &failure.origin.key;
        let Some(kept) = self.kept.get_mut(&key.placement) else { return false };
        let Some(at) = kept.position(key) else { return false };
        // The good answers before it come first.
        let (_, is_slow) = kept.take_answers(now);
        let is_trusted = kept.machine.origins()[at].health().is_trusted();
        let judged = if is_trusted && kept.observed.is_usable() && kept.accused.is_none() {
            kept.accrual.failed(failure.client, failure.route, failure.began, now)
        } else {
            Judgement::Ignored
        };
        if is_slow {
            self.judge_slow(&key.placement, now);
        }
        let evidence = match judged {
            Judgement::Ignored | Judgement::Counted => return false,
            Judgement::TooFewClients(_) => {
                self.prevented(&key.placement, Guard::Clients);
                return false;
            }
            Judgement::Proved(evidence) => evidence,
        };
        let others = self.others(&key.placement, |other| other.accrual.failing_share(now), now);
        if let Err(guard) = may_eject(&others, Accrual::least_proved_share()) {
            self.prevented(&key.placement, guard);
            return false;
        }
        self.series.trip(&key.placement, Trip::Errors);
        let cause = format!("error accrual: {} of {} attempts failed", evidence.failures, evidence.outcomes);
        if let Some(kept) = self.kept.get_mut(&key.placement) {
            kept.guarded = None;
            let observed = kept.machine.accuse();
            self.publish(&key.placement, observed, now, &cause);
            if let Some(kept) = self.kept.get_mut(&key.placement) {
                kept.accused = Some((now, cause));
            }
        }
        true
    }

    /// A placement's answers have become late.
    fn judge_slow(&mut self, key: &PlacementKey, now: Moment) {
        let others = self.others(key, |other| other.slowness.slow_share(now), now);
        let Some(kept) = self.kept.get_mut(key) else { return };
        if is_common(&others, Slowness::least_proved_share()) {
            // It is the application, and no other region would be better: what was held against others is forgiven too.
            if !std::mem::replace(&mut kept.is_slow_like_all, true) {
                self.series.prevented(key, Guard::CommonMode);
                tracing::warn!(pool = %key.pool, region = %key.region, "answers are late in this pool's regions alike");
            }
            for (_, kept) in self.kept.iter_mut().filter(|(other, _)| other.pool == key.pool) {
                kept.slowness.forgive();
            }
            return;
        }
        if !others.iter().any(|other| other.is_eligible && other.is_usable) {
            // There is nothing to choose; its counts start again.
            kept.slowness.forgive();
            return;
        }
        kept.is_slow_like_all = false;
        let was = kept.slowness.excess();
        kept.slowness.hold(now);
        let is = kept.slowness.excess();
        // While it is held already, that it still is slow is no news.
        if was.ms == 0 || was.spared > 0 {
            self.series.trip(key, Trip::Slowness);
            tracing::warn!(pool = %key.pool, region = %key.region, excess_ms = is.ms, "answers have become late");
        }
    }

    fn prevented(&mut self, key: &PlacementKey, guard: Guard) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        if kept.guarded.replace(guard) != Some(guard) {
            self.series.prevented(key, guard);
            let why = match guard {
                Guard::Clients => "fewer than three client networks have seen it",
                Guard::CommonMode => "the pool's other regions fail alike: the application is at fault",
                Guard::Cap => "half of the pool's regions are ejected already",
                Guard::Last => "no other region of the pool is healthy",
            };
            tracing::warn!(pool = %key.pool, region = %key.region, why, "many attempts fail, and the region stays in use");
        }
    }

    /// The other placements of a pool, as a judgement sees them.
    fn others(
        &self,
        key: &PlacementKey,
        bad_share: impl Fn(&Kept) -> Option<f64>,
        now: Moment,
    ) -> Vec<Other> {
        let snapshot = self.publisher.snapshot();
        let others = self.kept.iter().filter(|(other, _)| other.pool == key.pool && *other != key);
        let other = |(other, kept): (&PlacementKey, &Kept)| Other {
            is_eligible: standing(&snapshot, other).is_some_and(is_eligible),
            is_usable: kept.serves(),
            is_ejected: kept.accused.is_some() || kept.machine.is_ejected(now),
            bad_share: bad_share(kept),
        };
        others.map(other).collect()
    }

    /// Publishes what placements cost more, if that has changed.
    pub(super) fn show_excesses(&mut self) {
        let mut changed = false;
        for kept in self.kept.values_mut() {
            let excess = kept.slowness.excess();
            changed |= std::mem::replace(&mut kept.excess, excess) != excess;
        }
        if changed {
            let of = |key: &PlacementKey| self.kept.get(key).map_or_else(Excess::default, |kept| kept.excess);
            self.publisher.cost_more(of);
        }
    }
}

impl Kept {
    /// How many attempts were answered well since the last time, and whether that shows the placement to be slow.
    fn take_answers(&mut self, now: Moment) -> (u64, bool) {
        let counts = self.vitals.counts();
        let new = counts.since(self.counted);
        self.counted = counts;
        if new.answered > 0 {
            self.accrual.answered(new.answered, now);
        }
        if !self.accrual.is_watching() {
            self.guarded = None;
        }
        (new.answered, self.slowness.answered(new.judged, new.slow, new.excess_us, now))
    }
}

fn standing(snapshot: &Snapshot, key: &PlacementKey) -> Option<Standing> {
    let at = snapshot.vitals.placements.iter().position(|placement| placement.key == *key)?;
    Some(snapshot.effective.of_placement(PlacementId::new(at)?))
}

/// Whether operators let a placement take requests.
pub(super) fn is_eligible(standing: Standing) -> bool {
    standing.state <= State::Standby && standing.dial > 0
}

/// What a failure says of an origin, in words.
pub(super) const fn told(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Unreachable => "a request found no connection",
        FailureKind::Broken => "a new connection broke before it answered a request",
        FailureKind::Bad => "a request failed",
    }
}

/// Whether a failure is about connecting, which the probe rule goes after at once.
pub(super) const fn is_refusal(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Unreachable | FailureKind::Broken)
}
