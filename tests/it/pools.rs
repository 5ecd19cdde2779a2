//! Warm connections: a quiet edge answers as fast as a busy one.

use std::time::Duration;

use testkit::{Client, EdgeBuilder, Origin, Relay, table_with};

use crate::NEARSIDE;

/// A request a second over eight workers: each worker sees one every eight seconds, and still nobody pays for a handshake of
/// 80 ms.
#[tokio::test]
async fn quiet_workers_keep_warm_connections() {
    tokio::join!(stays_warm(""), stays_warm("protocol = \"http2\""));
}

async fn stays_warm(pool: &str) {
    const REQUESTS: u32 = 24;
    let origin = Origin::named("far").await;
    let relay = Relay::start(origin.address, 80).await.unwrap();
    let table = table_with(&[("far", &[relay.address.to_string()])], pool, "");
    let edge = EdgeBuilder::new(NEARSIDE, &table).edge("workers = 8").start().await;
    let warm = "nearside_pool_connections{region=\"far\",state=\"idle\"}";
    testkit::until("each worker has a connection", async || edge.metric(warm).await >= 8.0).await;
    let opened = "nearside_pool_connections_opened_total{region=\"far\"}";
    let before = edge.metric(opened).await;
    for _ in 0..REQUESTS {
        // A new client each time, so that the kernel chooses the worker anew.
        assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "far");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let reuse = edge.metric("nearside_pool_reuse_ratio{region=\"far\"}").await;
    assert!(reuse >= 0.95, "{pool} {reuse}");
    let later = edge.metric(opened).await - before;
    assert!(later <= f64::from(REQUESTS) * 0.05, "{pool} {later} connections were opened while requests ran");
}
