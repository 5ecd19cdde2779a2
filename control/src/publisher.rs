//! The one place where a snapshot becomes current.
//!
//! Whoever changes something (an operator, a file, the ranking, a probe) comes here and takes a lock that no request ever
//! sees; readers load one pointer. A change is in force when the call returns: a request whose head arrives later is decided
//! by the new snapshot. A change that is refused leaves everything as it was.
//!
//! Old snapshots are kept until the last worker has let go of them and are freed here, so that no request pays for taking a
//! large table apart.

mod inherited;
mod learnt;
mod operated;
mod step;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use steer::client::Pop;
use steer::ranking::Ranking;
use steer::spec::Spec;
use steer::{Defect, Table};
use tokio::sync::watch;

use crate::archive::{Archive, NoLonger, Past};
use crate::clock::Clock;
use crate::document::{self, Finding};
use crate::events::Events;
use crate::overlay::{Overlay, Saved};
use crate::snapshot::{Snapshot, Vitals};
use crate::uplink::Uplink;
use crate::version::{About, Version, fingerprint};
use crate::vitals::Registry;
use inherited::carried;
pub use step::Step;

/// Published versions that are kept to look at.
pub(crate) const MAX_VERSIONS: usize = 64;
/// The most text that kept versions hold together, in bytes; the current one is kept whatever its size.
pub(crate) const MAX_TEXT_BYTES: usize = 64 << 20;

/// A further check of a table by whoever will serve it, such as whether its certificate files can be read.
pub type TableCheck = Arc<dyn Fn(&Table) -> Vec<Defect> + Send + Sync>;

/// Publishes snapshots.
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    registry: Registry,
    clock: Clock,
    check: TableCheck,
    tables: watch::Sender<u64>,
    /// Changes whenever an operator changes an override or a drill.
    operated: watch::Sender<u64>,
    /// Changes whenever a placement's health does.
    health: watch::Sender<u64>,
    uplink: Arc<Uplink>,
    events: Arc<Events>,
    inner: Mutex<Inner>,
}

struct Inner {
    versions: VecDeque<Arc<Version>>,
    overlay: Overlay,
    /// Where lanes of manual failback stand, by pool and policy, so that a publish forgets nothing.
    incumbents: BTreeMap<(String, Option<String>), String>,
    retired: Vec<Arc<Snapshot>>,
    archive: Archive,
}

/// Who publishes what, and why.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The table as written.
    pub text: String,
    /// What messages call it, and where the version says it came from.
    pub source: String,
    /// Who publishes.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// What a first table was before this process.
