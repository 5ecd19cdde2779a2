//! What operators override of regions and placements while traffic flows: forced health, drains over time.

use http::Method;
use serde_json::{Value, json};
use testkit::{Client, Edge, EdgeBuilder, Origin, table, until};

use crate::NEARSIDE;

async fn near_and_far() -> (Origin, Origin, Edge) {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let table = table(&[("near", &[near.host()]), ("far", &[far.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    (near, far, edge)
}

/// Who answers a client of that network.
async fn asked(client: &mut Client, network: u8) -> String {
    let address = format!("81.2.{network}.142");
    client.ask(Method::GET, "/", &[("x-forwarded-for", &address)], "").await.text().to_owned()
}

async fn patch(edge: &Edge, path: &str, body: &Value) -> Value {
    // Whatever a guard says: some of these take everything away.
    let (status, answer) =
        edge.admin.json(Method::PATCH, &format!("{path}?force=1"), &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn a_placement_is_overridden_and_shown_in_its_layers() {
    let (_near, _far, edge) = near_and_far().await;
    let mut client = Client::connect(edge.address()).await;
    let (_, region) = edge.admin.json(Method::GET, "/v1/regions/near", "").await;
    let pool = region["placements"][0]["pool"].as_str().unwrap().to_owned();
    let path = format!("/v1/placements/{pool}/near");
    assert_eq!(asked(&mut client, 69).await, "near");
    let shown = patch(&edge, &path, &json!({"weight": 0, "reason": "test"})).await;
    assert_eq!(asked(&mut client, 69).await, "far", "in force before the answer");
    assert_eq!(
        (&shown["effective"]["weight"], &shown["effective"]["weight_by"]),
        (&json!(0.0), &json!("placement-override"))
    );
    assert_eq!(shown["effective"]["is_usable"], false);
    assert_eq!(shown["configured"], json!({"weight": 100, "state": "active"}));
    assert_eq!(shown["overridden"]["weight"]["author"], "local");
    assert_eq!(shown["observed"]["health"], "up");
    assert!(shown["observed"]["for_ms"].as_f64().unwrap() > 0.0, "{shown}");
    patch(&edge, "/v1/regions/near", &json!({"state": "standby", "reason": "test"})).await;
    let shown = patch(&edge, &path, &json!({"weight": null, "reason": "test"})).await;
    assert_eq!(
        (&shown["effective"]["state"], &shown["effective"]["state_by"]),
        (&json!("standby"), &json!("region-override"))
    );
    assert_eq!(asked(&mut client, 69).await, "far");
    let (status, problem) =
        edge.admin.json(Method::PATCH, "/v1/placements/app/mars", r#"{"weight": 1, "reason": "x"}"#).await;
    assert_eq!(
        (status, &problem["type"]),
        (404, &json!("urn:nearside:problem:unknown-placement")),
        "{problem}"
    );
    for (body, field) in [
        (json!({"weight": 101, "reason": "x"}), "weight"),
        (json!({"health": "sick", "reason": "x"}), "health"),
        (json!({"state": "standby", "over": "5s", "reason": "x"}), "over"),
        (json!({"weight": 1, "over": "5s"}), "reason"),
    ] {
        let (status, problem) = edge.admin.json(Method::PATCH, &path, &body.to_string()).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{body}: {problem}");
    }
}

#[tokio::test]
async fn forced_health_counts_whatever_probes_say() {
    let (near, _far, edge) = near_and_far().await;
    let mut client = Client::connect(edge.address()).await;
    let region = patch(&edge, "/v1/regions/near", &json!({"health": "down", "reason": "it lies"})).await;
    assert_eq!(
        (&region["effective"]["health"], &region["effective"]["health_by"]),
        (&json!("down"), &json!("region-override"))
    );
    assert_eq!(asked(&mut client, 69).await, "far");
    let (_, told) = edge.admin.json(Method::GET, "/v1/explain?ip=81.2.69.142", "").await;
    let candidate = told["regions"].as_array().unwrap().iter().find(|it| it["region"] == "near").unwrap();
    assert_eq!(
        (&candidate["why"], &candidate["health"]),
        (&json!("an operator forced it down"), &json!("down (forced; seen up)"))
    );
    assert_eq!(candidate["decided_by"]["health"], "region-override");
    assert_eq!(told["natural_region"], "near");
    // Both forced down: nobody is asked, not even as the least bad.
    patch(&edge, "/v1/regions/far", &json!({"health": "down", "reason": "test"})).await;
    let before = near.requests().len();
    let refused = client.ask(Method::GET, "/", &[], "").await;
    assert_eq!((refused.status, near.requests().len()), (503.try_into().unwrap(), before));
    patch(&edge, "/v1/regions/far", &json!({"health": null, "reason": "test"})).await;
    patch(&edge, "/v1/regions/near", &json!({"health": "up", "reason": "test"})).await;
    drop(near);
    until("probes find it down", async || {
        let (_, region) = edge.admin.json(Method::GET, "/v1/regions/near", "").await;
        region["placements"][0]["observed"]["health"] == "down"
    })
    .await;
    let (_, told) = edge.admin.json(Method::GET, "/v1/explain?ip=81.2.69.142", "").await;
    assert_eq!(told["choice"], "near", "forced up, it is still chosen");
    assert_eq!(
        asked(&mut client, 69).await,
        "far",
        "and the request fails over, as from any region that is up"
    );
    patch(&edge, "/v1/regions/near", &json!({"health": null, "reason": "test"})).await;
    let (_, told) = edge.admin.json(Method::GET, "/v1/explain?ip=81.2.69.142", "").await;
    assert_eq!(told["choice"], "far");
}

#[tokio::test]
async fn a_drain_over_time_moves_each_client_once_and_ends_on_time() {
    let (_near, _far, edge) = near_and_far().await;
    let mut client = Client::connect(edge.address()).await;
    let mut networks = Vec::new();
    for network in 64..124u8 {
        if asked(&mut client, network).await == "near" {
            networks.push(network);
        }
    }
    assert!(networks.len() > 30, "{networks:?}");
    let begun = std::time::Instant::now();
    let body = json!({"state": "drain", "over": "3s", "expires_in": "5s", "reason": "test"});
    let region = patch(&edge, "/v1/regions/near", &body).await;
    assert_eq!(
        (&region["effective"]["state"], &region["effective"]["state_by"]),
        (&json!("active"), &json!("region-table"))
    );
    assert_eq!(region["overridden"]["state"]["ramp"]["to"], 0);
    let mut gone = vec![false; networks.len()];
    let mut seen = Vec::new();
    // Bounded: a round takes a while, and the drain three seconds.
    for _ in 0..10_000 {
        for (network, gone) in networks.iter().zip(&mut gone) {
            let answer = asked(&mut client, *network).await;
            assert!(answer == "near" || answer == "far", "{answer}");
            let is_gone = answer == "far";
            let was_gone = std::mem::replace(gone, is_gone);
            assert!(is_gone || !was_gone, "{network} came back");
        }
        seen.push(gone.iter().filter(|gone| **gone).count());
        if gone.iter().all(|gone| *gone) {
            break;
        }
    }
    let took = begun.elapsed().as_secs_f64();
    assert!((2.0..4.5).contains(&took), "{took} s");
    seen.dedup();
    assert!(seen.len() >= 6, "in steps: {seen:?}");
    until("the override expires", async || asked(&mut client, 69).await == "near").await;
    let took = begun.elapsed().as_secs_f64();
    assert!((4.9..6.0).contains(&took), "exact to a second: {took} s");
}

async fn drill(edge: &Edge, percent: f64, lasts: &str) -> (u16, Value) {
    let body = json!({"region": "near", "percent": percent, "for": lasts, "reason": "test"});
    edge.admin.json(Method::POST, "/v1/drill", &body.to_string()).await
}

#[tokio::test]
async fn a_drill_moves_its_part_of_the_clients_and_the_log_says_dr() {
    let (_near, far, edge) = near_and_far().await;
    let mut client = Client::connect(edge.address()).await;
    until("it serves", async || asked(&mut client, 69).await == "near").await;
    let mut networks = Vec::new();
    for network in 64..124 {
        if asked(&mut client, network).await == "near" {
            networks.push(network);
        }
    }
    let (status, begun) = drill(&edge, 50.0, "60s").await;
    assert_eq!((status, &begun["drill"]["region"]), (200, &"near".into()), "{begun}");
    let mut moved = 0;
    for network in &networks {
        moved += usize::from(asked(&mut client, *network).await == "far");
    }
    assert!(moved > networks.len() / 4 && moved < networks.len() * 3 / 4, "{moved} of {}", networks.len());
    let logged = || {
        let lines = edge.access_log().into_iter();
        lines.filter(|line| line["reason"] == "DR").collect::<Vec<_>>()
    };
    until("the log says so", async || logged().len() >= moved).await;
    let drilled = logged();
    assert_eq!(drilled.len(), moved);
    assert!(
        drilled.iter().all(|line| line["region"] == "far" && line["natural_region"] == "near"),
        "{drilled:?}"
    );
    let (_, shown) = edge.admin.json(Method::GET, "/v1/drill", "").await;
    assert_eq!((&shown["drill"]["percent"], &shown["drill"]["author"]), (&50.0.into(), &"local".into()));
    let (status, _) = edge.admin.json(Method::DELETE, "/v1/drill?reason=enough", "").await;
    assert_eq!((status, asked(&mut client, 69).await), (200, "near".to_owned()));
    let (status, refused) = edge.admin.json(Method::DELETE, "/v1/drill?reason=again", "").await;
    assert_eq!((status, &refused["type"]), (409, &"urn:nearside:problem:no-drill".into()));
    // It ends by itself.
    assert_eq!(drill(&edge, 100.0, "500ms").await.0, 200);
    assert_eq!(asked(&mut client, 69).await, "far");
    until("the drill is over", async || asked(&mut client, 69).await == "near").await;
    // Alone, the region serves although it plays dead.
    assert_eq!(drill(&edge, 100.0, "60s").await.0, 200);
    drop(far);
    for _ in 0..20 {
        let answer = asked(&mut client, 69).await;
        assert_eq!(answer, "near", "a drill fails nobody");
    }
}
