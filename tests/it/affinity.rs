//! Clients kept where they were, as far as everything stronger allows.

use std::collections::BTreeSet;

use http::Method;
use testkit::{Answer, Client, Edge, EdgeBuilder, Origin, table_with};

use crate::NEARSIDE;

/// An edge before two regions of two origins each, which say their names.
async fn edge(affinity: &str) -> (Edge, Vec<Origin>) {
    let mut origins = Vec::new();
    for name in ["near-1", "near-2", "far-1", "far-2"] {
        origins.push(Origin::named(name).await);
    }
    let hosts: Vec<String> = origins.iter().map(Origin::host).collect();
    let route = format!("affinity = {affinity}");
    let table = table_with(&[("near", &hosts[..2]), ("far", &hosts[2..])], "", &route);
    (EdgeBuilder::new(NEARSIDE, &table).start().await, origins)
}

async fn ask(client: &mut Client, cookie: &str) -> Answer {
    client.ask(Method::GET, "/", &[("cookie", cookie)], "").await
}

/// The cookie that an answer sets, as a client sends it back; empty if it sets none.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

async fn state(edge: &Edge, region: &str, state: &str) {
    edge.admin.patch(region, &format!("{{\"state\": {state}, \"reason\": \"test\"}}")).await;
}

#[tokio::test]
async fn a_cookie_keeps_a_client_until_its_region_is_drained() {
    for (mode, is_sticky) in [("temporary", false), ("sticky", true)] {
        let (edge, _origins) =
            edge(&format!("{{ by = \"cookie\", mode = {mode:?}, lifetime = \"1h\" }}")).await;
        // In this table the regions are not much farther than each other from Frankfurt: far is 20 degrees east.
        let mut client = Client::connect(edge.address()).await;
        let first = client.get("/").await;
        let set = first.header("set-cookie").to_owned();
        assert!(set.starts_with("nearside_region-app=near:") && set.contains("; Max-Age=3600"), "{set}");
        assert!(set.contains("; HttpOnly; SameSite=Lax") && !set.contains("Secure"), "{set}");
        let kept = format!("other=1; {}", cookie(&first));
        for _ in 0..30 {
            let answer = ask(&mut client, &kept).await;
            assert_eq!((answer.text(), answer.header("set-cookie")), (first.text(), ""), "{mode}");
        }
        state(&edge, "near", "\"drain\"").await;
        let moved = ask(&mut client, &kept).await;
        assert!(moved.text().starts_with("far"), "a drained region keeps nobody");
        assert_eq!(moved.header("set-cookie").is_empty(), !is_sticky);
        state(&edge, "near", "null").await;
        let then = if is_sticky { cookie(&moved) } else { kept };
        let back = ask(&mut client, &then).await;
        assert_eq!(back.text(), if is_sticky { moved.text() } else { first.text() }, "{mode}");
    }
}

#[tokio::test]
async fn explain_knows_of_affinity() {
    let (edge, _origins) = edge("{ by = \"cookie\", within = \"1s\" }").await;
    let explained = async |kept: &str| {
        let question = format!("/v1/explain?ip=8.8.8.8&host=app.test{kept}");
        let (_, told) = edge.admin.json(Method::GET, &question, "").await;
        (told["choice"].clone(), told["regions"][0]["why"].clone(), told["regions"][1]["why"].clone())
    };
    let (choice, why, _) = explained("").await;
    assert_eq!((choice, why), ("near".into(), "chosen".into()));
    assert_eq!(
        explained("&kept_in=far").await,
        ("far".into(), "the client was here, and may stay".into(), "the client is kept elsewhere".into())
    );
}

#[tokio::test]
async fn nobody_chooses_his_region() {
    let (edge, _origins) = edge("{ by = \"cookie\" }").await;
    let mut client = Client::connect(edge.address()).await;
    let good = cookie(&client.get("/").await);
    let forged = good.replace("=near:", "=far:");
    for bad in
        [forged.as_str(), "nearside_region-app=far", "nearside_region-app=far:0:", "nearside_region-app="]
    {
        let answer = ask(&mut client, bad).await;
        assert!(answer.text().starts_with("near"), "{bad}");
        assert!(cookie(&answer).starts_with("nearside_region-app=near:"), "{bad}");
    }
    // The key is made at the start, for its owner alone.
    use std::os::unix::fs::PermissionsExt;
    let file = std::fs::metadata(edge.folder.path().join("affinity.key")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn equal_header_values_go_to_the_same_origin() {
    let (edge, _origins) = edge("{ by = \"header\", header = \"X-User\" }").await;
    // Which origin of a region is asked here. On a busy machine a late answer may move a request to the other region.
    state(&edge, "far", "\"drain\"").await;
    let mut client = Client::connect(edge.address()).await;
    let mut seen = BTreeSet::new();
    for user in 0..20 {
        let user = format!("user-{user}");
        let mut answers = BTreeSet::new();
        for _ in 0..5 {
            answers.insert(client.ask(Method::GET, "/", &[("x-user", &user)], "").await.text().to_owned());
        }
        assert_eq!(answers.len(), 1, "{user} {answers:?}");
        seen.extend(answers);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["near-1", "near-2"]);
}

#[tokio::test]
async fn a_network_belongs_to_an_origin() {
    let (edge, _origins) = edge("{ by = \"address\" }").await;
    state(&edge, "far", "\"drain\"").await;
    let mut client = Client::connect(edge.address()).await;
    let mut seen = BTreeSet::new();
    for network in 0..20 {
        let mut answers = BTreeSet::new();
        for host in 1..5 {
            let address = format!("10.9.{network}.{host}");
            let answer = client.ask(Method::GET, "/", &[("x-forwarded-for", &address)], "").await;
            answers.insert(answer.text().to_owned());
        }
        assert_eq!(answers.len(), 1, "{network} {answers:?}");
        seen.extend(answers);
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}
