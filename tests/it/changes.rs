//! Changes as an operator makes them: previewed, on conditions, guarded, taken back.

use http::Method;
use serde_json::json;
use testkit::{Client, Edge, EdgeBuilder, Origin, table, until};

use crate::NEARSIDE;
use crate::events::Listening;

pub(crate) async fn near_and_far() -> (Origin, Origin, EdgeBuilder, String) {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let table = table(&[("near", &[near.host()]), ("far", &[far.host()])]);
    let builder = EdgeBuilder::new(NEARSIDE, &table);
    (near, far, builder, table)
}

pub(crate) async fn asked(edge: &Edge) -> String {
    let mut client = Client::connect(edge.address()).await;
    client.ask(Method::GET, "/", &[("x-forwarded-for", "81.2.69.142")], "").await.text().to_owned()
}

pub(crate) fn weight(weight: u8) -> String {
    json!({"weight": weight, "reason": "test"}).to_string()
}

#[tokio::test]
async fn a_preview_tells_what_would_move_and_moves_nothing() {
    let (_near, _far, builder, _) = near_and_far().await;
    let edge = builder.start().await;
    let path = "/v1/regions/near?dry_run=1";
    let (status, told) = edge.admin.json(Method::PATCH, path, &weight(0)).await;
    assert_eq!((status, &told["dry_run"], &told["version"]), (200, &true.into(), &1.into()), "{told}");
    let shares = told["shares"].as_array().unwrap();
    let near = shares.iter().find(|share| share["region"] == "near").unwrap();
    assert_eq!((&near["before"], &near["after"]), (&1.0.into(), &0.0.into()));
    assert_eq!((told["violations"].as_array().unwrap().len(), asked(&edge).await), (0, "near".to_owned()));
}

