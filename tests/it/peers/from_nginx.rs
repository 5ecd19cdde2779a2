//! Coming from nginx: the configurations in `config/from-nginx` do the same, asked by the same curl.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tempfile::TempDir;
use testkit::{Authority, Body, Client, Origin, answer, text, until};

use super::nginx::{Nginx, free_port};
use super::{Peer, has, python, script};
use crate::NEARSIDE;

const SERVERS: [&str; 3] = ["10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080"];

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/from-nginx").join(name))
        .unwrap()
}

/// A shipped text with other addresses, files and times. Each of them must stand in it.
fn adapted(name: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(shipped(name), |text, (old, new)| {
        assert!(text.contains(old), "{name} does not say {old:?} any more");
        text.replace(old, new)
    })
}

/// A folder with a certificate as certbot leaves it, and the authority's.
struct Certificates {
    folder: TempDir,
    ca: PathBuf,
}

impl Certificates {
    fn new() -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
        let certificate = authority.issue(&["www.example.com", "example.com"]);
        std::fs::write(folder.path().join("fullchain.pem"), certificate.chain).unwrap();
        std::fs::write(folder.path().join("privkey.pem"), certificate.key).unwrap();
        let ca = authority.file(folder.path());
        Self { folder, ca }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }
}

/// An edge with the shipped files and other servers.
struct Nearside {
    peer: Peer,
    _folder: TempDir,
}

impl Nearside {
    fn new(certificates: &Certificates, table: &[(&str, &str)], command: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let anywhere = "listen = \"127.0.0.1:0\"\n";
        let here = format!("{}{anywhere}[health]\n{anywhere}", shipped("nearside.toml"));
        std::fs::write(folder.path().join("nearside.toml"), here).unwrap();
        std::fs::write(folder.path().join("table.toml"), adapted("table.toml", table)).unwrap();
        let mut program = Command::new(NEARSIDE);
        program.args(command).arg("--config").arg(folder.path().join("nearside.toml"));
        // As the guide tries it beside nginx.
        program.envs([
            ("HTTP", "127.0.0.1:0"),
            ("HTTPS", "127.0.0.1:0"),
            ("CERTIFICATES", certificates.path()),
        ]);
        program.env("LOGS", folder.path()).env("STATE", folder.path());
        Self { peer: Peer::start(program), _folder: folder }
    }

    /// Where it listens: plain, TLS.
    async fn is_up(&self) -> [SocketAddr; 2] {
        let found = |what: &str| -> Vec<SocketAddr> {
            let log = self.peer.complaints();
            let named = log.lines().filter(|line| line.contains(what));
            named.filter_map(|line| line.split("address=").nth(1)?.trim().parse().ok()).collect()
        };
        until("it listens", async || !found("listening for health checks").is_empty()).await;
        let health = found("listening for health checks")[0];
        until("it is ready", async || Client::connect(health).await.get("/readyz").await.status == 200).await;
        found("listening for clients").try_into().unwrap()
    }
}

#[tokio::test]
async fn the_shipped_files_are_valid() {
    let checked = Nearside::new(&Certificates::new(), &[], &["check"]).peer.ended().await;
    assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.complaints);
    let defaults =
        ["\"${HTTP:-0.0.0.0:80}\"", "\"${HTTPS:-0.0.0.0:443}\"", "${CERTIFICATES:-/etc/ssl/example.com}/"];
    for default in defaults {
        assert!(shipped("nearside.toml").contains(default), "{default}");
    }
}

#[test]
fn the_guide_says_what_becomes_of_each_line() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/from-nginx.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let table = guide.split("## What is different").next().unwrap();
    let is_name = |word: &&str| word.len() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let config = shipped("nginx.conf");
    let lines = config.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let directives: BTreeSet<&str> =
        lines.filter_map(|line| line.split_whitespace().next()).filter(is_name).collect();
    assert!(directives.len() > 30, "{directives:?}");
    for directive in directives {
        let is_told = table.contains(&format!("`{directive}`")) || table.contains(&format!("`{directive} "));
        assert!(directive == "default" || is_told, "{directive} is in nginx.conf and not in the guide");
    }
}

/// One of three like it: tells what it was asked, and does what the path says.
async fn server(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path == "/slow" {
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
    let field = |name: &str| head.headers.get(name).map_or("none", |value| value.to_str().unwrap());
    let names = ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "cookie", "connection"];
    let told = format!("{} {} {} {length} bytes", head.method, head.uri, names.map(field).join(" | "));
    let mut response = match path.strip_prefix("/status/") {
        Some(status) => answer(StatusCode::from_bytes(status.as_bytes()).unwrap(), ""),
        None => text(&told),
    };
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    headers.insert("x-powered-by", HeaderValue::from_static("secrets"));
    headers.insert("etag", HeaderValue::from_static("\"one\""));
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("set-cookie", HeaderValue::from_static("b=2"));
    if path == "/status/302" {
        headers.insert("location", HeaderValue::from_static("https://www.example.com/elsewhere"));
    }
    response
}

