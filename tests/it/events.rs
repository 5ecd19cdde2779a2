//! What happens, told while it happens: changes, health, what was missed, and when a stream ends.

use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use serde_json::{Value, json};
use testkit::{Client, Edge, EdgeBuilder, Origin, table, until};

use crate::access::{add, token};
use crate::api::problems;
use crate::{NEARSIDE, edge_before};

/// One who listens.
pub(crate) struct Listening {
    body: Incoming,
    heard: String,
    _client: Client,
}

/// An event as it came.
#[derive(Debug)]
pub(crate) struct Event {
    id: String,
    name: String,
    pub(crate) data: Value,
}

/// The document of the API, as this binary has it.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let output = Command::new(NEARSIDE).args(["reference", "openapi"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
});

impl Event {
    /// Holds it to what the document says of its kind, which is all that it may say.
    fn judge(&self) {
        let (first, rest) = self.name.split_at(1);
        let schema = format!("#/components/schemas/{}{rest}Event", first.to_uppercase());
        let schema = json!({"$ref": schema, "unevaluatedProperties": false});
        let problems = problems(&DOCUMENT, schema, &self.data);
        assert!(problems.is_empty(), "{self:?}\n{}", problems.join("\n"));
    }
}

impl Listening {
    /// Begins to listen; or the status and problem of the answer.
    pub(crate) async fn begin(edge: &Edge, token: &str, last: Option<&str>) -> Result<Self, (u16, Value)> {
        let bearer = format!("Bearer {token}");
        let mut fields = vec![("authorization", bearer.as_str())];
        fields.extend(last.map(|last| ("last-event-id", last)));
        Self::over(Client::connect(edge.admin.address).await, &fields).await
    }

