//! The origin inside a placement: power of two choices on load.
//!
//! Two origins are drawn and the less loaded one wins (Mitzenmacher 2001). It is nearly as even as asking all of them and
//! does not send every worker to the same momentary best. Origins that are not trusted are used only when no trusted one is
//! left, and an origin that was tried is not tried again while an untried one exists.

use crate::draw::{Purpose, Rng, lot};
use crate::ids::{OriginId, PlacementId, RegionId};
use crate::table::Table;

/// How one origin stands for a worker's next attempt, its load apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OriginView {
    /// Whether its health is `up` or `unknown`.
    pub trusted: bool,
    /// Whether this request has tried it.
    pub tried: bool,
}

/// Which origin of a placement a request belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Belongs {
    /// The less loaded of two.
    #[default]
    Anywhere,
    /// The one with the greatest lot for this key.
    Key(u64),
    /// The one of this name in this region, as long as it may serve; otherwise the less loaded of two.
    Origin {
        /// `None` if the table has no such region.
        region: Option<RegionId>,
        /// The hash of its address.
        hash: u64,
    },
}

/// The origin of a placement that the next attempt of a request goes to. `load` is asked for the two that are compared, and
/// only then; see [`crate::ewma::PeakEwma::load`]. `None` if the placement has none.
pub fn pick_in(
    table: &Table,
    placement: PlacementId,
    belongs: Belongs,
    view: impl Fn(OriginId) -> OriginView,
    load: impl FnMut(OriginId) -> f64,
    rng: &mut Rng,
) -> Option<OriginId> {
    let mut origins = table.origins_of(placement);
    if origins.len() <= 1 {
        return origins.next();
    }
    let own = match belongs {
        Belongs::Anywhere => None,
        Belongs::Key(key) => pick_for_key(origins.clone(), &view, |origin| table.origin(origin).hash, key),
        Belongs::Origin { region, .. } if region != Some(table.placement(placement).region) => None,
        Belongs::Origin { hash, .. } => origins.clone().find(|origin| {
            let OriginView { trusted, tried } = view(*origin);
            trusted && !tried && table.origin(*origin).hash == hash
        }),
    };
    own.or_else(|| pick(origins, view, load, rng))
}

/// Picks among the origins of a placement. `None` if there are none. A load that is not a number counts as infinite.
pub fn pick(
    origins: impl ExactSizeIterator<Item = OriginId> + Clone,
    view: impl Fn(OriginId) -> OriginView,
    mut load: impl FnMut(OriginId) -> f64,
    rng: &mut Rng,
) -> Option<OriginId> {
    let mut origins = origins;
    if origins.len() <= 1 {
        return origins.next();
    }
    let tier = |view: OriginView| (view.tried, !view.trusted);
    let best = origins.clone().map(|origin| tier(view(origin))).min()?;
    let eligible = origins.filter(|origin| tier(view(*origin)) == best);
    let count = u32::try_from(eligible.clone().count()).unwrap_or(u32::MAX);
    let first = rng.below(count);
    // The second is drawn from the others.
    let second = (first + 1 + rng.below(count.saturating_sub(1))) % count;
    let nth = |index: u32| eligible.clone().nth(index as usize);
    let (a, b) = (nth(first)?, nth(second)?);
    let mut load = |origin| {
        let load = load(origin);
        if load.is_nan() { f64::INFINITY } else { load }
    };
    Some(if load(b) < load(a) { b } else { a })
}

/// Picks the origin that belongs to a key: the one with the greatest lot among the untried and trusted (rendezvous hashing,
/// Thaler and Ravishankar 1998), so that an origin's end moves only its own keys. `subject` is the hash of an origin's name.
pub fn pick_for_key(
    origins: impl Iterator<Item = OriginId> + Clone,
    view: impl Fn(OriginId) -> OriginView,
    subject: impl Fn(OriginId) -> u64,
    key: u64,
) -> Option<OriginId> {
    let order = |origin: &OriginId| {
        let OriginView { trusted, tried } = view(*origin);
        (!tried, trusted, lot(key, subject(*origin), Purpose::Origin))
    };
    origins.max_by_key(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> impl ExactSizeIterator<Item = OriginId> + Clone {
        (0..count).map(|index| OriginId::new(index).unwrap())
    }

    const SOUND: OriginView = OriginView { trusted: true, tried: false };

    #[test]
    fn the_most_loaded_of_many_is_never_picked() {
        let mut rng = Rng::new(1);
        for _ in 0..1000 {
            let load = |origin: OriginId| if origin.index() == 3 { f64::NAN } else { 1.0 };
            let picked = pick(ids(5), |_| SOUND, load, &mut rng);
            assert_ne!(picked.unwrap().index(), 3);
        }
    }

    #[test]
    fn equal_loads_share_evenly() {
        let mut rng = Rng::new(2);
        let mut counts = [0; 4];
        for _ in 0..40_000 {
            counts[pick(ids(4), |_| SOUND, |_| 1.0, &mut rng).unwrap().index()] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_key_belongs_to_an_origin_until_that_ends() {
        let subject = |origin: OriginId| crate::draw::name_hash(&format!("origin-{}", origin.index()));
        let picked = |key, gone: Option<usize>| {
            let view = |origin: OriginId| OriginView { trusted: Some(origin.index()) != gone, ..SOUND };
            pick_for_key(ids(4), view, subject, key).unwrap().index()
        };
        let mut counts = [0; 4];
        for key in 0..10_000 {
            let (whole, less) = (picked(key, None), picked(key, Some(2)));
            counts[whole] += 1;
            assert_ne!(less, 2);
            assert!(whole == less || whole == 2, "only the keys of the one that is gone move");
        }
        assert!(counts.iter().all(|count| (2_300..2_700).contains(count)), "{counts:?}");
    }

    #[test]
    fn untried_before_trusted_before_loaded() {
        let mut rng = Rng::new(3);
        let picked = |tried: [bool; 2], trusted: [bool; 2], rng: &mut Rng| {
            let view = |origin: OriginId| {
                let at = origin.index();
                OriginView { trusted: trusted[at], tried: tried[at] }
            };
            pick(ids(2), view, |_| 1.0, rng).unwrap().index()
        };
        for _ in 0..50 {
            assert_eq!(picked([true, false], [true, false], &mut rng), 1);
            assert_eq!(picked([false, false], [true, false], &mut rng), 0);
        }
        assert_eq!(pick(ids(0), |_| SOUND, |_| 1.0, &mut rng), None);
    }
}