/// Status, the fields that matter, and the body, as curl sees them; curl's exit code where there is no answer.
async fn curl(ca: &Path, ports: [SocketAddr; 2], url: &str, args: &[&str]) -> String {
    let address = ports[usize::from(url.starts_with("https:"))];
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--include", "--max-time", "20", "--cacert"]).arg(ca);
    command.args(["--connect-to", &format!("::{address}")]).args(args).arg(url);
    let ended = Peer::start(command).ended().await;
    if ended.code != Some(0) {
        return format!("curl: {:?}", ended.code);
    }
    let (head, body) = ended.out.rsplit_once("\r\n\r\n").unwrap();
    let head = head.rsplit("\r\n\r\n").next().unwrap();
    let status = head.split(' ').nth(1).unwrap();
    let shown = ["location", "strict-transport-security", "x-powered-by", "etag", "set-cookie"];
    let mut fields: Vec<String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim())))
        .filter(|(name, _)| shown.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    fields.sort();
    // What either says itself is worded differently; a page of the servers is not.
    let is_own = ["301", "502", "503", "504", "421"].contains(&status);
    format!("{status}\n{}\n\n{}", fields.join("\n"), if is_own { "" } else { body })
}

/// Three servers.
async fn servers() -> Vec<Origin> {
    let mut servers = Vec::new();
    for _ in SERVERS {
        servers.push(Origin::with(server).await);
    }
    servers
}

fn hosts(servers: &[Origin]) -> Vec<String> {
    servers.iter().map(Origin::host).collect()
}

/// Both, in front of the same three servers.
struct Both {
    certificates: Certificates,
    _nginx: Nginx,
    _nearside: Nearside,
    nginx_at: [SocketAddr; 2],
    nearside_at: [SocketAddr; 2],
}

impl Both {
    /// Starts them before these servers, with more changes of the one file and of the other.
    async fn start(
        what: &str,
        hosts: &[String],
        nginx: &[(&str, &str)],
        table: &[(&str, &str)],
    ) -> Option<Self> {
        if !has("curl") {
            crate::skipped(what, "curl, of Debian's package curl");
            return None;
        }
        let certificates = Certificates::new();
        let moved: Vec<(&str, &str)> = SERVERS.into_iter().zip(hosts.iter().map(String::as_str)).collect();
        let tls = free_port();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {{folder}}/{kind};\n"))
            .concat();
        let changes = [
            ("user www-data;", "daemon off;\nmaster_process off;"),
            ("http {\n", &format!("http {{\n{temporary}")),
            ("/run/nginx.pid", "{folder}/nginx.pid"),
            ("/var/log/nginx", "{folder}"),
            ("/etc/ssl/example.com", certificates.path()),
            ("0.0.0.0:80", "127.0.0.1:{port}"),
            ("0.0.0.0:443", &tls.to_string()),
        ];
        let config = adapted("nginx.conf", &[&changes[..], &moved, nginx].concat());
        let nginx = Nginx::start(what, &config).await?;
        let nearside = Nearside::new(&certificates, &[&moved, table].concat(), &["run"]);
        let nearside_at = nearside.is_up().await;
        let nginx_at = [nginx.address, tls];
        Some(Self { certificates, _nginx: nginx, _nearside: nearside, nginx_at, nearside_at })
    }

    /// What both answer alike.
    async fn say(&self, url: &str, args: &[&str]) -> String {
        let nginx = curl(&self.certificates.ca, self.nginx_at, url, args).await;
        let nearside = self.nearside_says(url, args).await;
        assert_eq!(nearside, nginx, "curl {args:?} {url}: nearside, nginx");
        nginx
    }

    async fn nearside_says(&self, url: &str, args: &[&str]) -> String {
        curl(&self.certificates.ca, self.nearside_at, url, args).await
    }

    async fn nginx_says(&self, url: &str, args: &[&str]) -> String {
        curl(&self.certificates.ca, self.nginx_at, url, args).await
    }
}