#[tokio::test]
async fn what_would_take_everything_away_is_refused_until_the_version_is_named() {
    let (_near, _far, builder, _) = near_and_far().await;
    let edge = builder.start().await;
    edge.admin.patch("far", r#"{"state": "off", "reason": "test"}"#).await;
    let off = json!({"state": "off", "reason": "test"}).to_string();
    let (status, refused) = edge.admin.json(Method::PATCH, "/v1/regions/near", &off).await;
    assert_eq!((status, &refused["version"]), (409, &1.into()), "{refused}");
    assert_eq!(refused["violations"][0]["what"], "nothing-usable");
    assert_eq!(asked(&edge).await, "near", "nothing has changed");
    let (status, moved) = edge.admin.json(Method::PATCH, "/v1/regions/near?force=7", &off).await;
    assert_eq!((status, &moved["type"]), (412, &"urn:nearside:problem:moved".into()));
    let (status, _) = edge.admin.json(Method::PATCH, "/v1/regions/near?force=1", &off).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_force_may_name_the_overrides_that_it_was_meant_for() {
    let (_near, _far, builder, table) = near_and_far().await;
    let edge = builder.start().await;
    let state = |state: &str| json!({"state": state, "reason": "test"}).to_string();
    edge.admin.patch("far", &state("off")).await;
    let (status, refused) = edge.admin.json(Method::PATCH, "/v1/regions/near", &state("off")).await;
    assert_eq!((status, &refused["version"], &refused["overlay"]), (409, &1.into(), &1.into()), "{refused}");
    assert!(refused["detail"].as_str().unwrap().ends_with("say force=1.1"), "{refused}");
    let (_, told) = edge.admin.json(Method::PATCH, "/v1/regions/near?dry_run=1", &state("off")).await;
    assert_eq!((&told["version"], &told["overlay"]), (&1.into(), &1.into()), "{told}");
    // Somebody brings the other one back and takes it away again: what was seen is not what is in force.
    edge.admin.patch("far", &state("active")).await;
    edge.admin.patch("far", &state("drain")).await;
    let (status, moved) = edge.admin.json(Method::PATCH, "/v1/regions/near?force=1.1", &state("off")).await;
    assert_eq!((status, &moved["type"]), (412, &"urn:nearside:problem:moved".into()), "{moved}");
    assert!(moved["detail"].as_str().unwrap().contains("1.3 is in force, not 1.1"), "{moved}");
    let tagged = async |tag: &str, body: &str| {
        edge.admin.send(Method::PATCH, "/v1/regions/far", &[("if-match", tag)], body).await.0
    };
    assert_eq!(tagged("\"1.1\"", &weight(50)).await, 412);
    assert_eq!(tagged("\"1.3\"", &weight(50)).await, 200);
    assert_eq!(tagged("\"1\"", &weight(60)).await, 200);
    assert_eq!(tagged("\"1.\"", &weight(60)).await, 400);
    let publish = [("if-match", "\"1.9\"")];
    assert_eq!(edge.admin.send(Method::POST, "/v1/tables?reason=test", &publish, &table).await.0, 412);
    let (status, answer) = edge.admin.json(Method::PATCH, "/v1/regions/near?force=soon", &state("off")).await;
    assert_eq!((status, &answer["field"]), (400, &"force".into()), "{answer}");
    let (status, _) = edge.admin.json(Method::PATCH, "/v1/regions/near?force=1.5", &state("off")).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_writer_who_saw_another_table_is_told_so() {
    let (_near, _far, builder, table) = near_and_far().await;
    let edge = builder.start().await;
    let publish = async |tag: &str| {
        let fields = [("if-match", tag)];
        edge.admin.send(Method::POST, "/v1/tables?reason=test", &fields, &table).await
    };
    let (status, published) = publish("\"1\"").await;
    assert_eq!((status, &published["version"]), (200, &2.into()));
    let (status, moved) = publish("\"1\"").await;
    assert_eq!((status, &moved["type"]), (412, &"urn:nearside:problem:moved".into()));
    let (status, _) = publish("any").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_change_that_is_sent_twice_is_made_once() {
    let (_near, _far, builder, table) = near_and_far().await;
    let edge = builder.start().await;
    let publish = async |key: &str, reason: &str| {
        let path = format!("/v1/tables?reason={reason}");
        edge.admin.send(Method::POST, &path, &[("idempotency-key", key)], &table).await
    };
    let first = publish("one", "test").await;
    assert_eq!((first.0, &first.1["version"]), (200, &2.into()));
    assert_eq!(publish("one", "test").await, first);
    assert_eq!(publish("one", "other").await.0, 422, "one key for two changes");
    assert_eq!(publish("two", "test").await.1["version"], 3);
}

#[tokio::test]
async fn a_rollback_is_a_new_version_and_a_diff_shows_it() {
    let (near, _far, builder, first) = near_and_far().await;
    let edge = builder.start().await;
    let second = table(&[("near", &[near.host()])]);
    let (status, refused) = edge.admin.publish(&second).await;
    assert_eq!(status, 200, "one of two placements may go: {refused}");
    let (_, diff) = edge.admin.text(Method::GET, "/v1/tables/2/diff", "").await;
    assert!(diff.starts_with("--- version 1\n+++ version 2\n"), "{diff}");
    assert!(diff.lines().any(|line| line.starts_with('-') && line.contains("far")), "{diff}");
    let (status, back) = edge.admin.json(Method::POST, "/v1/tables/1/rollback?reason=worse", "").await;
    assert_eq!((status, &back["version"], &back["source"]), (200, &3.into(), &"version 1".into()));
    assert_eq!(edge.admin.text(Method::GET, "/v1/tables/3", "").await.1, first);
    assert_eq!(edge.admin.json(Method::POST, "/v1/tables/9/rollback?reason=x", "").await.0, 404);
}

#[tokio::test]
async fn an_override_of_what_the_table_has_lost_can_be_ended() {
    let (near, _far, builder, _) = near_and_far().await;
    let edge = builder.start().await;
    edge.admin.patch("far", &weight(50)).await;
    let (status, answer) = edge.admin.publish(&table(&[("near", &[near.host()])])).await;
    assert_eq!(status, 200, "{answer}");
    let (_, listed) = edge.admin.json(Method::GET, "/v1/overrides", "").await;
    assert_eq!(listed["overrides"][0]["applies"], false, "{listed}");
    let end = r#"{"weight": null, "reason": "test"}"#;
    let (status, ended) = edge.admin.json(Method::PATCH, "/v1/regions/far", end).await;
    assert_eq!((status, &ended["target"]["region"]), (200, &"far".into()), "{ended}");
    assert_eq!(edge.admin.json(Method::PATCH, "/v1/regions/far", end).await.0, 404);
}

#[tokio::test]
async fn a_region_was_drained_for_good_while_another_served_for_a_while_and_then_nobody_was_served() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let table = table(&[("near", &[near.host()]), ("far", &[far.host()])]);
    let table = table.replace("jurisdiction = \"J1\"", "jurisdiction = \"J1\"\nstate = \"off\"");
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    edge.admin.patch("far", r#"{"state": "active", "expires_in": "1h", "reason": "test"}"#).await;
    let drain = json!({"state": "drain", "reason": "test"}).to_string();
    let (status, refused) = edge.admin.json(Method::PATCH, "/v1/regions/near", &drain).await;
    assert_eq!((status, &refused["type"]), (409, &"urn:nearside:problem:guarded".into()), "{refused}");
    let (_, told) = edge.admin.json(Method::PATCH, "/v1/regions/near?dry_run=1", &drain).await;
    assert_eq!(told["violations"], refused["violations"]);
    let first = &refused["violations"][0];
    let once = &first["once"];
    assert_eq!((&first["what"], &once["overrides"]), (&"nothing-usable".into(), &json!([{"region": "far"}])));
    let (_, listed) = edge.admin.json(Method::GET, "/v1/overrides", "").await;
    assert_eq!(once["at"], listed["overrides"][0]["overrides"]["state"]["expires_at"]);
    let says = refused["detail"].as_str().unwrap();
    assert!(says.contains("once the override of far expires (at "), "{says}");

    let (status, _) = edge.admin.json(Method::PATCH, "/v1/regions/near?force=1", &drain).await;
    assert_eq!((status, asked(&edge).await), (200, "far".to_owned()), "whoever means it may");
    let mut listening = Listening::begin(&edge, &edge.admin.token, None).await.unwrap();
    let sooner = r#"{"state": "active", "expires_in": "200ms", "reason": "test"}"#;
    let (status, _) = edge.admin.json(Method::PATCH, "/v1/regions/far?force=1", sooner).await;
    assert_eq!(status, 200);
    let ended = listening.next_named("ended").await;
    assert_eq!(ended.data["left_alone"], json!(["app"]), "{ended:?}");
    until("the log says so", async || {
        let log = edge.log();
        log.lines()
            .any(|line| line.contains("ERROR") && line.contains("no usable region") && line.contains("app"))
    })
    .await;
}

#[tokio::test]
async fn a_rollback_just_after_a_publish_was_previewed_by_made_up_clients() {
    let (_near, _far, builder, table) = near_and_far().await;
    let edge = builder.start().await;
    let mut client = Client::connect(edge.address()).await;
    for _ in 0..60 {
        client.ask(Method::GET, "/", &[("x-forwarded-for", "81.2.69.142")], "").await;
    }
    let (status, published) = edge.admin.publish(&format!("{table}# another\n")).await;
    assert_eq!(status, 200, "{published}");
    let path = "/v1/tables/1/rollback?reason=test&dry_run=1";
    let (_, told) = edge.admin.json(Method::POST, path, "").await;
    let known = &told["predicted_from"]["former_requests"];
    assert_eq!((&known["requests"], &known["under_this_table"]), (&60.into(), &0.into()), "{told}");
}

#[tokio::test]
async fn a_weight_for_a_while_ended_the_one_that_was_to_stay_unseen() {
    let (_near, _far, builder, _) = near_and_far().await;
    let edge = builder.start().await;
    edge.admin.patch("near", &weight(80)).await;
    let path = "/v1/regions/near?dry_run=1";
    let (_, told) = edge.admin.json(Method::PATCH, path, &weight(85)).await;
    assert!(told["afterwards"].is_null(), "{told}");
    let passing = json!({"weight": 85, "expires_in": "1h", "reason": "test"}).to_string();
    let (_, told) = edge.admin.json(Method::PATCH, path, &passing).await;
    let says = told["afterwards"][0].as_str().unwrap();
    assert!(
        says.ends_with("the table's weight 100 counts: the weight 80 by local ends with this change"),
        "{says}"
    );
}
