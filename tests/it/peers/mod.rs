//! Real peers: programs that nobody here has written, on both sides of the real binary.
//!
//! gRPC and WebSocket by their Python libraries, curl, h2load and nginx. They read the standards as the world does, where the
//! test kit would share our misreadings. The scripts and configurations that they are given lie in `tests/peers`. A test whose
//! program is missing says so and passes; `.ci/run` installs them all.

mod curl;
mod from_nginx;
mod grpc;
mod load;

mod nginx;
mod websocket;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Authority, Client, Edge, EdgeBuilder, PATIENCE, until};

use crate::NEARSIDE;

/// A program beside the edge, and what it has said. Dropped, it is killed.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<Mutex<String>>,
    complained: Arc<Mutex<String>>,
}

/// How a program ended.
struct Ended {
    code: Option<i32>,
    out: String,
    complaints: String,
}

impl Peer {
    /// Starts a program.
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (said, complained) = (listen(child.stdout.take().unwrap()), listen(child.stderr.take().unwrap()));
        let stdin = child.stdin.take();
        Self { child, stdin, said, complained }
    }

    /// What it has written to stdout.
    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The rest of the first line that begins with a word.
    async fn hears(&mut self, word: &str) -> String {
        let mut found = None;
        let started = Instant::now();
        while found.is_none() {
            let ended = self.child.try_wait().unwrap();
            found = self.said().lines().find_map(|line| line.strip_prefix(word)).map(str::to_owned);
            let waits = ended.is_none() && started.elapsed() < PATIENCE;
            assert!(found.is_some() || waits, "never said {word:?}: {ended:?}\n{}", self.complaints());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        found.unwrap_or_default().trim().to_owned()
    }

    /// Tells it a line, and waits for the line that it answers with.
    async fn ask(&mut self, line: &str) -> Value {
        let before = self.said().lines().count();
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
        let started = Instant::now();
        while self.said().lines().count() == before {
            let runs = self.child.try_wait().unwrap().is_none() && started.elapsed() < PATIENCE;
            assert!(runs, "no answer to {line:?}:\n{}", self.complaints());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        serde_json::from_str(self.said().lines().last().unwrap()).unwrap()
    }

    /// Waits for its end.
    async fn ended(mut self) -> Ended {
        drop(self.stdin.take());
        let mut code = None;
        until("the program ends", async || {
            code = self.child.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        })
        .await;
        // What it said last may still be in the pipes; whoever reads them lets go when they end.
        until("its last words are read", async || {
            Arc::strong_count(&self.said) == 1 && Arc::strong_count(&self.complained) == 1
        })
        .await;
        Ended { code: code.flatten(), out: self.said(), complaints: self.complaints() }
    }

    fn complaints(&self) -> String {
        self.complained.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects what a pipe brings, line by line.
fn listen(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let heard: Arc<Mutex<String>> = Arc::default();
    let lines = heard.clone();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            lines.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    heard
}

/// A program, if it is installed. Debian keeps nginx where only administrators look.
fn program(name: &str) -> Option<String> {
    let starts = |name: &String| {
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    [name.to_owned(), format!("/usr/sbin/{name}")].into_iter().find(starts)
}

/// Whether a program is installed.
fn has(name: &str) -> bool {
    program(name).is_some()
}

/// A file of `tests/peers`.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers").join(name)
}

/// Python with a library: of the virtual environment that `NEARSIDE_PEERS` names, or of `target/peers`. `None`, and said
/// loudly, if there is none.
fn python(what: &str, library: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("NEARSIDE_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers"), PathBuf::from);
    let python = folder.join("bin/python");
    let finds =
        format!("import importlib.util, sys; sys.exit(importlib.util.find_spec({library:?}) is None)");
    let found = Command::new(&python).args(["-c", &finds]).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    let needs = format!("Python with {library} in target/peers or in $NEARSIDE_PEERS (see CONTRIBUTING.md)");
    crate::skipped(what, &needs);
    None
}

/// A script of `tests/peers`, with arguments.
fn script(python: &Path, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(file(name)).args(args);
    command
}

/// An edge with a plain listener and one with TLS, and the authority that its clients trust.
struct Front {
    edge: Edge,
    authority: Authority,
    ca: PathBuf,
}

impl Front {
    /// Starts it with a table, and waits until its probes have been answered.
    async fn start(table: &str) -> Self {
        let authority = Authority::new();
        let builder = EdgeBuilder::new(NEARSIDE, table);
        let ca = authority.file(builder.folder());
        let (certificate, key) = authority.issue(&["app.test"]).files(builder.folder());
        let tls = format!("tls = {{ certificate_file = {certificate:?}, key_file = {key:?} }}");
        let plain = "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
        let edge = builder.listeners(&format!("{plain}{plain}{tls}")).start().await;
        until("its probes are answered", async || edge.admin.region_health("eu").await == "up").await;
        Self { edge, authority, ca }
    }

    /// A client of the test kit's, over TLS and HTTP/2.
    async fn client(&self) -> Client {
        let config = self.authority.client(&["h2"], &[&rustls::version::TLS13]);
        Client::connect_tls(self.edge.listeners[1], "app.test", config).await.unwrap()
    }

    /// The plain port.
    fn plain(&self) -> u16 {
        self.edge.listeners[0].port()
    }

    /// The port with TLS.
    fn tls(&self) -> u16 {
        self.edge.listeners[1].port()
    }
}