#[tokio::test]
async fn both_answer_the_same() {
    let servers = servers().await;
    let Some(both) = Both::start("nearside beside nginx", &hosts(&servers), &[], &[]).await else { return };
    let www = |path: &str| format!("https://www.example.com{path}");
    assert_eq!(both.say("http://www.example.com/lb-health", &[]).await, "200\n\n\nwell\n");
    for scheme in ["http", "https"] {
        let moved = both.say(&format!("{scheme}://example.com/a//b?c=%20d"), &[]).await;
        assert_eq!(moved, "301\nlocation: https://www.example.com/a//b?c=%20d\n\n");
    }
    // What is longer than / is not let through unencrypted either.
    for path in ["/", "/a?b", "/api/x", "/uploads/x", "/ws/"] {
        let moved = both.say(&format!("http://www.example.com{path}"), &["-X", "POST"]).await;
        assert_eq!(moved, format!("301\nlocation: https://www.example.com{path}\n\n"));
    }
    for version in ["--http1.1", "--http2"] {
        let seen = "www.example.com | 127.0.0.1 | https | www.example.com";
        let page = both.say(&www("/page?x=%2F&y"), &[version]).await;
        assert!(page.contains(&format!("\n\nGET /page?x=%2F&y {seen} | none | none 0 bytes")), "{page}");
        assert!(page.contains("strict-transport-security: max-age=31536000") && !page.contains("powered"));
        assert!(page.contains("set-cookie: a=1\nset-cookie: b=2"), "{page}");
        let forged = ["x-forwarded-for: 6.6.6.6", "x-forwarded-proto: http", "x-forwarded-host: evil.test"];
        let forged = forged.map(|field| ["--header", field]).concat();
        assert!(both.say(&www("/"), &[&[version], &forged[..]].concat()).await.contains(seen));
        both.say(&www("/"), &[version, "--head"]).await;
        assert!(both.say(&www("/"), &[version, "--cookie", "a=1; b=2"]).await.contains("| a=1; b=2 |"));
        for method in ["PUT", "PATCH", "DELETE"] {
            let answered = both.say(&www("/thing"), &[version, "-X", method, "--data", "hello"]).await;
            assert!(answered.contains(&format!("{method} /thing")) && answered.contains("5 bytes"));
        }
        for status in ["204", "302", "304", "404", "418", "500"] {
            assert!(both.say(&www(&format!("/status/{status}")), &[version]).await.starts_with(status));
        }
        let users = both.say(&www("/api/users/7?x"), &[version]).await;
        assert!(users.contains("\n\nGET /users/7?x "), "{users}");
        assert!(both.say(&www("/api/"), &[version]).await.contains("\n\nGET / "));
    }
    both.nearside_says(&www("/real"), &["--header", "x-real-ip: 6.6.6.6"]).await;
    let seen = servers.iter().flat_map(Origin::requests).find(|seen| seen.uri == "/real").unwrap();
    assert_eq!(seen.header("x-real-ip"), "");
    assert!(servers.iter().all(|server| server.requests().len() > 1), "each has a share");
    // A host that nobody serves: nginx was told to hang up, nearside says so.
    assert_eq!(both.nginx_says("http://other.test/", &[]).await, "curl: Some(52)");
    assert!(both.nearside_says("http://other.test/", &[]).await.starts_with("421"));
}

#[tokio::test]
async fn both_take_large_uploads() {
    const BYTES: usize = 20 << 20;
    let servers = servers().await;
    let Some(both) = Both::start("uploads beside nginx", &hosts(&servers), &[], &[]).await else { return };
    let file = both.certificates.folder.path().join("upload");
    std::fs::write(&file, vec![b'x'; BYTES]).unwrap();
    let url = "https://www.example.com/uploads/film";
    for args in [&["--http1.1"][..], &["--http2"], &["--http1.1", "--header", "transfer-encoding: chunked"]] {
        let args = [args, &["--upload-file", file.to_str().unwrap()]].concat();
        let stored = both.say(url, &args).await;
        assert!(
            stored.contains("PUT /uploads/film") && stored.contains(&format!("{BYTES} bytes")),
            "{stored}"
        );
    }
}

#[tokio::test]
async fn both_carry_websockets() {
    let Some(python) = python("WebSocket beside nginx", "websockets") else { return };
    let mut chats = SERVERS.map(|_| Peer::start(script(&python, "websocket_origin.py", &[])));
    let mut hosts = Vec::new();
    for chat in &mut chats {
        hosts.push(format!("127.0.0.1:{}", chat.hears("port").await));
    }
    let well = [("path = \"/healthz\"", "path = \"/healthz\", statuses = [\"426\"]")];
    let Some(both) = Both::start("WebSocket beside nginx", &hosts, &[], &well).await else { return };
    let ca = both.certificates.ca.to_str().unwrap();
    for [_, tls] in [both.nginx_at, both.nearside_at] {
        let port = tls.port().to_string();
        let args = [port.as_str(), ca, "www.example.com", "/ws/room"];
        let mut client = Peer::start(script(&python, "websocket_client.py", &args));
        assert_eq!(client.ask("text").await["text"], "grüße");
        assert_eq!(client.ask("large").await["large"]["same"], true);
        assert_eq!(client.ask("leave").await["leave"], 3123);
    }
}

#[tokio::test]
async fn both_bear_servers_that_die_or_sleep() {
    let mut servers = servers().await;
    let hosts = hosts(&servers);
    let (nginx, table) = (
        [("proxy_read_timeout 60s", "proxy_read_timeout 1s")],
        [("first_byte = \"60s\"", "first_byte = \"1s\"")],
    );
    let Some(both) = Both::start("failures beside nginx", &hosts, &nginx, &table).await else { return };
    let slow = "https://www.example.com/slow";
    let post = ["--data", "x"];
    assert!(both.nginx_says(slow, &post).await.starts_with("504"));
    assert_eq!(
        both.nearside_says(slow, &post).await,
        "504\n\n\n",
        "fields of routes are for answers of servers"
    );
    let url = "https://www.example.com/page";
    drop(servers.remove(1));
    for number in 0..20 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        assert!(both.say(url, &["-X", method]).await.starts_with("200"), "{number}");
    }
    servers.clear();
    // As the guide says: nothing was reached, so 503 and not 502.
    assert!(both.nginx_says(url, &[]).await.starts_with("502"));
    assert!(both.nearside_says(url, &[]).await.starts_with("503"));
}
