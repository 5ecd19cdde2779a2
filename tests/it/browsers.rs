//! What a page of somebody else's can make a browser do with the admin API: nothing.

use http::Method;
use serde_json::Value;
use testkit::{Answer, Client, Edge, EdgeBuilder, Origin, table};

use crate::NEARSIDE;

async fn edge() -> (Edge, Origin) {
    let origin = Origin::named("eu").await;
    let edge = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .admin("listen = \"127.0.0.1:0\"\nbrowser_origins = [\"https://ops.example\"]\nhosts = [\"edge1.ops.example\"]")
        .start()
        .await;
    (edge, origin)
}

/// A call with the token and more fields.
async fn call(edge: &Edge, method: Method, fields: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {}", edge.admin.token);
    let mut all = vec![("authorization", bearer.as_str())];
    if !fields.iter().any(|(name, _)| *name == "host") {
        all.push(("host", "localhost"));
    }
    all.extend(fields);
    let body = if method == Method::PATCH { r#"{"weight": 50, "reason": "test"}"# } else { "" };
    let path = if method == Method::PATCH { "/v1/regions/eu" } else { "/v1/regions" };
    Client::connect(edge.admin.address).await.ask(method, path, &all, body).await
}

fn kind(answer: &Answer) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    problem["type"].as_str().unwrap().trim_start_matches("urn:nearside:problem:").to_owned()
}

#[tokio::test]
async fn pages_that_are_not_listed_are_refused_token_or_not() {
    let (edge, _origin) = edge().await;
    for (name, value) in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("origin", "https://ops.example.evil.test"),
        ("origin", "http://ops.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for method in [Method::GET, Method::PATCH, Method::OPTIONS] {
            let preflight = ("access-control-request-method", "PATCH");
            let answer = call(&edge, method.clone(), &[(name, value), preflight]).await;
            assert_eq!(
                (answer.status.as_u16(), kind(&answer)),
                (403, "foreign-origin".to_owned()),
                "{method} {value}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), "", "{value}");
            assert_eq!(answer.header("vary"), "Origin");
        }
    }
    let (_, regions) = edge.admin.json(Method::GET, "/v1/regions", "").await;
    assert_eq!(regions["overlay"], 0, "nothing has changed");
}

#[tokio::test]
async fn a_listed_page_is_served_what_its_reader_may() {
    let (edge, _origin) = edge().await;
    let page = ("origin", "https://ops.example");
    let asked = [("host", "localhost"), page, ("access-control-request-method", "PATCH")];
    // A browser sends no token with a preflight.
    let mut client = Client::connect(edge.admin.address).await;
    let answer = client.ask(Method::OPTIONS, "/v1/regions/eu", &asked, "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "https://ops.example");
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    assert_eq!((answer.header("access-control-allow-credentials"), answer.header("vary")), ("", "Origin"));
    for method in [Method::GET, Method::PATCH] {
        let answer = call(&edge, method, &[page, ("sec-fetch-site", "cross-site")]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "https://ops.example");
        assert_eq!(answer.header("vary"), "Origin");
    }
    // What goes wrong can be read too; and a page without a token is nobody.
    let answer = client.ask(Method::GET, "/v1/regions", &[("host", "localhost"), page], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("access-control-allow-origin")),
        (401, "https://ops.example")
    );
}

#[tokio::test]
async fn names_that_are_not_ours_are_refused() {
    let (edge, _origin) = edge().await;
    let port = edge.admin.address.port();
    for host in ["evil.test", &format!("evil.test:{port}"), "127.0.0.1.evil.test", "ops.example"] {
        for method in [Method::GET, Method::PATCH] {
            let answer = call(&edge, method, &[("host", host)]).await;
            assert_eq!((answer.status.as_u16(), kind(&answer)), (421, "foreign-host".to_owned()), "{host}");
        }
    }
    for host in
        [&format!("127.0.0.1:{port}"), "localhost", "[::1]:9180", &format!("Edge1.ops.example:{port}")]
    {
        assert_eq!(call(&edge, Method::GET, &[("host", host)]).await.status, 200, "{host}");
    }
    // Without a name at all, and with one in the target.
    let raw = async |head: &str| crate::bounds::raw(edge.admin.address, head.as_bytes()).await;
    let bearer = &edge.admin.token;
    let said = raw(&format!("GET /v1/regions HTTP/1.1\r\nAuthorization: Bearer {bearer}\r\n\r\n")).await;
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("bad-host"), "{said}");
    let said = raw(&format!(
        "GET http://evil.test/v1/regions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    ))
    .await;
    assert!(said.starts_with("HTTP/1.1 421"), "{said}");
}

#[test]
fn mistakes_name_their_key() {
    let mut builder = Some(EdgeBuilder::new(NEARSIDE, &table(&[("eu", &["127.0.0.1:1".to_owned()])])));
    for (keys, key, said) in [
        ("browser_origins = [\"*\"]", "admin.browser_origins[0]", "no origin as browsers write it"),
        ("browser_origins = [\"https://ops.example/\"]", "admin.browser_origins[0]", "no origin"),
        ("hosts = [\"ops.example:9180\"]", "admin.hosts[0]", "is no DNS name"),
        ("hosts = [\"*.example\"]", "admin.hosts[0]", "is no DNS name"),
        ("listen = \"0.0.0.0:9180\"", "admin.listen", "there is no admin.tls"),
        ("listen = \"0.0.0.0:0\"", "admin.listen", "there is no admin.tls"),
        ("listen = \"[::]:9180\"", "admin.listen", "there is no admin.tls"),
        ("listen = \"192.0.2.1:9180\"", "admin.listen", "tls = { certificate_file"),
        ("clients = [{ name = \"a\", role = \"viewer\" }]", "admin.clients", "no admin.tls.client_ca_file"),
        ("token = \"x\"", "admin.token", "there is no key"),
    ] {
        let changed = builder.take().unwrap().admin(keys);
        for command in ["check", "run"] {
            let output =
                std::process::Command::new(NEARSIDE).args([command, "-c"]).arg(changed.write()).output();
            let output = output.unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{keys}: {text}");
            assert!(text.contains(key) && text.contains(said) && text.contains("example:"), "{keys}: {text}");
        }
        builder = Some(changed);
    }
}
