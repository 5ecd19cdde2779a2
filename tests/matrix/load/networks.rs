//! Where clients come from: some hundred networks, as a load balancer in front would name them.
//!
//! An edge that counts failures per client's network must see many of them; one client's misfortune is no region's fault.

use crate::random::Random;

/// How many.
const COUNT: usize = 400;
/// First bytes of addresses that providers in Europe hand out.
const FIRST: [u8; 12] = [77, 78, 79, 80, 81, 84, 85, 87, 88, 91, 92, 93];

pub(super) struct Networks(Vec<[u8; 3]>);

impl Networks {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut byte = |bound| u8::try_from(random.below(bound)).unwrap_or(0);
        Self((0..COUNT).map(|_| [FIRST[usize::from(byte(FIRST.len()))], byte(256), byte(256)]).collect())
    }

    /// Somebody's address.
    pub(super) fn client(&self, random: &mut Random) -> [u8; 4] {
        let [a, b, c] = self.0[random.below(self.0.len())];
        [a, b, c, u8::try_from(1 + random.below(254)).unwrap_or(1)]
    }
}
