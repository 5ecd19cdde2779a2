//! Where things are, and how long light takes between them.
//!
//! A [`Place`] is what people write (degrees); a [`Point`] is what the decision computes with: a unit vector, so that a
//! distance is the length of a difference and one polynomial instead of four trigonometric calls. Distances are great circles on a
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

const EARTH_RADIUS_KM: f32 = 6371.0;

/// A place as a unit vector from the Earth's centre. Single floats: half a metre on this sphere, and twice as many in a
/// vector register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point([f32; 3]);

impl Point {
    /// The point of a place. A place that is not on Earth gives a point whose distances are NaN, which rank last.
    #[must_use]
    pub fn of(place: Place) -> Self {
        let (latitude, longitude) = (place.latitude.to_radians(), place.longitude.to_radians());
        let across = libm::cos(latitude);
        let vector = [across * libm::cos(longitude), across * libm::sin(longitude), libm::sin(latitude)];
        #[expect(clippy::cast_possible_truncation, reason = "the precision is stated above")]
        Self(vector.map(|coordinate| coordinate as f32))
    }

    /// The place of a point, for people: within a metre.
    #[must_use]
    pub fn place(&self) -> Place {
        let [x, y, z] = self.0.map(f64::from);
        let latitude = libm::atan2(z, libm::sqrt(x * x + y * y)).to_degrees();
        Place { latitude, longitude: libm::atan2(y, x).to_degrees() }
    }

    /// The bits of its three coordinates.
    #[inline]
    #[must_use]
    pub const fn to_bits(&self) -> [u32; 3] {
        let Self([x, y, z]) = self;
        [x.to_bits(), y.to_bits(), z.to_bits()]
    }

    /// The reverse of [`Point::to_bits`].
    #[must_use]
    pub const fn from_bits([x, y, z]: [u32; 3]) -> Self {
        Self([f32::from_bits(x), f32::from_bits(y), f32::from_bits(z)])
    }

    /// Great-circle distance in kilometres.
    #[inline]
    #[must_use]
    pub fn km_to(&self, other: &Self) -> f64 {
        f64::from(km_between(self.0, other.0))
    }
}

/// Points side by side, so that the distances from one place to many are computed several at a time.
#[derive(Clone, Debug, Default)]
pub struct Points {
    x: Vec<f32>,
    y: Vec<f32>,
    z: Vec<f32>,
}

/// How many distances [`Points::km_from`] computes in one call.
pub const BATCH: usize = 16;

impl Points {
    /// Great-circle distances in kilometres from `origin` to the points from the `start`th on, as many as there are.
    #[inline]
    pub fn km_from(&self, origin: &Point, start: usize, km: &mut [f32; BATCH]) {
        let points = self.x[start..].iter().zip(&self.y[start..]).zip(&self.z[start..]);
        for (km, ((x, y), z)) in km.iter_mut().zip(points) {
            *km = km_between([*x, *y, *z], origin.0);
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

/// The angle whose cosine is 1 - h, where 2h is the square of the chord: Abramowitz and Stegun 4.4.46, within 2.2e-8
/// radians. Starting from the chord and not from the cosine, nothing is lost where points are close. NaN stays NaN. No
/// branches, so that a loop over it becomes vector instructions.
#[inline(always)]
fn km_between([x, y, z]: [f32; 3], [u, v, w]: [f32; 3]) -> f32 {
    let (dx, dy, dz) = (x - u, y - v, z - w);
    let h = 0.5 * (dx * dx + dy * dy + dz * dz);
    let is_far = h > 1.0;
    // Rounding may take the chord of opposite points a hair past 2; a NaN must get through.
    let rest = if is_far { (2.0 - h).abs() } else { h };
    let cosine = 1.0 - rest;
    let [a, b, c, d, e, f, g, i] = ARCCOS;
    let series = ((((((i * cosine + g) * cosine + f) * cosine + e) * cosine + d) * cosine + c) * cosine + b)
        * cosine
        + a;
    let angle = rest.sqrt() * series;
    EARTH_RADIUS_KM * if is_far { std::f32::consts::PI - angle } else { angle }
}

#[expect(clippy::excessive_precision, reason = "as printed in the source")]
const ARCCOS: [f32; 8] = [
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
        assert!((km((0.0, 0.0), (0.0, 180.0)) - 20_015.1).abs() < 3.0);
        assert!((km((90.0, 0.0), (-90.0, 0.0)) - 20_015.1).abs() < 3.0);
    }

    #[test]
    fn distances_are_as_exact_as_they_claim() {
        for step in 0..=18_000 {
            let degrees = f64::from(step) / 100.0;
            let there = Point::of(Place { latitude: 0.0, longitude: degrees });
            let here = Point::of(Place { latitude: 0.0, longitude: 0.0 });
            let exact = f64::from(EARTH_RADIUS_KM) * degrees.to_radians();
            // Near the antipode the chord hardly changes with the angle.
            let bound = if degrees < 1.0 {
                0.001
            } else if degrees < 170.0 {
                0.02
            } else {
                3.0
            };
            assert!((here.km_to(&there) - exact).abs() <= bound, "{degrees}: {} {exact}", here.km_to(&there));
        }
    }

    #[test]
    fn nonsense_stays_visible() {
        assert!(km((f64::NAN, 0.0), (0.0, 0.0)).is_nan());
        assert!(km((90.0, 0.0), (-90.0, 0.0)).is_finite());
    }
}
