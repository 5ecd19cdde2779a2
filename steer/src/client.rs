//! What a decision knows of the requester.

use crate::affinity::Kept;
use crate::geo::{Continent, Country, Point};

/// A client within this distance of the PoP is mostly steered by the latency measured from it, in km.
const LOCAL_KM: f64 = 500.0;
/// The least say that measured latency has.
const MIN_BLEND: f64 = 0.1;

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
}
