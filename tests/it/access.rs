//! Who may do what with the admin API: tokens, roles, scopes, and those who have none.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use testkit::{Client, Edge, EdgeBuilder, Origin, table, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::{NEARSIDE, edge_before};

/// Runs `nearside token` on an edge's configuration; code, standard output, standard error.
pub(crate) fn token(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(NEARSIDE);
    let output =
        command.arg("token").args(args).arg("-c").arg(folder.join("nearside.toml")).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Makes a token; the secret.
pub(crate) fn add(folder: &Path, args: &[&str]) -> String {
    let (code, secret, said) = token(folder, &[&["add"], args].concat());
    assert_eq!(code, Some(0), "{said}");
    secret
}

async fn two_regions() -> (Edge, [Origin; 2]) {
    let (west, east) = (Origin::named("west").await, Origin::named("east").await);
    let table = table(&[("eu-west", &[west.host()]), ("eu-east", &[east.host()])]);
    (EdgeBuilder::new(NEARSIDE, &table).start().await, [west, east])
}

const PATCH: &str = r#"{"weight": 50, "reason": "test"}"#;
const LEVEL: &str = r#"{"level": "debug", "reason": "test"}"#;

#[tokio::test]
async fn each_role_may_what_it_may() {
    let (edge, [west, east]) = two_regions().await;
    let folder = edge.folder.path();
    let next = table(&[("eu-west", &[west.host()]), ("eu-east", &[east.host()])]) + "# again\n";
    let callers = [
        ("viewer", add(folder, &["vic", "--role", "viewer"])),
        ("scoped", add(folder, &["sue", "--role", "operator", "--region", "eu-west"])),
        ("operator", add(folder, &["oli", "--role", "operator"])),
        ("admin", add(folder, &["ada", "--role", "admin", "--expires-in", "90d"])),
        ("local", edge.admin.token.clone()),
    ];
    // What is called; and how viewer, scoped operator, operator, admin and the first token are answered.
    let calls: [(Method, &str, &str, [u16; 5]); 26] = [
        (Method::GET, "/v1/regions", "", [200; 5]),
        (Method::GET, "/v1/regions/eu-east", "", [200; 5]),
        (Method::GET, "/v1/tables", "", [200; 5]),
        (Method::GET, "/v1/explain?ip=81.2.69.142", "", [200; 5]),
        (Method::GET, "/v1/placements/app/eu-east", "", [200; 5]),
        (Method::GET, "/v1/pools", "", [200; 5]),
        (Method::GET, "/v1/pools/app", "", [200; 5]),
        (Method::GET, "/v1/routes", "", [200; 5]),
        (Method::GET, "/v1/routes/app", "", [200; 5]),
        (Method::GET, "/v1/origins", "", [200; 5]),
        (Method::GET, "/v1/health", "", [200; 5]),
        (Method::GET, "/v1/geo/81.2.69.142", "", [200; 5]),
        (Method::GET, "/v1/version", "", [200; 5]),
        (Method::GET, "/v1/overrides", "", [200; 5]),
        (Method::GET, "/v1/audit", "", [200; 5]),
        (Method::GET, "/v1/log-level", "", [200; 5]),
        (Method::GET, "/v1/openapi.json", "", [200; 5]),
        (Method::PUT, "/v1/log-level", LEVEL, [403, 403, 403, 200, 200]),
        (Method::DELETE, "/v1/drill?reason=test", "", [403, 409, 409, 409, 409]),
        (Method::PATCH, "/v1/regions/eu-west", PATCH, [403, 200, 200, 200, 200]),
        (Method::PATCH, "/v1/regions/eu-east", PATCH, [403, 403, 200, 200, 200]),
        (Method::PATCH, "/v1/regions/mars", PATCH, [403, 403, 404, 404, 404]),
        (Method::POST, "/v1/tables?reason=test", &next, [403, 403, 403, 200, 200]),
        (Method::DELETE, "/v1/regions/eu-west", "", [403, 405, 405, 405, 405]),
        (Method::GET, "/v1/watches", "", [200; 5]),
        (Method::DELETE, "/v1/watches/9?reason=test", "", [403, 404, 404, 404, 404]),
    ];
    for (method, path, body, expected) in calls {
        for ((who, secret), expected) in callers.iter().zip(expected) {
            let (status, answer) = edge.admin.with(secret).json(method.clone(), path, body).await;
            assert_eq!(status, expected, "{who}: {method} {path}: {answer}");
            if status == 403 {
                let detail = answer["detail"].as_str().unwrap();
                let is_scope = answer["type"] == "urn:nearside:problem:out-of-scope";
                let is_for_admins = path.starts_with("/v1/tables") || path == "/v1/log-level";
                let role = if is_for_admins && *who != "viewer" { "admin" } else { "operator" };
                assert!(is_scope || detail.contains(&format!("the role {role}")), "{who}: {detail}");
                assert!(!is_scope || detail.contains("\"sue\" may change eu-west alone"), "{detail}");
            }
        }
    }
    // What was changed bears the names of those who did it.
    edge.admin.with(&callers[1].1).json(Method::PATCH, "/v1/regions/eu-west", PATCH).await;
    edge.admin.with(&callers[3].1).json(Method::POST, "/v1/tables?reason=x", &next).await;
    let (_, region) = edge.admin.json(Method::GET, "/v1/regions/eu-west", "").await;
    assert_eq!(region["overridden"]["weight"]["author"], "sue");
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!(tables["versions"][0]["author"], "ada");
    assert_eq!(
        edge.metric("nearside_admin_requests_total{role=\"viewer\",verb=\"PATCH\",result=\"forbidden\"}")
            .await,
        3.0
    );
    let log = edge.log();
    assert!(callers.iter().all(|(_, secret)| !log.contains(secret)), "no token is ever logged");
}

#[tokio::test]
async fn looking_changes_nothing() {
    let (edge, _origins) = two_regions().await;
    let before = edge.admin.json(Method::GET, "/v1/regions", "").await.1;
    for path in [
        "/v1/regions",
        "/v1/regions/eu-west?weight=0&state=off&reason=x",
        "/v1/tables?reason=x",
        "/v1/tables/1?rollback=1",
        "/v1/explain?ip=81.2.69.142",
    ] {
        for fields in
            [("x-http-method-override", "PATCH"), ("x-method-override", "POST"), ("x-http-method", "PATCH")]
        {
            let bearer = format!("Bearer {}", edge.admin.token);
            let fields = [("authorization", bearer.as_str()), fields];
            for method in [Method::GET, Method::HEAD] {
                edge.admin.call_with(method, path, &fields).await;
            }
        }
    }
    let after = edge.admin.json(Method::GET, "/v1/regions", "").await.1;
    assert_eq!((&before["overlay"], &before["version"]), (&after["overlay"], &after["version"]));
}

#[tokio::test]
async fn a_token_ends_when_it_is_removed_or_its_time_is_over() {
    let (edge, _origins) = two_regions().await;
    let folder = edge.folder.path();
    let calls = async |secret: &str| edge.admin.with(secret).json(Method::GET, "/v1/regions", "").await;
    let ann = add(folder, &["ann", "--role", "viewer"]);
    assert_eq!(calls(&ann).await.0, 200, "at once, without a reload");
    let (code, said, _) = token(folder, &["remove", "ann"]);
    assert_eq!(code, Some(0), "{said}");
    let removed = Instant::now();
    until("it opens nothing", async || calls(&ann).await.0 == 401).await;
    assert!(removed.elapsed() < Duration::from_secs(1), "{:?}", removed.elapsed());

    let bob = add(folder, &["bob", "--role", "viewer", "--expires-in", "1500ms"]);
    assert_eq!(calls(&bob).await.0, 200);
    until("its time is over", async || calls(&bob).await.0 == 401).await;
    let (_, answer) = calls(&bob).await;
    assert_eq!(answer["type"], "urn:nearside:problem:expired-token");
    assert!(answer["detail"].as_str().unwrap().contains("\"bob\" expired at"), "{answer}");
    let (_, listed, _) = token(folder, &["list"]);
    assert!(listed.contains("bob") && listed.contains("(expired)") && !listed.contains("ann"), "{listed}");

    // A slip of the pen in the file locks nobody out.
    let cat = add(folder, &["cat", "--role", "viewer"]);
    assert_eq!(calls(&cat).await.0, 200);
    let file = folder.join("tokens.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("role", "rolle")).unwrap();
    until("it is refused", async || {
        edge.metric("nearside_admin_tokens_reload_total{result=\"refused\"}").await >= 1.0
    })
    .await;
    assert_eq!(calls(&cat).await.0, 200);
    assert!(edge.log().contains("did you mean \"role\"?"));
    let (code, _, said) = token(folder, &["add", "dan", "--role", "viewer"]);
    assert_eq!((code, said.contains("left as they are")), (Some(1), true), "{said}");
}

#[tokio::test]
async fn the_first_token_follows_its_file() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let file = edge.folder.path().join("admin.token");
    let another = "another one, that nobody can guess";
    std::fs::write(&file, format!("{another}\n")).unwrap();
    let calls = async |secret: &str| edge.admin.with(secret).json(Method::GET, "/v1/regions", "").await.0;
    until("the new one opens", async || calls(another).await == 200).await;
    assert_ne!(calls(&edge.admin.token).await, 200);
    std::fs::remove_file(&file).unwrap();
    until("without a file, nothing does", async || calls(another).await != 200).await;
    edge.signal("HUP");
    assert_ne!(calls(another).await, 200);
}

#[test]
fn the_command_line_refuses_what_makes_no_sense() {
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &["127.0.0.1:1".to_owned()])]));
    let _ = builder.write();
    let folder = builder.folder();
    for (args, code, said) in [
        (&["add", "Ann Lee", "--role", "viewer"][..], 1, "is no name"),
        (&["add", "local", "--role", "viewer"], 1, "somebody else"),
        (&["add", "ann", "--role", "boss"], 2, "viewer, operator or admin"),
        (&["add", "ann"], 2, "--role"),
        (&["add", "ann", "--role", "admin", "--region", "eu"], 1, "about all regions"),
        (&["add", "ann", "--role", "viewer", "--region", "eu"], 1, "look at everything"),
        (&["add", "ann", "--role", "viewer", "--expires-in", "soon"], 2, "90d"),
        (&["add", "ann", "--role", "viewer", "--expires-in", "0d"], 2, "longer than nothing"),
        (&["remove", "ann"], 1, "there are none"),
    ] {
        let (status, _, text) = token(folder, args);
        assert_eq!((status, text.contains(said)), (Some(code), true), "{args:?}: {text}");
        assert!(!folder.join("tokens.toml").exists(), "nothing is written");
    }
    let (_, _, said) = token(folder, &["add", "ann", "--role", "operator", "--region", "mars"]);
    assert!(said.contains("has no region \"mars\""), "{said}");
    let (code, listed, _) = token(folder, &["list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (code, &listed[0]["name"], &listed[0]["regions"][0]),
        (Some(0), &"ann".into(), &"mars".into())
    );
}

