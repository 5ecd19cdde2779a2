//! Regions that answer probes and fail requests, or answer late; and what is told of health.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use testkit::{Client, Edge, EdgeBuilder, Muted, Origin, Relay, Users, answer, table_with, text, until};

use crate::NEARSIDE;

/// How an origin treats requests; probes are always answered well.
#[derive(Clone, Default)]
struct Manners {
    /// Of so many requests one fails; 0 is none.
    fails_every: Arc<AtomicU64>,
    late_ms: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
}

impl Manners {
    async fn origin(&self, name: &'static str) -> Origin {
        let manners = self.clone();
        Origin::with(move |_: Request<Incoming>| {
            let manners = manners.clone();
            async move {
                let number = manners.asked.fetch_add(1, SeqCst);
                let late = manners.late_ms.load(SeqCst);
                if late > 0 {
                    tokio::time::sleep(Duration::from_millis(late)).await;
                }
                match manners.fails_every.load(SeqCst) {
                    0 => text(name),
                    every if number.is_multiple_of(every) => answer(StatusCode::SERVICE_UNAVAILABLE, "no"),
                    _ => text(name),
                }
            }
        })
        .await
    }
}

/// Regions in their order, the first of which is 5 ms away and the others farther.
async fn edge(regions: &[(&str, String)], steering: &str) -> Edge {
    let hosts: Vec<[String; 1]> = regions.iter().map(|(_, host)| [host.clone()]).collect();
    let regions: Vec<(&str, &[String])> =
        regions.iter().zip(&hosts).map(|((name, _), hosts)| (*name, &hosts[..])).collect();
    let table = table_with(&regions, "probe = { interval = \"50ms\" }", "policy = \"order\"");
    let names: Vec<&str> = regions.iter().map(|(name, _)| *name).collect();
    let order = if steering == "active-passive" { format!("order = {names:?}\n") } else { String::new() };
    let policy = format!("[[policies]]\nname = \"order\"\nsteering = \"{steering}\"\n{order}");
    let edge = EdgeBuilder::new(NEARSIDE, &format!("{table}{policy}")).start().await;
    for name in names {
        until("it is up", async || edge.admin.region_health(name).await == "up").await;
    }
    edge
}

fn changes(region: &str, to: &str) -> String {
    format!("nearside_health_transitions_total{{pool=\"app\",region={region:?},to={to:?}}}")
}

#[tokio::test]
async fn a_region_that_fails_a_fifth_of_its_requests_is_left_although_its_probes_are_well() {
    let (near, far) = (Manners::default(), Manners::default());
    let origins = [near.origin("near").await, far.origin("far").await];
    let edge = edge(&[("near", origins[0].host()), ("far", origins[1].host())], "active-passive").await;
    let users = Users::everywhere(8, edge.address(), Duration::from_millis(2));
    users.served(500).await;
    near.fails_every.store(5, SeqCst);
    until("near is left", async || edge.admin.region_health("near").await == "down").await;
    let asked = near.asked.load(SeqCst);
    users.served(500).await;
    users.stop().await;
    assert!(near.asked.load(SeqCst) <= asked + 16, "what was under way, and no more");
    let log = edge.log();
    let line = log.lines().find(|line| line.contains("error accrual")).expect("the cause is told");
    assert!(line.contains("attempts failed") && line.contains("region=near"), "{line}");
    let trips = "nearside_accrual_trips_total{pool=\"app\",region=\"near\",kind=\"errors\"}";
    assert_eq!(edge.metric(trips).await, 1.0);
    let (_, told) = edge.admin.json(Method::GET, "/v1/regions/near", "").await;
    let error = &told["observed"]["placements"][0]["origins"][0]["last_error"];
    assert_eq!(error["what"], "a request failed");
    assert!(error["ago_ms"].as_f64().unwrap() < 60_000.0);
    // Its probes have been well all the time, and that does not bring it back.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(edge.admin.region_health("near").await, "down");
    assert_eq!(edge.metric(&changes("near", "down")).await, 1.0);
}

#[tokio::test]
async fn the_last_region_stays_whatever_it_answers() {
    let manners = Manners::default();
    let origin = manners.origin("only").await;
    let edge = edge(&[("only", origin.host())], "nearest").await;
    manners.fails_every.store(2, SeqCst);
    let mut client = Client::connect(edge.address()).await;
    let prevented = "nearside_ejections_prevented_total{pool=\"app\",region=\"only\",guard=\"last\"}";
    let mut number = 0;
    until("an ejection is prevented", async || {
        for _ in 0..20 {
            number += 1;
            let address = format!("10.0.{number}.1");
            client.ask(Method::GET, "/", &[("x-forwarded-for", &address)], "").await;
        }
        edge.metric(prevented).await > 0.0
    })
    .await;
    assert_eq!(edge.admin.region_health("only").await, "up");
}

#[tokio::test]
async fn one_clients_poison_ejects_nobody() {
    let near = Origin::with(|request: Request<Incoming>| async move {
        let is_poison = request.uri().path() == "/poison";
        if is_poison { answer(StatusCode::BAD_GATEWAY, "no") } else { text("near") }
    })
    .await;
    let far = Origin::named("far").await;
    let edge = edge(&[("near", near.host()), ("far", far.host())], "active-passive").await;
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..200 {
        client.ask(Method::GET, "/poison", &[("x-forwarded-for", "10.0.0.1")], "").await;
    }
    assert_eq!(edge.admin.region_health("near").await, "up");
    assert_eq!(client.get("/").await.text(), "near");
}

