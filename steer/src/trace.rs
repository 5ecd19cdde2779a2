//! Why every candidate was kept, rejected or ranked.
//!
//! The same code that decides on the hot path tells its reasons to a [`Recorder`]. On the hot path that is `()`, and the
//! calls vanish; `explain` passes a [`Trace`]. There is no second implementation that could disagree.

use crate::decide::Decision;
use crate::ids::PlacementId;
use crate::plan::Class;
use crate::score::Terms;
use crate::signals::Health;
use crate::table::{Candidate, Exclusion, Lane};

/// Learns about candidates as a decision looks at them.
pub trait Recorder {
    /// A candidate was judged. `terms` computes the parts of its cost, for a recorder that wants them.
    fn candidate(&mut self, candidate: &Candidate, verdict: Verdict, terms: impl FnOnce() -> Terms);
}

impl Recorder for () {
    #[inline(always)]
    fn candidate(&mut self, _: &Candidate, _: Verdict, _: impl FnOnce() -> Terms) {}
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may serve, and this is what it is.
    Usable(Class),
    /// Its state is `off`.
    Off,
    /// Its state is `drain`.
    Draining,
    /// Its weight is 0.
    WeightZero,
    /// It is `down`, `held`, or `recovering` and not taking traffic yet.
    Unhealthy(Health),
    /// An operator forced it `down`.
    ForcedDown,
    /// A drill makes it look dead to this key.
    Drilled,
    /// It has as many requests as it may.
    Full,
}

/// The full record of one decision.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Every candidate of the lane, in the lane's order.
    pub candidates: Vec<Judged>,
}

/// A candidate and what became of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The placement.
    pub placement: PlacementId,
    /// The parts of its cost.
    pub terms: Terms,
    /// What became of it.
    pub verdict: Verdict,
}

impl Recorder for Trace {
    fn candidate(&mut self, candidate: &Candidate, verdict: Verdict, terms: impl FnOnce() -> Terms) {
        self.candidates.push(Judged { placement: candidate.placement, terms: terms(), verdict });
    }
}

/// Why a placement of the pool is not the first of the plan.
#[derive(Clone, Debug, PartialEq)]
pub enum WhyNot {
    /// It is the first.
    Chosen,
    /// It can never serve this lane.
    Excluded(Exclusion),
    /// It cannot serve now.
    Rejected(Verdict),
    /// It could serve; another class comes first.
    Outclassed(Class),
    /// It could serve and is listed behind regions preferred for the client's country or continent.
    LessPreferred,
    /// It could serve and costs this much more; milliseconds in `nearest`, `latency` and `geo` steering.
    Costlier(f64),
    /// It could serve and costs no more; the client's place is too vague to tell, and the chosen one is faster.
    Tied,
}

impl Trace {
    /// Why each placement of the lane's pool is not chosen, candidates first.
    #[must_use]
    pub fn why_not(&self, lane: &Lane, decision: Option<&Decision>) -> Vec<(PlacementId, WhyNot)> {
        let first = decision.map(|decision| decision.first);
        let chosen = self.candidates.iter().find(|judged| Some(judged.placement) == first);
        let judged = self.candidates.iter().map(|judged| (judged.placement, judged.why_not(chosen)));
        let excluded = lane.excluded.iter().map(|(placement, why)| (*placement, WhyNot::Excluded(*why)));
        judged.chain(excluded).collect()
    }
}

impl Judged {
    fn why_not(&self, chosen: Option<&Self>) -> WhyNot {
        let Some(chosen) = chosen else {
            return WhyNot::Rejected(self.verdict);
        };
        if chosen.placement == self.placement {
            return WhyNot::Chosen;
        }
        match (self.verdict, chosen.verdict) {
            (Verdict::Usable(class), Verdict::Usable(best)) if class == best => {
                if self.terms.preference > chosen.terms.preference {
                    WhyNot::LessPreferred
                } else if self.terms.cost < chosen.terms.cost {
                    WhyNot::Tied
                } else {
                    WhyNot::Costlier(self.terms.cost - chosen.terms.cost)
                }
            }
            (Verdict::Usable(class), _) => WhyNot::Outclassed(class),
            (verdict, _) => WhyNot::Rejected(verdict),
        }
    }
}