#[tokio::test]
async fn files_that_others_can_read_are_refused() {
    let origin = Origin::named("eu").await;
    let builder = EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]));
    let config = builder.write();
    let folder = &builder.folder().to_owned();
    let ann = add(folder, &["ann", "--role", "viewer"]);
    let file = folder.join("tokens.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let check = || {
        let output = Command::new(NEARSIDE).args(["check", "-c"]).arg(&config).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let names_it =
        |said: &str| said.contains("tokens.toml") && said.contains("mode 644") && said.contains("chmod 600");
    let (code, said) = check();
    assert!(code == Some(1) && names_it(&said), "{said}");
    let (code, _, said) = token(folder, &["add", "bob", "--role", "viewer"]);
    assert_eq!((code, said.contains("chmod 600")), (Some(1), true), "{said}");
    // A token that could be guessed is named as well; the edge serves all the same, and neither opens anything.
    let first = folder.join("admin.token");
    std::fs::write(&first, "guess me").unwrap();
    std::fs::set_permissions(&first, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (_, said) = check();
    assert!(
        said.contains("admin.token_file") && said.contains("8 characters") && said.contains("rm "),
        "{said}"
    );
    let edge = builder.start().await;
    let calls = async |secret: &str| edge.admin.with(secret).json(Method::GET, "/v1/regions", "").await.0;
    assert_eq!((calls("guess me").await, calls(&ann).await), (401, 401));
    assert!(names_it(&edge.log()) && edge.log().contains("could be guessed"), "{}", edge.log());
    let refused =
        async |file: &str| edge.metric(&format!("nearside_admin_tokens_refused{{file=\"{file}\"}}")).await;
    assert_eq!((refused("token_file").await, refused("tokens_file").await), (1.0, 1.0));
    assert_eq!(Client::connect(edge.address()).await.get("/").await.status, 200);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    until("it is mended", async || calls(&ann).await == 200).await;
    assert_eq!((refused("token_file").await, refused("tokens_file").await), (1.0, 0.0));
}

/// Calls from an address of loopback with a token; status and head, in lower case.
async fn from(edge: &Edge, address: &str, secret: &str) -> (u16, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(edge.admin.address).await.unwrap();
    let call = format!(
        "GET /v1/tables HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer.to_lowercase())
}

#[tokio::test]
async fn whoever_guesses_is_slowed_down_and_locks_nobody_out() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    for guess in 0..10 {
        assert_eq!(from(&edge, "127.0.0.1", &format!("guess-{guess}")).await.0, 401);
    }
    for guess in 0..50 {
        let (status, answer) = from(&edge, "127.0.0.1", &format!("more-{guess}")).await;
        assert_eq!(status, 429, "{answer}");
        assert!(answer.contains("retry-after: ") && answer.contains("connection: close"), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    // The operator behind the same address gets in, and so does another stranger his answer.
    assert_eq!(from(&edge, "127.0.0.1", &edge.admin.token).await.0, 200);
    assert_eq!(from(&edge, "127.0.0.2", "guess").await.0, 401);
    // The wait grows.
    let wait = |answer: &str| -> u64 {
        answer.split("retry-after: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap()
    };
    let (_, first) = from(&edge, "127.0.0.1", "guess").await;
    assert!(wait(&first) <= 2, "{first}");
    let mut longest = 0;
    until("the second wait is longer", async || {
        let (_, answer) = from(&edge, "127.0.0.1", "guess").await;
        longest = longest.max(wait(&answer));
        longest > 2
    })
    .await;
    let count = async |result: &str| {
        edge.metric(&format!(
            "nearside_admin_requests_total{{role=\"none\",verb=\"GET\",result=\"{result}\"}}"
        ))
        .await
    };
    assert_eq!(count("unauthorized").await, 11.0);
    assert!(count("limited").await > 50.0);
    let log = edge.log();
    let lines = log.lines().filter(|line| line.contains("by nobody")).count();
    assert!((12..=14).contains(&lines), "{lines} lines: failures are logged until they are limited");
    assert!(!log.contains("guess-") && !log.contains("more-"), "not what was guessed");
}

#[tokio::test]
async fn a_slow_client_is_cut_off() {
    let origin = Origin::named("eu").await;
    let edge = edge_before(&origin).await;
    let mut stream = TcpStream::connect(edge.admin.address).await.unwrap();
    stream.write_all(b"GET /v1/regions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
    let started = Instant::now();
    let mut byte = [0];
    while stream.write_all(b"x").await.is_ok() {
        let read = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(25), "still open");
    }
    assert!(started.elapsed() > Duration::from_secs(9), "{:?}", started.elapsed());
    // Meanwhile and afterwards, operators and clients are served.
    assert_eq!(edge.admin.json(Method::GET, "/v1/regions", "").await.0, 200);
    assert_eq!(Client::connect(edge.address()).await.get("/").await.text(), "eu");
}
