//! Forty cities and twelve regions through a real edge in Frankfurt: where its requests go is what the decision core's golden
//! file says, in peace, with a region down, and with its path slower.

use std::sync::Arc;

use http::Method;
use testkit::{Client, Edge, EdgeBuilder, Origin, Relay, until};

use crate::NEARSIDE;

const GOLDEN: &str =
    include_str!("../../steer/tests/it/snapshots/it__cities__forty_cities_through_one_pop.snap");

/// Name, latitude, longitude and round trip from Frankfurt in ms, as in the golden file.
const REGIONS: [(&str, f64, f64, u64); 12] = [
    ("virginia", 37.37, -79.82, 97),
    ("iowa", 41.59, -93.62, 125),
    ("washington", 47.23, -119.85, 160),
    ("sao-paulo", -23.55, -46.63, 200),
    ("dublin", 53.35, -6.26, 28),
    ("frankfurt", 50.11, 8.68, 1),
    ("johannesburg", -25.73, 28.22, 173),
    ("dubai", 25.27, 55.32, 122),
    ("pune", 18.58, 73.92, 150),
    ("singapore", 1.28, 103.83, 179),
    ("tokyo", 35.68, 139.77, 248),
    ("sydney", -33.86, 151.21, 290),
];

/// A city of each part of the world, with its coordinates. In this order each one's next region still lives when its own is
/// killed.
const CITIES: [(&str, f64, f64); 9] = [
    ("Sao Paulo", -23.4, -46.5),
    ("Los Angeles", 33.9, -118.4),
    ("Washington DC", 38.9, -77.4),
    ("London", 51.5, -0.5),
    ("Johannesburg", -26.1, 28.2),
    ("Sydney", -33.9, 151.2),
    ("Tokyo", 35.8, 140.4),
    ("Singapore", 1.36, 103.99),
    ("Dubai", 25.3, 55.4),
];

/// The three regions that the golden file has for a city.
fn golden(city: &str) -> [&'static str; 3] {
    let line = GOLDEN.lines().find(|line| line.starts_with(&format!("{city} "))).unwrap();
    let names: Vec<&str> = line[city.len()..].split_whitespace().collect();
    names.try_into().unwrap()
}

/// The twelve regions behind relays, and an edge in Frankfurt that has measured them.
struct World {
    relays: Vec<Arc<Relay>>,
    edge: Edge,
    client: Client,
    _origins: Vec<Origin>,
}

impl World {
    async fn new() -> Self {
        let (mut origins, mut relays) = (Vec::new(), Vec::new());
        let (mut table, mut placements) = (String::new(), String::new());
        for (name, latitude, longitude, round_trip_ms) in REGIONS {
            let origin = Origin::named(name).await;
            let relay = Relay::start(origin.address, round_trip_ms).await.unwrap();
            table += &format!(
                "[[regions]]\nname = {name:?}\nlatitude = {latitude:?}\nlongitude = {longitude:?}\n"
            );
            placements +=
                &format!("[[pools.placements]]\nregion = {name:?}\norigins = [\"{}\"]\n", relay.address);
            relays.push(relay);
            origins.push(origin);
        }
        table += "[[routes]]\nname = \"app\"\nhosts = [\"app.test\"]\npool = \"app\"\n";
        table += &format!("[[pools]]\nname = \"app\"\nprobe = {{ interval = \"200ms\" }}\n{placements}");
        let prefixes = CITIES.iter().enumerate().map(|(index, (_, latitude, longitude))| {
            let place = format!("{{ latitude = {latitude:?}, longitude = {longitude:?} }}");
            format!("{{ prefix = \"192.0.2.{index}/32\", place = {place} }}")
        });
        let geo = format!("[geo]\nprefixes = [{}]", prefixes.collect::<Vec<_>>().join(", "));
        let edge = EdgeBuilder::new(NEARSIDE, &table).and(&geo).start().await;
        until("all regions are measured", async || {
            let (_, answer) = edge.admin.json(Method::GET, "/v1/regions", "").await;
            answer["regions"].as_array().unwrap().iter().all(|region| region["observed"]["measured"] == true)
        })
        .await;
        let client = Client::connect(edge.address()).await;
        Self { relays, edge, client, _origins: origins }
    }

    /// Who answers a client of a city.
    async fn answers(&mut self, city: usize) -> String {
        let address = format!("192.0.2.{city}");
        let answer = self.client.ask(Method::GET, "/", &[("x-forwarded-for", &address)], "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    }

    fn relay(&self, region: &str) -> &Relay {
        &self.relays[REGIONS.iter().position(|known| known.0 == region).unwrap()]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_continent_goes_where_the_blend_says() {
    let mut world = World::new().await;
    for (index, (city, _, _)) in CITIES.iter().enumerate() {
        assert_eq!(world.answers(index).await, golden(city)[0], "{city} in peace");
    }
    for (index, (city, _, _)) in CITIES.iter().enumerate() {
        let [natural, next, _] = golden(city);
        world.relay(natural).set_alive(false);
        assert_eq!(world.answers(index).await, next, "{city}, the moment {natural} is killed");
        let edge = &world.edge;
        until("it is known", async || edge.admin.region_health(natural).await == "down").await;
        assert_eq!(world.answers(index).await, next, "{city} without {natural}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slower_path_moves_those_whom_it_should() {
    let mut world = World::new().await;
    let london = CITIES.iter().position(|city| city.0 == "London").unwrap();
    world.relay("frankfurt").add_delay(100);
    until("London is moved", async || world.answers(london).await == golden("London")[2]).await;
    for (index, (city, _, _)) in CITIES.iter().enumerate().filter(|(index, _)| *index != london) {
        assert_eq!(world.answers(index).await, golden(city)[0], "{city} is where it was");
    }
}
