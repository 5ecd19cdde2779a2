//! The demo's world: eight real regions as seen from Frankfurt, and people in thirty-six countries.

use std::net::Ipv4Addr;

use steer::draw::Rng;
use steer::spec::{Name, PlacementSpec, PoolSpec, RegionSpec, RouteSpec, Spec};

/// Where the demo's PoP stands.
pub(super) const POP: (&str, f64, f64) = ("fra1", 50.11, 8.68);
/// The host that the demo's users ask for.
pub(super) const HOST: &str = "demo.example.com";

/// A region: name, latitude, longitude, round trip from Frankfurt in ms.
///
/// The round trips are Microsoft Azure's published network latencies between regions (95th percentile over 30 days to
/// 2026-07-30, mean of both directions).
pub(super) const REGIONS: [(&str, f64, f64, u64); 8] = [
    ("frankfurt", 50.11, 8.68, 2),
    ("virginia", 37.37, -79.82, 97),
    ("washington", 47.23, -119.85, 160),
    ("sao-paulo", -23.55, -46.63, 200),
    ("johannesburg", -25.73, 28.22, 173),
    ("pune", 18.58, 73.92, 150),
    ("singapore", 1.28, 103.83, 179),
    ("tokyo", 35.68, 139.77, 248),
];

/// A prefix, by its first address and its length.
type Prefix = (Ipv4Addr, u8);

/// A country: code, users in millions, and prefixes that registries gave to networks there.
const COUNTRIES: [(&str, u32, &[Prefix]); 36] = [
    ("IN", 692, &[(ip(136, 233, 0), 16), (ip(117, 200, 0), 16), (ip(59, 98, 0), 16)]),
    ("US", 311, &[(ip(74, 142, 0), 16), (ip(167, 107, 0), 16)]),
    ("ID", 213, &[(ip(180, 250, 0), 16), (ip(114, 121, 0), 16), (ip(36, 94, 0), 16)]),
    ("BR", 182, &[(ip(200, 193, 0), 16), (ip(179, 97, 0), 16), (ip(179, 112, 0), 16)]),
    ("RU", 128, &[(ip(85, 172, 0), 16), (ip(178, 179, 0), 16), (ip(95, 32, 0), 16)]),
    ("NG", 122, &[(ip(105, 118, 0), 16), (ip(105, 115, 0), 16), (ip(102, 89, 0), 16)]),
    ("JP", 103, &[(ip(121, 92, 0), 16), (ip(221, 25, 0), 16), (ip(119, 230, 0), 16)]),
    ("MX", 101, &[(ip(200, 57, 0), 16), (ip(187, 157, 0), 16), (ip(148, 202, 0), 16)]),
    ("PK", 87, &[(ip(39, 63, 0), 16), (ip(39, 33, 0), 16), (ip(39, 46, 0), 16)]),
    ("PH", 85, &[(ip(180, 193, 0), 16), (ip(112, 200, 0), 16), (ip(119, 111, 0), 16)]),
    ("EG", 82, &[(ip(197, 163, 0), 16), (ip(45, 103, 0), 16), (ip(156, 213, 0), 16)]),
    ("DE", 78, &[(ip(79, 209, 0), 16), (ip(79, 204, 0), 16), (ip(87, 139, 0), 16)]),
    ("VN", 78, &[(ip(14, 164, 0), 16), (ip(171, 255, 0), 16), (ip(123, 29, 0), 16)]),
    ("TR", 71, &[(ip(95, 11, 0), 16), (ip(95, 13, 0), 16), (ip(88, 238, 0), 16)]),
    ("BD", 67, &[(ip(114, 130, 0), 17), (ip(118, 179, 0), 17), (ip(27, 147, 128), 17)]),
    ("GB", 66, &[(ip(134, 213, 0), 16), (ip(82, 68, 0), 16), (ip(2, 124, 0), 16)]),
    ("TH", 61, &[(ip(182, 52, 0), 16), (ip(111, 84, 0), 16), (ip(171, 7, 0), 16)]),
    ("FR", 60, &[(ip(90, 80, 0), 16), (ip(193, 50, 0), 16), (ip(78, 242, 0), 16)]),
    ("IT", 51, &[(ip(82, 84, 0), 16), (ip(81, 120, 0), 16), (ip(151, 61, 0), 16)]),
    ("KR", 50, &[(ip(121, 176, 0), 16), (ip(59, 17, 0), 16), (ip(119, 197, 0), 16)]),
    ("ES", 45, &[(ip(213, 60, 0), 16), (ip(89, 129, 0), 16), (ip(195, 235, 0), 16)]),
    ("PL", 45, &[(ip(158, 75, 0), 16), (ip(79, 188, 0), 16), (ip(79, 190, 0), 16)]),
    ("ZA", 43, &[(ip(105, 223, 0), 16), (ip(105, 215, 0), 16), (ip(197, 85, 0), 16)]),
    ("AR", 42, &[(ip(190, 139, 0), 16), (ip(181, 238, 0), 16), (ip(190, 16, 0), 16)]),
    ("CO", 40, &[(ip(191, 65, 0), 16), (ip(181, 53, 0), 16), (ip(190, 67, 0), 16)]),
    ("SG", 38, &[(ip(118, 200, 0), 16), (ip(118, 189, 0), 16), (ip(128, 106, 0), 16)]),
    ("CA", 37, &[(ip(104, 205, 0), 16), (ip(209, 89, 0), 16), (ip(99, 235, 0), 16)]),
    ("SA", 36, &[(ip(178, 80, 0), 16), (ip(51, 235, 0), 16), (ip(212, 138, 0), 16)]),
    ("KE", 30, &[(ip(154, 153, 0), 16), (ip(154, 77, 0), 16), (ip(41, 90, 0), 16)]),
    ("NL", 29, &[(ip(109, 38, 0), 16), (ip(145, 32, 0), 16), (ip(217, 166, 0), 16)]),
    ("HK", 28, &[(ip(182, 153, 0), 16), (ip(61, 93, 0), 16), (ip(210, 3, 0), 16)]),
    ("SE", 27, &[(ip(46, 194, 0), 16), (ip(92, 32, 0), 16), (ip(81, 228, 0), 16)]),
    ("PE", 26, &[(ip(190, 40, 0), 16), (ip(190, 236, 0), 16), (ip(186, 162, 0), 16)]),
    ("AU", 25, &[(ip(136, 153, 0), 16), (ip(175, 35, 0), 16), (ip(124, 178, 0), 16)]),
    ("CL", 18, &[(ip(190, 22, 0), 16), (ip(190, 163, 0), 16), (ip(186, 40, 0), 16)]),
    ("AE", 10, &[(ip(92, 98, 0), 16), (ip(91, 75, 0), 16), (ip(94, 57, 0), 16)]),
];

