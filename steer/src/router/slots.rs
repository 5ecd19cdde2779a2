//! Open addressing over a fixed hash: hosts, paths and prefixes by what they are called.
//!
//! The hash is no secret and needs to be none: what is stored comes from operators, and a client can only miss.

/// Open addressing: positions of things, by their hashes.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// Positions, plus 1; 0 is empty. A power of two, at most half full.
    slots: Box<[u32]>,
}

impl Slots {
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut slots = vec![0; (hashes.len() * 2).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        for (position, hash) in (1..).zip(hashes) {
            let mut slot = hash as usize & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = position;
        }
        Self { slots }
    }

    /// The positions of the things that may have this hash.
    #[inline]
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = hash as usize & mask;
        std::iter::from_fn(move || {
            let position = self.slots.get(slot)?.checked_sub(1)?;
            slot = (slot + 1) & mask;
            Some(position as usize)
        })
    }
}

/// The hash of a host in lower case. Setting bit 5 folds the case of letters and confuses a few other bytes, which costs a
/// comparison at worst.
#[inline]
pub(super) fn host_hash(host: &str) -> u64 {
    mixed(host.len() as u64, host.as_bytes(), 0x2020_2020_2020_2020)
}

/// Where a prefix of this path may end, from the shortest on, and what such a prefix of this host hashes to. The root is
/// not among them.
#[inline]
pub(super) fn boundaries(host: usize, path: &str) -> impl Iterator<Item = (usize, u64)> {
    let bytes = path.as_bytes();
    let mut hash = host as u64;
    let mut end = 0;
    std::iter::from_fn(move || {
        let segment = bytes.get(end..)?.strip_prefix(b"/")?;
        let segment = &segment[..segment.iter().position(|byte| *byte == b'/').unwrap_or(segment.len())];
        hash = mixed(hash.wrapping_add(segment.len() as u64), segment, 0);
        end += 1 + segment.len();
        Some((end, hash))
    })
}

/// A multiplicative hash, eight bytes at a time, of `bytes` with the bits of `set` set. Tables come from operators, so
/// nobody can choose what collides.
#[inline]
pub(super) fn mixed(seed: u64, bytes: &[u8], set: u64) -> u64 {
    let mut hash = seed;
    let mut feed = |word: u64| {
        let product = u128::from((word | set) ^ hash) * 0x9e37_79b9_7f4a_7c15;
        hash = (product ^ product >> 64) as u64;
    };
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        feed(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    let mut rest = [0; 8];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    feed(u64::from_le_bytes(rest));
    hash
}
