//! Do attempts at a placement fail more often than they should? Errors accrue, from all workers together.
//!
//! Probes ask one page over a few connections; a placement may answer them and fail a fifth of all requests. Attempts that end
//! badly (a gateway's error status, no answer in time, a connection that broke, an answer that broke off) are bad outcomes of a
//! [`Cusum`] with `q0` = 1 % and `q1` = 20 %. A placement that fails fewer than 6.6 % is never given up: retries mask that.
//!
//! What is not counted:
//! - **Failures of an origin that is suspect or down already.** Silence and refused connections are the probe rule's: it proves
//!   them faster than accrual could, and a placement that fell that way returns when it answers, without an ejection to sit
//!   out. While the rule looks into a suspicion, failures say what is being proved anyway. A failed connection to an origin
//!   that is trusted counts, or a path on which one flow in five finds no way would never be given up: its probes are well.
//! - **More than one failure a second of one client network and route**: a client who sends poison is not a placement that
//!   fails. For the same reason a proof needs at least three client networks.
//! - **Failures that no client asked for**, such as a connection opened to have one.
//! - Whatever was sent before the placement last fell: connections left over from then cannot poison its return. The caller
//!   knows when that was ([`Accrual::forget`]).
//!
//! Whether a proof leads to an ejection is for [`super::may_eject`] to say.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use super::cusum::{Cusum, Recent, threshold};
use crate::moment::{Moment, Span};

/// The share of failures that is usual.
const USUAL: f64 = 0.01;
/// The share that is not.
const FAILING: f64 = 0.20;
/// A client network and route count once in this time.
const REPEATED_WITHIN: Span = Span::from_secs(1);
/// Client networks that must have seen failures.
const FEWEST_CLIENTS: usize = 3;
/// Client networks and routes that are remembered for a second. More failures than this in one are no poison.
const MAX_REMEMBERED: usize = 4096;

/// The outcomes of attempts at one placement.
#[derive(Clone, Debug)]
pub struct Accrual {
    cusum: Cusum,
    recent: Recent,
    /// Those of the recent outcomes that are newer than its last fall.
    since_fall: Recent,
    counted: BTreeMap<(u64, u64), Moment>,
    /// Since the sum was last at rest.
    clients: ArrayVec<u64, FEWEST_CLIENTS>,
    evidence: Evidence,
    valid_since: Moment,
}

/// What a proof rests on: failures among outcomes since all was well.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Evidence {
    /// Failures that counted.
    pub failures: u64,
    /// All outcomes, those failures included.
    pub outcomes: u64,
}

/// What a failure comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// It does not count.
    Ignored,
    /// It counts, and proves nothing yet.
    Counted,
    /// It would prove that the placement fails, had more clients seen it.
    TooFewClients(Evidence),
    /// The placement fails.
    Proved(Evidence),
}

impl Default for Accrual {
    fn default() -> Self {
        Self {
            cusum: Cusum::between(USUAL, FAILING),
            recent: Recent::default(),
            since_fall: Recent::default(),
            counted: BTreeMap::new(),
            clients: ArrayVec::new(),
            evidence: Evidence::default(),
            valid_since: Moment::default(),
        }
    }
}

impl Accrual {
    /// The share of failures above which they prove something in the end.
    #[must_use]
    pub fn least_proved_share() -> f64 {
        Cusum::between(USUAL, FAILING).least_proved_share()
    }

    /// So many attempts were answered well since the last outcome.
    pub fn answered(&mut self, count: u64, now: Moment) {
        self.recent.add(count, 0, now);
        self.since_fall.add(count, 0, now);
        self.cusum.add(count, 0);
        self.evidence.outcomes = self.evidence.outcomes.saturating_add(count);
        if self.cusum.is_at_rest() {
            self.rest();
        }
    }

    /// An attempt failed that began at `began`, for a client's network and a route.
    pub fn failed(&mut self, client: u64, route: u64, began: Moment, now: Moment) -> Judgement {
        if client == 0 || began < self.valid_since || self.is_repeated(client, route, now) {
            return Judgement::Ignored;
        }
        self.recent.add(0, 1, now);
        self.since_fall.add(0, 1, now);
        self.cusum.add(0, 1);
        self.evidence.failures = self.evidence.failures.saturating_add(1);
        self.evidence.outcomes = self.evidence.outcomes.saturating_add(1);
        if !self.clients.contains(&client) {
            // Full is enough.
            let _ = self.clients.try_push(client);
        }
        let h = threshold(self.recent.per_second(now));
        if self.cusum.sum() < h {
            return Judgement::Counted;
        }
        self.cusum.cap(h);
        if self.clients.is_full() {
            Judgement::Proved(self.evidence)
        } else {
            Judgement::TooFewClients(self.evidence)
        }
    }

