//! nginx on both sides: as an origin that closes, chunks and stores as nginx does, and as the hop before the edge.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use http::{Method, Request};
use hyper::body::Incoming;
use tempfile::TempDir;
use testkit::{Authority, Client, EdgeBuilder, Origin, table, text, until};
use tokio::net::TcpStream;

use super::{Front, Peer, file, has, program, python, script};
use crate::NEARSIDE;

const NEEDS: &str = "nginx, of Debian's package nginx-light";

/// A running nginx. Dropped, it is killed.
pub(super) struct Nginx {
    pub(super) folder: TempDir,
    pub(super) address: SocketAddr,
    _peer: Peer,
}

impl Nginx {
    /// Starts one with a configuration in which `{folder}` and `{port}` are filled in. `None`, and said loudly, if there is
    /// none.
    pub(super) async fn start(what: &str, config: &str) -> Option<Self> {
        let Some(program) = program("nginx") else {
            crate::skipped(what, NEEDS);
            return None;
        };
        // It cannot be told to find a port itself. Whoever takes this one in between gets another try.
        for _ in 0..5 {
            let folder = TempDir::new().unwrap();
            std::fs::create_dir(folder.path().join("www")).unwrap();
            let address = free_port();
            let config = config
                .replace("{folder}", folder.path().to_str().unwrap())
                .replace("{port}", &address.port().to_string());
            let file = folder.path().join("nginx.conf");
            std::fs::write(&file, config).unwrap();
            let checked =
                Command::new(&program).arg("-t").arg("-p").arg(folder.path()).arg("-c").arg(&file).output();
            let checked = checked.unwrap();
            let complaints = String::from_utf8_lossy(&checked.stderr);
            // It tries the ports too.
            if !checked.status.success() && complaints.contains("Address already in use") {
                continue;
            }
            assert!(checked.status.success(), "{complaints}");
            let mut command = Command::new(&program);
            command.arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
            let mut peer = Peer::start({
                command.arg("-c").arg(file);
                command
            });
            let mut is_up = false;
            until("nginx listens or gives up", async || {
                is_up = TcpStream::connect(address).await.is_ok();
                is_up || peer.child.try_wait().unwrap().is_some()
            })
            .await;
            let errors = std::fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
            if peer.child.try_wait().unwrap().is_none() {
                return Some(Self { folder, address, _peer: peer });
            }
            assert!(errors.contains("Address already in use"), "{errors}{}", peer.complaints());
        }
        panic!("no port is free");
    }

    fn publish(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join("www").join(name), bytes).unwrap();
    }

    /// Of each request so far: its connection, its number there, its method and its status.
    fn log(&self) -> Vec<(u64, u64, String, String)> {
        let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        let lines = log.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        lines
            .map(|words| {
                (words[0].parse().unwrap(), words[1].parse().unwrap(), words[2].into(), words[3].into())
            })
            .collect()
    }
}

