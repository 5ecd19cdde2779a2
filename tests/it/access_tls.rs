//! The admin API over TLS: certificates instead of tokens, and a command line that speaks it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use http::Method;
use rcgen::{DnType, SanType};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use testkit::{Authority, Certificate, Client, Edge, EdgeBuilder, Origin, table, until};

use crate::NEARSIDE;
use crate::events::Listening;

/// Where operators' certificates come from, where the edge's does, and where nobody's should.
struct Authorities {
    edge: Authority,
    operators: Authority,
    strangers: Authority,
}

const NAME: &str = "edge1.ops.example";

/// `[admin]` with TLS on a port of its own.
const KEYS: &str = r#"listen = "127.0.0.1:0"
hosts = ["edge1.ops.example"]
tls = { certificate_file = "admin.pem", key_file = "admin.key", client_ca_file = "operators.pem" }
[[admin.clients]]
name = "sue.ops.example"
role = "operator"
regions = ["eu-west"]
[[admin.clients]]
name = "spiffe://ops.example/ada"
role = "admin"
[[admin.clients]]
name = "vic"
role = "viewer"
"#;

async fn edge() -> (Edge, Authorities, [Origin; 2]) {
    let (west, east) = (Origin::named("west").await, Origin::named("east").await);
    let table = table(&[("eu-west", &[west.host()]), ("eu-east", &[east.host()])]);
    let builder = EdgeBuilder::new(NEARSIDE, &table).admin(KEYS);
    let authorities = write(builder.folder());
    (builder.start().await, authorities, [west, east])
}

fn write(folder: &Path) -> Authorities {
    let all =
        Authorities { edge: Authority::new(), operators: Authority::new(), strangers: Authority::new() };
    let _ = all.edge.issue(&[NAME]).files_named(folder, "admin");
    std::fs::rename(all.operators.file(folder), folder.join("operators.pem")).unwrap();
    let _ = all.edge.file(folder);
    all
}

