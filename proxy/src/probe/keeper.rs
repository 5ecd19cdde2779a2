//! Keeps what the prober learns, by name, so that a publish forgets nothing but what it drops: the health of placements, the
//! latency of origins, what is to be thought of this PoP's uplink and of the prober's own punctuality.

use std::cell::RefCell;
use std::sync::Arc;

use control::clock::Clock;
use control::events::{Happened, UplinkEvent};
use control::publisher::Publisher;
use control::snapshot::Snapshot;
use control::vitals::{OriginKey, OriginVitals, PlacementKey};
use steer::health::{Event, Lateness, Silence, Surroundings, Uplink};
use steer::{Moment, Span};

use super::ask::{How, Problem};
use super::latencies::{Latencies, Took};
use super::outcomes::{is_refusal, told};
use super::placements::Placements;
use super::series::ProbeSeries;
use crate::worker::Failure;

pub(super) struct Keeper {
    publisher: Arc<Publisher>,
    series: Arc<ProbeSeries>,
    inner: RefCell<Inner>,
}

struct Inner {
    placements: Placements,
    latencies: Latencies,
    uplink: Uplink,
    lateness: Lateness,
}

impl Inner {
    fn around(&self) -> Surroundings {
        Surroundings { is_last: false, patience: self.lateness.patience(), heard: self.uplink.last_heard() }
    }
}

/// How a probe ended: positions in [`super::PROBE_RESULTS`].
const OK: usize = 0;
const BAD_ANSWER: usize = 1;
const LOST: usize = 2;
const DISCARDED: usize = 3;

impl Keeper {
    pub(super) fn new(publisher: Arc<Publisher>, series: Arc<ProbeSeries>, seed: u64) -> Self {
        let inner = Inner {
            placements: Placements::new(publisher.clone(), series.clone(), seed),
            latencies: Latencies::default(),
            uplink: Uplink::default(),
            lateness: Lateness::default(),
        };
        Self { publisher, series, inner: RefCell::new(inner) }
    }

    pub(super) fn clock(&self) -> Clock {
        *self.publisher.clock()
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.publisher.snapshot()
    }

    /// Fits what is kept to the current table.
    pub(super) fn reconcile(&self) {
        let snapshot = self.snapshot();
        let inner = &mut *self.inner.borrow_mut();
        inner.placements.reconcile(&snapshot);
        inner.latencies.reconcile(&snapshot);
    }

    /// How long a probe of an origin may take.
    pub(super) fn probe_timeout(&self, key: &OriginKey) -> Span {
        let inner = self.inner.borrow();
        let usual = inner.latencies.probe_timeout(key);
        Span::from_nanos(usual.as_nanos().saturating_mul(inner.lateness.patience().into()))
    }

    /// Whether a placement is to be probed at its pool's interval.
    pub(super) fn is_in_demand(&self, key: &PlacementKey) -> bool {
        self.inner.borrow().placements.kept.get(key).is_none_or(|kept| kept.is_in_demand)
    }

    /// A timer of the prober's came late by so much.
    pub(super) fn woke(&self, late: Span, interval: Span) {
        self.series.late(late.as_secs_f64());
        let now = self.clock().now();
        self.inner.borrow_mut().lateness.woke(late, interval, now);
    }

    /// A probe was answered well.
    pub(super) fn answered(&self, origin: &OriginVitals, took: Took) {
        self.probed(origin, took, false);
    }

    /// A probe was answered well, after it had been given up.
    pub(super) fn answered_late(&self, origin: &OriginVitals, took: Took) {
        self.probed(origin, took, true);
    }

    fn probed(&self, origin: &OriginVitals, took: Took, was_late: bool) {
        let now = self.clock().now();
        origin.probed(now);
        self.heard_at(now, now);
        let has_shifted = {
            let inner = &mut *self.inner.borrow_mut();
            let event = if was_late {
                Event::ProbeLate
            } else {
                self.series.probe(&origin.key.placement.region, OK);
                Event::ProbeOk
            };
            let cause = if was_late { "a probe was answered late" } else { "probes are answered" };
            let around = inner.around();
            inner.placements.happened(&origin.key, event, around, now, cause);
            if !was_late {
                inner.placements.settle(&origin.key.placement, now - took.span(), now);
            }
            inner.latencies.add(&origin.key, took, was_late, now)
        };
        if has_shifted {
            tracing::info!(origin = %origin.key.address, region = %origin.key.placement.region, "the way there has become longer");
            self.rank();
        }
    }

    /// Nobody can say how a probe ended.
    pub(super) fn discarded(&self, origin: &OriginVitals) {
        self.series.probe(&origin.key.placement.region, DISCARDED);
    }

