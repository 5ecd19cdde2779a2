//! A small world to decide in: twelve real regions, their published round trips, and signals that a test sets by hand.

use std::collections::BTreeMap;

use steer::client::{Client, Pop, Spot};
use steer::decide::{Cause, Decision, World, decide, plan_in_lane};
use steer::drill::Drill;
use steer::effective::{Effective, Override};
use steer::geo::{Place, Point};
use steer::ids::{LaneId, PlacementId, RegionId};
use steer::ranking::{Ranked, Ranking};
use steer::signals::{Health, Observed, Signals};
use steer::spec::{PlacementSpec, PolicySpec, PoolSpec, RegionSpec, RouteSpec, Spec, Steering};
use steer::{Moment, Table};

/// Name, latitude and longitude of twelve cloud regions.
pub(crate) const REGIONS: [(&str, f64, f64); 12] = [
    ("virginia", 37.37, -79.82),
    ("iowa", 41.59, -93.62),
    ("washington", 47.23, -119.85),
    ("sao-paulo", -23.55, -46.63),
    ("dublin", 53.35, -6.26),
    ("frankfurt", 50.11, 8.68),
    ("johannesburg", -25.73, 28.22),
    ("dubai", 25.27, 55.32),
    ("pune", 18.58, 73.92),
    ("singapore", 1.28, 103.83),
    ("tokyo", 35.68, 139.77),
    ("sydney", -33.86, 151.21),
];

/// Round trips in ms between them: Microsoft Azure's published network latency, 95th percentile over 30 days to 2026-07-30,
/// mean of both directions.
pub(crate) const ROUND_TRIPS: [[u16; 12]; 12] = [
    [1, 35, 76, 120, 75, 97, 226, 190, 216, 229, 165, 206],
    [35, 1, 41, 154, 107, 125, 252, 212, 246, 201, 140, 178],
    [76, 41, 1, 179, 136, 160, 284, 256, 218, 165, 102, 180],
    [120, 154, 179, 1, 176, 200, 326, 290, 320, 337, 270, 298],
    [75, 107, 136, 176, 1, 28, 178, 130, 160, 236, 232, 272],
    [97, 125, 160, 200, 28, 1, 173, 122, 150, 179, 248, 290],
    [226, 252, 284, 326, 178, 173, 1, 104, 134, 200, 254, 348],
    [190, 212, 256, 290, 130, 122, 104, 1, 34, 88, 155, 180],
    [216, 246, 218, 320, 160, 150, 134, 34, 1, 58, 129, 152],
    [229, 201, 165, 337, 236, 179, 200, 88, 58, 1, 74, 98],
    [165, 140, 102, 270, 232, 248, 254, 155, 129, 74, 1, 105],
    [206, 178, 180, 298, 272, 290, 348, 180, 152, 98, 105, 1],
];

/// What a test says is observed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) observed: BTreeMap<PlacementId, Observed>,
    pub(crate) in_flight: BTreeMap<PlacementId, u32>,
    pub(crate) last_success: BTreeMap<PlacementId, Moment>,
}

impl Signals for Seen {
    fn observed(&self, placement: PlacementId) -> Observed {
        self.observed.get(&placement).copied().unwrap_or(Observed::plain(Health::Up))
    }

    fn in_flight(&self, placement: PlacementId) -> u32 {
        self.in_flight.get(&placement).copied().unwrap_or(0)
    }

    fn last_success(&self, placement: PlacementId) -> Option<Moment> {
        self.last_success.get(&placement).copied()
    }
}

/// Everything a decision sees, open to a test.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) spec: Spec,
    pub(crate) table: Table,
    pub(crate) overrides: BTreeMap<usize, Override>,
    pub(crate) ranking: Ranking,
    pub(crate) incumbents: Vec<Option<RegionId>>,
    pub(crate) drill: Option<Drill>,
    pub(crate) seen: Seen,
}

impl Setup {
    /// One pool in every region, one route under `steering`.
    pub(crate) fn new(regions: &[(&str, f64, f64)], steering: Steering) -> Self {
        Self::of(spec(regions, steering))
    }

    pub(crate) fn of(spec: Spec) -> Self {
        let table = Table::compile(&spec).unwrap_or_else(|defects| panic!("{defects:?}"));
        let ranking = Ranking {
            number: 1,
            pop: Pop::default(),
            regions: vec![Ranked::default(); table.regions.len()],
            excesses: Vec::new(),
        };
        Self {
            spec,
            table,
            overrides: BTreeMap::new(),
            ranking,
            incumbents: Vec::new(),
            drill: None,
            seen: Seen::default(),
        }
    }