/// A call; the status and what came, or `None` if there was no speaking to the edge at all.
async fn call(
    edge: &Edge,
    config: Arc<ClientConfig>,
    (method, path): (Method, &str),
    token: Option<&str>,
) -> Option<(u16, Value)> {
    let mut client = Client::connect_tls(edge.admin.address, NAME, config).await.ok()?;
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut fields = vec![("host", NAME)];
    fields.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let body = if method == Method::PATCH { r#"{"weight": 50, "reason": "test"}"# } else { "" };
    let answer = client.try_ask(method, path, &fields, body).await.ok()?;
    Some((answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default()))
}

const LOOK: (Method, &str) = (Method::GET, "/v1/regions");
const WEST: (Method, &str) = (Method::PATCH, "/v1/regions/eu-west");
const EAST: (Method, &str) = (Method::PATCH, "/v1/regions/eu-east");

#[tokio::test]
async fn a_certificate_says_who_calls() {
    let (edge, authorities, _origins) = edge().await;
    let Authorities { edge: trusted, operators, strangers } = &authorities;
    let config = |certificate: &Certificate| trusted.client_with(certificate);
    let by_uri = operators.issue_with(&[], |params| {
        params.subject_alt_names = vec![SanType::URI("spiffe://ops.example/ada".try_into().unwrap())];
    });
    let by_common_name =
        operators.issue_with(&[], |params| params.distinguished_name.push(DnType::CommonName, "vic"));
    // A common name beside another one is not what an authority has looked at.
    let pretends = operators.issue_with(&["nobody.ops.example"], |params| {
        params.distinguished_name.push(DnType::CommonName, "vic");
    });
    let sue = operators.issue(&["sue.ops.example"]);
    for (who, certificate, expected) in [
        ("sue", &sue, [200, 200, 403]),
        ("ada", &by_uri, [200, 200, 200]),
        ("vic", &by_common_name, [200, 403, 403]),
        ("pretends", &pretends, [401, 401, 401]),
    ] {
        for (what, expected) in [LOOK, WEST, EAST].into_iter().zip(expected) {
            let (status, answer) = call(&edge, config(certificate), what.clone(), None).await.unwrap();
            assert_eq!(status, expected, "{who} {what:?}: {answer}");
            if who == "pretends" {
                let detail = answer["detail"].as_str().unwrap();
                assert!(detail.contains("nobody.ops.example") && !detail.contains("vic"), "{detail}");
            }
        }
    }
    let (_, region) = call(&edge, config(&by_uri), (Method::GET, "/v1/regions/eu-east"), None).await.unwrap();
    assert_eq!(region["overridden"]["weight"]["author"], "spiffe://ops.example/ada");

    // Another authority's certificate, whatever its name: there is no connection.
    assert_eq!(call(&edge, config(&strangers.issue(&["sue.ops.example"])), LOOK, None).await, None);
    until("it is counted", async || edge.metric("nearside_tls_handshakes_failed_total").await >= 1.0).await;
    // Without one: as nobody, or with a token.
    let none = || trusted.client(&[], &[&TLS13]);
    assert_eq!(call(&edge, none(), LOOK, None).await.unwrap().0, 401);
    assert_eq!(call(&edge, none(), EAST, Some(&edge.admin.token)).await.unwrap().0, 200);
    // A token that is sent counts before the certificate, right or wrong.
    assert_eq!(call(&edge, config(&sue), EAST, Some(&edge.admin.token)).await.unwrap().0, 200);
    assert_eq!(call(&edge, config(&sue), LOOK, Some("wrong")).await.unwrap().0, 401);
    // Nothing older than TLS 1.3, nothing without TLS, nothing but HTTP/1.1.
    assert_eq!(call(&edge, trusted.client(&[], &[&TLS12]), LOOK, Some(&edge.admin.token)).await, None);
    let offers = trusted.client(&["h2", "http/1.1"], &[&TLS13]);
    let client = Client::connect_tls(edge.admin.address, NAME, offers).await.unwrap();
    assert!(!client.is_http2());
    let plain =
        crate::bounds::raw(edge.admin.address, b"GET /v1/regions HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
}

#[tokio::test]
async fn a_certificate_that_ends_lets_nobody_in() {
    let (edge, authorities, _origins) = edge().await;
    let config = |certificate: &Certificate| authorities.edge.client_with(certificate);
    let ended = authorities.operators.issue_with(&["sue.ops.example"], |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    assert_eq!(call(&edge, config(&ended), LOOK, None).await, None);
    // Another authority counts from now on; a resumed session does not get around it.
    let sue = config(&authorities.operators.issue(&["sue.ops.example"]));
    assert_eq!(call(&edge, sue.clone(), LOOK, None).await.unwrap().0, 200);
    let folder = edge.folder.path();
    std::fs::rename(authorities.strangers.file(folder), folder.join("operators.pem")).unwrap();
    until("it is taken over", async || call(&edge, sue.clone(), LOOK, None).await.is_none()).await;
    let now_known = config(&authorities.strangers.issue(&["sue.ops.example"]));
    assert_eq!(call(&edge, now_known, LOOK, None).await.unwrap().0, 200);
    // The edge's own certificate is taken over as well, and a broken one is not.
    let _ = authorities.strangers.issue(&[NAME]).files_named(folder, "admin");
    until("the new one is shown", async || {
        let config = authorities.strangers.client(&[], &[&TLS13]);
        call(&edge, config, LOOK, Some(&edge.admin.token)).await.is_some()
    })
    .await;
    std::fs::write(folder.join("admin.key"), "broken").unwrap();
    until("it is refused", async || edge.log().contains("those in force stay")).await;
    let config = authorities.strangers.client(&[], &[&TLS13]);
    assert_eq!(call(&edge, config, LOOK, Some(&edge.admin.token)).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_stream_went_on_when_its_certificates_authority_was_gone() {
    let (edge, authorities, _origins) = edge().await;
    let config = authorities.edge.client_with(&authorities.operators.issue(&["sue.ops.example"]));
    let client = Client::connect_tls(edge.admin.address, NAME, config).await.unwrap();
    let mut hers = Listening::over(client, &[]).await.unwrap();
    let folder = edge.folder.path();
    std::fs::rename(authorities.strangers.file(folder), folder.join("operators.pem")).unwrap();
    assert_eq!(hers.next_named("end").await.data["why"], "access");
    assert!(hers.next().await.is_none());
}

// Waiting for the commands takes a thread; the origins need another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_speaks_it() {
    let (edge, authorities, _origins) = edge().await;
    let folder = edge.folder.path().to_owned();
    let _ = authorities.operators.issue(&["sue.ops.example"]).files_named(&folder, "sue");
    let _ = authorities.strangers.file(&folder);
    std::fs::rename(folder.join("ca.pem"), folder.join("strangers.pem")).unwrap();
    let _ = authorities.edge.file(&folder);
    let port = edge.admin.address.port();
    let nearside = |args: &[&str]| {
        let mut command = Command::new(NEARSIDE);
        let output = command.current_dir(&folder).args(args).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    // On the edge's own machine, where the configuration says which certificate it shows. Its port is said here, since a test's
    // configuration leaves it to chance.
    let config = std::fs::read_to_string(folder.join("nearside.toml")).unwrap();
    let fixed = config.replacen(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        &format!("[admin]\nlisten = \"127.0.0.1:{port}\""),
        1,
    );
    assert_ne!(config, fixed);
    std::fs::write(folder.join("fixed.toml"), fixed).unwrap();
    let (code, said) = nearside(&["regions", "-c", "fixed.toml"]);
    assert_eq!((code, said.contains("eu-east")), (Some(0), true), "{said}");
    let (code, said) = nearside(&["regions", "-c", "fixed.toml", "--ca", "ca.pem"]);
    assert_eq!(code, Some(1), "the certificate is not for 127.0.0.1: {said}");

    // From elsewhere: localhost stands for a name that the certificate is not for, so one that is for it is issued.
    let _ = authorities.edge.issue(&["localhost"]).files_named(&folder, "admin");
    let url = format!("https://localhost:{port}");
    let far = |more: &[&str]| nearside(&[&["regions", "--admin", &url], more].concat());
    let with_token = ["--ca", "ca.pem", "--token-file", "admin.token"];
    until("the new certificate is shown", async || far(&with_token).0 == Some(0)).await;
    let with_certificate = ["--ca", "ca.pem", "--cert", "sue.pem", "--key", "sue.key"];
    let (code, said) = far(&with_certificate);
    assert_eq!((code, said.contains("eu-east")), (Some(0), true), "{said}");
    let weight = |region: &str| {
        let args = ["weight", region, "50", "--reason", "test", "--yes", "--admin", &url];
        nearside(&[&args[..], &with_certificate[..]].concat())
    };
    assert_eq!(weight("eu-west").0, Some(0));
    let (code, said) = weight("eu-east");
    assert_eq!((code, said.contains("may change eu-west alone")), (Some(1), true), "{said}");
    let (code, said) = far(&["--ca", "strangers.pem", "--token-file", "admin.token"]);
    assert_eq!((code, said.contains("invalid peer certificate")), (Some(1), true), "{said}");
    assert_eq!(far(&["--token-file", "admin.token"]).0, Some(1), "the system knows no such authority");
    assert_eq!(far(&["--ca", "ca.pem", "--cert", "sue.pem"]).0, Some(2), "a certificate without its key");
    let (code, said) =
        nearside(&["regions", "--admin", "http://192.0.2.1:9180", "--token-file", "admin.token"]);
    assert_eq!((code, said.contains("would show the token")), (Some(1), true), "{said}");
}

#[test]
fn mistakes_name_their_key() {
    let table = table(&[("eu", &["127.0.0.1:1".to_owned()])]);
    let mut builder = Some(EdgeBuilder::new(NEARSIDE, &table));
    let _ = write(builder.as_ref().unwrap().folder());
    let tls = |more: &str| {
        format!("tls = {{ certificate_file = \"admin.pem\", key_file = \"admin.key\"{more} }}\n")
    };
    let clients = |more: &str| {
        format!("{}[[admin.clients]]\nname = \"ann\"\n{more}\n", tls(", client_ca_file = \"operators.pem\""))
    };
    for (keys, key, said) in [
        (tls(", client_ca_file = \"operators.pem\""), "admin.tls.client_ca_file", "no [[admin.clients]]"),
        (
            format!("{}clients = [{{ name = \"a\", role = \"viewer\" }}]", tls("")),
            "admin.clients",
            "client_ca_file",
        ),
        (clients("role = \"viewer\"\nregions = [\"eu\"]"), "admin.clients[0].regions", "look at everything"),
        (clients("role = \"boss\""), "admin.clients[0].role", "boss"),
        (
            clients("role = \"admin\"").replace("\"ann\"", "\"local\""),
            "admin.clients[0].name",
            "somebody else",
        ),
        (
            clients("role = \"admin\"\n[[admin.clients]]\nname = \"ANN\"\nrole = \"viewer\""),
            "admin.clients[1].name",
            "twice",
        ),
        (tls("").replace("admin.key", "missing.key"), "admin.tls.key_file", "cannot be read"),
        (
            tls(", client_ca_file = \"admin.key\"") + "clients = [{ name = \"a\", role = \"viewer\" }]",
            "admin.tls.client_ca_file",
            "holds no certificate",
        ),
    ] {
        let changed = builder.take().unwrap().admin(&format!("listen = \"0.0.0.0:0\"\n{keys}"));
        let output = Command::new(NEARSIDE).args(["check", "-c"]).arg(changed.write()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(key) && text.contains(said), "{keys}: {text}");
        builder = Some(changed);
    }
    // With TLS, any address will do.
    let good = builder.take().unwrap().admin(&format!("listen = \"0.0.0.0:0\"\n{}", tls("")));
    let output = Command::new(NEARSIDE).args(["check", "-c"]).arg(good.write()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
