//! The published latency of each region, and when it may change.
//!
//! Ordering regions by a live average would reorder them whenever two are close. Here the *input* of the order has
//! hysteresis instead of the order itself: a region's published latency changes only when its estimate has differed from it
//! by more than max(5 ms, 10 %) for 10 s, and at most once in 60 s. Everything downstream is then a pure function of
//! published numbers, and everything that is not latency (health, weight, policy) takes effect at once. Two regions 40 and
//! 40±2 ms away with 1 % spikes of 60 ms change places 0.6 times an hour under this rule, 455 times without it.
//!
//! A region is measured by its probe targets; its estimate is the median over at most five of them, so that one slow origin
//! is not a slow region. Unmeasured, it has its prior: what the distance from this PoP suggests, or nothing where the PoP's
//! place is unknown. Fewer than three fresh samples blend the two, and a region whose probes have stopped slides back to its
//! prior within the hour. The first measurement is published at once, and for [`SETTLING`] after it hysteresis waits, so a
//! PoP does not start out with its priors frozen. A path that has become much slower is published at once too, as soon as that is
//! proved ([`Estimate::shifted_at`]); that it has become faster again waits its turn.
//!
//! What a placement's own slowness adds to its cost stands beside the latencies, since it is the placement's and not the
//! region's ([`Excess`]).
//!
//! [`tick`] is pure: the caller says what was measured and what time it is.

use crate::client::Pop;
use crate::estimate::{Estimate, MIN_SAMPLES};
use crate::geo::{Point, expected_rtt_ms};
use crate::health::Excess;
use crate::moment::{Moment, Span};

/// A published latency moves only on a difference above this.
pub const MIN_DIFFERENCE_MS: f64 = 5.0;
/// A published latency moves only on a difference above this share of it.
pub const MIN_DIFFERENCE_RATIO: f64 = 0.10;
/// How long the difference must last.
pub const HOLD: Span = Span::from_secs(10);
/// How long a published latency stays at least.
pub const DWELL: Span = Span::from_secs(60);
/// How long after its first sample a region's latency is published without hysteresis.
pub const SETTLING: Span = Span::from_secs(5);
/// The most probe targets that measure a region.
pub const MAX_TARGETS: usize = 5;

const MINUTE: Span = Span::from_secs(60);
const MINUTES: usize = 60;

/// One region's published latency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ranked {
    /// L: the round trip from this PoP. `None` where nothing was measured and the PoP's place is unknown.
    pub latency_ms: Option<f64>,
    /// How far L is above its lowest value of the last hour.
    pub rise_ms: f64,
    /// Whether L is a measurement; otherwise it is the prior.
    pub measured: bool,
}

/// The published latencies of all regions of a table, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// Counts changes; part of a decision's inputs.
    pub number: u64,
    /// Where this PoP stands.
    pub pop: Pop,
    /// Per region.
    pub regions: Vec<Ranked>,
    /// Per placement; those beyond the last have none.
    pub excesses: Vec<Excess>,
}

/// What is remembered of one region between ticks.
#[derive(Clone, Debug, Default)]
pub struct RegionState {
    published: Ranked,
    published_at: Moment,
    first_measured: Option<Moment>,
    differs_since: Option<Moment>,
    /// Lowest published L of each of the last 60 minutes, by minute number modulo 60; infinite where there was none.
    minima: Vec<(u64, f64)>,
}

impl RegionState {
    /// What is published now.
    #[must_use]
    pub fn published(&self) -> Ranked {
        self.published
    }
}

/// Advances one region to `now` and says what is published from now on.
///
/// `targets` are the estimates of the region's probe targets, in a stable order; `point` is the region's place.
pub fn tick<'e>(
    state: &mut RegionState,
    pop: &Pop,
    point: &Point,
    targets: impl Iterator<Item = &'e Estimate> + Clone,
    now: Moment,
) -> Ranked {
    let prior = pop.point.map(|pop| expected_rtt_ms(pop.km_to(point)));
    let published_at = state.published_at;
    let has_shifted =
        targets.clone().filter_map(Estimate::shifted_at).any(|shifted_at| shifted_at > published_at);
    let measured = median(targets, now);
    if measured.is_some() && state.first_measured.is_none() {
        state.first_measured = Some(now);
    }
    let estimate = match (measured, prior) {
        (Some((ms, certainty)), Some(prior)) if certainty < MIN_SAMPLES => {
            Some((ms * certainty + prior * (MIN_SAMPLES - certainty)) / MIN_SAMPLES)
        }
        (Some((ms, _)), _) => Some(ms),
        (None, prior) => prior,
    };
    let is_measured = measured.is_some_and(|(_, certainty)| certainty >= MIN_SAMPLES - 0.5);
    if state.should_publish(estimate, is_measured, has_shifted, now) {
        state.published = Ranked { latency_ms: estimate, rise_ms: 0.0, measured: is_measured };
        state.published_at = now;
        state.differs_since = None;
    }
    state.published.measured = is_measured;
    state.published.rise_ms = state.rise(now);
    state.published
}

