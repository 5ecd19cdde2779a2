//! WebSocket by Python's websockets on both sides.

use serde_json::json;
use testkit::{Origin, table};

use super::{Front, Peer, python, script};

async fn talk(over_tls: bool) {
    let Some(python) = python("WebSocket by websockets", "websockets") else { return };
    let mut origin = Peer::start(script(&python, "websocket_origin.py", &[]));
    let host = format!("127.0.0.1:{}", origin.hears("port").await);
    // What answers 426 to a request without an upgrade is as well as it can be.
    let well = "probe = { statuses = [\"426\"] }";
    let front = Front::start(&testkit::table_with(&[("eu", &[host])], well, "")).await;
    let port = if over_tls { front.tls() } else { front.plain() }.to_string();
    let ca = front.ca.to_str().unwrap();
    let args = if over_tls { vec![port.as_str(), ca] } else { vec![port.as_str()] };
    let mut client = Peer::start(script(&python, "websocket_client.py", &args));
    for (command, expected) in [
        ("text", json!("grüße")),
        ("binary", json!(true)),
        ("ping", json!(true)),
        ("pieces", json!("abc")),
        ("large", json!({ "bytes": 8 << 20, "same": true })),
        ("ponged", json!("ponged True")),
        ("left", json!({ "code": 4001, "reason": "enough" })),
    ] {
        assert_eq!(client.ask(command).await[command], expected, "{command}");
    }
    let facts = client.ask("facts").await["facts"].take();
    let scheme = if over_tls { "https" } else { "http" };
    assert_eq!(
        facts,
        json!({
            "origin": format!("{scheme} app.test:{port} chat.v1 ['permessage-deflate']"),
            "subprotocol": "chat.v1",
            "extensions": ["permessage-deflate"],
        }),
        "what both agree on is between them"
    );
    let elsewhere = Origin::named("elsewhere").await;
    assert_eq!(front.edge.admin.publish(&table(&[("eu", &[elsewhere.host()])])).await.0, 200);
    assert_eq!(client.ask("text").await["text"], "grüße", "a publish touches no tunnel");
    assert_eq!(client.ask("leave").await["leave"], 3123, "the origin's echo of the client's code");
    assert_eq!(client.ended().await.code, Some(0));
    testkit::until("the origin has heard the farewell", async || origin.said().contains("closed 3123 bye"))
        .await;
    testkit::until("the edge has let go", async || {
        front.edge.metric("nearside_connections{side=\"client\"}").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn websockets_talk_over_plain_connections() {
    talk(false).await;
}

#[tokio::test]
async fn websockets_talk_over_tls() {
    talk(true).await;
}
