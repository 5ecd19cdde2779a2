//! Stable draws: the same key gets the same lot in every process, version and PoP.
//!
//! Weights, ramps and shares are decided per client key by comparing a hash with a threshold. The hash must never change
//! between two releases, or an upgrade would move every client at once; it is therefore written out here, not borrowed from
//! a library. It mixes with the finaliser of SplitMix64 (Steele, Lea, Flood 2014; constants of Stafford's variant 13).
//!
//! Left out: protection against somebody who searches for colliding keys. A client can at best choose its own lot.

/// What a draw is for. Two purposes never share their randomness, so a region's weight and its ramp move different keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Does the region keep this key of its natural traffic?
    Dial,
    /// Does a recovering placement take this key already?
    Ramp,
    /// Which region does a weighted policy give the key?
    Share,
    /// Which origin of a placement does the key belong to?
    Origin,
    /// Does a placement that was slow take this key again, to see whether it still is?
    Trial,
    /// Does a drill make its region look dead to this key?
    Drill,
}

impl Purpose {
    const fn salt(self) -> u64 {
        match self {
            Self::Dial => 0x6e65_6172_6469_616c,
            Self::Ramp => 0x6e65_6172_7261_6d70,
            Self::Share => 0x6e65_6172_7368_6172,
            Self::Origin => 0x6e65_6172_6f72_6967,
            Self::Drill => 0x6e65_6172_6472_696c,
            Self::Trial => 0x6e65_6172_7472_6961,
        }
    }
}

/// A lot in `0..2^64`, uniform over keys and independent over subjects and purposes.
///
/// `subject` is [`name_hash`] of the region, so that a lot does not depend on the order of a table.
#[inline]
#[must_use]
pub fn lot(key: u64, subject: u64, purpose: Purpose) -> u64 {
    mix(mix(key ^ purpose.salt()).wrapping_add(subject))
}

/// Whether `lot` falls below `parts` of `whole`: exact in integers, so raising `parts` only ever adds keys.
#[inline]
#[must_use]
pub fn falls_below(lot: u64, parts: u32, whole: u32) -> bool {
    u128::from(lot) * u128::from(whole) < u128::from(parts) << 64
}

/// The lot as a number in the open interval (0, 1).
#[inline]
#[must_use]
pub fn unit(lot: u64) -> f64 {
    ((lot >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

/// A stable hash of a name (FNV-1a, 64 bits, then mixed).
#[must_use]
pub fn name_hash(name: &str) -> u64 {
    mix(fnv(name.bytes()))
}

/// A stable hash of bytes, for client keys.
#[must_use]
pub fn bytes_hash(bytes: &[u8]) -> u64 {
    mix(fnv(bytes.iter().copied()))
}

fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[inline]
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A stream of draws from a seed (SplitMix64), for the choices that need not be stable: which two origins to compare.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of the stream that is left, so that its draws can be repeated.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.0
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..bound`; 0 for an empty range. The bias is below 2^-32 for bounds that fit a table.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(bound) * (self.next_u64() >> 32)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_are_the_same_in_every_release() {
        // If this test fails, an upgrade of the proxy moves clients between regions.
        assert_eq!(lot(1, name_hash("eu-central"), Purpose::Dial), 12_190_638_041_374_512_613);
        assert_eq!(lot(1, name_hash("eu-central"), Purpose::Ramp), 11_128_613_582_642_528_037);
        assert_eq!(lot(1, name_hash("eu-central"), Purpose::Share), 7_270_326_524_989_361_400);
    }

    #[test]
    fn thresholds_are_exact_at_both_ends() {
        assert!(!falls_below(0, 0, 10_000));
        assert!(falls_below(0, 1, 10_000));
        assert!(falls_below(u64::MAX, 10_000, 10_000));
        assert!(!falls_below(u64::MAX, 9_999, 10_000));
        assert!(unit(0) > 0.0 && unit(u64::MAX) < 1.0);
    }

    #[test]
    fn a_threshold_keeps_its_share_of_keys() {
        let subject = name_hash("eu-central");
        let kept = (0..100_000).filter(|key| falls_below(lot(*key, subject, Purpose::Dial), 25, 100)).count();
        assert!((24_500..25_500).contains(&kept), "{kept}");
    }
}
