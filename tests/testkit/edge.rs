//! The real binary, as a process.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::PATIENCE;

/// How an edge is to be started.
pub struct EdgeBuilder {
    binary: PathBuf,
    folder: TempDir,
    table: String,
    edge: String,
    listeners: String,
    more: String,
    access_log: String,
    health: String,
    admin: String,
    variables: Vec<(String, String)>,
    inherited: Option<TcpListener>,
}

/// A running edge. Dropped, it is killed.
pub struct Edge {
    /// The folder with its configuration.
    pub folder: TempDir,
    /// Where clients connect.
    pub listeners: Vec<SocketAddr>,
    /// Its admin API.
    pub admin: Admin,
    /// Where health checks connect.
    pub health: SocketAddr,
    binary: PathBuf,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    access_log: PathBuf,
}

/// An admin API and its token.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// What opens it.
    pub token: String,
}

impl EdgeBuilder {
    /// An edge of `binary` with a table. It trusts `X-Forwarded-For` from loopback, and stands in Frankfurt.
    #[must_use]
    pub fn new(binary: &str, table: &str) -> Self {
        Self {
            binary: PathBuf::from(binary),
            folder: TempDir::new().unwrap(),
            table: table.to_owned(),
            edge: "place = { latitude = 50.11, longitude = 8.68 }\nworkers = 2".to_owned(),
            listeners: "[[listeners]]\naddress = \"127.0.0.1:0\"".to_owned(),
            more: "[client_address]\ntrusted_hops = [\"127.0.0.0/8\"]".to_owned(),
            access_log: String::new(),
            health: String::new(),
            admin: "listen = \"127.0.0.1:0\"".to_owned(),
            variables: Vec::new(),
            inherited: None,
        }
    }

    /// The folder of its configuration.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Instead of the usual keys of `[edge]`, name apart.
    #[must_use]
    pub fn edge(mut self, keys: &str) -> Self {
        self.edge = keys.to_owned();
        self
    }

    /// Instead of one plain listener.
    #[must_use]
    pub fn listeners(mut self, sections: &str) -> Self {
        self.listeners = sections.to_owned();
        self
    }

    /// Instead of trusting loopback: further sections of the configuration.
    #[must_use]
    pub fn sections(mut self, sections: &str) -> Self {
        self.more = sections.to_owned();
        self
    }

    /// Adds sections to the configuration.
    #[must_use]
    pub fn and(mut self, sections: &str) -> Self {
        self.more = format!("{}\n{sections}", self.more);
        self
    }

    /// More keys of `[access_log]`.
    #[must_use]
    pub fn access_log(mut self, keys: &str) -> Self {
        self.access_log = keys.to_owned();
        self
    }

    /// More keys of `[health]`.
    #[must_use]
    pub fn health(mut self, keys: &str) -> Self {
        self.health = keys.to_owned();
        self
    }

    /// Instead of listening on loopback: the keys of `[admin]`.
    #[must_use]
    pub fn admin(mut self, keys: &str) -> Self {
        self.admin = keys.to_owned();
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Passes it a socket, as systemd does.
    #[must_use]
    pub fn inheriting(mut self, listener: TcpListener) -> Self {
        self.inherited = Some(listener);
        self
    }

    /// Its command line.
    #[must_use]
    pub fn command(&self) -> Command {
        let file = self.write();
        let mut command = match &self.inherited {
            None => {
                let mut command = Command::new(&self.binary);
                command.stdin(Stdio::null());
                command
            }
            Some(listener) => {
                // The shell has the process id that the edge will have, and can move the socket to where it is looked for.
                let mut command = Command::new("sh");
                command.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\""]);
                command.arg(&self.binary).stdin(OwnedFd::from(listener.try_clone().unwrap()));
                command
            }
        };
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.args(["run", "-c"]).arg(file);
        command
    }

    /// Writes the configuration; where it is.
    #[must_use]
    pub fn write(&self) -> PathBuf {
        let file = self.folder.path().join("nearside.toml");
        // Only tests of the grace itself have time for it.
        let more = match self.more.contains("readiness_grace") {
            true => self.more.clone(),
            false if self.more.contains("[limits]") => {
                self.more.replace("[limits]", "[limits]\nreadiness_grace = \"0s\"")
            }
            false => format!("{}\n[limits]\nreadiness_grace = \"0s\"", self.more),
        };
        let text = format!(
            "[edge]\nname = \"test\"\n{}\n{}\n{}\n[admin]\n{}\n[health]\nlisten = \
             \"127.0.0.1:0\"\n{}\n[access_log]\nto = \"access.log\"\n{}\n",
            self.edge, self.listeners, more, self.admin, self.health, self.access_log
        );
        std::fs::write(&file, text).unwrap();
        std::fs::write(self.folder.path().join("table.toml"), &self.table).unwrap();
        file
    }

    /// Starts it and waits until it serves.
    pub async fn start(self) -> Edge {
        let command = self.command();
        Edge::launched(command, self.binary, self.folder).await
    }
}

