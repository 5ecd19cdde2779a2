//! A start: from settings and a table to threads that serve.
//!
//! Files and sockets are opened before the first thread that serves: an edge that cannot start leaves nothing running.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use control::access::{Access, Token};
use control::admin::{Admin, Counts};
use control::changes::{self, Changes, NotStarted, Start, Started};
use control::clock::Clock;
use control::decisions::Decisions;
use control::document::Finding;
use control::publisher::{Draft, Publisher};
use control::share::Samples;
use control::trial::Trials;
use steer::draw::name_hash;
use tokio::sync::{mpsc, watch};

use super::health::Readiness;
use super::sockets::{Sockets, bind, local};
use super::{Edge, Phase, Publishes, tending, working};
use crate::config::{OnAllSilent, Settings};
use crate::locate::Locator;
use crate::observe::{Outlets, Shard, Sources, WorkersTraffic, process_log};
use crate::probe;
use crate::worker::{self, AffinityKey, OriginTlsStore};

/// Connection failures that wait for the prober; it needs no more to know.
const FAILURES: usize = 1024;

/// Why an edge could not start.
#[derive(Debug)]
pub enum StartError {
    /// The table is wrong.
    Table(Vec<Finding>),
    /// The machine refuses: what, and its words.
    System(String, io::Error),
    /// A certificate is wrong.
    Tls(String),
    /// A socket was passed that no listener is for.
    Inherited(SocketAddr),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(findings) => {
                findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
                write!(f, "the table has {} mistakes", findings.len())
            }
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Tls(problem) => f.write_str(problem),
            Self::Inherited(address) => write!(
                f,
                "a socket for {address} was passed to this process, and no listener has this address: its clients would wait \
                 for ever; for example: [[listeners]] address = \"{address}\""
            ),
        }
    }
}

impl std::error::Error for StartError {}

/// What all threads of an edge share.
struct Common {
    settings: Arc<Settings>,
    clock: Clock,
    publisher: Arc<Publisher>,
    /// Where they are ordered, and the thread that makes them.
    changes: (Changes, JoinHandle<()>),
    locator: Arc<Locator>,
    samples: Arc<Samples>,
    decisions: Arc<Decisions>,
    origin_tls: Arc<OriginTlsStore>,
    shards: Vec<Arc<Shard>>,
}

impl Edge {
    /// Starts an edge with its table's file, as far as that could be read, and with sockets that somebody else has opened for its listeners, if any. When this
    /// returns, clients can connect; their requests are held until the first probes have been answered, half a second at most.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(
        settings: Settings,
        table: Result<Draft, Box<Finding>>,
        inherited: Vec<TcpListener>,
    ) -> Result<Self, StartError> {
        let clock = Clock::start();
        let settings = Arc::new(settings);
        let (locator, refused) = Locator::open(&settings);
        for problem in refused {
            tracing::warn!(%problem, "GeoIP database refused");
        }
        let folder = settings.table_file.parent().unwrap_or_else(|| Path::new("")).to_owned();
        let origin_tls = Arc::new(OriginTlsStore::new(&folder));
        let check = origin_tls.clone();
        let pop = (*locator.pop()).clone();
        let samples = Arc::new(Samples::new(settings.workers));
        let started = changes::start(Start {
            state: settings.admin.state_dir.as_deref(),
            file: table,
            pop,
            workers: settings.workers,
            clock,
            check: Arc::new(move |table| check.check(table)),
            samples: samples.clone(),
        });
        let Started { publisher, changes, thread } = started.map_err(|error| match error {
            NotStarted::Table(findings) => StartError::Table(findings),
            NotStarted::System(error) => StartError::System("thread of changes".to_owned(), error),
        })?;
        let common = Common {
            clock,
            publisher,
            changes: (changes, thread),
            locator: Arc::new(locator),
            samples,
            decisions: Arc::new(Decisions::new(
                settings.workers,
                settings.limits.decision_bytes,
                clock.wall(),
            )),
            origin_tls,
            shards: (0..settings.workers).map(|_| Arc::new(Shard::default())).collect(),
            settings,
        };
        common.run(inherited)
    }
}

