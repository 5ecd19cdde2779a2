//! What a decision knows of the requester.

use crate::affinity::Kept;
use crate::geo::{Continent, Country, Point};
use crate::ids::RegionId;

/// A client within this distance of the PoP is mostly steered by the latency measured from it, in km.
const LOCAL_KM: f64 = 500.0;
/// The least say that measured latency has.
const MIN_BLEND: f64 = 0.1;

/// The words that hold a client; see [`Client::to_words`].
pub const CLIENT_WORDS: usize = 7;

const HAS_SPOT: u64 = 1;
const HAS_POINT: u64 = 2;
const COUNTRY_ONLY: u64 = 4;
const HAS_KEPT: u64 = 8;

/// The requester, as `locate` found him. Everything but the key may be unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Stable over the client's requests: the hash of his address prefix (/24 or /56), see [`crate::draw`].
    pub key: u64,
    /// Where he is. `None` for a private or unknown address.
    pub spot: Option<Spot>,
    /// Where he was, if something keeps him there.
    pub kept: Option<Kept>,
    /// `a`: the say that latency measured from this PoP has in his cost, 0.1 to 1.
    blend: f64,
}

/// A client's place as the decision needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    /// The point, if coordinates are known or the country's population centre is.
    pub point: Option<Point>,
    /// The country, if known.
    pub country: Option<Country>,
    /// The continent, if known.
    pub continent: Option<Continent>,
    /// How far off the point may be, in km: two regions closer than this hides are ordered by latency instead.
    pub accuracy_km: f64,
    /// Whether the point is only the country's population centre.
    pub country_only: bool,
}

/// Where this PoP stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pop {
    /// `None` where neither the configuration nor GeoIP of the public address tells.
    pub point: Option<Point>,
    /// The country, if known: a client of whom only the same country is known counts as being here.
    pub country: Option<Country>,
}

impl Client {
    /// A client at a spot, seen from a PoP. What depends on the two alone is computed here, once per connection, and not
    /// with each decision.
    #[must_use]
    pub fn at(key: u64, spot: Spot, pop: &Pop) -> Self {
        let blend = blend(&spot, pop);
        Self { key, spot: Some(spot), kept: None, blend }
    }

    /// A client of whom only the key is known: measured latency has all the say.
    #[must_use]
    pub const fn unknown(key: u64) -> Self {
        Self { key, spot: None, kept: None, blend: 1.0 }
    }

    /// `a`: the say that latency measured from this PoP has: all for a client who is here or nowhere, little for one far
    /// away.
    #[inline]
    #[must_use]
    pub const fn blend(&self) -> f64 {
        self.blend
    }

    /// Everything that a decision knows of him, as words: for whoever keeps decisions to repeat them.
    #[inline]
    #[must_use]
    pub fn to_words(&self) -> [u64; CLIENT_WORDS] {
        let (mut flags, mut xy, mut z, mut accuracy, mut within) = (0_u64, 0, 0, 0, 0);
        if let Some(spot) = &self.spot {
            flags |= HAS_SPOT | if spot.country_only { COUNTRY_ONLY } else { 0 };
            accuracy = spot.accuracy_km.to_bits();
            if let Some(point) = &spot.point {
                let [x, y, last] = point.to_bits();
                flags |= HAS_POINT;
                (xy, z) = (u64::from(x) | u64::from(y) << 32, u64::from(last));
            }
            if let Some(country) = spot.country {
                flags |= u64::from(u16::from_le_bytes(country.to_bytes())) << 16;
            }
            if let Some(continent) = spot.continent {
                flags |= (continent as u64 + 1) << 8;
            }
        }
        if let Some(kept) = self.kept {
            flags |= HAS_KEPT | (kept.region.index() as u64) << 32;
            within = kept.within_ms.to_bits();
        }
        [self.key, self.blend.to_bits(), flags, xy, z, accuracy, within]
    }

