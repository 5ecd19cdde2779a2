//! A drill: a region looks dead for a part of the keys, to see that the others carry what it leaves.
//!
//! For a key that is drilled the region's placements come after everything else, last resorts included, and affinity does
//! not hold it there. Where nothing else is left they serve: a drill never fails a request that could be served. The natural
//! region of a key stays what it is, so what a drill moves is seen. Which keys it hits does not change while it lasts, and a
//! greater part only ever adds keys.

use crate::draw::{Purpose, falls_below, lot, name_hash};
use crate::effective::DIAL_WHOLE;

/// A drill that runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drill {
    /// [`name_hash`] of the region, so that it holds for every table that has it.
    pub region: u64,
    /// The part of the keys, in [`DIAL_WHOLE`]ths.
    pub parts: u32,
}

impl Drill {
    /// A drill of that region for so many [`DIAL_WHOLE`]ths of the keys.
    #[must_use]
    pub fn of(region: &str, parts: u32) -> Self {
        Self { region: name_hash(region), parts }
    }

    /// Whether the region looks dead to this key.
    #[inline]
    #[must_use]
    pub fn hits(&self, key: u64) -> bool {
        falls_below(lot(key, self.region, Purpose::Drill), self.parts, DIAL_WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_hits_its_part_of_the_keys() {
        for (parts, least, most) in
            [(0, 0, 0), (25, 200, 300), (5_000, 49_500, 50_500), (10_000, 100_000, 100_000)]
        {
            let hit = (0..100_000).filter(|key| Drill::of("eu", parts).hits(*key)).count();
            assert!((least..=most).contains(&hit), "{parts}: {hit}");
        }
    }
}
