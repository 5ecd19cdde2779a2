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

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use steer::client::Pop;
use steer::effective::Effective;
use steer::ranking::Ranking;
use steer::spec::{Spec, State};
use steer::{Defect, Moment, Span, Table};
use tokio::sync::watch;

use crate::archive::{Archive, NoLonger, Past};
use crate::clock::Clock;
use crate::document::{self, Finding};
use crate::overlay::{Overlay, Overridden, RegionOverrides};
use crate::snapshot::{Snapshot, Vitals};
use crate::uplink::Uplink;
use crate::version::{About, Version, fingerprint};
use crate::vitals::Registry;
use inherited::{carried, remembered};

/// Published versions that are kept to look at.
const MAX_VERSIONS: usize = 64;
/// The most text that kept versions hold together, in bytes; the current one is kept whatever its size.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// A further check of a table by whoever will serve it, such as whether its certificate files can be read.
pub type TableCheck = Box<dyn Fn(&Table) -> Vec<Defect> + Send + Sync>;

/// Publishes snapshots.
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    registry: Registry,
    clock: Clock,
    check: TableCheck,
    tables: watch::Sender<u64>,
    /// Changes whenever a placement's health does.
    health: watch::Sender<u64>,
    uplink: Arc<Uplink>,
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

/// A change to the overrides of a region.
#[derive(Clone, Debug)]
pub struct RegionPatch {
    /// `Some(Some(_))` overrides, `Some(None)` ends the override, `None` leaves it.
    pub weight: Option<Option<u8>>,
    /// As `weight`.
    pub state: Option<Option<State>>,
    /// Who changes it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// How long it holds; `None` is until cleared or restarted.
    pub expires_in: Option<Span>,
}

/// There is no region of that name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownRegion;

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
        let table = compile(&first, &check)?;
        let version = version(1, first, table, &clock);
        let registry = Registry::new(workers);
        let overlay = Overlay::default();
        let ranking = Ranking { number: 1, pop, ..Ranking::default() };
        let snapshot = Snapshot {
            number: 1,
            effective: Arc::new(effective(&version.table, &overlay)),
            overlay: Arc::new(overlay.clone()),
            ranking: Arc::new(carried(&ranking, None, &version.table)),
            incumbents: Arc::new(Vec::new()),
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
            tables: watch::Sender::new(1),
            health: watch::Sender::new(0),
            uplink: Arc::default(),
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

    /// The published versions, oldest first.
    #[must_use]
    pub fn versions(&self) -> Vec<Arc<Version>> {
        self.lock().versions.iter().cloned().collect()
    }

    /// Makes a table current.
    ///
    /// # Errors
    /// What is wrong with it; everything stays as it was.
    pub fn publish(&self, draft: Draft) -> Result<About, Vec<Finding>> {
        let table = compile(&draft, &self.check)?;
        let mut inner = self.lock();
        let before = self.snapshot();
        let version = version(before.version.about.version + 1, draft, table, &self.clock);
        let table = &version.table;
        let next = Snapshot {
            number: before.number,
            effective: Arc::new(effective(table, &inner.overlay)),
            overlay: before.overlay.clone(),
            ranking: Arc::new(carried(&before.ranking, Some(before.table()), table)),
            incumbents: Arc::new(remembered(&inner.incumbents, table)),
            vitals: Arc::new(Vitals::new(self.registry.origins(table), self.registry.placements(table))),
            version: version.clone(),
        };
        self.swap(&mut inner, next);
        let about = version.about.clone();
        inner.versions.push_back(version);
        inner.forget_old_versions();
        // What the former table mentioned is kept for requests that are still on their way.
        self.registry.retain(&[before.version.table.clone(), self.snapshot().version.table.clone()]);
        self.tables.send_replace(about.version);
        Ok(about)
    }

    /// Changes the overrides of a region. The overrides after it.
    ///
    /// # Errors
    /// If no region of the current table has that name.
    pub fn patch(&self, region: &str, patch: RegionPatch) -> Result<RegionOverrides, UnknownRegion> {
        let mut inner = self.lock();
        self.snapshot().table().region_named(region).ok_or(UnknownRegion)?;
        let since = self.clock.wall();
        let expires = patch.expires_in.map(|span| self.clock.now() + span);
        let expires_at = patch.expires_in.and_then(|span| {
            since.checked_add(jiff::SignedDuration::try_from(std::time::Duration::from(span)).ok()?).ok()
        });
        let RegionPatch { weight, state, author, reason, .. } = patch;
        let mut overrides = inner.overlay.region(region);
        if let Some(value) = weight {
            let (author, reason) = (author.clone(), reason.clone());
            overrides.weight =
                value.map(|value| Overridden { value, author, reason, since, expires_at, expires });
        }
        if let Some(value) = state {
            overrides.state =
                value.map(|value| Overridden { value, author, reason, since, expires_at, expires });
        }
        inner.overlay.set(region, overrides.clone());
        self.republish_overlay(&mut inner);
        Ok(overrides)
    }

    /// Ends overrides that have expired. When the next one will.
    pub fn expire_overrides(&self) -> Option<Moment> {
        let mut inner = self.lock();
        let ended = inner.overlay.expire(self.clock.now());
        if !ended.is_empty() {
            tracing::info!(regions = ?ended, "override expired");
            self.republish_overlay(&mut inner);
        }
        inner.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        inner.archive.forget_old(self.clock.now());
        inner.overlay.next_expiry()
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

    fn republish_overlay(&self, inner: &mut Inner) {
        let before = self.snapshot();
        let overlay = Arc::new(inner.overlay.clone());
        let effective = Arc::new(effective(before.table(), &overlay));
        self.swap(inner, Snapshot { overlay, effective, ..Snapshot::clone(&before) });
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

fn effective(table: &Table, overlay: &Overlay) -> Effective {
    Effective::of(table, |region| overlay.region(&table.region(region).name).to_override())
}

#[cfg(test)]
mod tests;
