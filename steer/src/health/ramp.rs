//! Ramps of a pool side by side.
//!
//! A ramp spares a region that has just returned by sending most of its clients elsewhere for a while. That needs an
//! elsewhere: where every region of a pool has just returned, as after an outage of this PoP's own uplink, sparing each of
//! them would only send clients to far regions that are as cold. So ramps count relative to the pool's most recovered
//! region, and not at all beside one that is up.

use crate::signals::{Health, Observed, RAMP_WHOLE};

/// The ramp that counts as whole among the placements of one pool, in [`RAMP_WHOLE`]ths.
pub fn most_recovered(pool: impl IntoIterator<Item = Observed>) -> u8 {
    let mut most = 0;
    for observed in pool {
        match observed.health {
            Health::Up => return RAMP_WHOLE,
            Health::Recovering => most = most.max(observed.ramp),
            Health::Unknown | Health::Suspect | Health::Down | Health::Held => {}
        }
    }
    if most == 0 { RAMP_WHOLE } else { most }
}

/// A placement as decisions see it, when `whole` is what [`most_recovered`] said of its pool.
#[must_use]
pub fn beside(observed: Observed, whole: u8) -> Observed {
    if observed.health != Health::Recovering || whole == 0 {
        return observed;
    }
    let ramp = (u16::from(observed.ramp) * u16::from(RAMP_WHOLE)).div_ceil(u16::from(whole));
    Observed { ramp: u8::try_from(ramp).map_or(RAMP_WHOLE, |ramp| ramp.min(RAMP_WHOLE)), ..observed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn recovering(ramp: u8) -> Observed {
        Observed { health: Health::Recovering, ramp }
    }

    #[test]
    fn beside_a_region_that_is_up_ramps_stay() {
        let whole = most_recovered([recovering(3), Observed::plain(Health::Up)]);
        assert_eq!(beside(recovering(3), whole), recovering(3));
    }

    #[test]
    fn where_all_return_together_none_is_spared() {
        let whole = most_recovered([recovering(3), recovering(3), Observed::plain(Health::Down)]);
        assert_eq!(beside(recovering(3), whole), recovering(RAMP_WHOLE));
    }

    #[test]
    fn the_most_recovered_is_the_measure() {
        let whole = most_recovered([recovering(0), recovering(6), recovering(12)]);
        assert_eq!(
            beside(recovering(0), whole),
            recovering(0),
            "one that may take nothing yet still may not"
        );
        assert_eq!(beside(recovering(6), whole), recovering(16));
        assert_eq!(beside(recovering(12), whole), recovering(RAMP_WHOLE));
    }

    #[test]
    fn only_ramps_change() {
        for health in [Health::Unknown, Health::Up, Health::Suspect, Health::Down, Health::Held] {
            assert_eq!(beside(Observed::plain(health), 3), Observed::plain(health));
        }
        assert_eq!(most_recovered([]), RAMP_WHOLE);
    }
}