    /// As [`Listening::begin`], over a connection that may itself say who listens.
    pub(crate) async fn over(mut client: Client, fields: &[(&str, &str)]) -> Result<Self, (u16, Value)> {
        let mut request = Request::builder().uri("/v1/events").header("host", "localhost");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let body = Empty::new().map_err(|never| match never {}).boxed();
        let answer = client.begin(request.body(body).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        if head.status != 200 {
            let problem = body.collect().await.unwrap().to_bytes();
            return Err((head.status.as_u16(), serde_json::from_slice(&problem).unwrap()));
        }
        assert_eq!(head.headers["content-type"], "text/event-stream");
        Ok(Self { body, heard: String::new(), _client: client })
    }

    /// The next event, which is as the document says; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((first, rest)) = self.heard.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines =
                        first.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    lines.next().unwrap_or_default().to_owned()
                };
                let (id, name, data) = (field("id"), field("event"), field("data"));
                self.heard = rest.to_owned();
                // A comment that keeps the connection alive is none.
                if !name.is_empty() {
                    let event = Event { id, name, data: serde_json::from_str(&data).unwrap() };
                    event.judge();
                    return Some(event);
                }
                continue;
            }
            let frame = tokio::time::timeout(testkit::PATIENCE, self.body.frame()).await;
            let frame = frame.expect("an event, or the end")?;
            let frame = frame.expect("a stream that ends in good order").into_data().unwrap();
            self.heard.push_str(std::str::from_utf8(&frame).unwrap());
        }
    }

    /// The next event of that name.
    pub(crate) async fn next_named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("it goes on");
            if event.name == name {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn changes_and_health_are_told_and_whoever_comes_back_hears_what_he_left() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let table = table(&[("near", &[near.host()]), ("far", &[far.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let mut listening = Listening::begin(&edge, &edge.admin.token, None).await.unwrap();
    let done = edge.admin.patch("near", r#"{"weight": 50, "reason": "test"}"#).await;
    let first = listening.next_named("change").await;
    assert_eq!(
        (&first.data["author"], &first.data["reason"]),
        (&"local".into(), &"test".into()),
        "{first:?}"
    );
    assert_eq!(first.data["change"]["override"]["target"]["region"], "near");
    assert_eq!(first.data["change"]["override"]["overrides"]["weight"]["value"], 50);
    assert_eq!(first.data["anchor"], done["anchor"], "it is what was answered");
    assert!(first.data["time"].is_string());
    edge.admin.publish(&table).await;
    let second = listening.next_named("change").await;
    assert_eq!((&second.data["version"], &second.data["change"]["table"]["version"]), (&2.into(), &2.into()));
    drop(near);
    let health = loop {
        let event = listening.next_named("health").await;
        if event.data["to"] == "down" {
            break event;
        }
    };
    assert_eq!((&health.data["pool"], &health.data["region"]), (&"app".into(), &"near".into()), "{health:?}");
    assert!(health.data["cause"].as_str().unwrap().len() > 5);
    edge.admin.patch("far", r#"{"weight": 70, "reason": "test", "expires_in": "200ms"}"#).await;
    let ended = listening.next_named("ended").await;
    assert_eq!(ended.data["ended"]["override"]["region"], "far", "{ended:?}");
    drop(listening);

    let mut again = Listening::begin(&edge, &edge.admin.token, Some(&first.id)).await.unwrap();
    let next = again.next().await.unwrap();
    assert_eq!((&next.id, &next.data), (&second.id, &second.data), "nothing in between is lost");
    // Of another start, nobody knows how many.
    let mut stranger = Listening::begin(&edge, &edge.admin.token, Some("1.7")).await.unwrap();
    let missed = stranger.next().await.unwrap();
    assert_eq!((missed.name.as_str(), &missed.data["missed"]), ("missed", &Value::Null));
    assert!(stranger.next().await.unwrap().id.ends_with(".1"), "and then all that is held");
    let Err((status, problem)) = Listening::begin(&edge, &edge.admin.token, Some("nonsense")).await else {
        panic!("it names no event");
    };
    assert_eq!((status, &problem["field"]), (400, &"Last-Event-ID".into()), "{problem}");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does_and_when_the_edge_does() {
    let origin = Origin::named("eu").await;
    let mut edge = edge_before(&origin).await;
    let ann = add(edge.folder.path(), &["ann", "--role", "viewer"]);
    let mut hers = Listening::begin(&edge, &ann, None).await.unwrap();
    let mut ours = Listening::begin(&edge, &edge.admin.token, None).await.unwrap();
    assert_eq!(token(edge.folder.path(), &["remove", "ann"]).0, Some(0));
    let end = hers.next_named("end").await;
    assert_eq!(end.data["why"], "access");
    assert!(hers.next().await.is_none());
    edge.admin.patch("eu", r#"{"weight": 50, "reason": "test"}"#).await;
    ours.next_named("change").await;
    edge.signal("TERM");
    assert_eq!(ours.next_named("end").await.data["why"], "stopping");
    assert!(ours.next().await.is_none());
    let ended = tokio::time::timeout(Duration::from_secs(10), edge.ended()).await;
    assert_eq!(ended.expect("nobody who listens holds it up"), Some(0));
}

#[tokio::test]
async fn a_stream_went_on_with_a_token_that_was_replaced() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let ann = add(edge.folder.path(), &["ann", "--role", "viewer"]);
    let mut ours = Listening::begin(&edge, &edge.admin.token, None).await.unwrap();
    let mut hers = Listening::begin(&edge, &ann, None).await.unwrap();
    // Also of `local`, also an admin's: only the secret is another.
    let another = "another one, that nobody can guess";
    std::fs::write(edge.folder.path().join("admin.token"), another).unwrap();
    assert_eq!(ours.next_named("end").await.data["why"], "access");
    assert!(ours.next().await.is_none());
    edge.admin.with(another).patch("eu", r#"{"weight": 50, "reason": "test"}"#).await;
    // Hers is as it was.
    hers.next_named("change").await;
}

#[tokio::test]
async fn so_many_listen_and_one_who_leaves_makes_room() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let mut all = Vec::new();
    for _ in 0..::control::events::MAX_LISTENERS {
        all.push(Listening::begin(&edge, &edge.admin.token, None).await.unwrap());
    }
    let Err((status, problem)) = Listening::begin(&edge, &edge.admin.token, None).await else {
        panic!("one too many");
    };
    assert_eq!((status, &problem["type"]), (503, &"urn:nearside:problem:too-many-listeners".into()));
    assert_eq!(edge.admin.json(Method::GET, "/v1/regions", "").await.0, 200, "nobody else is kept out");
    all.pop();
    until("there is room", async || Listening::begin(&edge, &edge.admin.token, None).await.is_ok()).await;
}
