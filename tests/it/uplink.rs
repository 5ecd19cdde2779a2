//! When nothing answers at all, it may be us.

use std::time::{Duration, Instant};

use testkit::{Client, Edge, EdgeBuilder, Muted, Origin, table_with, until};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::NEARSIDE;

struct World {
    ways: [Muted; 2],
    _origins: [Origin; 2],
    edge: Edge,
}

/// Two regions behind ways that can fall silent.
async fn world(health: &str, policy: &str) -> World {
    let origins = [Origin::named("near").await, Origin::named("far").await];
    let ways = [Muted::before(origins[0].address).await, Muted::before(origins[1].address).await];
    let regions: [(&str, &[String]); 2] = [("near", &[ways[0].host()]), ("far", &[ways[1].host()])];
    let table = table_with(&regions, "probe = { interval = \"50ms\" }", "policy = \"order\"");
    let policy = format!(
        "[[policies]]\nname = \"order\"\nsteering = \"active-passive\"\norder = [\"near\", \"far\"]\n{policy}\n"
    );
    let builder = EdgeBuilder::new(NEARSIDE, &format!("{table}{policy}")).health(health);
    World { ways, _origins: origins, edge: builder.start().await }
}

impl World {
    fn set_silent(&self, silent: bool) {
        self.ways.iter().for_each(|way| way.set_silent(silent));
    }

    async fn are(&self, health: &str) {
        for region in ["near", "far"] {
            until(health, async || self.edge.admin.region_health(region).await == health).await;
        }
    }

    async fn changes_to(&self, health: &str) -> f64 {
        let name = |region| {
            format!("nearside_health_transitions_total{{pool=\"app\",region={region:?},to={health:?}}}")
        };
        self.edge.metric(&name("near")).await + self.edge.metric(&name("far")).await
    }

    async fn is_suspected(&self) -> bool {
        self.edge.metric("nearside_uplink_suspected").await == 1.0
    }

    async fn ready(&self) -> (u16, String) {
        self.edge.health("/readyz?verbose").await
    }
}

#[tokio::test]
async fn regions_that_fall_silent_together_are_doubted_and_return_at_once() {
    let world = world("", "").await;
    world.are("up").await;
    world.set_silent(true);
    until("the uplink is suspected", async || world.is_suspected().await).await;
    world.are("suspect").await;
    let silent = Instant::now();
    while silent.elapsed() < Duration::from_secs(3) {
        assert_eq!(world.ready().await.0, 200, "no reference says that it is us");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.are("suspect").await;
    world.set_silent(false);
    let back = Instant::now();
    world.are("up").await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    assert_eq!(world.changes_to("recovering").await, 0.0, "no ramp");
    assert_eq!(world.changes_to("held").await, 0.0);
    assert!(!world.is_suspected().await);
    assert_eq!(Client::connect(world.edge.address()).await.get("/").await.text(), "near");
}

#[tokio::test]
async fn an_edge_that_starts_while_nothing_answers_is_ready_all_the_same() {
    let origin = Origin::named("eu").await;
    let way = Muted::before(origin.address).await;
    way.set_silent(true);
    // Starting waits for it to be ready.
    let edge = EdgeBuilder::new(NEARSIDE, &table_with(&[("eu", &[way.host()])], "", "")).start().await;
    way.set_silent(false);
    let back = Instant::now();
    until("it serves", async || Client::connect(edge.address()).await.get("/").await.status == 200).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
}

#[tokio::test]
async fn an_edge_that_hears_nothing_is_unready_where_that_is_wished() {
    let world = world("readyz_on_all_down = \"fail\"", "").await;
    world.are("up").await;
    let (status, gates) = world.ready().await;
    assert!(status == 200 && gates.contains("[+] uplink"), "{gates}");
    let began = Instant::now();
    world.set_silent(true);
    until("it is not ready", async || world.ready().await.0 == 503).await;
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(world.ready().await.1.contains("[-] uplink"));
    world.set_silent(false);
    until("it is ready", async || world.ready().await.0 == 200).await;
}

#[tokio::test]
async fn a_reference_that_answers_proves_the_uplink() {
    let reference = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = world(&format!("references = [\"{}\"]", reference.local_addr().unwrap()), "").await;
    world.are("up").await;
    world.set_silent(true);
    world.are("down").await;
    let silent = Instant::now();
    while silent.elapsed() < Duration::from_secs(4) {
        assert!(!world.is_suspected().await);
        assert_eq!(world.ready().await.0, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // So does one that refuses.
    drop(reference);
    let silent = Instant::now();
    while silent.elapsed() < Duration::from_secs(2) {
        assert!(!world.is_suspected().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.are("down").await;
}

#[tokio::test]
async fn references_that_are_silent_too_make_an_edge_unready() {
    // A listener whose queue is full: the kernel drops who knocks, as a firewall would.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let reference = socket.listen(1).unwrap();
    let address = reference.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    let world = world(&format!("references = [\"{address}\"]"), "").await;
    world.are("up").await;
    world.set_silent(true);
    until("it is not ready", async || world.ready().await.0 == 503).await;
    world.are("suspect").await;
    world.set_silent(false);
    until("it is ready", async || world.ready().await.0 == 200).await;
    world.are("up").await;
}

#[tokio::test]
async fn refusals_are_answers() {
    let world = world("readyz_on_all_down = \"fail\"", "on_all_down = \"fail_fast\"").await;
    world.are("up").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let regions: [(&str, &[String]); 2] = [("near", &[closed.to_string()]), ("far", &[closed.to_string()])];
    assert_eq!(world.edge.admin.publish(&table_with(&regions, "", "")).await.0, 200);
    world.are("down").await;
    let refused = Instant::now();
    while refused.elapsed() < Duration::from_secs(4) {
        assert_eq!(world.ready().await.0, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.are("down").await;
}

#[tokio::test]
async fn service_returns_with_the_first_region_though_others_stay_away() {
    for policy in ["on_all_down = \"fail_fast\"", "on_all_down = \"try_least_bad\""] {
        let reference = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let health = format!("references = [\"{}\"]", reference.local_addr().unwrap());
        let world = world(&health, policy).await;
        world.are("up").await;
        world.set_silent(true);
        world.are("down").await;
        let mut client = Client::connect(world.edge.address()).await;
        assert_eq!(client.get("/").await.status, 503, "{policy}");
        world.ways[1].set_silent(false);
        let back = Instant::now();
        // Requests that went to the other one before this one was back may wait for that.
        until("it is served", async || {
            let asked = async { Client::connect(world.edge.address()).await.get("/").await.status == 200 };
            tokio::time::timeout(Duration::from_millis(100), asked).await.unwrap_or(false)
        })
        .await;
        assert!(back.elapsed() < Duration::from_secs(1), "{policy}: {:?}", back.elapsed());
        assert_eq!(world.edge.admin.region_health("near").await, "down");
    }
}