    /// A probe was answered badly or not at all. Whether the origin has just become suspect, so that a burst should settle it.
    pub(super) fn lost(
        &self,
        origin: &OriginVitals,
        problem: &Problem,
        sent: Moment,
        connection: u64,
    ) -> bool {
        let now = self.clock().now();
        let result = if problem.how == How::Answered { BAD_ANSWER } else { LOST };
        self.series.probe(&origin.key.placement.region, result);
        tracing::debug!(
            region = origin.key.placement.region,
            origin = origin.key.address,
            problem = problem.what,
            "probe lost"
        );
        origin.erred(format!("probe: {}", problem.what), now);
        if problem.how != How::Silence {
            self.heard_at(now, now);
        }
        let inner = &mut *self.inner.borrow_mut();
        if problem.how == How::Silence {
            inner.uplink.unanswered(sent);
        }
        let around = inner.around();
        let Inner { placements, uplink, .. } = inner;
        if uplink.excuses(sent) {
            return false;
        }
        let cause = match problem.how {
            How::Silence => format!("probes lost: {}", problem.what),
            How::Refused => format!("connections refused: {}", problem.what),
            How::Answered => format!("bad answers to probes: {}", problem.what),
        };
        // Whoever serves is not silent.
        if let Some(at) = origin.last_served() {
            let cause = "a request was answered";
            placements.happened(&origin.key, Event::Served { at }, around, now, cause);
        }
        let event = Event::ProbeLost { sent, connection };
        placements.happened(&origin.key, event, around, now, &cause)
    }

    /// An attempt of a request failed. The origin, if a burst of probes should settle what is wrong.
    pub(super) fn failed(&self, failure: &Failure) -> Option<OriginKey> {
        let now = self.clock().now();
        failure.origin.erred(told(failure.kind).to_owned(), now);
        let inner = &mut *self.inner.borrow_mut();
        if inner.uplink.excuses(failure.began) {
            return None;
        }
        let around = inner.around();
        let placements = &mut inner.placements;
        let key = &failure.origin.key;
        let is_accused = placements.failed(failure, now);
        placements.show_excesses();
        if !is_refusal(failure.kind) {
            return is_accused.then(|| key.clone());
        }
        let event = Event::Refused { connection: failure.connection };
        let cause = told(failure.kind);
        let is_suspect = placements.happened(key, event, around, now, cause);
        (is_suspect || is_accused).then(|| key.clone())
    }

    /// Takes in what workers have counted. Whether to do so again soon.
    pub(super) fn take_answers(&self) -> bool {
        let now = self.clock().now();
        let taken = self.inner.borrow_mut().placements.take_answers(now);
        if let Some(at) = taken.heard {
            self.heard_at(at, now);
        }
        taken.is_busy
    }

    /// Something answered that has nothing to do with origins.
    pub(super) fn heard(&self) {
        let now = self.clock().now();
        self.heard_at(now, now);
    }

    fn heard_at(&self, at: Moment, now: Moment) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.uplink.heard(at) {
            inner.latencies.resume(now);
            self.publisher.uplink().set_silent_since(None);
            tracing::info!("the uplink is back");
            self.publisher.events().add(&Happened::Uplink(UplinkEvent { suspected: false }));
        }
    }

    pub(super) fn wants_references(&self) -> bool {
        self.inner.borrow().uplink.wants_references()
    }

    /// Lets time pass. What is to be done about a silence, and whose probing has become urgent.
    pub(super) fn tick(&self) -> (Silence, Vec<PlacementKey>) {
        let now = self.clock().now();
        let inner = &mut *self.inner.borrow_mut();
        let Inner { placements, uplink, .. } = inner;
        let silence = uplink.tick(now);
        if silence == Silence::Suspected {
            let since = uplink.silent_since().unwrap_or(now);
            self.publisher.uplink().set_silent_since(Some(since));
            tracing::warn!("nothing answers at all: the uplink is suspected, and nobody's health changes");
            self.publisher.events().add(&Happened::Uplink(UplinkEvent { suspected: true }));
            placements.doubt(since, now);
        }
        placements.tick(now, uplink.is_suspected());
        placements.show_excesses();
        (silence, placements.look_for_demand(now))
    }

    /// Whether every placement was heard of or has proved silent.
    pub(super) fn is_first_round_over(&self) -> bool {
        let inner = self.inner.borrow();
        // An edge that hears nothing at all will not learn more by waiting.
        inner.placements.is_first_round_over() || inner.uplink.is_suspected()
    }

    /// Advances the ranking.
    pub(super) fn rank(&self) {
        let now = self.clock().now();
        let inner = &mut *self.inner.borrow_mut();
        if !inner.uplink.is_suspected() {
            inner.latencies.rank(&self.publisher, now);
        }
    }
}
