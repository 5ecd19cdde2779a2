//! Where things are, and how long light takes between them.
//!
//! A [`Place`] is what people write (degrees); a [`Point`] is what the decision computes with: a unit vector, so that a
//! distance is one dot product and one polynomial instead of four trigonometric calls. Distances are great circles on a
//! sphere of 6371 km: within 0.6 % of the ellipsoid, while GeoIP itself is off by tens of kilometres.
//!
//! Left out: reading databases (`locate` in the proxy) and any notion of network topology. [`expected_rtt_ms`] is a prior,
//! fitted once, for regions and clients that nobody has measured.

mod centres;
mod country;

pub use country::{Continent, Country, NotACountry};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Coordinates in degrees.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Degrees north of the equator, -90 to 90.
    #[schemars(range(min = -90, max = 90), extend("examples" = [50.11]))]
    pub latitude: f64,
    /// Degrees east of Greenwich, -180 to 180.
    #[schemars(range(min = -180, max = 180), extend("examples" = [8.68]))]
    pub longitude: f64,
}

impl Place {
    /// Whether both numbers are finite and in range.
    #[must_use]
    pub fn is_on_earth(&self) -> bool {
        self.latitude.abs() <= 90.0 && self.longitude.abs() <= 180.0
    }
}

const EARTH_RADIUS_KM: f64 = 6371.0;

/// A place as a unit vector from the Earth's centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point([f64; 3]);

impl Point {
    /// The point of a place. A place that is not on Earth gives a point whose distances are NaN, which rank last.
    #[must_use]
    pub fn of(place: Place) -> Self {
        let (latitude, longitude) = (place.latitude.to_radians(), place.longitude.to_radians());
        let across = libm::cos(latitude);
        Self([across * libm::cos(longitude), across * libm::sin(longitude), libm::sin(latitude)])
    }

    /// Great-circle distance in kilometres.
    #[inline]
    #[must_use]
    pub fn km_to(&self, other: &Self) -> f64 {
        let [x, y, z] = self.0;
        let [u, v, w] = other.0;
        EARTH_RADIUS_KM * arccos(x * u + y * v + z * w)
    }
}

/// Points side by side, so that the distances from one place to many are computed several at a time.
#[derive(Clone, Debug, Default)]
pub struct Points {
    x: Vec<f64>,
    y: Vec<f64>,
    z: Vec<f64>,
}

/// How many distances [`Points::km_from`] computes in one call.
pub const BATCH: usize = 16;

impl Points {
    /// Great-circle distances in kilometres from `origin` to the points from the `start`th on, as many as there are.
    #[inline]
    pub fn km_from(&self, origin: &Point, start: usize, km: &mut [f64; BATCH]) {
        let [u, v, w] = origin.0;
        let points = self.x[start..].iter().zip(&self.y[start..]).zip(&self.z[start..]);
        for (km, ((x, y), z)) in km.iter_mut().zip(points) {
            *km = EARTH_RADIUS_KM * arccos(x * u + y * v + z * w);
        }
    }
}

impl FromIterator<Point> for Points {
    fn from_iter<I: IntoIterator<Item = Point>>(points: I) -> Self {
        let mut all = Self::default();
        for Point([x, y, z]) in points {
            all.x.push(x);
            all.y.push(y);
            all.z.push(z);
        }
        all
    }
}

/// Abramowitz and Stegun 4.4.46: within 2.2e-8 radians, 0.14 m on this sphere. NaN stays NaN. No branches, so that a loop
/// over it becomes vector instructions.
#[inline(always)]
fn arccos(cosine: f64) -> f64 {
    let x = cosine.abs();
    // Rounding may take a dot product of unit vectors a hair past 1; a NaN must get through.
    let rest = if x > 1.0 { 0.0 } else { 1.0 - x };
    let [a, b, c, d, e, f, g, h] = ARCCOS;
    let series = ((((((h * x + g) * x + f) * x + e) * x + d) * x + c) * x + b) * x + a;
    let angle = rest.sqrt() * series;
    if cosine < 0.0 { std::f64::consts::PI - angle } else { angle }
}

const ARCCOS: [f64; 8] = [
    1.570_796_305_0,
    -0.214_598_801_6,
    0.088_978_987_4,
    -0.050_174_304_6,
    0.030_891_881_0,
    -0.017_088_125_6,
    0.006_670_090_1,
    -0.001_262_491_1,
];

/// The round-trip time to expect over `km`, in milliseconds: 3 + 1.8 per 100 km.
///
/// Fitted through the origin on 66 pairs of Azure's published region latencies (1.79 ms per 100 km, path inflation 1.35 /
/// 1.76 / 2.42 at the 10th, 50th and 90th percentile over the fibre bound of 1 ms per 100 km), plus 3 ms for the last mile.
#[inline]
#[must_use]
pub fn expected_rtt_ms(km: f64) -> f64 {
    3.0 + MS_PER_KM * km
}

/// Milliseconds of round trip that an uncertainty of `km` may hide.
#[inline]
#[must_use]
pub fn slack_ms(km: f64) -> f64 {
    MS_PER_KM * km
}

const MS_PER_KM: f64 = 1.8 / 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn km(a: (f64, f64), b: (f64, f64)) -> f64 {
        let point = |(latitude, longitude)| Point::of(Place { latitude, longitude });
        point(a).km_to(&point(b))
    }

    #[test]
    fn known_distances() {
        let frankfurt = (50.11, 8.68);
        assert!((km(frankfurt, (53.35, -6.26)) - 1088.0).abs() < 5.0); // Dublin
        assert!((km(frankfurt, (-33.86, 151.21)) - 16_500.0).abs() < 40.0); // Sydney
        assert!(km(frankfurt, frankfurt) < 0.001);
        assert!((km((0.0, 0.0), (0.0, 180.0)) - EARTH_RADIUS_KM * std::f64::consts::PI).abs() < 0.01);
        assert!((km((90.0, 0.0), (-90.0, 0.0)) - EARTH_RADIUS_KM * std::f64::consts::PI).abs() < 0.01);
    }

    #[test]
    fn the_polynomial_is_as_good_as_it_claims() {
        for step in 0..=20_000 {
            let x = f64::from(step) / 10_000.0 - 1.0;
            assert!((arccos(x) - libm::acos(x)).abs() <= 2.2e-8, "{x}");
        }
    }

    #[test]
    fn nonsense_stays_visible() {
        assert!(km((f64::NAN, 0.0), (0.0, 0.0)).is_nan());
        assert!(arccos(1.0 + 1e-15) == 0.0);
    }
}
