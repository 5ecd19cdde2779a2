//! A thousand tables under load: no request fails, and none is decided by a table that an answer has replaced.

use std::time::Duration;

use testkit::{Client, EdgeBuilder, Origin, Users, table};

use crate::NEARSIDE;

const TABLES: u64 = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tables_published_under_load() {
    // Which table a request was decided by shows in who answers: odd versions lead to one origin, even ones to the other.
    let origins = [Origin::named("even").await, Origin::named("odd").await];
    let tables = [table(&[("eu", &[origins[0].host()])]), table(&[("eu", &[origins[1].host()])])];
    let edge = EdgeBuilder::new(NEARSIDE, &tables[1]).start().await;
    let users = Users::start(4, edge.address(), Duration::ZERO);
    let mut witness = Client::connect(edge.address()).await;
    for round in 0..TABLES {
        let (status, published) = edge.admin.publish(&tables[(round % 2) as usize]).await;
        assert_eq!((status, published["version"].as_u64()), (200, Some(round + 2)));
        // Its head comes after the answer.
        let expected = if round % 2 == 0 { "even" } else { "odd" };
        assert_eq!(witness.get("/").await.text(), expected, "round {round}");
    }
    let served = users.stop().await;
    assert!(served > TABLES, "there was load: {served}");
    let lines = edge.access_log();
    assert!(lines.iter().all(|line| line["status"] == 200));
    assert_eq!(edge.metric("nearside_table_version").await, TABLES as f64 + 1.0);
}