impl Edge {
    async fn launched(mut command: Command, binary: PathBuf, folder: TempDir) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let started = Instant::now();
        let found = |what: &str| -> Vec<SocketAddr> {
            let lines = log.lock().unwrap();
            let named = lines.iter().filter(|line| line.contains(what));
            named.filter_map(|line| line.split("address=").nth(1)?.trim().parse().ok()).collect()
        };
        while found("listening for health checks").is_empty() {
            let exited = child.try_wait().unwrap();
            assert!(exited.is_none(), "the edge ended: {:?}\n{}", exited, log.lock().unwrap().join("\n"));
            assert!(
                started.elapsed() < PATIENCE,
                "the edge did not start:\n{}",
                log.lock().unwrap().join("\n")
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap().trim().to_owned();
        let edge = Self {
            listeners: found("listening for clients"),
            admin: Admin { address: found("listening for operators")[0], token },
            health: found("listening for health checks")[0],
            access_log: folder.path().join("access.log"),
            folder,
            binary,
            child,
            log,
        };
        crate::until("it is ready", async || edge.health("/readyz").await.0 == 200).await;
        edge
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// The same after SIGKILL: another process in the same folder.
    pub async fn killed_and_started_again(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, TempDir::new().unwrap());
        let mut command = Command::new(&self.binary);
        command.stdin(Stdio::null()).args(["run", "-c"]).arg(folder.path().join("nearside.toml"));
        Self::launched(command, self.binary.clone(), folder).await
    }

    /// Where clients connect, if there is one place.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners[0]
    }

    /// Asks the health listener; status and body.
    pub async fn health(&self, path: &str) -> (u16, String) {
        match call(self.health, Method::GET, path, &[], Vec::new()).await {
            Ok((status, body)) => (status.as_u16(), body),
            Err(_) => (0, String::new()),
        }
    }

    /// A number of the metrics page; 0 if it is not there. `name` with its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, page) = self.health("/metrics").await;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The access log so far, in the order of its times: workers hand over their lines in turn.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.access_log).unwrap_or_default();
        let mut lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.sort_by_key(|line| line["ts"].as_str().map(str::to_owned));
        lines
    }

    /// The access log once it has `count` lines.
    pub async fn access_log_of(&self, count: usize) -> Vec<Value> {
        crate::until("the access log is written", async || self.access_log().len() >= count).await;
        self.access_log()
    }

    /// Renames its access log, as logrotate does; where it is now.
    #[must_use]
    pub fn rename_access_log(&self) -> PathBuf {
        let renamed = self.access_log.with_extension("log.1");
        std::fs::rename(&self.access_log, &renamed).unwrap();
        renamed
    }

    /// Replaces its table's file, as an editor does.
    pub fn save_table(&self, text: &str) {
        let new = self.folder.path().join("table.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.folder.path().join("table.toml")).unwrap();
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        crate::until("the edge has ended", async || {
            code = self.child.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        })
        .await;
        code.flatten()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln_log(&self.log());
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log of an edge whose test failed")]
fn eprintln_log(log: &str) {
    eprintln!("the edge's log:\n{log}");
}

impl Admin {
    /// Calls the API with a JSON body, or none; status and answer.
    pub async fn json(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let (status, text) = self.text(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Calls the API; status and text.
    pub async fn text(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        let token = format!("Bearer {}", self.token);
        let fields = [("authorization", token.as_str())];
        let (status, text) =
            call(self.address, method, path, &fields, body.as_bytes().to_vec()).await.unwrap();
        (status.as_u16(), text)
    }

    /// Calls the API with other fields besides the token; status and answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> (u16, Value) {
        let token = format!("Bearer {}", self.token);
        let fields = [&[("authorization", token.as_str())], fields].concat();
        let answer = call(self.address, method, path, &fields, body.as_bytes().to_vec()).await.unwrap();
        (answer.0.as_u16(), serde_json::from_str(&answer.1).unwrap_or(Value::String(answer.1)))
    }

    /// Calls the API; `None` if the edge does not answer, or not to the end.
    pub async fn attempt(&self, method: Method, path: &str, body: &str) -> Option<(u16, Value)> {
        let token = format!("Bearer {}", self.token);
        let fields = [("authorization", token.as_str())];
        let answer = call(self.address, method, path, &fields, body.as_bytes().to_vec()).await.ok()?;
        Some((answer.0.as_u16(), serde_json::from_str(&answer.1).ok()?))
    }

    /// The same API, opened by another token.
    #[must_use]
    pub fn with(&self, token: &str) -> Self {
        Self { address: self.address, token: token.to_owned() }
    }

    /// Calls the API with other fields than the token.
    pub async fn call_with(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> u16 {
        call(self.address, method, path, fields, Vec::new()).await.unwrap().0.as_u16()
    }

    /// Overrides something of a region; panics unless it is done.
    pub async fn patch(&self, region: &str, body: &str) -> Value {
        let (status, answer) = self.json(Method::PATCH, &format!("/v1/regions/{region}"), body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// As [`Admin::patch`], whatever a guard says of it.
    pub async fn force(&self, region: &str, body: &str) -> Value {
        let (_, tables) = self.json(Method::GET, "/v1/tables", "").await;
        let path = format!("/v1/regions/{region}?force={}", tables["current"]);
        let (status, answer) = self.json(Method::PATCH, &path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Publishes a table; status and answer.
    pub async fn publish(&self, table: &str) -> (u16, Value) {
        self.json(Method::POST, "/v1/tables?reason=test", table).await
    }

    /// The observed health of the pool `app` in a region.
    pub async fn region_health(&self, region: &str) -> String {
        let (_, answer) = self.json(Method::GET, &format!("/v1/regions/{region}"), "").await;
        answer["observed"]["placements"][0]["health"].as_str().unwrap_or_default().to_owned()
    }
}

async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<(StatusCode, String), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}