    /// The twelve regions as seen from the one at `pop`.
    pub(crate) fn twelve(steering: Steering, pop: usize) -> Self {
        let mut setup = Self::new(&REGIONS, steering);
        let (_, latitude, longitude) = REGIONS[pop];
        setup.ranking.pop.point = Some(Point::of(Place { latitude, longitude }));
        for (ranked, ms) in setup.ranking.regions.iter_mut().zip(ROUND_TRIPS[pop]) {
            *ranked = Ranked { latency_ms: Some(f64::from(ms)), rise_ms: 0.0, measured: true };
        }
        setup
    }

    pub(crate) fn effective(&self) -> Effective {
        Effective::of(&self.table, |region| self.overrides.get(&region.index()).copied().unwrap_or_default())
    }

    pub(crate) fn decide(&self, client: &Client) -> Result<Decision, Cause> {
        self.with_world(|world| decide(world, LaneId::default(), client, &mut ()))
    }

    /// The whole plan; empty where there is none.
    pub(crate) fn placements(&self, client: &Client) -> Vec<PlacementId> {
        let planned = self.with_world(|world| plan_in_lane(world, LaneId::default(), client, &mut ()));
        planned.map(|(_, plan)| plan.to_vec()).unwrap_or_default()
    }

    /// The whole plan as indices of regions.
    pub(crate) fn plan(&self, client: &Client) -> Vec<usize> {
        let region = |placement| self.table.placement(placement).region.index();
        self.placements(client).into_iter().map(region).collect()
    }

    pub(crate) fn with_world<T>(&self, with: impl FnOnce(&World<'_, Seen>) -> T) -> T {
        let effective = self.effective();
        with(&World {
            table: &self.table,
            effective: &effective,
            ranking: &self.ranking,
            incumbents: &self.incumbents,
            drill: self.drill.as_ref(),
            signals: &self.seen,
        })
    }

    /// The only pool's placement in the `index`th region.
    pub(crate) fn placement(&self, index: usize) -> PlacementId {
        let found = self.table.placements.iter().position(|placement| placement.region.index() == index);
        PlacementId::new(found.unwrap()).unwrap()
    }

    pub(crate) fn observe(&mut self, index: usize, observed: Observed) {
        self.seen.observed.insert(self.placement(index), observed);
    }
}

/// A spec with one pool in every region and one route.
pub(crate) fn spec(regions: &[(&str, f64, f64)], steering: Steering) -> Spec {
    let listed: Vec<_> = regions.iter().map(|(name, _, _)| (*name).into()).collect();
    let policy = PolicySpec {
        name: "p".into(),
        steering,
        order: (steering == Steering::ActivePassive).then(|| listed.clone()),
        ..PolicySpec::default()
    };
    Spec {
        regions: regions
            .iter()
            .map(|(name, latitude, longitude)| RegionSpec {
                name: (*name).into(),
                latitude: *latitude,
                longitude: *longitude,
                weight: 100,
                ..RegionSpec::default()
            })
            .collect(),
        pools: vec![PoolSpec {
            name: "web".into(),
            placements: listed
                .into_iter()
                .map(|region| PlacementSpec {
                    region,
                    origins: vec!["10.0.0.1:80".to_owned()],
                    weight: 100,
                    ..PlacementSpec::default()
                })
                .collect(),
            ..PoolSpec::default()
        }],
        policies: vec![policy],
        routes: vec![RouteSpec {
            name: "all".into(),
            hosts: vec!["www.example.com".to_owned()],
            pool: Some("web".into()),
            policy: Some("p".into()),
            ..RouteSpec::default()
        }],
    }
}

/// A client at exact coordinates, seen from nowhere in particular.
pub(crate) fn at(key: u64, latitude: f64, longitude: f64) -> Client {
    seen_from(&Pop::default(), key, latitude, longitude)
}

/// A client at exact coordinates, seen from a PoP.
pub(crate) fn seen_from(pop: &Pop, key: u64, latitude: f64, longitude: f64) -> Client {
    let point = Some(Point::of(Place { latitude, longitude }));
    let spot = Spot { point, country: None, continent: None, accuracy_km: 0.0, country_only: false };
    Client::at(key, spot, pop)
}

/// A client of whom only the country is known.
pub(crate) fn from(key: u64, country: &str) -> Client {
    let country: steer::geo::Country = country.parse().unwrap();
    let spot = Spot {
        point: country.population_centre().map(Point::of),
        country: Some(country),
        continent: country.continent(),
        accuracy_km: 0.0,
        country_only: true,
    };
    Client::at(key, spot, &Pop::default())
}
