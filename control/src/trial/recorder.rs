//! What requests came to in the last minute, kept always: what a change is compared with has to be known before anybody thinks of
//! the change.
//!
//! Memory is bounded: so many slices of the minute, so many pairs of route and region; beyond that only the sum of all is known.

use std::collections::{BTreeMap, VecDeque};

use steer::{Moment, Span};

use crate::traffic::{Answers, Traffic};

/// What a change is compared with: this long before it.
const BASELINE: Span = Span::from_secs(60);
/// A slice of it.
const SLICE: Span = Span::from_secs(5);
/// Pairs of route and region that are told apart.
const MAX_SERIES: usize = 4096;

/// Answers by route and region.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    routes: BTreeMap<String, BTreeMap<String, Answers>>,
    series: usize,
    /// All of them, where there are too many to tell apart.
    together: Option<Answers>,
}

impl Totals {
    pub(super) fn of(traffic: &dyn Traffic) -> Self {
        let mut totals = Self::default();
        traffic.tell(&mut |route, region, answers| totals.add(route, region, answers));
        totals
    }

    fn add(&mut self, route: &str, region: &str, answers: &Answers) {
        if let Some(together) = &mut self.together {
            return together.add(answers);
        }
        if let Some(known) = self.routes.get_mut(route).and_then(|regions| regions.get_mut(region)) {
            return known.add(answers);
        }
        if self.series < MAX_SERIES {
            self.series += 1;
            self.routes.entry(route.to_owned()).or_default().insert(region.to_owned(), *answers);
            return;
        }
        let mut all = self.all();
        all.add(answers);
        *self = Self { together: Some(all), ..Self::default() };
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if let Some(together) = &other.together {
            let mut all = self.all();
            all.add(together);
            *self = Self { together: Some(all), ..Self::default() };
        }
        for (route, regions) in &other.routes {
            for (region, answers) in regions {
                self.add(route, region, answers);
            }
        }
    }

    /// What came since `earlier`. Nothing where the one tells apart what the other does not.
    fn since(&self, earlier: &Self) -> Self {
        let mut since = Self::default();
        match (&self.together, &earlier.together) {
            (Some(now), Some(before)) => since.together = Some(now.since(before)),
            (None, None) => {}
            _ => return since,
        }
        for (route, regions) in &self.routes {
            let before = earlier.routes.get(route);
            for (region, answers) in regions {
                let before = before.and_then(|regions| regions.get(region)).copied().unwrap_or_default();
                let new = answers.since(&before);
                if new != Answers::default() {
                    since.add(route, region, &new);
                }
            }
        }
        since
    }

    /// All answers.
    pub(super) fn all(&self) -> Answers {
        let mut all = self.together.unwrap_or_default();
        self.routes.values().flat_map(BTreeMap::values).for_each(|answers| all.add(answers));
        all
    }

    /// Those of one route.
    pub(super) fn of_route(&self, route: &str) -> Answers {
        let mut all = Answers::default();
        self.routes.get(route).into_iter().flat_map(BTreeMap::values).for_each(|answers| all.add(answers));
        all
    }

    /// The routes that are told apart. Requests without a route are none.
    pub(super) fn routes(&self) -> impl Iterator<Item = &str> {
        self.routes.keys().map(String::as_str).filter(|route| *route != "-")
    }

    /// The region at which most is counted, of one route or of all.
    pub(super) fn most(&self, route: Option<&str>, count: impl Fn(&Answers) -> u64) -> Option<&str> {
        let mut regions: BTreeMap<&str, u64> = BTreeMap::new();
        let wanted = self.routes.iter().filter(|(name, _)| route.is_none_or(|route| route == *name));
        for (region, answers) in wanted.flat_map(|(_, regions)| regions) {
            *regions.entry(region).or_default() += count(answers);
        }
        let most = regions.into_iter().max_by_key(|(_, count)| *count)?;
        Some(most.0).filter(|region| *region != "-" && most.1 > 0)
    }
}

