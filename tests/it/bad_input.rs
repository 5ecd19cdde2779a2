//! What nobody should send to the admin API: it is named, with an example of what is right, and nothing changes.

use http::Method;
use serde_json::{Value, json};
use testkit::{Client, EdgeBuilder, Origin, table};

use crate::NEARSIDE;

/// A call that is refused, its status, its type and the field at fault.
type Case =
    (Method, &'static str, &'static [(&'static str, &'static str)], String, u16, &'static str, &'static str);

const REGION: &str = "/v1/regions/eu";
const PLACEMENT: &str = "/v1/placements/app/eu";
const LEVEL: &str = "/v1/log-level";

/// What serde says, and no operator.
const RUST: [&str; 6] = ["invalid type", "invalid value", "invalid digit", "expected", "at line", "`"];

fn body(value: &Value) -> String {
    value.to_string()
}

/// What is wrong with a call whose body is JSON, whatever else it should say.
fn any_body(method: &Method, path: &'static str) -> Vec<Case> {
    let bad = |text: String, field| (method.clone(), path, &[][..], text, 400, "bad-body", field);
    let mut cases: Vec<Case> = ["", "{", "null", "[]", "7", "\"x\"", "\u{0}", "{'reason': 'x'}"]
        .map(|text| bad(text.to_owned(), "body"))
        .into();
    cases.push(bad("{\"reason\": \"x\", \"reason\": \"y\"}".to_owned(), "reason"));
    cases.push(bad(body(&json!({"nonsense": 1, "reason": "x"})), "nonsense"));
    cases.push(bad(body(&json!({"reason": 7})), "reason"));
    cases.push(bad(body(&json!({"reason": null})), "reason"));
    cases.push(bad(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), "body"));
    cases.push(bad(format!("{{\"reason\": {}", "[".repeat(10_000)), "reason"));
    let huge = body(&json!({"reason": "x".repeat(100_000)}));
    cases.push((method.clone(), path, &[], huge, 413, "body-too-large", ""));
    cases
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (method, path) in [
        (Method::PATCH, REGION),
        (Method::PATCH, PLACEMENT),
        (Method::POST, "/v1/drill"),
        (Method::PUT, LEVEL),
    ] {
        cases.extend(any_body(&method, path));
    }
    for (path, value, kind, field) in [
        (REGION, json!({"weight": 101, "reason": "x"}), "bad-value", "weight"),
        (REGION, json!({"weight": 256, "reason": "x"}), "bad-body", "weight"),
        (REGION, json!({"weight": -1, "reason": "x"}), "bad-body", "weight"),
        (REGION, json!({"weight": 0.5, "reason": "x"}), "bad-body", "weight"),
        (REGION, json!({"weight": "50", "reason": "x"}), "bad-body", "weight"),
        (REGION, json!({"wieght": 50, "reason": "x"}), "bad-body", "wieght"),
        (REGION, json!({"state": "Drain", "reason": "x"}), "bad-body", "state"),
        (REGION, json!({"state": "dran", "reason": "x"}), "bad-body", "state"),
        (REGION, json!({"health": "suspect", "reason": "x"}), "bad-body", "health"),
        (PLACEMENT, json!({"health": "sick", "reason": "x"}), "bad-body", "health"),
        (REGION, json!({"weight": 50, "reason": "x", "expires_in": "2 hours"}), "bad-body", "expires_in"),
        (REGION, json!({"weight": 50, "reason": "x", "over": "5"}), "bad-body", "over"),
        (REGION, json!({"weight": 50, "reason": "x", "expires_in": "9000h"}), "bad-value", "expires_in"),
        (REGION, json!({"weight": 50, "reason": "x", "expires_in": "99999999h"}), "bad-body", "expires_in"),
        (REGION, json!({"weight": 50, "reason": "x", "over": "25h"}), "bad-value", "over"),
        (REGION, json!({"weight": 50, "reason": "x", "over": -1}), "bad-body", "over"),
        (PLACEMENT, json!({"weight": 50, "reason": "a\nb"}), "bad-value", "reason"),
        (REGION, json!({"weight": 50, "reason": "\u{1b}[2Jgone"}), "bad-value", "reason"),
        (REGION, json!({"weight": 50, "reason": "a\u{0}b"}), "bad-value", "reason"),
        (REGION, json!({"weight": 50, "reason": "\u{202e}eliforp"}), "bad-value", "reason"),
        (REGION, json!({"weight": 50, "reason": "x".repeat(1001)}), "bad-value", "reason"),
        ("/v1/regions/mars", json!({"weight": 50, "reason": "x"}), "unknown-region", ""),
        ("/v1/placements/app/mars", json!({"weight": 50, "reason": "x"}), "unknown-placement", ""),
        ("/v1/placements/none/eu", json!({"weight": 50, "reason": "x"}), "unknown-placement", ""),
    ] {
        let status = if kind.starts_with("unknown") { 404 } else { 400 };
        cases.push((Method::PATCH, path, &[], body(&value), status, kind, field));
    }
    for (value, kind, field) in [
        (json!({"region": "eu", "percent": 10, "reason": "x"}), "bad-body", "for"),
        (json!({"region": "eu", "percent": "10", "for": "1m", "reason": "x"}), "bad-body", "percent"),
        (json!({"region": "eu", "percent": 0, "for": "1m", "reason": "x"}), "bad-drill", "percent"),
        (json!({"region": "eu", "percent": 100.5, "for": "1m", "reason": "x"}), "bad-drill", "percent"),
        (json!({"region": "eu", "percent": 10, "for": "25h", "reason": "x"}), "bad-drill", "for"),
        (json!({"region": "mars", "percent": 10, "for": "1m", "reason": "x"}), "bad-drill", "region"),
        (json!({"region": "eu", "percent": 10, "for": "1m", "reason": "a\tb"}), "missing-reason", "reason"),
        (json!({"region": "eu", "percent": 10, "for": "1m"}), "missing-reason", "reason"),
    ] {
        cases.push((Method::POST, "/v1/drill", &[], body(&value), 400, kind, field));
    }
    for (value, kind, field) in [
        (json!({"level": "loud", "reason": "x"}), "bad-body", "level"),
        (json!({"level": "DEBUG", "reason": "x"}), "bad-body", "level"),
        (json!({"reason": "x"}), "bad-body", "level"),
        (json!({"level": "debug"}), "missing-reason", "reason"),
        (json!({"level": "debug", "reason": "x", "expires_in": "0s"}), "bad-value", "expires_in"),
        (json!({"level": "debug", "reason": "x", "expires_in": "25h"}), "bad-value", "expires_in"),
        (json!({"level": "debug", "reason": "x", "expires_in": null}), "bad-body", "expires_in"),
    ] {
        cases.push((Method::PUT, LEVEL, &[], body(&value), 400, kind, field));
    }
    let patch = || body(&json!({"weight": 50, "reason": "x"}));
    for (query, field) in [
        ("/v1/regions/eu?dry_run=maybe", "dry_run"),
        ("/v1/regions/eu?volatile=2", "volatile"),
        ("/v1/regions/eu?force=-1", "force"),
        ("/v1/regions/eu?force=all", "force"),
        ("/v1/regions/eu?forse=1", "forse"),
        ("/v1/regions/eu?dryrun=1", "dryrun"),
        ("/v1/regions/eu?dry_run=1&dry_run=1", "dry_run"),
    ] {
        cases.push((Method::PATCH, query, &[], patch(), 400, "bad-query", field));
    }
    for (fields, kind, field) in [
        (&[("if-match", "*")][..], "bad-condition", "If-Match"),
        (&[("if-match", "\"1\", \"2\"")], "bad-condition", "If-Match"),
        (&[("if-match", "\"+1\"")], "bad-condition", "If-Match"),
        (&[("if-match", "W/\"1\"")], "bad-condition", "If-Match"),
        (&[("if-match", "\"1\""), ("if-match", "\"1\"")], "bad-condition", "If-Match"),
        (&[("idempotency-key", "")], "bad-key", "Idempotency-Key"),
        (&[("idempotency-key", "a"), ("idempotency-key", "b")], "bad-key", "Idempotency-Key"),
    ] {
        cases.push((Method::PATCH, REGION, fields, patch(), 400, kind, field));
    }
    cases.push((Method::PATCH, REGION, &[("if-match", "\"7\"")], patch(), 412, "moved", ""));
    for (path, kind, field) in [
        ("/v1/pools?limit=0", "bad-query", "limit"),
        ("/v1/pools?limit=1001", "bad-query", "limit"),
        ("/v1/routes?limit=x", "bad-query", "limit"),
        ("/v1/routes?after=nothing", "bad-query", "after"),
        ("/v1/origins?pol=app", "bad-query", "pol"),
        ("/v1/origins?region=", "bad-query", "region"),
        ("/v1/audit?last=0", "bad-query", "last"),
        ("/v1/audit?after=abc", "bad-query", "after"),
        ("/v1/geo/localhost", "bad-address", "ip"),
        ("/v1/geo/1.2.3", "bad-address", "ip"),
        ("/v1/geo/1.2.3.4%2F8", "bad-address", "ip"),
        ("/v1/explain?ip=1.2.3.4&decision=1.2.3", "bad-query", "decision"),
        ("/v1/regions/%FF", "bad-path", ""),
        ("/v1/placements/app/%C3%28", "bad-path", ""),
    ] {
        cases.push((Method::GET, path, &[], String::new(), 400, kind, field));
    }
    for (path, kind) in [
        ("/v1/pools/mars", "unknown-pool"),
        ("/v1/routes/mars", "unknown-route"),
        ("/v1/tables/99", "unknown-version"),
        ("/v1/tables/-1", "unknown-version"),
        ("/v1/tables/one/diff", "unknown-version"),
        ("/v1/", "unknown-path"),
        ("/v2/regions", "unknown-path"),
        ("/v1/regions/", "unknown-path"),
    ] {
        cases.push((Method::GET, path, &[], String::new(), 404, kind, ""));
    }
    for (path, text, status, kind, field) in [
        ("/v1/tables", "", 400, "missing-reason", "reason"),
        ("/v1/tables?reason=a%0Ab", "", 400, "missing-reason", "reason"),
        ("/v1/tables?reason=a%1Bb", "", 400, "missing-reason", "reason"),
        ("/v1/tables?reason=x&source=", "", 400, "bad-query", "source"),
        ("/v1/tables?reason=x&source=a%0Ab", "", 400, "bad-query", "source"),
        ("/v1/tables/1/rollback?reason=x&source=a", "", 400, "bad-query", "source"),
        ("/v1/tables?reason=x&nonsense=1", "", 400, "bad-query", "nonsense"),
        ("/v1/tables?reason=x", "", 422, "bad-table", ""),
        ("/v1/tables?reason=x", "regions = 7", 422, "bad-table", ""),
        ("/v1/tables?reason=x", "\u{0}\u{0}", 422, "bad-table", ""),
        ("/v1/tables/99/rollback?reason=x", "", 404, "unknown-version", ""),
        ("/v1/tables/1/rollback", "", 400, "missing-reason", "reason"),
    ] {
        cases.push((Method::POST, path, &[], text.to_owned(), status, kind, field));
    }
    cases.push((Method::DELETE, "/v1/drill", &[], String::new(), 400, "missing-reason", "reason"));
    cases.push((Method::DELETE, "/v1/drill?reason=x", &[], String::new(), 409, "no-drill", ""));
    cases.push((Method::PUT, REGION, &[], patch(), 405, "unknown-method", ""));
    cases
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_changes() {
    let (eu, us) = (Origin::named("eu").await, Origin::named("us").await);
    let edge =
        EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[eu.host()]), ("us", &[us.host()])])).start().await;
    let (all, mut wrong) = (cases(), Vec::new());
    assert!(all.len() > 120, "{}", all.len());
    for (method, path, fields, body, status, kind, field) in all {
        let (answered, problem) = edge.admin.send(method.clone(), path, fields, &body).await;
        let kind = format!("urn:nearside:problem:{kind}");
        let is_named = field.is_empty() || problem["field"] == field && !problem["example"].is_null();
        let is_whole =
            problem["status"] == answered && problem["title"].is_string() && problem["detail"].is_string();
        let detail = problem["detail"].as_str().unwrap_or_default();
        // Of a body that is no JSON it is told where; a part of a path has no field.
        let is_plain = ["", "body"].contains(&field) || !RUST.iter().any(|words| detail.contains(words));
        let is_right = answered == status && problem["type"] == kind.as_str();
        if !is_right || !is_named || !is_whole || !is_plain {
            let body: String = body.chars().take(80).collect();
            wrong.push(format!(
                "{method} {path} {fields:?} {body}\n    {status} {kind} {field}\n    {answered} {problem}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} answers are not what they should be:\n{}", wrong.len(), wrong.join("\n"));
    // What is shown as right is taken here.
    let (_, problem) = edge.admin.json(Method::POST, "/v1/drill", "{}").await;
    assert_eq!(problem["example"]["region"], "eu", "{problem}");
    for (method, path) in [(Method::PATCH, REGION), (Method::POST, "/v1/drill"), (Method::PUT, LEVEL)] {
        for asked in ["{}", r#"{"reason": ""}"#] {
            let (_, problem) = edge.admin.json(method.clone(), path, asked).await;
            let example = problem["example"].to_string();
            let path = format!("{path}?dry_run=1");
            let (status, told) = edge.admin.json(method.clone(), &path, &example).await;
            assert_eq!(status, 200, "{method} {path} {example}: {told}");
        }
    }
    let large = "#".repeat(9 << 20);
    // The rest of a body that is too large is not read, so the answer may be lost behind it.
    if let Some((status, problem)) = edge.admin.attempt(Method::POST, "/v1/tables?reason=x", &large).await {
        assert_eq!((status, &problem["type"]), (413, &"urn:nearside:problem:body-too-large".into()));
    }
    let latin = [b"name = \"", &[0xe9][..], b"\""].concat();
    let sent = raw(&edge.admin.token, edge.admin.address, &latin).await;
    assert!(sent.starts_with("HTTP/1.1 400") && sent.contains("it is not UTF-8"), "{sent}");

    let (_, regions) = edge.admin.json(Method::GET, "/v1/regions", "").await;
    assert_eq!((&regions["overlay"], &regions["version"]), (&0.into(), &1.into()), "nothing has changed");
    let (_, level) = edge.admin.json(Method::GET, "/v1/log-level", "").await;
    assert_eq!((&level["level"], &level["set"]), (&"info".into(), &Value::Null));
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit", "").await;
    assert_eq!(audit["changes"].as_array().unwrap().len(), 1, "{audit}");
    let fields = [("x-forwarded-for", "81.2.69.142")];
    let answer = Client::connect(edge.address()).await.ask(Method::GET, "/", &fields, "").await;
    assert_eq!(answer.text(), "eu");
}

async fn raw(token: &str, admin: std::net::SocketAddr, body: &[u8]) -> String {
    let head = format!(
        "POST /v1/tables?reason=x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    crate::bounds::raw(admin, &[head.as_bytes(), body].concat()).await
}

#[tokio::test]
async fn of_two_writers_at_once_one_is_told_that_he_came_too_late() {
    let (eu, us) = (Origin::named("eu").await, Origin::named("us").await);
    let table = table(&[("eu", &[eu.host()]), ("us", &[us.host()])]);
    let edge = EdgeBuilder::new(NEARSIDE, &table).start().await;
    for version in 1..=10 {
        let tag = format!("\"{version}\"");
        let write = async |author: &str| {
            let text = format!("{table}# {version} {author}\n");
            let fields = [("if-match", tag.as_str())];
            edge.admin.send(Method::POST, "/v1/tables?reason=test", &fields, &text).await
        };
        let (one, other) = tokio::join!(write("one"), write("other"));
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "{one:?} {other:?}");
        let late = if one.0 == 412 { one.1 } else { other.1 };
        assert_eq!(late["type"], "urn:nearside:problem:moved");
        assert!(late["detail"].as_str().unwrap().contains(&format!("version {}", version + 1)), "{late}");
    }
}
