//! The control thread: answers operators, watches files, ends overrides and moves weights on their way. It never waits for a worker.

use std::cell::RefCell;
use std::io;
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use control::access::Access;
use control::admin::{Admin, router};
use control::changes::file_fate::{SAME, refused_by_guard, refused_for};
use control::changes::{Changes, FILE, Made, OWN_NAME, Order, Refused, Seen, What};
use control::events::{Ended, EndedEvent, Happened};
use control::log_level::LogLevels;
use control::publisher::Publisher;
use control::version::fingerprint;
use control::watch::Watch;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::health::{self, Readiness};
use super::operators::{Bounds, Operators};
use super::origin_files::OriginFiles;
use super::{Phase, Publishes};
use crate::config::Settings;
use crate::locate::Locator;
use crate::observe::Sources;
use crate::tls::{ListenerTls, TlsListeners};

/// The longest that nobody looks for what goes on by itself.
const ADVANCE_TICK: Duration = Duration::from_secs(1);

pub(super) struct Parts {
    pub(super) settings: Arc<Settings>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) locator: Arc<Locator>,
    pub(super) publishes: Arc<Publishes>,
    pub(super) tls: Arc<TlsListeners>,
    pub(super) admin: Arc<Admin>,
    pub(super) sources: Sources,
    pub(super) admin_listener: StdListener,
    pub(super) admin_tls: Option<Arc<ListenerTls>>,
    pub(super) health_listener: StdListener,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) ready: Readiness,
    pub(super) reloads: mpsc::Receiver<oneshot::Sender<()>>,
}

pub(super) fn start(parts: Parts) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("control".to_owned()).spawn(move || {
        runtime.block_on(async {
            if let Err(error) = run(parts).await {
                tracing::error!(%error, "the control thread ended");
            }
        });
    })
}

async fn run(parts: Parts) -> io::Result<()> {
    let Parts {
        admin,
        admin_listener,
        admin_tls,
        health_listener,
        sources,
        ready,
        mut phase,
        mut reloads,
        ..
    } = parts;
    // The file as it was read at the start, whatever serves since.
    let file = admin.changes.known().file().unwrap_or_default().to_owned();
    let table_read = RefCell::new(file);
    let tending = Tending {
        table_read,
        settings: parts.settings,
        publisher: parts.publisher,
        locator: parts.locator,
        publishes: parts.publishes,
        tls: parts.tls,
        access: admin.access.clone(),
        changes: admin.changes.clone(),
        log: admin.log.clone(),
    };
    let counts = admin.counts.clone();
    let trials = admin.trials.clone();
    let admin = Operators {
        listener: admin_listener,
        tls: admin_tls,
        router: router(admin),
        counts,
        bounds: Bounds::default(),
    }
    .serve();
    let health =
        axum::serve(TcpListener::from_std(health_listener)?, health::router(sources, ready)).into_future();
    let (mut admin, mut health) = (std::pin::pin!(admin), std::pin::pin!(health));
    let mut looking = std::pin::pin!(trials.run());
    let mut tables = tending.publisher.tables();
    let mut operated = tending.publisher.operated();
    let mut origin_files = tending.origin_files();
    let mut watch = tending.watch(&origin_files);
    let changed = async |watch: &mut Option<Watch>| match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    };
    let tending = &tending;
    let mut reading: Option<Pin<Box<dyn Future<Output = ()> + '_>>> = None;
    let mut is_watched = false;
    loop {
        if origin_files.version != tending.publisher.snapshot().version.about.version {
            let before = std::mem::replace(&mut origin_files, tending.origin_files());
            if before.files != origin_files.files {
                watch = tending.watch(&origin_files);
            }
        }
        let next = tending.advance();
        tokio::select! {
            ended = &mut admin => return ended.map(|never| match never {}),
            ended = &mut health => return ended,
            never = &mut looking => match never {},
            _ = phase.wait_for(|phase| *phase == Phase::Stopped) => return Ok(()),
            // Beside everything else: a disk that stands still must not keep health checks waiting.
            () = async { match &mut reading { Some(reading) => reading.await, None => std::future::pending().await } } => {
                reading = None;
                let is_same = origin_files.version == tending.publisher.snapshot().version.about.version;
                if std::mem::take(&mut is_watched) && is_same && origin_files.have_changed() {
                    reading = Some(Box::pin(tending.publish_again("a TLS file of a pool changed")));
                }
            }
            () = changed(&mut watch), if reading.is_none() => {
                is_watched = true;
                reading = Some(Box::pin(tending.reload(false)));
            }
            Some(done) = reloads.recv(), if reading.is_none() => {
                reading = Some(Box::pin(async move {
                    tending.reload(true).await;
                    // Whoever asked may have left.
                    let _ = done.send(());
                }));
            }
            Ok(()) = tables.changed() => {}
            Ok(()) = operated.changed() => {}
            () = tokio::time::sleep(next) => {}
        }
    }
}

