//! What answers tell of their way, where that is wanted, and that nothing is told otherwise.

use http::Method;
use testkit::{Client, EdgeBuilder, Origin, table, text};

use crate::NEARSIDE;

const BOTH: &str = "[headers]\nserver_timing = true\nproxy_status = true";

fn durations(timing: &str) -> Vec<(String, f64)> {
    let parts = timing.split(", ").map(|part| part.split_once(";dur=").expect("a name and a duration"));
    parts.map(|(name, duration)| (name.to_owned(), duration.parse().unwrap())).collect()
}

#[tokio::test]
async fn an_answer_says_where_it_comes_from_and_how_long_it_took() {
    let origin = Origin::with(|_| async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let mut answer = text("eu");
        answer.headers_mut().insert("server-timing", "db;dur=5".parse().unwrap());
        answer
    })
    .await;
    let table = table(&[("eu", &[origin.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).and(BOTH).start().await;
    let answer = Client::connect(edge.address()).await.get("/").await;
    assert_eq!(answer.header("proxy-status"), "nearside; received-status=200; next-hop=\"eu\"");
    let timings: Vec<&str> =
        answer.headers.get_all("server-timing").iter().map(|value| value.to_str().unwrap()).collect();
    let [theirs, ours] = timings[..] else { panic!("{timings:?}") };
    assert_eq!(theirs, "db;dur=5");
    let ours = durations(ours);
    assert_eq!((ours[0].0.as_str(), ours[1].0.as_str()), ("origin", "total"));
    assert!(ours[0].1 >= 20.0 && ours[1].1 >= ours[0].1, "{ours:?}");
}

#[tokio::test]
async fn failures_are_told_by_their_error_types_and_reasons() {
    let near = Origin::with(|_| async { testkit::break_off() }).await;
    let far = Origin::named("far").await;
    let table = table(&[("near", &[near.host()]), ("far", &[far.host()])]);
    // The first request of an edge each: the nearer region is in doubt after it broke off.
    let edge = EdgeBuilder::new(NEARSIDE, &table).and(BOTH).start().await;
    let moved = Client::connect(edge.address()).await.get("/").await;
    assert_eq!(
        moved.header("proxy-status"),
        "nearside; received-status=200; next-hop=\"far\"; details=\"FO\"; attempts=\"near:reset far:answered\""
    );
    let edge = EdgeBuilder::new(NEARSIDE, &table).and(BOTH).start().await;
    let mut client = Client::connect(edge.address()).await;
    let uncertain = client.ask(Method::POST, "/", &[], "body").await;
    assert_eq!(uncertain.status, 502);
    assert_eq!(
        uncertain.header("proxy-status"),
        "nearside; error=connection_terminated; next-hop=\"near\"; details=\"UN\""
    );
    assert_eq!(durations(uncertain.header("server-timing")).len(), 1, "no origin answered");
    let unknown = client.ask(Method::GET, "/", &[("host", "unknown.test")], "").await;
    assert_eq!(unknown.header("proxy-status"), "nearside; error=destination_not_found; details=\"NR\"");
    edge.admin.patch("near", r#"{"state": "off", "reason": "test"}"#).await;
    edge.admin.force("far", r#"{"state": "off", "reason": "test"}"#).await;
    let none = client.get("/").await;
    assert_eq!(none.header("proxy-status"), "nearside; error=destination_unavailable; details=\"UH\"");
}

#[tokio::test]
async fn attempts_that_all_fail_are_told_with_what_came_of_each() {
    let breaks = || async { Origin::with(|_| async { testkit::break_off() }).await };
    let (a, b) = (breaks().await, breaks().await);
    let table = table(&[("near", &[a.host()]), ("far", &[b.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).and(BOTH).start().await;
    let failed = Client::connect(edge.address()).await.get("/").await;
    assert_eq!(failed.status, 503, "there is nowhere else to go");
    let told = failed.header("proxy-status");
    assert!(told.starts_with("nearside; error=connection_terminated; next-hop=\"far\"; "), "{told}");
    assert!(told.ends_with("; attempts=\"near:reset far:reset\""), "{told}");
    let line = &edge.access_log_of(1).await[0];
    let logged: Vec<(&str, &str)> = line["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (attempt["region"].as_str().unwrap(), attempt["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(logged, [("near", "reset"), ("far", "reset")], "as the log has them");
}

#[tokio::test]
async fn nothing_is_told_unasked() {
    let origin = Origin::named("eu").await;
    let edge = crate::edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let refused = client.ask(Method::GET, "/", &[("host", "unknown.test")], "").await;
    for answer in [client.get("/").await, refused] {
        for name in ["server-timing", "proxy-status"] {
            assert!(!answer.headers.contains_key(name), "{name}");
        }
    }
}