#[derive(Clone, Debug)]
pub enum Resumed {
    /// The version that was in force, or a former one.
    Again(About),
    /// Nothing; it comes after this version.
    After(u64),
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    /// Publishes a first table for that many workers.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn start(
        first: Draft,
        pop: Pop,
        workers: usize,
        clock: Clock,
        check: TableCheck,
    ) -> Result<Self, Vec<Finding>> {
        let from = Resumed::After(0);
        Self::resume(first, from, Saved::default(), (pop, workers), clock, check)
    }

    /// As [`Publisher::start`], from where a process before has stopped: with a table that was a version already, or is the one
    /// after the newest, and with overrides that were kept.
    ///
    /// # Errors
    /// What is wrong with the table.
    pub fn resume(
        first: Draft,
        from: Resumed,
        overlay: Saved,
        (pop, workers): (Pop, usize),
        clock: Clock,
        check: TableCheck,
    ) -> Result<Self, Vec<Finding>> {
        let table = compile(&first, &check)?;
        let version = match from {
            Resumed::Again(about) => Arc::new(Version { about, text: first.text, table: Arc::new(table) }),
            Resumed::After(number) => version(number + 1, first, table, &clock),
        };
        let registry = Registry::new(workers);
        let overlay = Overlay::restore(overlay, clock.wall(), clock.now());
        let ranking = Ranking { number: 1, pop, ..Ranking::default() };
        let snapshot = Snapshot {
            number: 1,
            effective: Arc::new(overlay.effective(&version.table)),
            overlay: Arc::new(overlay.clone()),
            ranking: Arc::new(carried(&ranking, None, &version.table)),
            incumbents: Arc::new(Vec::new()),
            drill: None,
            vitals: Arc::new(Vitals::new(
                registry.origins(&version.table),
                registry.placements(&version.table),
            )),
            version: version.clone(),
        };
        let mut archive = Archive::default();
        archive.add(Past::of(&snapshot, clock.now()));
        Ok(Self {
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            registry,
            clock,
            check,
            tables: watch::Sender::new(version.about.version),
            operated: watch::Sender::new(0),
            health: watch::Sender::new(0),
            uplink: Arc::default(),
            events: Arc::new(Events::new(clock)),
            inner: Mutex::new(Inner {
                versions: VecDeque::from([version]),
                overlay,
                incumbents: BTreeMap::new(),
                retired: Vec::new(),
                archive,
            }),
        })
    }

    /// The pointer that readers load.
    #[must_use]
    pub fn current(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.current
    }

    /// What is current now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The clock that all moments come from.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Tells when another table has become current.
    #[must_use]
    pub fn tables(&self) -> watch::Receiver<u64> {
        self.tables.subscribe()
    }

    /// Tells when the health of some placement has changed.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<u64> {
        self.health.subscribe()
    }

    /// What is known of this PoP's own way out.
    #[must_use]
    pub const fn uplink(&self) -> &Arc<Uplink> {
        &self.uplink
    }

    /// What happens, for whoever listens.
    #[must_use]
    pub const fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Makes a table current, for whoever runs an edge in its own process; others order it ([`crate::changes`]).
    ///
    /// # Errors
    /// What is wrong with it; everything stays as it was.
    pub fn publish(&self, draft: Draft) -> Result<About, Vec<Finding>> {
        let version = self.compiled(draft, self.snapshot().version.about.version + 1)?;
        let about = version.about.clone();
        self.adopt(&[Step::Table(version)]);
        Ok(about)
    }

    /// Moves this PoP, as GeoIP of its public address says after a new database.
    pub fn place_pop(&self, pop: Pop) {
        let mut inner = self.lock();
        let before = self.snapshot();
        if before.ranking.pop != pop {
            let number = before.ranking.number + 1;
            let ranking = Ranking { number, pop, ..Ranking::clone(&before.ranking) };
            self.swap(&mut inner, Snapshot { ranking: Arc::new(ranking), ..Snapshot::clone(&before) });
        }
    }

    /// What was current under a snapshot's number.
    ///
    /// # Errors
    /// What is held instead.
    pub fn past(&self, number: u64) -> Result<Past, NoLonger> {
        self.lock().archive.find(number)
    }

    fn swap(&self, inner: &mut Inner, mut next: Snapshot) {
        next.number += 1;
        inner.archive.add(Past::of(&next, self.clock.now()));
        inner.retired.push(self.current.swap(Arc::new(next)));
        inner.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is complete before it is swapped in, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_old_versions(&mut self) {
        let bytes =
            |versions: &VecDeque<Arc<Version>>| -> usize { versions.iter().map(|v| v.text.len()).sum() };
        while self.versions.len() > MAX_VERSIONS
            || (self.versions.len() > 1 && bytes(&self.versions) > MAX_TEXT_BYTES)
        {
            self.versions.pop_front();
        }
        let oldest = self.versions.front().map_or(0, |version| version.about.version);
        self.archive.forget_before(oldest);
    }
}

fn compile(draft: &Draft, check: &TableCheck) -> Result<Table, Vec<Finding>> {
    let env = |name: &str| std::env::var(name).ok();
    document::read(&draft.source, &draft.text, &env, |spec: Spec| {
        let table = Table::compile(&spec)?;
        let defects = check(&table);
        if defects.is_empty() { Ok(table) } else { Err(defects) }
    })
}

fn version(number: u64, draft: Draft, table: Table, clock: &Clock) -> Arc<Version> {
    let about = About {
        version: number,
        fingerprint: fingerprint(&draft.text),
        source: draft.source,
        author: draft.author,
        reason: draft.reason,
        published_at: clock.wall(),
    };
    Arc::new(Version { about, text: draft.text, table: Arc::new(table) })
}

#[cfg(test)]
mod tests;