/// A port of loopback that nobody uses at the moment.
pub(super) fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn config(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// nginx as the one origin of an edge. Probed seldom, so that its log shows requests.
async fn origin(what: &str) -> Option<(Nginx, Front)> {
    let (nginx, _, _folder) = start_origin(what).await?;
    let pool = "probe = { path = \"/page\", interval = \"1s\" }";
    let table = testkit::table_with(&[("eu", &[nginx.address.to_string()])], pool, "");
    Some((nginx, Front::start(&table).await))
}

/// nginx, where it speaks TLS, and the folder with its certificate and the authority's.
async fn start_origin(what: &str) -> Option<(Nginx, SocketAddr, TempDir)> {
    let (certificates, authority, tls) = (TempDir::new().unwrap(), Authority::new(), free_port());
    let _ = authority.issue(&["origin.test"]).files(certificates.path());
    let _ = authority.file(certificates.path());
    let config = config("nginx_origin.conf")
        .replace("{tls}", &tls.port().to_string())
        .replace("{certificates}", certificates.path().to_str().unwrap());
    let nginx = Nginx::start(what, &config).await?;
    nginx.publish("page", b"page");
    Some((nginx, tls, certificates))
}

#[tokio::test]
async fn nginx_ends_http2_connections_and_nobody_notices() {
    let Some((nginx, tls, certificates)) = start_origin("nginx over HTTP/2").await else { return };
    let ca = certificates.path().join("ca.pem");
    let pool = format!(
        "probe = {{ path = \"/page\", interval = \"1s\" }}\ntls = {{ server_name = \"origin.test\", ca_file = {ca:?} }}"
    );
    let front = Front::start(&testkit::table_with(&[("eu", &[tls.to_string()])], &pool, "")).await;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..20 {
        let mut client = front.client().await;
        asking.spawn(async move {
            for turn in 0..30 {
                assert_eq!(client.get("/page").await.text(), "page");
                let path = format!("/uploads/{number}-{turn}");
                let stored = client.ask(Method::PUT, &path, &[], "stored").await;
                assert_eq!(stored.status, 201, "{}", stored.text());
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    let last = nginx.log().iter().map(|line| line.1).max();
    assert!(last.is_some_and(|number| number <= 48), "it has ended connections: {last:?}");
    assert_eq!(std::fs::read_dir(nginx.folder.path().join("www/uploads")).unwrap().count(), 600);
}

#[tokio::test]
async fn connections_to_nginx_are_kept_and_lost_without_harm() {
    let Some((nginx, front)) = origin("nginx as an origin").await else { return };
    let address = front.edge.listeners[0];
    let mut client = Client::connect(address).await;
    for _ in 0..50 {
        assert_eq!(client.get("/page").await.text(), "page");
    }
    // One connection carried them all; the others are the prober's.
    let most = |log: &[(u64, u64, String, String)]| log.iter().map(|line| line.1).max();
    assert!(most(&nginx.log()).is_some_and(|number| number >= 50), "{:?}", nginx.log());
    // It closes with every fifth answer, and the next request does not run into that.
    for number in 0..50 {
        assert_eq!(client.get("/few/page").await.text(), "page");
        // POST is never sent twice: 405 is nginx's own answer to it.
        let posted = client.ask(Method::POST, "/few/page", &[], "body").await;
        assert_eq!(posted.status, 405, "{number}");
    }
    // It closes what lies unused for 50 ms, now and then just as the next request comes. Who only asks never notices; what may
    // have been done is not done again.
    for pause in [20, 45, 48, 49, 50, 51, 52, 55, 60, 80] {
        assert_eq!(client.get("/brief/page").await.text(), "page", "after {pause} ms");
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let posted = client.ask(Method::POST, "/brief/page", &[], "body").await;
        let is_uncertain = posted.status == 502 && posted.text().ends_with("(UN)\n");
        assert!(posted.status == 405 || is_uncertain, "{} {}", posted.status, posted.text());
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert_eq!(client.get("/refused/").await.status, 403);
    assert_eq!(client.get("/missing").await.status, 404);
    assert_eq!(front.edge.admin.region_health("eu").await, "up");
}

#[tokio::test]
async fn answers_of_nginx_keep_their_form() {
    let Some((nginx, front)) = origin("nginx as an origin").await else { return };
    let mut client = Client::connect(front.edge.listeners[0]).await;
    let page = "a line of a page\n".repeat(5000);
    nginx.publish("long", page.as_bytes());
    let whole = client.get("/long").await;
    assert_eq!(
        (whole.header("content-length"), whole.text()),
        (page.len().to_string().as_str(), page.as_str())
    );
    let etag = [("if-none-match", whole.header("etag"))];
    let same = client.ask(Method::GET, "/long", &etag, "").await;
    assert_eq!((same.status.as_u16(), same.text(), same.header("etag")), (304, "", whole.header("etag")));
    let part = client.ask(Method::GET, "/long", &[("range", "bytes=2-5")], "").await;
    assert_eq!((part.status.as_u16(), part.text()), (206, &page[2..6]));
    let squeezed = client.ask(Method::GET, "/chunked/long", &[("accept-encoding", "gzip")], "").await;
    assert_eq!((squeezed.header("content-encoding"), squeezed.header("content-length")), ("gzip", ""));
    assert_eq!(squeezed.body[..2], [0x1f, 0x8b]);
    assert!(squeezed.body.len() < 2000, "{}", squeezed.body.len());
    // nginx does not announce its trailers, so that they can go on only where that needs no announcement.
    let trailed = front.client().await.ask(Method::GET, "/trailers/long", &[("te", "trailers")], "").await;
    assert_eq!(trailed.text(), page);
    assert_eq!(trailed.trailers.get("x-sum").map(|sum| sum.to_str().unwrap()), Some("GET"));
    let reset = client.get("/205").await;
    assert_eq!((reset.status.as_u16(), reset.text()), (205, ""));
    let stored = client.ask(Method::PUT, "/uploads/a/b", &[], "stored").await;
    assert_eq!(stored.status, 201);
    assert_eq!(client.get("/uploads/a/b").await.text(), "stored");
    assert_eq!(client.ask(Method::DELETE, "/uploads/a/b", &[], "").await.status, 204);
    assert_eq!(client.get("/page").await.text(), "page", "all in step on one connection");
}

#[tokio::test]
async fn large_files_pass_in_little_memory() {
    const BYTES: usize = 64 << 20;
    let Some((nginx, front)) = origin("large files of nginx").await else { return };
    if !has("curl") {
        return crate::skipped("large files of nginx", "curl");
    }
    let bytes: Vec<u8> = (0..BYTES).map(|at| (at / 251 + at) as u8).collect();
    nginx.publish("large", &bytes);
    let (file, back) = (nginx.folder.path().join("www/large"), nginx.folder.path().join("back"));
    let resident = async || front.edge.metric("process_resident_memory_bytes").await;
    let url = |path: &str| format!("https://app.test:{}{path}", front.tls());
    let curl = |version: &str, args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "25", version, "--cacert"]);
        command.arg(&front.ca).args(["--resolve", &format!("app.test:{}:127.0.0.1", front.tls())]).args(args);
        command
    };
    for version in ["--http1.1", "--http2"] {
        let down = curl(version, &["--output", back.to_str().unwrap(), &url("/large")]);
        let up = curl(version, &["--upload-file", file.to_str().unwrap(), &url("/uploads/large")]);
        for command in [down, up] {
            let before = resident().await;
            let mut transfer = Peer::start(command);
            let mut highest = 0.0_f64;
            until("it is through", async || {
                highest = highest.max(resident().await);
                transfer.child.try_wait().unwrap().is_some()
            })
            .await;
            let ended = transfer.ended().await;
            assert_eq!(ended.code, Some(0), "{version} {}", ended.complaints);
            assert!(highest - before < 24e6, "{version}: {before} bytes resident before, {highest} at most");
        }
        assert!(std::fs::read(&back).unwrap() == bytes, "what came down is what lay there");
        let stored = nginx.folder.path().join("www/uploads/large");
        assert!(std::fs::read(&stored).unwrap() == bytes, "what went up lies there");
        std::fs::remove_file(stored).unwrap();
    }
}

/// Tells what it was told of the client.
async fn echo(request: Request<Incoming>) -> http::Response<testkit::Body> {
    let field = |name: &str| request.headers().get(name).map_or("none", |value| value.to_str().unwrap());
    let names = ["host", "x-forwarded-for", "x-forwarded-proto", "x-request-id"];
    text(&format!("{} {}", request.uri(), names.map(field).join(" | ")))
}

async fn before(edge: SocketAddr) -> Option<Nginx> {
    let config = config("nginx_front.conf").replace("{edge}", &edge.port().to_string());
    Nginx::start("nginx before the edge", &config).await
}

#[tokio::test]
async fn nginx_before_the_edge_is_believed_if_trusted() {
    let origin = Origin::with(echo).await;
    let table = table(&[("eu", &[origin.host()])]);
    let trusting = EdgeBuilder::new(NEARSIDE, &table).start().await;
    let Some(nginx) = before(trusting.address()).await else { return };
    let mut client = Client::connect(nginx.address).await;
    let fields = [("x-forwarded-for", "8.8.8.8"), ("x-forwarded-proto", "forged")];
    let seen = client.ask(Method::GET, "/a?b", &fields, "").await;
    let words: Vec<&str> = seen.text().split(" | ").collect();
    assert_eq!(words[..3], ["/a?b app.test", "8.8.8.8, 127.0.0.1, 127.0.0.1", "https"]);
    assert_eq!(words[3].len(), 32, "the id is nginx's: {words:?}");
    let line = trusting.access_log_of(1).await.remove(0);
    assert_eq!((&line["client_ip"], &line["country"]), (&"8.8.8.8".into(), &"US".into()));
    assert_eq!(line["id"], words[3]);

    let wary = EdgeBuilder::new(NEARSIDE, &table).sections("").start().await;
    let nginx = before(wary.address()).await.unwrap();
    let seen = Client::connect(nginx.address).await.ask(Method::GET, "/", &fields, "").await;
    let words: Vec<&str> = seen.text().split(" | ").collect();
    assert_eq!(words[..3], ["/ app.test", "127.0.0.1", "http"], "a stranger cannot say who he is");
    assert_eq!(wary.access_log_of(1).await[0]["client_ip"], "127.0.0.1");
}

#[tokio::test]
async fn whatever_nginx_speaks_is_served() {
    let origin = Origin::with(|request: Request<Incoming>| async move {
        let length = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes().len();
        text(&format!("{length} bytes"))
    })
    .await;
    let edge = crate::edge_before(&origin).await;
    let Some(nginx) = before(edge.address()).await else { return };
    let mut client = Client::connect(nginx.address).await;
    let body = "x".repeat(3 << 20);
    for path in ["/", "/bare/", "/streamed/"] {
        for _ in 0..20 {
            assert_eq!(client.get(path).await.text(), "0 bytes", "{path}");
        }
        assert_eq!(client.ask(Method::POST, path, &[], &body).await.text(), format!("{} bytes", body.len()));
    }
    let lines = edge.access_log_of(63).await;
    let of = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap()["proto"].clone();
    assert_eq!((of("/"), of("/bare/")), ("HTTP/1.1".into(), "HTTP/1.0".into()));
}

#[tokio::test]
async fn websockets_pass_nginx_and_the_edge() {
    let Some(python) = python("WebSocket behind nginx", "websockets") else { return };
    let mut origin = Peer::start(script(&python, "websocket_origin.py", &[]));
    let host = format!("127.0.0.1:{}", origin.hears("port").await);
    let front =
        Front::start(&testkit::table_with(&[("eu", &[host])], "probe = { statuses = [\"426\"] }", "")).await;
    let Some(nginx) = before(front.edge.listeners[0]).await else { return };
    let port = nginx.address.port().to_string();
    let mut client = Peer::start(script(&python, "websocket_client.py", &[&port]));
    for command in ["text", "large", "ponged", "leave"] {
        assert_ne!(client.ask(command).await[command], serde_json::Value::Null);
    }
}
