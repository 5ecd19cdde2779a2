//! The demo's machinery: eight regions behind relays, an edge, and users; and the levers that move them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use control::overlay::{OverridePatch, Target};
use control::publisher::Draft;
use steer::geo::Place;
use tokio::sync::watch;

use super::origin;
use super::users::Users;
use super::world::{HOST, POP, REGIONS, table};
use crate::config::{AccessLog, AdminListener, DiagnosticHeaders, Limits, Listener, OnAllSilent, Settings};
use crate::edge::Edge;
use crate::relay::Relay;

/// How long requests that were sent after a kill are watched for.
const WATCH: Duration = Duration::from_secs(5);

/// Everything that runs.
pub(super) struct Stage {
    pub(super) edge: Edge,
    pub(super) users: Users,
    pub(super) relays: Vec<Arc<Relay>>,
    pub(super) folder: PathBuf,
    pub(super) token_file: PathBuf,
    stop: watch::Sender<bool>,
    user_thread: Option<thread::JoinHandle<()>>,
    /// Per kill: the region, and the watcher that learns when the last request was sent there.
    kills: Vec<(usize, thread::JoinHandle<Duration>)>,
}

impl Stage {
    /// Builds it all and lets the users begin.
    pub(super) fn build(rate: f64, seed: u64) -> Result<Self, String> {
        let words = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let folder = std::env::temp_dir().join(format!("nearside-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(words("temporary folder"))?;
        let relays = start_world().map_err(words("the regions"))?;
        let ports: Vec<u16> = relays.iter().map(|relay| relay.address.port()).collect();
        let settings = settings(&folder);
        let token_file = settings.admin.token_file.clone();
        let draft = Draft {
            text: table(&ports),
            source: "demo".to_owned(),
            author: "demo".to_owned(),
            reason: "start".to_owned(),
        };
        let edge = Edge::start(settings, Ok(draft), Vec::new()).map_err(|error| error.to_string())?;
        let (stop, stopped) = watch::channel(false);
        let users = Users::new();
        let user_thread =
            start_users(users.clone(), edge.listeners[0], rate, seed, stopped).map_err(words("the users"))?;
        Ok(Self {
            edge,
            users,
            relays,
            folder,
            token_file,
            stop,
            user_thread: Some(user_thread),
            kills: Vec::new(),
        })
    }

    /// Kills a region.
    pub(super) fn kill(&mut self, region: usize) {
        let counter = self.edge.attempts_at(REGIONS[region].0);
        let killed = Instant::now();
        self.relays[region].set_alive(false);
        let relay = self.relays[region].clone();
        let watcher = thread::spawn(move || {
            let (mut last, mut count) = (Duration::ZERO, counter());
            while killed.elapsed() < WATCH && !relay.is_alive() {
                thread::sleep(Duration::from_millis(1));
                let now = counter();
                if now != count {
                    (last, count) = (killed.elapsed(), now);
                }
            }
            last
        });
        self.kills.push((region, watcher));
    }

    /// Lets a region live again.
    pub(super) fn revive(&self, region: usize) {
        self.relays[region].set_alive(true);
    }

    /// Makes the way to a region 100 ms longer.
    pub(super) fn slow_down(&self, region: usize) {
        self.relays[region].add_delay(100);
    }

    /// Overrides a region's weight.
    pub(super) fn set_weight(&self, region: usize, weight: u8) {
        // The demo's regions do not change.
        let _ = self.edge.publisher().patch(OverridePatch {
            target: Target::Region(REGIONS[region].0.to_owned()),
            weight: Some(Some(weight)),
            state: None,
            health: None,
            over: None,
            author: "demo".to_owned(),
            reason: "demo".to_owned(),
            expires_in: None,
        });
    }

    /// The region that most users are served by now.
    pub(super) fn busiest(&self) -> usize {
        let tally = self.users.tally();
        let served = |region: usize| tally.recent.iter().map(|country| country[region]).sum::<f64>();
        (0..REGIONS.len()).max_by(|a, b| served(*a).total_cmp(&served(*b))).unwrap_or(0)
    }

    /// Lets the users finish, and stops. Per kill: the region, and how long after it the last request was sent there.
    pub(super) fn finish(mut self) -> (Users, Vec<(usize, Duration)>) {
        self.stop.send_replace(true);
        if let Some(thread) = self.user_thread.take() {
            let _ = thread.join();
        }
        let kills =
            self.kills.drain(..).map(|(region, watcher)| (region, watcher.join().unwrap_or_default()));
        let kills = kills.collect();
        self.edge.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
        (self.users, kills)
    }
}

fn settings(folder: &std::path::Path) -> Settings {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let (name, latitude, longitude) = POP;
    Settings {
        name: name.to_owned(),
        place: Some(Place { latitude, longitude }),
        public_address: None,
        workers: thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4),
        table_file: folder.join("table.toml"),
        listeners: vec![Listener {
            address: any_port,
            tls: None,
            http2_prior_knowledge: false,
            proxy_protocol_from: Vec::new(),
        }],
        affinity_key_file: folder.join("affinity.key"),
        trusted_hops: vec!["127.0.0.0/8".parse().expect("a prefix")],
        databases: Vec::new(),
        prefixes: Vec::new(),
        limits: Limits { readiness_grace: Duration::ZERO, ..Limits::default() },
        admin: AdminListener::local(any_port, folder),
        health: any_port,
        references: Vec::new(),
        on_all_silent: OnAllSilent::Stay,
        access_log: AccessLog::off(),
        headers: DiagnosticHeaders::default(),
        tracing: None,
    }
}

/// Starts origins and relays on a thread of their own.
fn start_world() -> io::Result<Vec<Arc<Relay>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    thread::Builder::new().name("world".to_owned()).spawn(move || {
        runtime.block_on(async {
            let built = async {
                let mut relays = Vec::with_capacity(REGIONS.len());
                for (name, _, _, round_trip_ms) in REGIONS {
                    relays.push(Relay::start(origin::start(name).await?, round_trip_ms).await?);
                }
                Ok(relays)
            };
            let _ = sender.send(built.await);
            // The world goes on until the process ends.
            std::future::pending::<()>().await;
        });
    })?;
    receiver.recv().map_err(io::Error::other)?
}

fn start_users(
    users: Users,
    edge: SocketAddr,
    rate: f64,
    seed: u64,
    stopped: watch::Receiver<bool>,
) -> io::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("users".to_owned()).spawn(move || {
        runtime.block_on(users.ask(edge, rate, seed, stopped));
    })
}

/// Commands to paste while the demo runs.
pub(super) fn commands(stage: &Stage) -> Vec<String> {
    let binary =
        std::env::current_exe().map_or_else(|_| "nearside".to_owned(), |file| file.display().to_string());
    let api = format!("--admin {} --token-file {}", stage.edge.admin, stage.token_file.display());
    vec![
        format!("{binary} regions {api}"),
        format!("{binary} explain --ip 81.2.69.142 {api}"),
        format!("{binary} weight pune 50 --reason \"trying it\" {api}"),
        format!(
            "curl -H \"Authorization: Bearer $(cat {})\" http://{}/v1/regions",
            stage.token_file.display(),
            stage.edge.admin
        ),
        format!(
            "curl -H 'Host: {HOST}' -H 'X-Forwarded-For: 81.2.69.142' http://{}/",
            stage.edge.listeners[0]
        ),
    ]
}
