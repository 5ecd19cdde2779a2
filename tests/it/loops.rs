//! Requests that come back end after one turn, and tell everybody behind us that they were here.

use http::{HeaderValue, Method};
use testkit::{Client, EdgeBuilder, Origin, table_with};

use crate::{NEARSIDE, edge_before};

/// Probes that are no requests: a loop has enough of those.
const TCP: &str = "probe = { kind = \"tcp\" }";

#[tokio::test]
async fn an_edge_that_forwards_to_itself_stops_after_one_turn() {
    let origin = Origin::named("eu").await;
    // Whatever may be sent again is.
    let retry = "retry = { attempts = 5, statuses = [502, 503, 504], idempotent_methods = true }";
    let table = |host: String| table_with(&[("eu", &[host])], TCP, retry);
    let edge = EdgeBuilder::new(NEARSIDE, &table(origin.host())).start().await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.get("/before").await.text(), "eu");
    let (status, answer) = edge.admin.publish(&table(edge.address().to_string())).await;
    assert_eq!(status, 200, "{answer}");
    for method in [Method::GET, Method::PUT, Method::POST] {
        let answer = client.ask(method, "/loop", &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (508, "the request has passed here before (LD)\n")
        );
    }
    let lines = edge.access_log_of(7).await;
    let mut reasons: Vec<(&str, u64)> = lines
        .iter()
        .filter(|line| line["path"] == "/loop")
        .map(|line| (line["reason"].as_str().unwrap(), line["status"].as_u64().unwrap()))
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [("-", 508), ("-", 508), ("-", 508), ("LD", 508), ("LD", 508), ("LD", 508)],
        "each once, and once more"
    );
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn others_elements_go_on_with_ours_behind_them() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let ways = [
        ("cdn-loop", "one; v=\"1, 2\""),
        ("cdn-loop", "two,nearside; pop=\"elsewhere\""),
        ("connection", "cdn-loop"),
    ];
    assert_eq!(client.ask(Method::GET, "/", &ways, "").await.status, 200);
    let seen = origin.last();
    let lines: Vec<&HeaderValue> = seen.headers.get_all("cdn-loop").iter().collect();
    assert_eq!(lines, ["one; v=\"1, 2\", two,nearside; pop=\"elsewhere\", nearside; pop=\"test\""]);
    client.get("/").await;
    assert_eq!(origin.last().header("cdn-loop"), "nearside; pop=\"test\"");
}

#[tokio::test]
async fn ways_that_are_too_long_or_cannot_be_read_are_refused() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    for (way, status) in [
        (vec!["hop"; 64].join(", "), 508),
        ("hop, NEARSIDE; Pop=\"t\\est\"".to_owned(), 508),
        ("hop; note=\"open".to_owned(), 400),
    ] {
        let mut client = Client::connect(edge.address()).await;
        let refused = client.ask(Method::GET, "/", &[("cdn-loop", &way)], "").await;
        assert_eq!(refused.status.as_u16(), status, "{way}");
    }
    assert_eq!(origin.requests().len(), 0);
}
