//! Worlds of any size to decide in, shared by the benches.

use steer::client::{Client, Spot};
use steer::geo::{Place, Point};
use steer::ids::PlacementId;
use steer::ranking::{Ranked, Ranking};
use steer::signals::{Health, Observed, Signals};
use steer::spec::{PlacementSpec, PoolSpec, RegionSpec, RouteSpec};
use steer::{Moment, Pop, Spec, Table};

/// Sixty-four clients all over the world.
#[must_use]
pub fn clients(pop: &Pop) -> Vec<Client> {
    (0..64_i32)
        .map(|index| {
            let place = Place { latitude: f64::from(index) - 30.0, longitude: f64::from(index * 5) - 160.0 };
            let point = Some(Point::of(place));
            let key = steer::draw::bytes_hash(&index.to_le_bytes());
            let spot = Spot { point, country: None, continent: None, accuracy_km: 20.0, country_only: false };
            Client::at(key, spot, pop)
        })
        .collect()
}

/// A spec with one pool in every one of `regions` and `routes` routes over a hundredth as many hosts.
#[must_use]
pub fn spec(regions: usize, routes: usize) -> Spec {
    let latitude = |index: usize| ((index * 37) % 140) as f64 - 70.0;
    let longitude = |index: usize| ((index * 83) % 340) as f64 - 170.0;
    Spec {
        regions: (0..regions)
            .map(|index| RegionSpec {
                name: format!("region-{index}").as_str().into(),
                latitude: latitude(index),
                longitude: longitude(index),
                weight: 100,
                ..RegionSpec::default()
            })
            .collect(),
        pools: vec![PoolSpec {
            name: "web".into(),
            placements: (0..regions)
                .map(|index| PlacementSpec {
                    region: format!("region-{index}").as_str().into(),
                    origins: vec![format!("10.0.{}.{}:8080", index / 250, index % 250 + 1)],
                    weight: 100,
                    ..PlacementSpec::default()
                })
                .collect(),
            ..PoolSpec::default()
        }],
        policies: Vec::new(),
        routes: (0..routes)
            .map(|index| RouteSpec {
                name: format!("route-{index}").as_str().into(),
                hosts: vec![format!("host-{}.example.com", index / 100)],
                path_prefix: Some(format!("/service-{}", index % 100)),
                pool: Some("web".into()),
                ..RouteSpec::default()
            })
            .collect(),
    }
}

/// A ranking in which every region was measured.
#[must_use]
pub fn ranking(table: &Table) -> Ranking {
    let pop = Pop { point: Some(table.regions[0].point), country: None };
    let regions = table
        .regions
        .iter()
        .map(|region| {
            let km = table.regions[0].point.km_to(&region.point);
            Ranked { latency_ms: Some(steer::geo::expected_rtt_ms(km)), rise_ms: 0.0, measured: true }
        })
        .collect();
    Ranking { number: 1, pop, regions, excesses: Vec::new() }
}

/// Everything is up, and one byte per placement says so, as in the running proxy.
#[derive(Debug)]
pub struct AllUp(Vec<u8>);

impl AllUp {
    /// The signals of a table.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        Self(vec![Observed::plain(Health::Up).to_byte(); table.placements.len()])
    }
}

impl Signals for AllUp {
    fn observed(&self, placement: PlacementId) -> Observed {
        Observed::from_byte(self.0[placement.index()])
    }

    fn in_flight(&self, _: PlacementId) -> u32 {
        0
    }

    fn last_success(&self, _: PlacementId) -> Option<Moment> {
        None
    }
}
