//! What the admin API tells of an edge, and that its document says so.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use testkit::{Client, Edge, EdgeBuilder, Origin, table, table_with, until};

use crate::{NEARSIDE, edge_before};

async fn near_and_far() -> (Edge, [Origin; 2]) {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let table = table(&[("near", &[near.host()]), ("far", &[far.host()])]);
    (EdgeBuilder::new(NEARSIDE, &table).start().await, [near, far])
}

async fn get(edge: &Edge, path: &str) -> Value {
    let (status, answer) = edge.admin.json(Method::GET, path, "").await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

#[tokio::test]
async fn pools_routes_and_origins_are_told() {
    let (edge, [near, far]) = near_and_far().await;
    edge.admin.patch("near", r#"{"health": "down", "reason": "test"}"#).await;
    let pools = get(&edge, "/v1/pools").await;
    let expected = json!({
        "name": "app", "protocol": "auto", "tls": false, "regions": 2, "usable": 1, "origins": 2, "in_flight": 0, "routes": 1
    });
    assert_eq!((&pools["pools"][0], &pools["next"], &pools["version"]), (&expected, &Value::Null, &1.into()));
    let pool = get(&edge, "/v1/pools/app").await;
    assert_eq!((&pool["probe"]["kind"], &pool["probe"]["interval"]), (&"http".into(), &"100ms".into()));
    assert_eq!(pool["placements"][0]["effective"]["health_by"], "region-override");
    let routes = get(&edge, "/v1/routes").await;
    assert_eq!((&routes["total"], &routes["routes"][0]["pool"]), (&1.into(), &"app".into()));
    assert_eq!(routes["routes"][0]["path"], json!({"prefix": "/"}));
    let route = get(&edge, "/v1/routes/app").await;
    assert_eq!((&route["does"], &route["steering"]), (&"forward".into(), &"nearest".into()));
    assert_eq!(route["placements"].as_array().unwrap().len(), 2);

    let origins = get(&edge, "/v1/origins").await;
    let told = origins["origins"].as_array().unwrap();
    assert_eq!((&told[0]["address"], &told[1]["address"]), (&near.host().into(), &far.host().into()));
    assert_eq!((&told[0]["health"], &told[0]["health_by"]), (&"up".into(), &"region-override".into()));
    assert_eq!(
        (&told[0]["placement_is_usable"], &told[1]["placement_is_usable"]),
        (&false.into(), &true.into())
    );
    assert!(told[0]["for_ms"].is_number() && told[0]["last_success_ago_ms"].is_number(), "{}", told[0]);
    assert_eq!(told[0]["resolved"][0], near.host());
    let host = far.host();
    let of_far = get(&edge, "/v1/origins?region=far&pool=app").await;
    assert_eq!((&of_far["total"], &of_far["origins"][0]["address"]), (&1.into(), &host.into()));
    for (unknown, kind) in [("pool=none", "unknown-pool"), ("region=mars", "unknown-region")] {
        let (status, problem) =
            edge.admin.json(Method::GET, &format!("/v1/origins?{unknown}&limit=1"), "").await;
        assert_eq!((status, problem["type"].as_str().unwrap().ends_with(kind)), (404, true), "{problem}");
    }
    drop(far);
    until("its last error is told", async || {
        let of_far = get(&edge, "/v1/origins?region=far").await;
        of_far["origins"][0]["health"] == "down" && of_far["origins"][0]["last_error"]["what"].is_string()
    })
    .await;
}

#[tokio::test]
async fn health_is_one_page() {
    let (edge, [_near, far]) = near_and_far().await;
    let health = get(&edge, "/v1/health").await;
    assert_eq!((&health["ready"], &health["uplink"]["suspected"]), (&true.into(), &false.into()));
    assert_eq!(health["counts"], json!({"up": 2}));
    let gates: Vec<&str> =
        health["gates"].as_array().unwrap().iter().map(|gate| gate["name"].as_str().unwrap()).collect();
    assert_eq!(gates, ["table", "first_probes", "uplink", "not_draining"]);
    edge.admin.force("near", r#"{"health": "down", "reason": "test"}"#).await;
    drop(far);
    until("both are down", async || get(&edge, "/v1/health").await["counts"] == json!({"down": 2})).await;
    let health = get(&edge, "/v1/health").await;
    let [near, far] = [&health["placements"][0], &health["placements"][1]];
    assert_eq!((&near["health_by"], &near["observed"]), (&"region-override".into(), &"up".into()));
    assert_eq!((&far["health_by"], &far["observed"]), (&"observed".into(), &"down".into()));
    assert!(
        far["last_error"]["what"].is_string() && far["origins"][0]["last_error"]["ago_ms"].is_number(),
        "{far}"
    );
    assert_eq!(health["ready"], true, "dead origins do not make an edge unready");
}

#[tokio::test]
async fn long_lists_come_in_parts() {
    let origin = Origin::named("eu").await;
    let mut text = table(&[("eu", &[origin.host()])]);
    for index in 0..250 {
        text += &format!("[[routes]]\nname = \"r{index}\"\nhosts = [\"h{index}.test\"]\npool = \"app\"\n");
    }
    let edge = EdgeBuilder::new(NEARSIDE, &text).start().await;
    let (mut names, mut path) = (Vec::new(), "/v1/routes".to_owned());
    for part in 0.. {
        assert!(part < 4, "there are three parts");
        let routes = get(&edge, &path).await;
        assert_eq!(routes["total"], 251);
        names.extend(routes["routes"].as_array().unwrap().iter().map(|route| route["name"].clone()));
        let Some(next) = routes["next"].as_str() else { break };
        path = format!("/v1/routes?after={next}");
    }
    assert_eq!((names.len(), &names[0], &names[250]), (251, &"app".into(), &"r249".into()));
    let some = get(&edge, "/v1/routes?after=r7&limit=2").await;
    assert_eq!((&some["routes"][0]["name"], &some["next"]), (&"r8".into(), &"r9".into()));
}

/// The tag of what an answer says.
async fn tag(edge: &Edge, path: &str) -> String {
    let (token, admin) = (&edge.admin.token, edge.admin.address);
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let answer = crate::bounds::raw(admin, head.as_bytes()).await;
    let mut fields = answer.lines().take_while(|line| !line.is_empty());
    let tag = fields.find_map(|line| line.strip_prefix("etag: "));
    tag.unwrap_or_else(|| panic!("{path} has no tag: {answer}")).to_owned()
}

/// Reads once had no tag, and whoever wrote after reading could not say what he had read.
#[tokio::test]
async fn what_was_read_is_a_condition_of_what_is_written() {
    let (edge, _origins) = near_and_far().await;
    edge.admin.patch("far", r#"{"weight": 90, "reason": "test"}"#).await;
    for path in [
        "/v1/regions",
        "/v1/regions/near",
        "/v1/placements/app/near",
        "/v1/pools",
        "/v1/pools/app",
        "/v1/routes",
        "/v1/routes/app",
        "/v1/origins",
        "/v1/overrides",
        "/v1/drill",
        "/v1/health",
    ] {
        assert_eq!(tag(&edge, path).await, "\"1.1\"", "{path}");
    }
    assert_eq!(tag(&edge, "/v1/tables").await, "\"1\"");
    for path in ["/v1/regions/near", "/v1/placements/app/near"] {
        let shown = get(&edge, path).await;
        let expected = (&Value::from(1), &Value::from(1));
        assert_eq!((&shown["version"], &shown["overlay"]), expected, "{shown}");
    }
    for path in ["/v1/regions/near", "/v1/placements/app/near"] {
        let read = tag(&edge, path).await;
        edge.admin.patch("far", r#"{"weight": 80, "reason": "somebody else"}"#).await;
        let write = async |seen: &str| {
            let body = r#"{"weight": 50, "reason": "as was read"}"#;
            edge.admin.send(Method::PATCH, path, &[("if-match", seen)], body).await.0
        };
        assert_eq!(write(&read).await, 412, "{path}");
        assert_eq!(write(&tag(&edge, path).await).await, 200, "{path}");
    }
}

#[tokio::test]
async fn places_and_versions_are_told() {
    let origin = Origin::named("eu").await;
    let sections = "[client_address]\ntrusted_hops = [\"127.0.0.0/8\"]\n[geo]\nprefixes = [{ prefix = \
                    \"10.0.0.0/8\", country = \"DE\", place = { latitude = 52.5, longitude = 13.4 } }]";
    let edge =
        EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])])).sections(sections).start().await;
    let place = get(&edge, "/v1/geo/10.1.2.3").await["place"].clone();
    assert_eq!((&place["source"], &place["country"]), (&"prefix 10.0.0.0/8".into(), &"DE".into()));
    assert_eq!((&place["latitude"], &place["country_only"]), (&52.5.into(), &false.into()));
    let built_in = get(&edge, "/v1/geo/81.2.69.142").await;
    assert_eq!(
        (&built_in["place"]["source"], &built_in["place"]["country"]),
        (&"built-in".into(), &"GB".into())
    );
    assert_eq!(built_in["databases"], json!([]));
    let mapped = get(&edge, "/v1/geo/::ffff:10.1.2.3").await;
    assert_eq!((&mapped["address"], &mapped["place"]["country"]), (&"10.1.2.3".into(), &"DE".into()));
    assert_eq!(get(&edge, "/v1/geo/192.168.0.1").await["place"]["source"], "unknown");

    let running = get(&edge, "/v1/version").await;
    assert_eq!(
        (&running["version"], &running["table"]["version"]),
        (&env!("CARGO_PKG_VERSION").into(), &1.into())
    );
    assert!(running["uptime_ms"].as_f64().unwrap() > 0.0 && running["started_at"].is_string(), "{running}");
    assert_eq!(running["table"]["fingerprint"].as_str().unwrap().len(), 12);
}