/// Said when all that follows from it is done.
const REFUSED: &str = "the table is refused; the one in force stays";

struct Tending {
    changes: Changes,
    settings: Arc<Settings>,
    publisher: Arc<Publisher>,
    locator: Arc<Locator>,
    publishes: Arc<Publishes>,
    tls: Arc<TlsListeners>,
    access: Arc<Access>,
    log: Arc<LogLevels>,
    /// The fingerprint of the table's file as last read.
    table_read: RefCell<String>,
}

impl Tending {
    fn origin_files(&self) -> OriginFiles {
        let folder = self.settings.table_file.parent().unwrap_or_else(|| Path::new(""));
        OriginFiles::of(&self.publisher.snapshot(), folder)
    }

    fn files(&self, origin_files: &OriginFiles) -> Vec<PathBuf> {
        let tls = self.settings.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let files = tls.flat_map(|tls| tls.files()).chain(&self.settings.databases);
        let files = files.chain(self.settings.admin.files());
        files.chain([&self.settings.table_file]).chain(&origin_files.files).cloned().collect()
    }

    fn watch(&self, origin_files: &OriginFiles) -> Option<Watch> {
        match Watch::over(self.files(origin_files)) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(%error, "files cannot be watched; SIGHUP reads them again");
                None
            }
        }
    }

    /// Ends what has expired, moves what is on its way, and says when to look again.
    fn advance(&self) -> Duration {
        let next = self.publisher.advance();
        let now = self.publisher.clock().now();
        let (has_ended, level_ends) = self.log.advance(now);
        if has_ended {
            let ended = EndedEvent::of(Ended::LogLevel);
            self.publisher.events().add(&Happened::Ended(ended));
        }
        let next = next.into_iter().chain(level_ends).min();
        let next = next.map(|at| Duration::from(at.since(now)));
        // A moment more, so that it is due when it is looked at.
        next.map_or(ADVANCE_TICK, |next| (next + Duration::from_millis(1)).min(ADVANCE_TICK))
    }

    /// Reads the files again; those that have not changed only if told to.
    async fn reload(&self, all: bool) {
        // First: whoever lost his token should not wait for what takes longer.
        self.access.reload(all);
        self.note_tokens().await;
        self.reload_table(all).await;
        let (locator, settings, tls) = (self.locator.clone(), self.settings.clone(), self.tls.clone());
        let reloaded = tokio::task::spawn_blocking(move || {
            tls.reload(all);
            let refused = locator.reload(&settings.databases, all);
            (refused, locator.place_pop(&settings))
        });
        let Ok((refused, pop)) = reloaded.await else { return };
        for problem in refused {
            tracing::warn!(%problem, "GeoIP database refused");
        }
        self.publisher.place_pop(pop);
    }

    async fn reload_table(&self, even_unchanged: bool) {
        let file = &self.settings.table_file;
        let source = file.display().to_string();
        let text = match tokio::fs::read_to_string(file).await {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%source, %error, "the table cannot be read; the one in force stays");
                return self.publishes.add(false);
            }
        };
        let read = fingerprint(&text);
        let before = self.table_read.replace(read.clone());
        if before == read {
            // What was published since from elsewhere stays; the files that it names are read again.
            if even_unchanged {
                self.publish_again("reload").await;
            }
            return;
        }
        if read == self.publisher.snapshot().version.about.fingerprint {
            self.note(read, SAME).await;
            if even_unchanged {
                self.publish_again("reload").await;
            }
            return;
        }
        match self.publish(What::Publish { text, source, is_file: true }, "the file changed", None).await {
            Published::Yes => {}
            // A start must not take it for a change, and put it in force after all.
            Published::Refused(why) => {
                self.note(read, &why).await;
                tracing::error!("{REFUSED}");
            }
            Published::NotNow => drop(self.table_read.replace(before)),
        }
    }

    /// Leaves a note of what has changed in the file of tokens.
    async fn note_tokens(&self) {
        let Some((changes, now)) = self.access.token_changes() else { return };
        let (author, role) = (OWN_NAME.to_owned(), OWN_NAME.to_owned());
        let order = order(What::Tokens(Box::new(changes)), "the file of tokens has changed", None);
        match self.changes.submit(Order { author, role, ..order }).await {
            Ok(_) => self.access.tokens_are_told(now),
            Err(refused) => {
                tracing::warn!(?refused, "what has changed in the file of tokens is not in the audit yet");
            }
        }
    }

    /// Leaves a note that the table's file was read, and what came of it.
    async fn note(&self, fingerprint: String, fate: &str) {
        let noted = self.changes.submit(order(What::FileRead { fingerprint }, fate, None)).await;
        if let Err(refused) = noted {
            tracing::warn!(?refused, "that the table's file was read is not written down");
        }
    }

    /// Publishes the table in force again, whoever it came from: files that it names may have changed.
    async fn publish_again(&self, reason: &str) {
        let version = self.publisher.snapshot().version.clone();
        let what = What::Publish {
            text: version.text.clone(),
            source: version.about.source.clone(),
            is_file: false,
        };
        // If another one is in force by now, that one has read them.
        let published = self.publish(what, reason, Some(Seen::table(version.about.version))).await;
        if let Published::Refused(_) = published {
            tracing::error!("{REFUSED}");
        }
    }

    async fn publish(&self, what: What, reason: &str, expects: Option<Seen>) -> Published {
        let text = match &what {
            What::Publish { text, .. } => text.clone(),
            _ => String::new(),
        };
        let why = match self.changes.submit(order(what, reason, expects)).await {
            Ok(done) => {
                self.publishes.add(true);
                let fingerprint = match &done.made {
                    Made::Table(about) => about.fingerprint.as_str(),
                    _ => "",
                };
                tracing::info!(version = done.version, fingerprint, "table published");
                return Published::Yes;
            }
            Err(Refused::Moved { .. }) => return Published::NotNow,
            Err(Refused::Busy | Refused::Stopping) => {
                tracing::error!(
                    "too many changes at once: the table's file is read again at the next reload"
                );
                self.publishes.add(false);
                return Published::NotNow;
            }
            Err(Refused::Table(findings)) => {
                findings.iter().for_each(|finding| tracing::error!("{finding}"));
                refused_for(&findings, &text)
            }
            Err(Refused::Guarded { seen, violations }) => {
                violations.iter().for_each(|violation| tracing::error!("{violation}"));
                let file = self.settings.table_file.display();
                tracing::error!(
                    "if that is meant: nearside tables publish {file} --reason ... --force {seen}"
                );
                refused_by_guard(&violations)
            }
            Err(other) => {
                tracing::error!("{other:?}");
                format!("refused: {other:?}")
            }
        };
        self.publishes.add(false);
        Published::Refused(why)
    }
}

/// What became of a table.
enum Published {
    Yes,
    /// It cannot be, and why.
    Refused(String),
    /// It may be another time.
    NotNow,
}

fn order(what: What, reason: &str, expects: Option<Seen>) -> Order {
    Order {
        what,
        author: FILE.to_owned(),
        role: FILE.to_owned(),
        reason: reason.to_owned(),
        expects,
        forces: None,
        // The file is there after a restart as well.
        volatile: true,
        key: None,
    }
}