impl RegionState {
    fn should_publish(
        &mut self,
        estimate: Option<f64>,
        is_measured: bool,
        has_shifted: bool,
        now: Moment,
    ) -> bool {
        let (Some(estimate), Some(published)) = (estimate, self.published.latency_ms) else {
            return estimate.is_some() != self.published.latency_ms.is_some();
        };
        let settling = self.first_measured.is_some_and(|first| now.since(first) <= SETTLING);
        if settling || (is_measured && !self.published.measured) {
            return estimate != published;
        }
        let differs = (estimate - published).abs() > MIN_DIFFERENCE_MS.max(MIN_DIFFERENCE_RATIO * published);
        if !differs {
            self.differs_since = None;
            return false;
        }
        if has_shifted && estimate > published {
            return true;
        }
        let held = now.since(*self.differs_since.get_or_insert(now)) >= HOLD;
        // What was published while settling was a first look and need not stay its minute.
        let first_look = self.first_measured.is_some_and(|first| self.published_at <= first + SETTLING);
        held && (first_look || now.since(self.published_at) >= DWELL)
    }

    fn rise(&mut self, now: Moment) -> f64 {
        let Some(latency) = self.published.latency_ms.filter(|_| self.published.measured) else {
            return 0.0;
        };
        let minute = now.as_nanos() / MINUTE.as_nanos();
        let slot = (minute % MINUTES as u64) as usize;
        self.minima.resize(MINUTES, (0, f64::INFINITY));
        let (of, lowest) = &mut self.minima[slot];
        *lowest = if *of == minute { lowest.min(latency) } else { latency };
        *of = minute;
        let fresh = self.minima.iter().filter(|(of, _)| minute - of < MINUTES as u64);
        let lowest = fresh.map(|(_, lowest)| *lowest).fold(f64::INFINITY, f64::min);
        (latency - lowest).max(0.0)
    }
}

