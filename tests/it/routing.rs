//! Which route a request belongs to, and what routes do besides choosing a region.

use http::Method;
use testkit::{Client, EdgeBuilder, Origin, table, table_with};

use crate::NEARSIDE;

/// Routes that say their own name, in an order that must not matter.
const ROUTES: &str = r#"
[[routes]]
name = "any"
hosts = ["*"]
respond = { status = 200, body = "any" }

[[routes]]
name = "below"
hosts = ["*.shop.test"]
respond = { status = 200, body = "below" }

[[routes]]
name = "deeper"
hosts = ["*.eu.shop.test"]
respond = { status = 200, body = "deeper" }

[[routes]]
name = "shop"
hosts = ["shop.test"]
respond = { status = 200, body = "shop" }

[[routes]]
name = "prefix"
hosts = ["shop.test"]
path_prefix = "/cart"
respond = { status = 200, body = "prefix" }

[[routes]]
name = "pattern"
hosts = ["shop.test"]
path_regex = "/cart/[0-9]+"
respond = { status = 200, body = "pattern" }

[[routes]]
name = "exact"
hosts = ["shop.test"]
path = "/cart/7"
respond = { status = 200, body = "exact" }

[[routes]]
name = "canary"
hosts = ["shop.test"]
path_prefix = "/cart"
headers = [{ name = "X-Canary", value = "1" }]
respond = { status = 200, body = "canary" }

[[routes]]
name = "writes"
hosts = ["shop.test"]
path_prefix = "/cart"
methods = ["PUT", "POST"]
respond = { status = 200, body = "writes" }

[[routes]]
name = "beta"
hosts = ["shop.test"]
path_prefix = "/cart"
query = [{ name = "beta", regex = "yes|1" }]
respond = { status = 200, body = "beta" }

[[routes]]
name = "reads"
hosts = ["reads.test"]
methods = ["GET"]
respond = { status = 200, body = "reads" }
"#;

#[tokio::test]
async fn the_most_exact_route_answers() {
    let origin = Origin::named("eu").await;
    let edge = EdgeBuilder::new(NEARSIDE, &(table(&[("eu", &[origin.host()])]) + ROUTES)).start().await;
    let mut client = Client::connect(edge.address()).await;
    for (method, host, path, fields, route) in [
        (Method::GET, "unknown.test", "/", &[][..], "any"),
        (Method::GET, "www.Shop.test:8080", "/", &[], "below"),
        (Method::GET, "a.b.shop.test", "/", &[], "below"),
        (Method::GET, "www.eu.shop.test", "/", &[], "deeper"),
        (Method::GET, "shop.test", "/other", &[], "shop"),
        (Method::GET, "shop.test", "/cart/x", &[], "prefix"),
        (Method::GET, "shop.test", "/carts", &[], "shop"),
        (Method::GET, "shop.test", "/cart/12", &[], "pattern"),
        (Method::GET, "shop.test", "/cart/12x", &[], "prefix"),
        (Method::GET, "shop.test", "/cart/7?q=1", &[], "exact"),
        (Method::GET, "shop.test", "/cart", &[("x-canary", "1")], "canary"),
        (Method::GET, "shop.test", "/cart", &[("x-canary", "2")], "prefix"),
        (Method::POST, "shop.test", "/cart", &[("x-canary", "1")], "writes"),
        (Method::GET, "shop.test", "/cart?a=b&beta=yes", &[], "beta"),
        (Method::GET, "app.test", "/", &[], "eu"),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("host", host)]).collect();
        let answer = client.ask(method.clone(), path, &fields, "").await;
        assert_eq!(answer.text(), route, "{method} {host}{path} {fields:?}");
        if route == "eu" {
            continue;
        }
        // The same function explains.
        let name = host.split(':').next().unwrap();
        let sent: Vec<String> = fields.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let (path, query) = (path.replace('?', "%3F").replace('&', "%26"), sent.join("%0A"));
        let question =
            format!("/v1/explain?ip=8.8.8.8&method={method}&host={name}&path={path}&headers={query}");
        let (_, told) = edge.admin.json(Method::GET, &question, "").await;
        assert_eq!(told["route"], route, "{told}");
        assert_eq!(told["summary"], "answered here (200): the route needs no region");
    }
    let refused = client.ask(Method::POST, "/", &[("host", "reads.test")], "").await;
    let words = "this path is not served for such requests (NR)\n";
    assert_eq!((refused.status.as_u16(), refused.text()), (404, words));
}

