//! Deadlines and attempts go along with a request, and are shared by edges behind each other.

use std::time::Duration;

use http::Method;
use testkit::{Client, EdgeBuilder, Origin, break_off, table, table_with, text};

use crate::NEARSIDE;

const DEADLINE: &str = "x-nearside-deadline-ms";
const ATTEMPT: &str = "x-nearside-attempt";

fn millis(told: &str) -> u64 {
    told.parse().unwrap_or_else(|_| panic!("{told:?} are no milliseconds"))
}

#[tokio::test]
async fn an_origin_is_told_what_is_left_when_its_attempt_is_sent() {
    let near = Origin::with(|_| async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        break_off()
    })
    .await;
    let far = Origin::named("far").await;
    let regions: [(&str, &[String]); 2] = [("near", &[near.host()]), ("far", &[far.host()])];
    let table = table_with(&regions, "", "timeouts = { total = \"20s\" }");
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let answer = Client::connect(edge.address()).await.get("/").await;
    assert_eq!(answer.text(), "far");
    let (first, second) = (near.last(), far.last());
    assert_eq!((first.header(ATTEMPT), second.header(ATTEMPT)), ("1", "2"));
    let (first, second) = (millis(first.header(DEADLINE)), millis(second.header(DEADLINE)));
    assert!(first <= 20_000 && second <= first - 60, "{first} ms and then {second} ms");
}

#[tokio::test]
async fn without_a_deadline_none_is_told() {
    let origin = Origin::named("eu").await;
    let edge = crate::edge_before(&origin).await;
    Client::connect(edge.address()).await.get("/").await;
    assert!(!origin.last().headers.contains_key(DEADLINE));
}

#[tokio::test]
async fn a_trusted_hop_shortens_the_time_and_a_stranger_does_not() {
    let (origin, _gate) = Origin::gated("eu").await;
    let table = table_with(&[("eu", &[origin.host()])], "", "timeouts = { total = \"20s\" }");
    let fields = [(DEADLINE, "150"), (ATTEMPT, "2")];
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let late = Client::connect(edge.address()).await.ask(Method::GET, "/", &fields, "").await;
    assert_eq!((late.status.as_u16(), late.text()), (504, "the request took too long (DT)\n"));
    let seen = origin.last();
    assert!(millis(seen.header(DEADLINE)) <= 150, "{}", seen.header(DEADLINE));
    assert_eq!(seen.header(ATTEMPT), "2", "it is part of the hop's second attempt");
    let edge = EdgeBuilder::new(NEARSIDE, &table).sections("").start().await;
    let asked = tokio::spawn(async move {
        Client::connect(edge.address()).await.ask(Method::GET, "/", &fields, "").await
    });
    testkit::until("it is asked", async || origin.requests().len() == 2).await;
    asked.abort();
    let seen = origin.last();
    assert!(millis(seen.header(DEADLINE)) > 10_000, "{}", seen.header(DEADLINE));
    assert_eq!(seen.header(ATTEMPT), "1");
}

#[tokio::test]
async fn attempts_of_the_hop_before_count_here() {
    let near = Origin::with(|_| async { break_off() }).await;
    let far = Origin::named("far").await;
    let table = table(&[("near", &[near.host()]), ("far", &[far.host()])]);
    for (attempt, status) in [("3", 502), ("2", 200)] {
        // The first request of an edge: it does not know yet that the nearer region breaks off.
        let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
        testkit::until("near is trusted", async || edge.admin.region_health("near").await == "up").await;
        let mut client = Client::connect(edge.address()).await;
        let answer = client.ask(Method::GET, "/", &[(ATTEMPT, attempt)], "").await;
        assert_eq!(answer.status.as_u16(), status, "part of attempt {attempt}");
    }
    let numbers = |origin: &Origin| -> Vec<String> {
        origin.requests().iter().map(|request| request.header(ATTEMPT).to_owned()).collect()
    };
    // An attempt may ask anew where a warm connection broke; it stays the same attempt.
    let mut at_near = numbers(&near);
    at_near.dedup();
    assert_eq!((at_near, numbers(&far)), (vec!["3".to_owned(), "2".to_owned()], vec!["3".to_owned()]));
}

#[tokio::test]
async fn grpc_servers_are_told_in_their_own_field() {
    let origin = Origin::with(|_| async { text("") }).await;
    let pool = "protocol = \"http2\"\nprobe = { kind = \"tcp\" }";
    let table = table_with(&[("eu", &[origin.host()])], pool, "timeouts = { total = \"20s\" }");
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let mut client = Client::connect(edge.address()).await;
    let of_grpc = ("content-type", "application/grpc");
    let mut told = Vec::new();
    for fields in [&[of_grpc][..], &[of_grpc, ("grpc-timeout", "4S")], &[("grpc-timeout", "4S")]] {
        client.ask(Method::POST, "/shop.Orders/Get", fields, "").await;
        told.push(origin.last().header("grpc-timeout").to_owned());
    }
    let micros = |told: &str| told.strip_suffix('u').map_or(0, millis);
    assert!((10_000_000..=20_000_000).contains(&micros(&told[0])), "the route's: {told:?}");
    assert!((1_000_000..4_000_000).contains(&micros(&told[1])), "what is left of the call's: {told:?}");
    assert_eq!(told[2], "4S", "it is no call, so the field means nothing here");
}
