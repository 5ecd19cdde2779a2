//! What requests come to, as the control plane learns it from whoever serves them.
//!
//! Nothing is counted for it on a request's way: whoever serves adds up, when he is asked, what he counts anyway.

/// Upper bounds of the buckets that durations fall into, in seconds.
pub const BOUNDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];
/// The last bucket is for everything above the bounds.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Requests that are over, and what came of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answers {
    /// All of them.
    pub requests: u64,
    /// Those that the service failed: answers of class 5xx, whoever gave them, and answers that broke off. Not those whose
    /// client went away, nor those that he asked wrongly.
    pub errors: u64,
    /// Those that no route was for.
    pub unrouted: u64,
    /// How many took how long, by bucket.
    pub durations: [u64; BUCKETS],
}

/// Who knows what requests came to.
pub trait Traffic: Send + Sync {
    /// Tells everything that was counted since the start, by route and region; `-` where there was none. The same pair may be
    /// told several times: then it counts together.
    fn tell(&self, each: &mut dyn FnMut(&str, &str, &Answers));
}

impl Answers {
    /// These and others.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.unrouted += other.unrouted;
        for (sum, more) in self.durations.iter_mut().zip(other.durations) {
            *sum += more;
        }
    }

    /// What came since; nothing if it was counted from zero again meanwhile.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = Self {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            unrouted: self.unrouted.saturating_sub(earlier.unrouted),
            durations: [0; BUCKETS],
        };
        let mut has_fallen = self.requests < earlier.requests
            || self.errors < earlier.errors
            || self.unrouted < earlier.unrouted;
        let buckets = self.durations.iter().zip(earlier.durations);
        for (since, (now, before)) in since.durations.iter_mut().zip(buckets) {
            *since = now.saturating_sub(before);
            has_fallen |= *now < before;
        }
        if has_fallen { Self::default() } else { since }
    }

    /// How many durations were counted.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.durations.iter().sum()
    }

    /// How many took longer than a bound of [`BOUNDS`], by its index.
    #[must_use]
    pub fn slower_than(&self, bound: usize) -> u64 {
        self.durations.iter().skip(bound + 1).sum()
    }

    /// The least of [`BOUNDS`], by its index, that at most one in a hundred took longer than; `None` without any, or if it is
    /// beyond them all.
    #[must_use]
    pub fn p99(&self) -> Option<usize> {
        let timed = self.timed();
        let is_within = |bound: &usize| self.slower_than(*bound) * 100 <= timed;
        (0..BOUNDS.len()).find(is_within).filter(|_| timed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_is_a_bound_that_one_in_a_hundred_passes() {
        let mut answers = Answers::default();
        assert_eq!(answers.p99(), None);
        (answers.durations[3], answers.durations[7]) = (990, 10);
        assert_eq!((answers.p99(), answers.slower_than(3), answers.slower_than(7)), (Some(3), 10, 0));
        answers.durations[16] = 100;
        assert_eq!(answers.p99(), None, "nobody knows how long those took");
    }

    #[test]
    fn what_began_anew_is_not_taken_for_more() {
        let earlier = Answers { requests: 10, errors: 5, ..Answers::default() };
        let now = Answers { requests: 12, errors: 5, ..Answers::default() };
        assert_eq!(now.since(&earlier), Answers { requests: 2, ..Answers::default() });
        let anew = Answers { requests: 20, errors: 0, ..Answers::default() };
        assert_eq!(anew.since(&earlier), Answers::default());
    }
}