/// The median of the slow averages of the first [`MAX_TARGETS`] measured targets, and the greatest certainty among them.
fn median<'e>(targets: impl Iterator<Item = &'e Estimate>, now: Moment) -> Option<(f64, f64)> {
    let mut slow: Vec<f64> = Vec::with_capacity(MAX_TARGETS);
    let mut certainty: f64 = 0.0;
    for target in targets.filter(|target| target.slow_ms().is_some()).take(MAX_TARGETS) {
        slow.extend(target.slow_ms());
        certainty = certainty.max(target.certainty(now));
    }
    slow.sort_by(f64::total_cmp);
    slow.get((slow.len().max(1) - 1) / 2).map(|median| (*median, certainty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Place;

    const FRANKFURT: Place = Place { latitude: 50.11, longitude: 8.68 };
    const DUBLIN: Place = Place { latitude: 53.35, longitude: -6.26 };

    struct Region {
        state: RegionState,
        estimate: Estimate,
        pop: Pop,
        now: u64,
    }

    impl Region {
        fn new(pop: Option<Place>) -> Self {
            let pop = Pop { point: pop.map(Point::of), country: None };
            Self { state: RegionState::default(), estimate: Estimate::default(), pop, now: 0 }
        }

        /// One second with ten samples of `ms`.
        fn second(&mut self, ms: Option<f64>) -> Ranked {
            self.second_of(|| ms)
        }

        fn second_of(&mut self, mut ms: impl FnMut() -> Option<f64>) -> Ranked {
            for step in 0..10 {
                if let Some(ms) = ms() {
                    self.estimate.add(ms, Moment::from_millis(self.now * 1000 + step * 100));
                }
            }
            self.now += 1;
            let now = Moment::from_millis(self.now * 1000);
            tick(&mut self.state, &self.pop, &Point::of(DUBLIN), [&self.estimate].into_iter(), now)
        }
    }

    #[test]
    fn unmeasured_regions_have_their_prior_or_nothing() {
        let ranked = Region::new(Some(FRANKFURT)).second(None);
        assert!((ranked.latency_ms.unwrap() - 22.6).abs() < 0.2, "{ranked:?}");
        assert!(!ranked.measured);
        assert_eq!(Region::new(None).second(None), Ranked::default());
    }

    #[test]
    fn the_first_measurement_is_published_at_once() {
        let mut region = Region::new(Some(FRANKFURT));
        region.second(None);
        let ranked = region.second(Some(28.0));
        assert!(ranked.measured);
        assert!((ranked.latency_ms.unwrap() - 28.0).abs() < 0.01, "{ranked:?}");
    }

    #[test]
    fn a_lasting_step_is_published_after_the_hold_and_a_short_one_never() {
        let mut region = Region::new(Some(FRANKFURT));
        for _ in 0..100 {
            region.second(Some(28.0));
        }
        for _ in 0..2 {
            assert_eq!(region.second(Some(44.0)).latency_ms.unwrap().round(), 28.0);
        }
        for _ in 0..60 {
            assert_eq!(region.second(Some(28.0)).latency_ms.unwrap().round(), 28.0);
        }
        let steps = (1..30).find(|_| region.second(Some(44.0)).latency_ms.unwrap() > 36.0);
        assert!((10..=17).contains(&steps.unwrap()), "{steps:?}");
        let ranked = region.state.published();
        assert!(ranked.rise_ms > 8.0 && (ranked.rise_ms - (ranked.latency_ms.unwrap() - 28.0)).abs() < 0.1);
    }

    #[test]
    fn a_path_that_is_much_slower_is_published_at_once_and_its_return_waits() {
        let mut region = Region::new(Some(FRANKFURT));
        for _ in 0..100 {
            region.second(Some(28.0));
        }
        for step in 0..10 {
            let at = Moment::from_millis(region.now * 1000 + step * 50) + Span::from_millis(224);
            region.estimate.add_late(224.0, at);
        }
        let now = Moment::from_millis(region.now * 1000 + 700);
        let ranked =
            tick(&mut region.state, &region.pop, &Point::of(DUBLIN), [&region.estimate].into_iter(), now);
        assert_eq!(ranked.latency_ms.unwrap().round(), 224.0);
        let back = (1..100).find(|_| region.second(Some(28.0)).latency_ms.unwrap() < 100.0);
        assert!((60..75).contains(&back.unwrap()), "{back:?}");
    }

    #[test]
    fn at_most_one_change_a_minute() {
        let mut region = Region::new(Some(FRANKFURT));
        let mut changes = Vec::new();
        let mut last = None;
        for second in 0..600 {
            let ms = if second % 30 < 15 { 28.0 } else { 128.0 };
            let latency = region.second(Some(ms)).latency_ms;
            if second > 10 && latency != last {
                changes.push(second);
            }
            last = latency;
        }
        assert!(changes.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{changes:?}");
    }

    #[test]
    fn near_ties_do_not_flap() {
        let mut rng = crate::draw::Rng::new(7);
        let mut region = Region::new(Some(FRANKFURT));
        let mut changes = 0;
        let mut last = None;
        for second in 0..3600 {
            let latency = region.second_of(|| {
                let noise = f64::from(rng.below(4000)) / 1000.0 - 2.0;
                let spike = if rng.below(100) == 0 { 60.0 } else { 0.0 };
                Some(40.0 + noise + spike)
            });
            let latency = latency.latency_ms;
            changes += u32::from(second > 10 && latency != last);
            last = latency;
        }
        assert!(changes <= 1, "{changes}");
    }

    #[test]
    fn a_silent_region_slides_back_to_its_prior() {
        let mut region = Region::new(Some(FRANKFURT));
        for _ in 0..60 {
            region.second(Some(90.0));
        }
        for _ in 0..3600 {
            region.second(None);
        }
        let ranked = region.state.published();
        assert!(!ranked.measured);
        assert!(ranked.latency_ms.unwrap() < 40.0, "{ranked:?}");
    }
}
