//! How long answers of one kind usually take: their median and 95th percentile.
//!
//! A hedge wants to know when an answer is late, and slowness can only be told from what is usual for the same requests: a
//! report takes longer than a picture. So times to the first byte are kept per class, which is a route at a placement, in
//! buckets that grow by a fifth. Old samples fade by halves, so that a class follows its application over minutes and not over
//! the seconds in which something goes wrong.
//!
//! A young class has few samples, and a tenth of a second of late answers would teach it that late is usual before anybody could
//! tell that they are late. So of what is slow for the class only every fourth counts: what a fifth of the answers are is learnt
//! all the same ([`crate::health::Slowness`] proves no less than that), only later.
//!
//! Percentiles are upper ends of buckets: at most a fifth too high, never too low. Until [`ENOUGH`] samples there are none.

/// Samples before a class says anything.
pub const ENOUGH: u32 = 64;
/// Samples at which all counts are halved.
const FADE_AT: u32 = 8192;
/// Of slow samples, one in so many counts.
const SLOW_COUNTS_ONE_IN: u32 = 4;
/// Buckets per doubling, as a power of two.
const SUB_BITS: u32 = 2;
/// Up to 2^27 µs, two minutes.
const BUCKETS: usize = (27 << SUB_BITS) as usize;

/// What is usual of one class.
#[derive(Clone, Debug)]
pub struct Usual {
    counts: [u16; BUCKETS],
    total: u32,
    /// Slow samples so far.
    slow: u32,
    /// Until the next look at the percentiles.
    due: u32,
    median_us: u64,
    p95_us: u64,
}

impl Default for Usual {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0, slow: 0, due: ENOUGH, median_us: 0, p95_us: 0 }
    }
}

/// Median and 95th percentile, in microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Percentiles {
    /// Half of the answers began earlier.
    pub median_us: u64,
    /// Nineteen in twenty did.
    pub p95_us: u64,
}

impl Percentiles {
    /// Whether an answer that began after so long is slow: half as long again as nineteen in twenty take, so that a class that is
    /// as usual has hardly any.
    #[must_use]
    pub const fn is_slow(self, us: u64) -> bool {
        us > self.p95_us + self.p95_us / 2 + 1_000
    }
}

impl Usual {
    /// An answer began after so long.
    #[inline]
    pub fn add(&mut self, us: u64) {
        if self.percentiles().is_some_and(|usual| usual.is_slow(us)) {
            self.slow = self.slow.wrapping_add(1);
            if !self.slow.is_multiple_of(SLOW_COUNTS_ONE_IN) {
                return;
            }
        }
        let bucket = bucket(us);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.total += 1;
        self.due -= 1;
        if self.due == 0 {
            self.look();
        }
    }

    /// What is usual, once that is known.
    #[inline]
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        (self.p95_us > 0).then_some(Percentiles { median_us: self.median_us, p95_us: self.p95_us })
    }

    /// Once in [`ENOUGH`] samples, so that asking costs nothing.
    #[cold]
    fn look(&mut self) {
        self.due = ENOUGH;
        let (half, nearly_all) = (self.total.div_ceil(2), (self.total * 19).div_ceil(20));
        let (mut seen, mut median, mut p95) = (0, None, None);
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u32::from(*count);
            if seen >= half && median.is_none() {
                median = Some(upper_us(bucket));
            }
            if seen >= nearly_all && p95.is_none() {
                p95 = Some(upper_us(bucket));
            }
        }
        self.median_us = median.unwrap_or(0);
        self.p95_us = p95.unwrap_or(0);
        if self.total >= FADE_AT {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }
}

fn bucket(us: u64) -> usize {
    let us = us.max(1 << SUB_BITS);
    let octave = us.ilog2();
    let sub = (us >> (octave - SUB_BITS)) as usize & ((1 << SUB_BITS) - 1);
    ((((octave - SUB_BITS) as usize) << SUB_BITS) + sub).min(BUCKETS - 1)
}

/// The end of a bucket.
fn upper_us(bucket: usize) -> u64 {
    let octave = (bucket >> SUB_BITS) as u32 + SUB_BITS;
    let sub = (bucket & ((1 << SUB_BITS) - 1)) as u64;
    ((1 << SUB_BITS) + sub + 1) << (octave - SUB_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Rng;

    #[test]
    fn every_sample_lies_in_its_bucket() {
        for us in (0..200_000).chain([1 << 26, (1 << 27) - 1]) {
            let (at, us) = (bucket(us), us.max(1 << SUB_BITS));
            assert!(us < upper_us(at), "{us} in {at}");
            assert!(at == 0 || us >= upper_us(at - 1), "{us} in {at}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_at_most_a_quarter_too_high() {
        let mut usual = Usual::default();
        let mut rng = Rng::new(7);
        for _ in 0..20_000 {
            usual.add(u64::from(rng.below(10_000)) + 1);
        }
        let Percentiles { median_us, p95_us } = usual.percentiles().unwrap();
        assert!((4_900..=6_300).contains(&median_us), "{median_us}");
        assert!((9_400..=11_900).contains(&p95_us), "{p95_us}");
    }

    #[test]
    fn a_few_seconds_of_trouble_do_not_become_usual() {
        let mut usual = Usual::default();
        (0..5_000).for_each(|_| usual.add(7_000));
        let before = usual.percentiles();
        (0..200).for_each(|_| usual.add(56_000));
        assert_eq!(usual.percentiles(), before);
        (0..30_000).for_each(|_| usual.add(56_000));
        assert!(usual.percentiles().unwrap().median_us > 50_000, "what lasts does");
    }

    #[test]
    fn a_young_class_does_not_learn_trouble_faster_than_that_is_proved() {
        let mut usual = Usual::default();
        (0..400).for_each(|_| usual.add(7_000));
        let before = usual.percentiles().unwrap();
        (0..60).for_each(|_| usual.add(300_000));
        assert_eq!(usual.percentiles(), Some(before));
        assert!(before.is_slow(300_000) && !before.is_slow(7_000));
    }

    #[test]
    fn what_a_fifth_of_the_answers_take_is_usual_even_if_the_first_ones_did_not() {
        let mut usual = Usual::default();
        (0..ENOUGH).for_each(|_| usual.add(7_000));
        (0..5_000).for_each(|step| usual.add(if step % 5 == 0 { 100_000 } else { 7_000 }));
        assert!(!usual.percentiles().unwrap().is_slow(100_000));
    }

    #[test]
    fn little_is_not_enough() {
        let mut usual = Usual::default();
        (1..ENOUGH).for_each(|_| usual.add(5_000));
        assert_eq!(usual.percentiles(), None);
        usual.add(5_000);
        assert!(usual.percentiles().is_some());
    }
}