    /// Whether failures have been looked at lately that are not yet outweighed.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        !self.cusum.is_at_rest()
    }

    /// Whether all is well enough for a ramp to go on.
    #[must_use]
    pub fn is_calm(&self, now: Moment) -> bool {
        self.cusum.sum() < threshold(self.recent.per_second(now)) / 3.0
    }

    /// The share of recent attempts that failed; `None` where too few are recent, or since it fell.
    #[must_use]
    pub fn failing_share(&self, now: Moment) -> Option<f64> {
        self.since_fall.bad_share(now)
    }

    /// Attempts a second, lately.
    #[must_use]
    pub fn per_second(&self, now: Moment) -> f64 {
        self.recent.per_second(now)
    }

    /// The placement fell at `now`: what was sent before says nothing of its return, nor of whether it fails as others do. Most
    /// of what is recent then is from before it began to fail.
    pub fn forget(&mut self, now: Moment) {
        self.rest();
        self.since_fall = Recent::default();
        self.valid_since = now;
    }

    fn rest(&mut self) {
        self.cusum.rest();
        self.clients.clear();
        self.evidence = Evidence::default();
    }

    fn is_repeated(&mut self, client: u64, route: u64, now: Moment) -> bool {
        if self.counted.len() >= MAX_REMEMBERED {
            self.counted.retain(|_, at| now.since(*at) < REPEATED_WITHIN);
        }
        match self.counted.get_mut(&(client, route)) {
            Some(at) if now.since(*at) < REPEATED_WITHIN => true,
            Some(at) => {
                *at = now;
                false
            }
            None => {
                if self.counted.len() < MAX_REMEMBERED {
                    self.counted.insert((client, route), now);
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Rng;

    const SECOND: u64 = 1_000_000_000;

    /// `rate` attempts a second for `seconds`, of which a share fails, from `networks` clients. When it was proved.
    fn proved(seed: u64, rate: u64, seconds: u64, share: f64, networks: u32) -> Option<(u64, Evidence)> {
        let (mut rng, mut accrual) = (Rng::new(seed), Accrual::default());
        for attempt in 0..rate * seconds {
            let now = Moment::from_nanos(attempt * SECOND / rate);
            if f64::from(rng.below(1 << 30)) >= share * f64::from(1 << 30) {
                accrual.answered(1, now);
                continue;
            }
            let client = u64::from(rng.below(networks)) + 1;
            if let Judgement::Proved(evidence) = accrual.failed(client, 1, now, now) {
                return Some((attempt, evidence));
            }
        }
        None
    }

    #[test]
    fn a_fifth_failing_is_proved_in_a_fraction_of_a_second_of_traffic() {
        for seed in 0..200 {
            let (attempts, evidence) = proved(seed, 500, 60, 0.2, 5000).unwrap();
            assert!(attempts < 200, "seed {seed}: {attempts}, {evidence:?}");
            assert!(evidence.failures >= 5 && evidence.outcomes >= evidence.failures);
        }
    }

    #[test]
    fn what_went_well_before_a_fall_is_no_share_of_what_follows() {
        let mut accrual = Accrual::default();
        let mut now = Moment::default();
        for millis in 0..10_000 {
            now = Moment::from_millis(millis);
            accrual.answered(1, now);
        }
        for client in 1..10 {
            let _ = accrual.failed(client, 1, now, now);
        }
        assert!(accrual.failing_share(now).is_some_and(|share| share < 0.01));
        accrual.forget(now);
        assert_eq!(accrual.failing_share(now), None);
        assert!(accrual.per_second(now) > 900.0, "how much it serves is not forgotten");
    }

    #[test]
    fn usual_failures_prove_nothing() {
        for seed in 0..4 {
            assert_eq!(proved(seed, 500, 3600, 0.01, 100_000), None, "seed {seed}");
        }
    }

    #[test]
    fn one_client_proves_nothing_and_neither_do_two() {
        assert_eq!(proved(1, 500, 60, 1.0, 1), None);
        assert_eq!(proved(1, 500, 60, 1.0, 2), None);
        assert!(proved(1, 500, 60, 1.0, 3).is_some());
    }

    #[test]
    fn a_client_who_sends_poison_is_outweighed() {
        let mut accrual = Accrual::default();
        for millis in 0..60_000 {
            let now = Moment::from_millis(millis);
            // Three of them, fifty times a second each, among two hundred good ones.
            if millis % 5 == 0 {
                accrual.answered(1, now);
            }
            if millis % 20 < 3 {
                let judged = accrual.failed(1 + millis % 3, 1, now, now);
                assert!(matches!(judged, Judgement::Ignored | Judgement::Counted), "{millis} ms: {judged:?}");
            }
        }
    }

    #[test]
    fn what_was_sent_before_a_fall_says_nothing_after_it() {
        let mut accrual = Accrual::default();
        let (sent, fell) = (Moment::from_millis(1000), Moment::from_millis(2000));
        accrual.forget(fell);
        for client in 1..100 {
            assert_eq!(
                accrual.failed(client, 1, sent, Moment::from_millis(30_000)),
                Judgement::Ignored,
                "{client}"
            );
        }
        assert!(!accrual.is_watching());
    }

    #[test]
    fn what_nobody_asked_for_does_not_count() {
        let mut accrual = Accrual::default();
        let now = Moment::from_millis(1000);
        assert_eq!(accrual.failed(0, 0, now, now), Judgement::Ignored);
    }

    #[test]
    fn good_answers_calm() {
        let mut accrual = Accrual::default();
        let mut now = Moment::from_millis(1000);
        for client in 1..=4 {
            now = now + Span::from_millis(1);
            accrual.failed(client, 1, now, now);
        }
        assert!(accrual.is_watching() && !accrual.is_calm(now));
        accrual.answered(60, now);
        assert!(!accrual.is_watching() && accrual.is_calm(now));
    }
}