    /// The reverse of [`Client::to_words`].
    #[must_use]
    pub fn from_words(words: [u64; CLIENT_WORDS]) -> Self {
        let [key, blend, flags, xy, z, accuracy, within] = words;
        let low = |word: u64| (word & 0xffff_ffff) as u32;
        let country = ((flags >> 16) & 0xffff) as u16;
        let continent = ((flags >> 8) & 0xff) as usize;
        let spot = Spot {
            point: (flags & HAS_POINT != 0).then(|| Point::from_bits([low(xy), low(xy >> 32), low(z)])),
            country: Country::from_bytes(country.to_le_bytes()),
            continent: continent.checked_sub(1).and_then(|at| Continent::ALL.get(at)).copied(),
            accuracy_km: f64::from_bits(accuracy),
            country_only: flags & COUNTRY_ONLY != 0,
        };
        let region = RegionId::new((flags >> 32) as usize & 0xffff);
        let kept = region.filter(|_| flags & HAS_KEPT != 0);
        Self {
            key,
            spot: (flags & HAS_SPOT != 0).then_some(spot),
            kept: kept.map(|region| Kept { region, within_ms: f64::from_bits(within) }),
            blend: f64::from_bits(blend),
        }
    }
}

fn blend(spot: &Spot, pop: &Pop) -> f64 {
    let Some(point) = spot.point else { return 1.0 };
    if spot.country_only && spot.country.is_some() && spot.country == pop.country {
        return 1.0;
    }
    match pop.point {
        Some(pop) => libm::exp(-point.km_to(&pop) / LOCAL_KM).max(MIN_BLEND),
        None => MIN_BLEND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Place;

    fn spot(latitude: f64, longitude: f64, country: &str, country_only: bool) -> Spot {
        let country = country.parse().ok();
        let point = Some(Point::of(Place { latitude, longitude }));
        Spot { point, country, continent: None, accuracy_km: 0.0, country_only }
    }

    #[test]
    fn the_nearer_the_client_the_more_measured_latency_says() {
        let pop = Pop { point: spot(50.11, 8.68, "DE", false).point, country: "DE".parse().ok() };
        let blend = |latitude, longitude, country, only| {
            Client::at(1, spot(latitude, longitude, country, only), &pop).blend()
        };
        assert!(blend(50.11, 8.68, "DE", false) > 0.999);
        assert!((blend(48.86, 2.35, "FR", false) - libm::exp(-478.0 / 500.0)).abs() < 0.01); // Paris
        assert_eq!(blend(-33.9, 151.2, "AU", false), MIN_BLEND);
        assert_eq!(
            blend(51.05, 9.79, "DE", true),
            1.0,
            "only the country is known, and it is this PoP's own"
        );
        assert!(blend(51.05, 9.79, "DE", false) < 0.9);
        assert_eq!(Client::unknown(1).blend(), 1.0);
        assert_eq!(Client::at(1, spot(0.0, 0.0, "DE", false), &Pop::default()).blend(), MIN_BLEND);
    }

    #[test]
    fn clients_survive_being_written_down() {
        let pop = Pop { point: spot(50.11, 8.68, "DE", false).point, country: "DE".parse().ok() };
        let mut kept = Client::at(u64::MAX, spot(-33.9, 151.2, "AU", true), &pop);
        kept.kept = Some(Kept { region: RegionId::new(0xffff).unwrap(), within_ms: 20.5 });
        kept.spot.as_mut().unwrap().continent = Some(Continent::Sa);
        kept.spot.as_mut().unwrap().accuracy_km = 1000.25;
        let nowhere = Spot {
            point: None,
            country: None,
            continent: None,
            accuracy_km: f64::INFINITY,
            country_only: false,
        };
        for client in [Client::unknown(7), Client::at(8, nowhere, &pop), kept] {
            assert_eq!(Client::from_words(client.to_words()), client);
        }
    }
}