impl Common {
    fn run(self, inherited: Vec<TcpListener>) -> Result<Edge, StartError> {
        let settings = self.settings.clone();
        let affinity = Arc::new(affinity_key(&settings.affinity_key_file)?);
        let access = Arc::new(Access::open(settings.admin.rules(), self.clock));
        let outlets = Outlets::start(&settings).map_err(|(what, error)| StartError::System(what, error))?;
        let Sockets { by_worker, addresses, tls, admin_tls } = Sockets::open(&settings, inherited)?;
        let admin = bind("admin", settings.admin.address)?;
        let health = bind("health", settings.health)?;
        let (admin_address, health_address) = (local(&admin)?, local(&health)?);
        let (phase, _) = watch::channel(Phase::Serving);
        let (stop_prober, stop) = watch::channel(false);
        let (first_round, probed) = watch::channel(false);
        let (failures, failed) = mpsc::channel(FAILURES);
        let (reload, reloads) = mpsc::channel(1);
        let probes = Arc::new(probe::ProbeSeries::default());
        let spawned = |what: &str, thread: io::Result<JoinHandle<()>>| {
            thread.map_err(|error| StartError::System(format!("thread of {what}"), error))
        };
        let prober = probe::start(probe::Parts {
            publisher: self.publisher.clone(),
            origin_tls: self.origin_tls.clone(),
            failures: failed,
            series: probes.clone(),
            first_round,
            stop,
            seed: name_hash(&settings.name),
            references: settings.references.clone(),
        });
        let mut others = vec![spawned("the prober", prober)?];
        let counts = Arc::new(Counts::default());
        let publishes = Arc::new(Publishes::default());
        let (changes, making_changes) = self.changes;
        let keeps = changes.keeps().clone();
        let traffic = Arc::new(WorkersTraffic(self.shards.clone()));
        let trials = Arc::new(Trials::new(changes.clone(), self.publisher.clone(), traffic));
        let trial_counts = trials.counts().clone();
        let ready = Readiness {
            phase: phase.subscribe(),
            probed: probed.clone(),
            publisher: self.publisher.clone(),
            fails_when_silent: !settings.references.is_empty() || settings.on_all_silent == OnAllSilent::Fail,
        };
        let tending = tending::Parts {
            settings: settings.clone(),
            publisher: self.publisher.clone(),
            locator: self.locator.clone(),
            publishes: publishes.clone(),
            tls: tls.clone(),
            admin: Arc::new(Admin {
                publisher: self.publisher.clone(),
                changes,
                trials,
                samples: self.samples.clone(),
                decisions: self.decisions.clone(),
                locator: self.locator.clone(),
                access: access.clone(),
                counts: counts.clone(),
                log: Arc::new(process_log::levels()),
                process: Arc::new(ready.clone()),
            }),
            ready,
            sources: Sources {
                publisher: self.publisher.clone(),
                samples: self.samples.clone(),
                locator: self.locator.clone(),
                shards: self.shards.clone(),
                probes,
                admin: counts,
                trials: trial_counts,
                access,
                keeps,
                publishes,
                outlets: outlets.counts(),
                tls,
            },
            admin_listener: admin,
            admin_tls,
            health_listener: health,
            phase: phase.subscribe(),
            reloads,
        };
        others.push(spawned("control", tending::start(tending))?);
        // It ends when the control thread has.
        others.push(making_changes);
        let mut workers = Vec::with_capacity(settings.workers);
        for (index, sockets) in by_worker.into_iter().enumerate() {
            let parts = worker::Parts {
                index,
                clock: self.clock,
                settings: settings.clone(),
                publisher: self.publisher.clone(),
                locator: self.locator.clone(),
                samples: self.samples.clone(),
                decisions: self.decisions.clone(),
                shard: self.shards[index].clone(),
                origin_tls: self.origin_tls.clone(),
                affinity: affinity.clone(),
                failures: failures.clone(),
                sinks: outlets.sinks(),
                seed: working::seed(index),
            };
            let (phase, probed) = (phase.subscribe(), probed.clone());
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || working::run(parts, sockets, phase, probed));
            workers.push(spawned("a worker", thread)?);
        }
        Ok(Edge {
            listeners: addresses,
            admin: admin_address,
            health: health_address,
            publisher: self.publisher,
            shards: self.shards,
            phase,
            readiness_grace: settings.limits.readiness_grace,
            stop_prober,
            reload,
            outlets,
            workers,
            others,
        })
    }
}

/// The key of affinity cookies, from its file.
fn affinity_key(file: &Path) -> Result<AffinityKey, StartError> {
    let secret = Token::read_or_create(file)
        .map_err(|error| StartError::System(format!("affinity key {}", file.display()), error))?;
    Ok(AffinityKey::new(secret.reveal()))
}
