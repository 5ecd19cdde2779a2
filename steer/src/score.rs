//! What a candidate costs, in milliseconds where the steering ranks by them.
//!
//! | steering | cost |
//! |---|---|
//! | `nearest` | `a*L + (1-a)*(E + rise) + excess + bias` |
//! | `latency` | `L + excess + bias` |
//! | `geo` | `E + excess + bias`, after the regions listed for the client's country or continent |
//! | `weighted` | the rank of a weighted rendezvous hash |
//! | `active-passive` | the position in the list |
//!
//! L is the published round trip from this PoP, E the round trip to expect between client and region by distance, rise how
//! far L is above its lowest of the last hour. `a` is [`Client::blend`]: a client who lives at this PoP is steered by what
//! was measured from it, one far away by his own distance, corrected when the path gets slower. `excess` is by how much the
//! placement's answers have become later than they used to be ([`crate::health::Slowness`]), nothing unless that is proved. Where one of L and E is
//! unknown the other stands alone.

use crate::client::Client;
use crate::decide::World;
use crate::draw::{Purpose, lot, unit};
use crate::effective::{DIAL_WHOLE, Effective, Standing};
use crate::geo::{BATCH, Point, expected_rtt_ms, slack_ms};
use crate::health::Excess;
use crate::ids::{LaneId, RegionId};
use crate::plan::{MAX_CANDIDATES, Plan, rounded};
use crate::ranking::Ranked;
use crate::spec::Steering;
use crate::table::{Candidate, Lane, Table};

/// The parts of a candidate's cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Great-circle distance from the client.
    pub km: Option<f64>,
    /// `a`: the say of the latency measured from this PoP, 0 to 1.
    pub blend: f64,
    /// L: the published round trip from this PoP.
    pub latency_ms: Option<f64>,
    /// E: the round trip to expect between client and region by distance.
    pub estimate_ms: Option<f64>,
    /// How far L is above its lowest of the last hour.
    pub rise_ms: f64,
    /// How much later than usual the placement's answers are, where that is proved.
    pub excess_ms: f64,
    /// What the operator added.
    pub bias_ms: f64,
    /// 0 for a region listed for the client's country, 1 for one listed for his continent, 2 for all others (`geo`).
    pub preference: u8,
    /// What the plan sorts by. In `weighted` and `active-passive` steering no milliseconds, but a rank.
    pub cost: f64,
}

/// The client and this PoP, as every candidate of a lane is seen.
pub(crate) struct View<'a> {
    steering: Steering,
    key: u64,
    /// Where the client is, if known.
    pub(crate) point: Option<Point>,
    blend: f64,
    slack_ms: f64,
    by_country: &'a [RegionId],
    by_continent: &'a [RegionId],
    regions: &'a [Ranked],
    excesses: &'a [Excess],
    /// The position among the candidates that a manual failback lane starts from.
    start: usize,
}

impl<'a> View<'a> {
    #[inline]
    pub(crate) fn of<S>(world: &World<'a, S>, id: LaneId, client: &Client) -> Self {
        let lane = world.table.lane(id);
        let spot = client.spot.as_ref();
        let incumbent = world.incumbents.get(id.index()).copied().flatten();
        let start =
            incumbent.and_then(|at| lane.candidates.iter().position(|candidate| candidate.region == at));
        Self {
            steering: lane.steering,
            key: client.key,
            point: spot.and_then(|spot| spot.point),
            blend: client.blend(),
            slack_ms: spot.map_or(0.0, |spot| slack_ms(spot.accuracy_km)),
            by_country: listed(&lane.countries, spot.and_then(|spot| spot.country)),
            by_continent: listed(&lane.continents, spot.and_then(|spot| spot.continent)),
            regions: &world.ranking.regions,
            excesses: &world.ranking.excesses,
            start: start.unwrap_or(0),
        }
    }

    /// The costs of a batch of candidates, of which the first is the `start`th of the lane; answers where the least is.
    #[inline]
    pub(crate) fn costs(
        &self,
        lane: &Lane,
        effective: &Effective,
        start: usize,
        batch: &[Candidate],
        costs: &mut [f32; BATCH],
    ) -> usize {
        let mut km = [0.0_f32; BATCH];
        if let Some(point) = &self.point {
            lane.points.km_from(point, start, &mut km);
        }
        // One loop per steering, so that each is only as long as its own formula.
        let (mut least, mut at) = (f32::INFINITY, 0);
        macro_rules! each {
            ($steering:expr) => {
                for ((index, candidate), (cost, km)) in (0..).zip(batch).zip(costs.iter_mut().zip(km)) {
                    let standing = effective.of_placement(candidate.placement);
                    let terms = self.terms_in($steering, start + index, candidate, standing, f64::from(km));
                    *cost = rounded(terms.cost);
                    if *cost < least {
                        (least, at) = (*cost, index);
                    }
                }
            };
        }
        match self.steering {
            Steering::Nearest => each!(Steering::Nearest),
            Steering::Latency => each!(Steering::Latency),
            Steering::Geo => each!(Steering::Geo),
            Steering::Weighted => each!(Steering::Weighted),
            Steering::ActivePassive => each!(Steering::ActivePassive),
        }
        at
    }