#[tokio::test]
async fn redirects_and_answers_of_a_route() {
    let origin = Origin::named("eu").await;
    let routes = r#"
[[routes]]
name = "to-https"
hosts = ["old.test"]
redirect = { scheme = "https" }
response_headers = { set = { x-moved = "yes" } }

[[routes]]
name = "moved"
hosts = ["old.test"]
path_prefix = "/blog"
redirect = { status = 302, host = "blog.test", port = 8443, prefix = "/", keep_query = false }

[[routes]]
name = "user"
hosts = ["old.test"]
path_regex = "/~([a-z]+)/.*"
redirect = { status = 301, path = "/users/$1" }

[[routes]]
name = "closed"
hosts = ["closed.test"]
respond = { status = 503, body = "<h1>back at noon</h1>\n", content_type = "text/html" }
response_headers = { set = { Retry-After = "3600" } }
"#;
    let edge = EdgeBuilder::new(NEARSIDE, &(table(&[("eu", &[origin.host()])]) + routes)).start().await;
    let mut client = Client::connect(edge.address()).await;
    for (path, status, location) in [
        ("/a/b?q=1", 308, "https://old.test/a/b?q=1"),
        ("/blog/2026/x?q=1", 302, "http://blog.test:8443/2026/x"),
        ("/~anna/pictures", 301, "http://old.test:81/users/anna"),
    ] {
        let answer = client.ask(Method::POST, path, &[("host", "old.test:81")], "body").await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (status, location), "{path}");
        assert_eq!(answer.header("x-moved"), if status == 308 { "yes" } else { "" });
    }
    let closed = client.ask(Method::GET, "/", &[("host", "closed.test")], "").await;
    assert_eq!((closed.status.as_u16(), closed.text()), (503, "<h1>back at noon</h1>\n"));
    assert_eq!((closed.header("content-type"), closed.header("retry-after")), ("text/html", "3600"));
    let head = client.ask(Method::HEAD, "/", &[("host", "closed.test")], "").await;
    assert_eq!((head.header("content-length"), head.text()), ("22", ""));
    assert_eq!(client.get("/").await.text(), "eu", "the connection is in step");
    assert_eq!(origin.requests().len(), 1);
    let lines = edge.access_log_of(6).await;
    assert_eq!(
        (&lines[3]["route"], &lines[3]["status"], &lines[3]["reason"]),
        (&"closed".into(), &503.into(), &"-".into())
    );
    let counted = "nearside_requests_total{route=\"closed\",region=\"-\",code_class=\"5xx\",reason=\"-\"}";
    assert_eq!(edge.metric(counted).await, 2.0, "{}", edge.health("/metrics").await.1);
}

#[tokio::test]
async fn targets_and_headers_are_rewritten() {
    let origin = Origin::with(|_| async {
        let mut answer = testkit::text("page");
        for (name, value) in [("server", "secret/1.0"), ("vary", "accept"), ("cache-control", "private")] {
            answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        answer
    })
    .await;
    let route = r#"
path_prefix = "/api"
rewrite = { prefix = "/v2", host = "internal.test:81" }
request_headers = { remove = ["cookie"], set = { X-Env = "prod" }, add = { x-list = "second" } }
response_headers = { remove = ["server"], set = { cache-control = "no-store" }, add = { vary = "x-env" } }
"#;
    let other = r#"
[[routes]]
name = "user"
hosts = ["app.test"]
path_regex = "/u/(?P<id>[0-9]+)"
pool = "app"
rewrite = { path = "/profile/${id}" }
"#;
    // `${` would be taken for a variable of the environment.
    let other = other.replace("${id}", "$id");
    let text = table_with(&[("eu", &[origin.host()])], "", route) + &other;
    let edge = EdgeBuilder::new(NEARSIDE, &text).start().await;
    let mut client = Client::connect(edge.address()).await;
    let sent = [("cookie", "a=1"), ("x-env", "forged"), ("x-list", "first")];
    let answer = client.ask(Method::GET, "/api/x/y?q=1", &sent, "").await;
    let seen = origin.last();
    assert_eq!(seen.uri, "/v2/x/y?q=1");
    assert_eq!((seen.header("host"), seen.header("x-forwarded-host")), ("internal.test:81", "app.test"));
    assert_eq!((seen.header("cookie"), seen.header("x-env")), ("", "prod"));
    let list: Vec<&str> =
        seen.headers.get_all("x-list").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(list, ["first", "second"]);
    assert_eq!((answer.header("server"), answer.header("cache-control")), ("", "no-store"));
    assert_eq!(answer.headers.get_all("vary").iter().count(), 2);
    assert_eq!(client.get("/u/17?q=1").await.text(), "page");
    assert_eq!(origin.last().uri, "/profile/17?q=1");
    assert_eq!(origin.last().header("host"), "app.test");
}