#[tokio::test]
async fn what_all_regions_fail_alike_ejects_one_of_them_at_most() {
    let manners = [Manners::default(), Manners::default()];
    let origins = [manners[0].origin("near").await, manners[1].origin("far").await];
    let edge = edge(&[("near", origins[0].host()), ("far", origins[1].host())], "active-passive").await;
    for manners in &manners {
        manners.fails_every.store(3, SeqCst);
    }
    let mut client = Client::connect(edge.address()).await;
    for number in 0..3000 {
        let address = format!("10.{}.{}.1", number >> 8, number & 255);
        client.ask(Method::GET, "/", &[("x-forwarded-for", &address)], "").await;
    }
    let down = edge.metric(&changes("near", "down")).await + edge.metric(&changes("far", "down")).await;
    assert!(down <= 1.0, "{down}");
    let prevented = ["common_mode", "last", "cap"].map(|guard| {
        format!("nearside_ejections_prevented_total{{pool=\"app\",region=\"far\",guard=\"{guard}\"}}")
    });
    let mut count = 0.0;
    for name in &prevented {
        count += edge.metric(name).await;
    }
    assert!(count > 0.0, "{}", edge.health("/metrics").await.1);
}

#[tokio::test]
async fn a_region_whose_answers_become_late_costs_more_and_stays_well() {
    let (near, far) = (Manners::default(), Manners::default());
    let origins = [near.origin("near").await, far.origin("far").await];
    let way = Relay::start(origins[1].address, 100).await.unwrap();
    let edge = edge(&[("near", origins[0].host()), ("far", way.address.to_string())], "latency").await;
    let users = Users::everywhere(8, edge.address(), Duration::from_millis(10));
    users.served(1000).await;
    near.late_ms.store(300, SeqCst);
    let late = Instant::now();
    let excess = "nearside_region_excess_seconds{pool=\"app\",region=\"near\"}";
    until("near costs more", async || edge.metric(excess).await > 0.05).await;
    let known = late.elapsed();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = near.asked.load(SeqCst);
    users.served(200).await;
    users.stop().await;
    assert!(near.asked.load(SeqCst) <= asked + 20, "nearly all are served by far");
    assert!(known < Duration::from_secs(2), "{known:?}");
    until("near is well", async || edge.admin.region_health("near").await == "up").await;
    assert_eq!(edge.metric(&changes("near", "down")).await, 0.0);
    let trips = "nearside_accrual_trips_total{pool=\"app\",region=\"near\",kind=\"slowness\"}";
    assert!(edge.metric(trips).await >= 1.0);
    let (_, told) = edge.admin.json(Method::GET, "/v1/explain?ip=10.0.0.1&host=app.test", "").await;
    let near = told["regions"].as_array().unwrap().iter().find(|region| region["region"] == "near").unwrap();
    assert!(near["terms"]["excess_ms"].as_f64().unwrap() > 50.0, "{told}");
}

#[tokio::test]
async fn a_way_that_becomes_much_longer_is_known_within_a_second() {
    let origins = [Origin::named("near").await, Origin::named("far").await];
    let near = Relay::start(origins[0].address, 10).await.unwrap();
    let far = Relay::start(origins[1].address, 30).await.unwrap();
    let edge = edge(&[("near", near.address.to_string()), ("far", far.address.to_string())], "latency").await;
    let rtt = "nearside_origin_rtt_seconds{region=\"near\"}";
    // Long enough that a change would wait its turn.
    tokio::time::sleep(Duration::from_secs(6)).await;
    near.add_delay(55);
    let longer = Instant::now();
    until("it is known", async || edge.metric(rtt).await > 0.05).await;
    let known = longer.elapsed();
    assert!(known < Duration::from_millis(1500), "{known:?}");
    until("near is trusted", async || edge.admin.region_health("near").await == "up").await;
    assert_eq!(edge.metric(&changes("near", "down")).await, 0.0, "slow is not dead");
    assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "far");
}

#[tokio::test]
async fn silence_is_noticed_in_the_time_that_its_probes_take() {
    let origins = [Origin::named("near").await, Origin::named("far").await];
    let ways = [Muted::before(origins[0].address).await, Muted::before(origins[1].address).await];
    let edge = edge(&[("near", ways[0].host()), ("far", ways[1].host())], "active-passive").await;
    ways[0].set_silent(true);
    let silent = Instant::now();
    until("near is down", async || edge.admin.region_health("near").await == "down").await;
    // 50 + 20 + 20 + 20 ms, and what a busy machine adds.
    let known = silent.elapsed();
    assert!(known < Duration::from_secs(1), "{known:?}");
    let log = edge.log();
    let line = log.lines().find(|line| line.contains("to=\"down\"")).expect("it is told");
    assert!(line.contains("no answer within"), "{line}");
    let (_, told) = edge.admin.json(Method::GET, "/v1/regions/near", "").await;
    let what = told["observed"]["placements"][0]["origins"][0]["last_error"]["what"].clone();
    assert!(what.as_str().unwrap().starts_with("probe: no answer within"), "{what}");
}