#[tokio::test]
async fn the_log_says_more_for_a_while() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let level = async || get(&edge, "/v1/log-level").await;
    assert_eq!(level().await, json!({"level": "info", "usual": "info", "set": null}));
    let ask = json!({"level": "debug", "reason": "why is it slow?", "expires_in": "700ms"}).to_string();
    let (status, told) = edge.admin.json(Method::PUT, "/v1/log-level?dry_run=1", &ask).await;
    assert_eq!(
        (status, &told["dry_run"], &level().await["level"]),
        (200, &true.into(), &"info".into()),
        "{told}"
    );
    let fields = [("if-match", "\"9\"")];
    assert_eq!(edge.admin.send(Method::PUT, "/v1/log-level", &fields, &ask).await.0, 412);
    let fields = [("if-match", "\"1\""), ("idempotency-key", "one")];
    let (status, set) = edge.admin.send(Method::PUT, "/v1/log-level", &fields, &ask).await;
    assert_eq!(
        (status, &set["level"], &set["set"]["author"]),
        (200, &"debug".into(), &"local".into()),
        "{set}"
    );
    let (_, again) = edge.admin.send(Method::PUT, "/v1/log-level", &fields, &ask).await;
    assert_eq!(again["anchor"], set["anchor"], "it came before");
    assert!(edge.log().contains("log level set") && edge.log().contains("why is it slow?"), "{}", edge.log());
    until("it is as usual", async || level().await["level"] == "info").await;
    until("the log says so", async || edge.log().contains("log level as usual again")).await;
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit", "").await;
    let line = audit["changes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&line["change"], &line["set"]["level"]), (&"log-level".into(), &"debug".into()), "{audit}");
    assert_eq!(audit["changes"].as_array().unwrap().len(), 2, "once");
    // A restart ends it, and knows of it.
    let long = json!({"level": "error", "reason": "quiet", "expires_in": "1h"}).to_string();
    assert_eq!(edge.admin.json(Method::PUT, "/v1/log-level", &long).await.0, 200);
    let edge = edge.killed_and_started_again().await;
    assert_eq!(get(&edge, "/v1/log-level").await["level"], "info");
}