/// The last minute.
#[derive(Debug)]
pub(super) struct Recorder {
    last: Totals,
    read_at: Moment,
    slices: VecDeque<Slice>,
}

#[derive(Debug)]
struct Slice {
    from: Moment,
    answers: Totals,
}

impl Recorder {
    pub(super) fn new(traffic: &dyn Traffic, now: Moment) -> Self {
        Self { last: Totals::of(traffic), read_at: now, slices: VecDeque::new() }
    }

    /// Whether a slice is over.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        now.since(self.read_at) >= SLICE
    }

    /// Reads what has come since the last reading.
    pub(super) fn read(&mut self, traffic: &dyn Traffic, now: Moment) -> Totals {
        let totals = Totals::of(traffic);
        let new = totals.since(&self.last);
        self.last = totals;
        let from = std::mem::replace(&mut self.read_at, now);
        match self.slices.back_mut() {
            Some(slice) if now.since(slice.from) <= SLICE => slice.answers.merge(&new),
            _ => self.slices.push_back(Slice { from, answers: new.clone() }),
        }
        while self.slices.front().is_some_and(|slice| now.since(slice.from) > BASELINE + SLICE) {
            self.slices.pop_front();
        }
        new
    }

    /// What has come in the last minute.
    pub(super) fn baseline(&self) -> Totals {
        let mut baseline = Totals::default();
        let recent = |slice: &&Slice| self.read_at.since(slice.from) <= BASELINE;
        self.slices.iter().filter(recent).for_each(|slice| baseline.merge(&slice.answers));
        baseline
    }

    /// Forgets the last minute: it is no measure of what was good.
    pub(super) fn forget(&mut self) {
        self.slices.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Scripted(Mutex<Vec<(String, u64)>>);

    impl Traffic for Scripted {
        fn tell(&self, each: &mut dyn FnMut(&str, &str, &Answers)) {
            for (route, requests) in self.0.lock().unwrap().iter() {
                each(route, "eu", &Answers { requests: *requests, ..Answers::default() });
            }
        }
    }

    fn at(secs: u64) -> Moment {
        Moment::default() + Span::from_secs(secs)
    }

    #[test]
    fn the_last_minute_is_known_and_no_more() {
        let traffic = Scripted(Mutex::new(vec![("app".into(), 1000)]));
        let mut recorder = Recorder::new(&traffic, at(0));
        assert_eq!(recorder.baseline().all().requests, 0, "what came before is not known");
        for second in 1..=200 {
            traffic.0.lock().unwrap()[0].1 += 10;
            assert_eq!(recorder.read(&traffic, at(second)).of_route("app").requests, 10);
        }
        let requests = recorder.baseline().of_route("app").requests;
        assert!((550..=650).contains(&requests), "{requests}");
        assert!(recorder.slices.len() <= 14, "{}", recorder.slices.len());
        recorder.forget();
        assert_eq!(recorder.baseline().all().requests, 0);
    }

    #[test]
    fn too_many_routes_are_known_together() {
        let traffic = Scripted(Mutex::new((0..MAX_SERIES).map(|route| (route.to_string(), 1)).collect()));
        let mut recorder = Recorder::new(&traffic, at(0));
        traffic.0.lock().unwrap()[0].1 += 1;
        assert_eq!(recorder.read(&traffic, at(1)).of_route("0").requests, 1);
        traffic.0.lock().unwrap().push(("one too many".into(), 1));
        assert_eq!(recorder.read(&traffic, at(2)).all().requests, 0, "what cannot be told apart is nothing");
        traffic.0.lock().unwrap()[7].1 += 5;
        let new = recorder.read(&traffic, at(3));
        assert_eq!((new.all().requests, new.routes().count()), (5, 0));
        assert_eq!(recorder.baseline().all().requests, 6);
    }
}