    /// The terms of the `index`th candidate, for somebody who wants to know why.
    pub(crate) fn terms(
        &self,
        table: &Table,
        index: usize,
        candidate: &Candidate,
        standing: Standing,
    ) -> Terms {
        let km = self.point.map_or(0.0, |point| point.km_to(&table.region(candidate.region).point));
        self.terms_in(self.steering, index, candidate, standing, km)
    }

    #[inline(always)]
    fn terms_in(
        &self,
        steering: Steering,
        index: usize,
        candidate: &Candidate,
        standing: Standing,
        km: f64,
    ) -> Terms {
        let ranked = self.regions.get(candidate.region.index()).copied().unwrap_or_default();
        let km = self.point.map(|_| km);
        let mut terms = Terms {
            km,
            blend: self.blend,
            latency_ms: ranked.latency_ms,
            estimate_ms: km.map(expected_rtt_ms),
            rise_ms: ranked.rise_ms,
            excess_ms: self.excess(candidate),
            bias_ms: candidate.bias_ms,
            preference: 0,
            cost: f64::INFINITY,
        };
        let cost = match steering {
            Steering::Nearest => blended(&terms) + terms.excess_ms + terms.bias_ms,
            Steering::Latency => terms.latency_ms.unwrap_or(f64::INFINITY) + terms.excess_ms + terms.bias_ms,
            Steering::Geo => {
                terms.preference = self.preference(candidate.region);
                terms.estimate_ms.unwrap_or(f64::INFINITY) + terms.excess_ms + terms.bias_ms
            }
            Steering::Weighted => share_rank(self.key, candidate, standing),
            Steering::ActivePassive => self.position(index),
        };
        // A cost that is no number must not win or shake the order: it counts as infinitely far.
        if cost > f64::MIN && cost < f64::MAX {
            terms.cost = cost;
        }
        terms
    }

    #[inline(always)]
    fn excess(&self, candidate: &Candidate) -> f64 {
        let excess = self.excesses.get(candidate.placement.index());
        excess.map_or(0.0, |excess| excess.ms_for(self.key, candidate.hash))
    }

    /// See [`Terms::preference`].
    #[inline]
    pub(crate) fn preference(&self, region: RegionId) -> u8 {
        if self.steering == Steering::Geo { self.listed(region) } else { 0 }
    }

    fn listed(&self, region: RegionId) -> u8 {
        if self.by_country.contains(&region) {
            0
        } else if self.by_country.is_empty() && self.by_continent.contains(&region) {
            1
        } else {
            2
        }
    }

    /// The listed order, starting at the incumbent: those before it come last.
    fn position(&self, index: usize) -> f64 {
        let behind = if index < self.start { MAX_CANDIDATES } else { 0 };
        (index + behind) as f64
    }

    /// The difference in cost that the client's place is too vague to tell.
    #[inline]
    pub(crate) fn slack(&self, steering: Steering) -> f64 {
        if matches!(steering, Steering::Nearest | Steering::Geo) { self.slack_ms } else { 0.0 }
    }

    /// Regions that the client's place cannot tell apart are ordered by latency: the fastest of them heads the plan.
    #[inline]
    pub(crate) fn settle_ties(&self, lane: &Lane, slack: f64, plan: &mut Plan) {
        if slack > 0.0 {
            plan.prefer(slack, |index| {
                let candidate = &lane.candidates[index];
                let latency = self.regions.get(candidate.region.index()).and_then(|ranked| ranked.latency_ms);
                latency.unwrap_or(f64::INFINITY) + self.excess(candidate)
            });
        }
    }
}

/// `a*L + (1-a)*(E + rise)`, or the one that is known.
#[inline(always)]
fn blended(terms: &Terms) -> f64 {
    match (terms.latency_ms, terms.estimate_ms) {
        (Some(latency), Some(estimate)) => {
            terms.blend * latency + (1.0 - terms.blend) * (estimate + terms.rise_ms)
        }
        (latency, estimate) => latency.or(estimate).unwrap_or(f64::INFINITY),
    }
}

/// Weighted rendezvous: the least `-ln(u)/w` wins, and region r is first for exactly w_r/sum(w) of the keys.
fn share_rank(key: u64, candidate: &Candidate, standing: Standing) -> f64 {
    let drawn = unit(lot(key, candidate.hash, Purpose::Share));
    -libm::log(drawn) * f64::from(DIAL_WHOLE) / f64::from(standing.dial)
}

#[inline]
fn listed<K: Ord + Copy>(lists: &[(K, Vec<RegionId>)], key: Option<K>) -> &[RegionId] {
    if lists.is_empty() {
        return &[];
    }
    let found = key.and_then(|key| lists.binary_search_by_key(&key, |(listed, _)| *listed).ok());
    found.map_or(&[], |found| &lists[found].1)
}