/// Answers, judged by the document.
struct Document {
    document: Value,
    seen: BTreeMap<String, usize>,
}

impl Document {
    async fn of(edge: &Edge) -> Self {
        Self { document: get(edge, "/v1/openapi.json").await, seen: BTreeMap::new() }
    }

    /// Makes a call and compares its answer with what the document says of it.
    async fn call(&mut self, edge: &Edge, method: Method, template: &str, at: &str, body: &str) -> Value {
        let (status, answer) = edge.admin.json(method.clone(), at, body).await;
        let verb = method.as_str().to_lowercase();
        let operation = &self.document["paths"][template][&verb];
        assert!(operation.is_object(), "{verb} {template} is not in the document");
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{verb} {at}: {status} is not in the document: {answer}");
        let (_, content) = response["content"].as_object().unwrap().iter().next().unwrap();
        let problems = problems(&self.document, content["schema"].clone(), &answer);
        assert!(problems.is_empty(), "{verb} {at}: {status}: {answer}\n{}", problems.join("\n"));
        *self.seen.entry(format!("{verb} {template}")).or_default() += 1;
        answer
    }
}

/// What is not as a schema of the document says.
pub(crate) fn problems(document: &Value, mut schema: Value, told: &Value) -> Vec<String> {
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(told).map(|error| error.to_string()).collect()
}