const fn ip(a: u8, b: u8, c: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, 0)
}

/// The position of a country in every list of them.
pub(super) type CountryIndex = usize;

/// The codes of all countries.
pub(super) fn countries() -> impl Iterator<Item = &'static str> {
    COUNTRIES.iter().map(|(code, _, _)| *code)
}

/// A user, drawn by how many people live where: the country and a public address of it.
pub(super) fn draw_user(rng: &mut Rng) -> (CountryIndex, Ipv4Addr) {
    let total: u32 = COUNTRIES.iter().map(|(_, users, _)| users).sum();
    let mut drawn = rng.below(total);
    let country = COUNTRIES.iter().position(|(_, users, _)| {
        let is_here = drawn < *users;
        drawn = drawn.saturating_sub(*users);
        is_here
    });
    let country = country.unwrap_or(0);
    let prefixes = COUNTRIES[country].2;
    let (base, length) = prefixes[rng.below(u32::try_from(prefixes.len()).unwrap_or(1)) as usize];
    let host = rng.below(1 << (32 - length));
    (country, Ipv4Addr::from(u32::from(base) | host))
}

/// The table of the demo, given the ports where its regions answer.
pub(super) fn table(ports: &[u16]) -> String {
    let spec = Spec {
        regions: REGIONS
            .iter()
            .map(|(name, latitude, longitude, _)| RegionSpec {
                name: (*name).into(),
                latitude: *latitude,
                longitude: *longitude,
                weight: 100,
                ..RegionSpec::default()
            })
            .collect(),
        pools: vec![PoolSpec {
            name: "app".into(),
            placements: REGIONS
                .iter()
                .zip(ports)
                .map(|((name, ..), port)| PlacementSpec {
                    region: Name::from(*name),
                    origins: vec![format!("127.0.0.1:{port}")],
                    weight: 100,
                    ..PlacementSpec::default()
                })
                .collect(),
            ..PoolSpec::default()
        }],
        policies: Vec::new(),
        routes: vec![RouteSpec {
            name: "app".into(),
            hosts: vec![HOST.to_owned()],
            pool: Some("app".into()),
            ..RouteSpec::default()
        }],
    };
    toml::to_string_pretty(&spec).expect("the demo's table is plain text and numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_belongs_to_the_country_it_is_drawn_for() {
        for (code, _, prefixes) in COUNTRIES {
            for (base, length) in prefixes {
                for host in (0..1u32 << (32 - length)).step_by(997) {
                    let address = Ipv4Addr::from(u32::from(*base) | host);
                    assert_eq!(iptocc::country_code(address), Some(code), "{address}");
                }
            }
        }
    }

    #[test]
    fn users_are_drawn_by_population() {
        let mut rng = Rng::new(1);
        let indians = (0..10_000).filter(|_| draw_user(&mut rng).0 == 0).count();
        let total: u32 = COUNTRIES.iter().map(|(_, users, _)| users).sum();
        let expected = 10_000 * 692 / total as usize;
        assert!(indians.abs_diff(expected) < 200, "{indians} of {expected}");
    }

    #[test]
    fn the_table_is_valid() {
        let text = table(&[1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007]);
        let read =
            control::document::read("demo", &text, &|_| None, |spec: Spec| steer::Table::compile(&spec));
        assert_eq!(read.unwrap().regions.len(), REGIONS.len());
    }
}
