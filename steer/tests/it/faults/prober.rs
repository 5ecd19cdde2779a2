//! What the prober of the simulated edge keeps: the real machines of `steer::health`, an estimate per origin, and what is to
//! be thought of its own punctuality and uplink. Modelled after the proxy's `probe`.

use std::collections::BTreeMap;

use steer::estimate::Estimate;
use steer::health::{Accrual, Excess, Guard, Lateness, Placement, Slowness, Surroundings, Uplink};
use steer::ranking::RegionState;
use steer::signals::Observed;
use steer::{Moment, Span, Table};

use super::dice::Dice;
use super::options::Options;
use super::questions::{Asked, Question};
use super::sim::Event;
use super::workers::Counts;

/// An attempt of a request failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) origin: usize,
    pub(super) kind: FailureKind,
    pub(super) connection: u64,
    pub(super) client: u64,
    pub(super) began: Moment,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FailureKind {
    /// No connection could be made.
    Unreachable,
    /// A connection that had just been made broke before an answer.
    Broken,
    /// It ended badly in another way.
    Bad,
}

pub(super) struct Prober {
    pub(super) kept: Vec<Kept>,
    pub(super) asked: Vec<Asked>,
    pub(super) questions: BTreeMap<u64, Question>,
    pub(super) questions_put: u64,
    pub(super) estimates: Vec<Estimate>,
    pub(super) regions: Vec<RegionState>,
    pub(super) uplink: Uplink,
    pub(super) lateness: Lateness,
    pub(super) dice: Dice,
    pauses: Pauses,
}

/// What is kept of a placement.
pub(super) struct Kept {
    pub(super) machine: Placement,
    pub(super) observed: Observed,
    pub(super) accrual: Accrual,
    pub(super) slowness: Slowness,
    pub(super) counted: Counts,
    pub(super) guarded: Option<Guard>,
    /// When it was accused; a probe sent after that settles it.
    pub(super) accused: Option<Moment>,
    pub(super) excess: Excess,
    pub(super) is_in_demand: bool,
}

impl Prober {
    pub(super) fn new(table: &Table, options: &Options, seed: u64) -> Self {
        let kept = table.placements.iter().map(|placement| Kept {
            machine: Placement::new(placement.origins.len(), options.ramp_delay),
            observed: Observed::UNKNOWN,
            accrual: Accrual::default(),
            slowness: Slowness::default(),
            counted: Counts::default(),
            guarded: None,
            accused: None,
            excess: Excess::default(),
            is_in_demand: true,
        });
        let origins = table.origins.len();
        Self {
            kept: kept.collect(),
            asked: (0..origins).map(|_| Asked::default()).collect(),
            questions: BTreeMap::new(),
            questions_put: 0,
            estimates: vec![Estimate::default(); origins],
            regions: vec![RegionState::default(); table.regions.len()],
            uplink: Uplink::default(),
            lateness: Lateness::default(),
            dice: Dice::new(seed, "prober"),
            pauses: Pauses::new(seed, options.pauses_an_hour),
        }
    }

    /// How long a probe of an origin may take.
    pub(super) fn patience(&self, origin: usize) -> Span {
        let usual = self.estimates[origin].probe_timeout();
        Span::from_nanos(usual.as_nanos() * u64::from(self.lateness.patience()))
    }

    /// What is around whatever happens.
    pub(super) fn around(&self) -> Surroundings {
        Surroundings { is_last: false, patience: self.lateness.patience(), heard: self.uplink.last_heard() }
    }

    pub(super) fn is_paused(&mut self, at: Moment) -> bool {
        self.pauses.is_in(at)
    }

    /// When something that came up in a pause happens. Timers come last: an event loop looks at its sockets before its clock, and
    /// a question at its answer before its timer.
    pub(super) fn pause_ends(&self, event: &Event) -> Moment {
        self.pauses.end + Span::from_nanos(u64::from(event.is_timer()))
    }
}

/// When the prober's thread gets no processor.
struct Pauses {
    dice: Dice,
    an_hour: f64,
    begin: Moment,
    end: Moment,
}

impl Pauses {
    fn new(seed: u64, an_hour: f64) -> Self {
        let mut pauses = Self {
            dice: Dice::new(seed, "pauses"),
            an_hour,
            begin: Moment::default(),
            end: Moment::default(),
        };
        pauses.next();
        pauses
    }

    fn is_in(&mut self, at: Moment) -> bool {
        while self.an_hour > 0.0 && at > self.end + Span::from_nanos(1) {
            self.next();
        }
        at >= self.begin && at < self.end
    }

    fn next(&mut self) {
        if self.an_hour > 0.0 {
            let apart = Span::from_millis_f64(self.dice.exponential(3_600_000.0 / self.an_hour));
            self.begin = self.end + apart;
            // Many short ones, some long ones.
            let ms = if self.dice.chance(0.9) {
                self.dice.between(1.0, 30.0)
            } else {
                self.dice.between(30.0, 300.0)
            };
            self.end = self.begin + Span::from_millis_f64(ms);
        }
    }
}