#[tokio::test]
async fn every_answer_is_what_the_document_says() {
    let (near, far) = (Origin::named("near").await, Origin::named("far").await);
    let table = table_with(
        &[("near", &[near.host()]), ("far", &[far.host()])],
        "",
        "methods = [\"GET\"]\njurisdictions = [\"J0\", \"J1\"]\nheaders = [{ name = \"x-a\", present = false }]",
    );
    let more = "[[routes]]\nname = \"away\"\nhosts = [\"away.test\"]\nredirect = { scheme = \"https\" }\n";
    let edge =
        EdgeBuilder::new(NEARSIDE, &format!("{table}{more}")).and("[headers]\ndecision = true").start().await;
    let mut says = Document::of(&edge).await;
    let mut client = Client::connect(edge.address()).await;
    let decision = client.get("/").await.header("x-nearside-decision").to_owned();
    let ramp = r#"{"weight": 40, "over": "1h", "reason": "test", "expires_in": "2h"}"#;
    let patch = r#"{"state": "drain", "over": "1h", "health": "up", "reason": "test"}"#;
    let all: &[(Method, &str, &str, &str)] = &[
        (Method::PATCH, "/v1/regions/{region}", "/v1/regions/near?watch=1h&shares=1", ramp),
        (Method::PATCH, "/v1/regions/{region}", "/v1/regions/near?watch=1h", ramp),
        (Method::GET, "/v1/watches", "/v1/watches", ""),
        (Method::DELETE, "/v1/watches/{number}", "/v1/watches/1?reason=seen", ""),
        (Method::DELETE, "/v1/watches/{number}", "/v1/watches/1?reason=seen", ""),
        (Method::DELETE, "/v1/watches/{number}", "/v1/watches/9?reason=seen", ""),
        (Method::GET, "/v1/watches", "/v1/watches", ""),
        (Method::PATCH, "/v1/regions/{region}", "/v1/regions/near?dry_run=1", ramp),
        (Method::PATCH, "/v1/regions/{region}", "/v1/regions/near", ramp),
        (Method::PATCH, "/v1/regions/{region}", "/v1/regions/near", "{"),
        (Method::PATCH, "/v1/regions/{region}", "/v1/regions/mars", ramp),
        (Method::PATCH, "/v1/placements/{pool}/{region}", "/v1/placements/app/near", patch),
        (Method::PATCH, "/v1/placements/{pool}/{region}", "/v1/placements/app/mars", patch),
        (
            Method::PATCH,
            "/v1/regions/{region}",
            "/v1/regions/far",
            r#"{"state": "off", "reason": "all of it"}"#,
        ),
        (Method::GET, "/v1/regions", "/v1/regions", ""),
        (Method::GET, "/v1/regions/{region}", "/v1/regions/near", ""),
        (Method::GET, "/v1/regions/{region}", "/v1/regions/mars", ""),
        (Method::GET, "/v1/placements/{pool}/{region}", "/v1/placements/app/near", ""),
        (Method::GET, "/v1/pools", "/v1/pools", ""),
        (Method::GET, "/v1/pools", "/v1/pools?limit=0", ""),
        (Method::GET, "/v1/pools/{pool}", "/v1/pools/app", ""),
        (Method::GET, "/v1/pools/{pool}", "/v1/pools/none", ""),
        (Method::GET, "/v1/routes", "/v1/routes", ""),
        (Method::GET, "/v1/routes/{route}", "/v1/routes/app", ""),
        (Method::GET, "/v1/routes/{route}", "/v1/routes/away", ""),
        (Method::GET, "/v1/routes/{route}", "/v1/routes/none", ""),
        (Method::GET, "/v1/origins", "/v1/origins?limit=1", ""),
        (Method::GET, "/v1/origins", "/v1/origins?region=mars", ""),
        (Method::GET, "/v1/origins", "/v1/origins?pool=none", ""),
        (Method::GET, "/v1/health", "/v1/health", ""),
        (Method::GET, "/v1/geo/{ip}", "/v1/geo/81.2.69.142", ""),
        (Method::GET, "/v1/geo/{ip}", "/v1/geo/nonsense", ""),
        (Method::GET, "/v1/version", "/v1/version", ""),
        (Method::GET, "/v1/overrides", "/v1/overrides", ""),
        (
            Method::PUT,
            "/v1/log-level",
            "/v1/log-level",
            r#"{"level": "warn", "reason": "test", "expires_in": "1m"}"#,
        ),
        (Method::GET, "/v1/log-level", "/v1/log-level", ""),
        (Method::GET, "/v1/explain", "/v1/explain?ip=81.2.69.142&host=app.test", ""),
        (Method::GET, "/v1/explain", "/v1/explain?ip=81.2.69.142&host=away.test", ""),
        (Method::GET, "/v1/explain", "/v1/explain?ip=81.2.69.142&host=nowhere.test", ""),
        (Method::GET, "/v1/explain", "/v1/explain?decision=DECISION", ""),
        (Method::GET, "/v1/explain", "/v1/explain?decision=0.0.0", ""),
        (Method::GET, "/v1/explain", "/v1/explain", ""),
        (Method::GET, "/v1/drill", "/v1/drill", ""),
        (Method::POST, "/v1/drill", "/v1/drill?dry_run=1", DRILL),
        (Method::POST, "/v1/drill", "/v1/drill?force=1", DRILL),
        (Method::GET, "/v1/drill", "/v1/drill", ""),
        (Method::GET, "/v1/explain", "/v1/explain?ip=81.2.69.142&host=app.test", ""),
        (Method::POST, "/v1/drill", "/v1/drill", DRILL),
        (Method::DELETE, "/v1/drill", "/v1/drill?reason=over", ""),
        (Method::DELETE, "/v1/drill", "/v1/drill?reason=over", ""),
        (Method::POST, "/v1/tables", "/v1/tables?reason=test&dry_run=1", "TABLE"),
        (Method::POST, "/v1/tables", "/v1/tables?reason=test", "TABLE"),
        (Method::POST, "/v1/tables", "/v1/tables?reason=test&source=bad.toml", "regions = 7"),
        (Method::POST, "/v1/tables", "/v1/tables?reason=test&force=1", "TABLE"),
        (Method::GET, "/v1/tables", "/v1/tables", ""),
        (Method::GET, "/v1/tables/{version}", "/v1/tables/2", ""),
        (Method::GET, "/v1/tables/{version}", "/v1/tables/99", ""),
        (Method::GET, "/v1/tables/{version}/diff", "/v1/tables/2/diff", ""),
        (Method::POST, "/v1/tables/{version}/rollback", "/v1/tables/1/rollback?reason=back", ""),
        (Method::GET, "/v1/audit", "/v1/audit", ""),
        (Method::GET, "/v1/audit", "/v1/audit?last=0", ""),
    ];
    for (method, template, at, body) in all {
        let body = body.replace("TABLE", &format!("{table}# again\n"));
        says.call(&edge, method.clone(), template, &at.replace("DECISION", &decision), &body).await;
    }
    // What is only read here by somebody who is nobody.
    let nobody = edge.admin.with("nonsense");
    let (status, problem) = nobody.json(Method::GET, "/v1/regions", "").await;
    assert_eq!((status, &problem["type"]), (401, &"urn:nearside:problem:unauthorized".into()));
    let operations = says.document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
    });
    let unseen: Vec<String> = operations.filter(|operation| !says.seen.contains_key(operation)).collect();
    assert_eq!(unseen, ["get /v1/events", "get /v1/openapi.json"], "each is called here, or elsewhere");
}

const DRILL: &str = r#"{"region": "near", "percent": 10, "for": "1m", "reason": "test"}"#;
