//! What an origin gets to see of a request, and who gets none.

use http::Method;
use testkit::{Client, EdgeBuilder, Origin, table};

use crate::{NEARSIDE, edge_before};

#[tokio::test]
async fn a_request_reaches_its_origin_with_what_we_know_of_it() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let mut client = Client::connect(edge.address()).await;
    let fields = [
        ("x-forwarded-for", "6.6.6.6, 81.2.69.142"),
        ("x-nearside-region", "mars"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-kept", "yes"),
    ];
    let answer = client.ask(Method::GET, "/a/b?c=d", &fields, "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "eu"));
    let seen = origin.last();
    assert_eq!(seen.uri, "/a/b?c=d");
    assert_eq!(seen.header("host"), "app.test");
    assert_eq!(seen.header("x-forwarded-for"), "6.6.6.6, 81.2.69.142, 127.0.0.1");
    assert_eq!(seen.header("x-forwarded-proto"), "http");
    assert_eq!(seen.header("x-nearside-region"), "eu");
    assert_eq!(seen.header("x-nearside-pop"), "test");
    assert_eq!(seen.header("x-nearside-attempt"), "1");
    assert_eq!(seen.header("x-kept"), "yes");
    assert_eq!(seen.header("x-hop"), "");
    assert_eq!(seen.header("x-request-id").len(), 32);
    let line = &edge.access_log_of(1).await[0];
    assert_eq!(line["client_ip"], "81.2.69.142");
    assert_eq!(line["country"], "GB");
    assert_eq!(line["id"], seen.header("x-request-id"));
}

#[tokio::test]
async fn a_stranger_is_not_believed() {
    let origin = Origin::named("eu").await;
    let table = table(&[("eu", &[origin.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).sections("").start().await;
    let mut client = Client::connect(edge.address()).await;
    let fields =
        [("x-forwarded-for", "81.2.69.142"), ("forwarded", "for=81.2.69.142"), ("x-request-id", "mine")];
    client.ask(Method::GET, "/", &fields, "").await;
    let seen = origin.last();
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.header("forwarded"), "");
    assert_ne!(seen.header("x-request-id"), "mine");
    assert_eq!(edge.access_log_of(1).await[0]["client_ip"], "127.0.0.1");
}

#[tokio::test]
async fn unknown_hosts_and_paths_are_refused_each_in_its_way() {
    let origin = Origin::named("eu").await;
    let table = table(&[("eu", &[origin.host()])])
        .replace("pool = \"app\"\n\n", "pool = \"app\"\npath_prefix = \"/api\"\n\n");
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let mut client = Client::connect(edge.address()).await;
    let unknown = client.ask(Method::GET, "/api", &[("host", "other.test")], "").await;
    assert_eq!((unknown.status.as_u16(), unknown.text()), (421, "this host is not served here (NR)\n"));
    assert_eq!(client.get("/apix").await.status, 404);
    assert_eq!(client.get("/api/x").await.status, 200);
    assert_eq!(client.ask(Method::GET, "/api", &[("host", "APP.test:8080")], "").await.status, 200);
    let reasons: Vec<String> =
        edge.access_log_of(4).await.iter().map(|line| line["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["NR", "NR", "-", "-"]);
}

#[tokio::test]
async fn tunnels_traces_and_h2c_are_refused() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    for (method, target, fields) in [
        ("CONNECT", "app.test:443", ""),
        ("TRACE", "/", ""),
        (
            "GET",
            "/",
            "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        ),
        ("GET", "/", "Host: other.test\r\n"),
        ("GET", "http://other.test/", ""),
    ] {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n");
        let answer = crate::bounds::raw(edge.address(), head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{method} {target} {fields}: {answer}");
        let is_405 = answer.starts_with("HTTP/1.1 405");
        assert_eq!(answer.contains("allow: GET, HEAD"), is_405, "{answer}");
        assert_eq!(is_405, matches!(method, "CONNECT" | "TRACE"), "{answer}");
    }
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test]
async fn only_regions_of_the_routes_jurisdictions_serve_it() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let regions: [(&str, &[String]); 2] = [("near", &[near.host()]), ("far", &[far.host()])];
    let table = testkit::table_with(&regions, "", "jurisdictions = [\"J1\"]");
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let mut client = Client::connect(edge.address()).await;
    assert_eq!(client.get("/").await.text(), "far");
    edge.admin.force("far", r#"{"state": "off", "reason": "test"}"#).await;
    let refused = client.get("/").await;
    assert_eq!((refused.status.as_u16(), refused.text()), (503, "no permitted region is usable (RB)\n"));
    assert_eq!(near.requests().len(), 0, "not even when all that may are gone");
}
