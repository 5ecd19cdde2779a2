//! What a worker has made of the current table: its own handles of origins and routes.
//!
//! A publish costs a worker two empty arrays; each handle is resolved the first time a request needs it, and is kept across
//! publishes as long as the origin is the same. So connections outlive tables, and no publish makes a worker pause.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use control::snapshot::Snapshot;
use control::version::Version;
use control::vitals::{OriginVitals, PlacementKey};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use steer::ids::{OriginId, PlacementId, RouteId};
use steer::table::{OriginHost, OriginTlsConfig};
use steer::{Defect, KeyPath, Table};

use super::handle::{Classes, Known, RouteHandle};
use crate::connect::{OriginTls, Transport};
use crate::forward::{Origin, Placement};
use crate::observe::Shard;
use crate::tls;

/// A worker's view of the current snapshot.
pub(super) struct View {
    /// This worker's number, and how many there are.
    worker: (usize, usize),
    cache: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    shard: Arc<Shard>,
    tls: Arc<OriginTlsStore>,
    /// Handles by name, so that they survive a publish.
    known: BTreeMap<OriginName, Rc<Origin>>,
    placements: BTreeMap<PlacementKey, Rc<Placement>>,
    classes: Classes,
    /// Origins that the current table does not mention and that still have requests running.
    leaving: Vec<Rc<Origin>>,
    /// The version whose leavers have been sorted out.
    settled: Option<Arc<Version>>,
    handles: Handles,
}

type OriginName = (String, String, String);

/// Handles by the ids of one table.
pub(super) struct Handles {
    version: Option<Arc<Version>>,
    origins: Vec<Option<Rc<Origin>>>,
    routes: Vec<Option<Rc<RouteHandle>>>,
}

impl View {
    pub(super) fn new(
        worker: (usize, usize),
        current: Arc<ArcSwap<Snapshot>>,
        shard: Arc<Shard>,
        tls: Arc<OriginTlsStore>,
    ) -> Self {
        let handles = Handles { version: None, origins: Vec::new(), routes: Vec::new() };
        Self {
            worker,
            cache: Cache::new(current),
            shard,
            tls,
            known: BTreeMap::new(),
            placements: BTreeMap::new(),
            classes: Classes::new(),
            leaving: Vec::new(),
            settled: None,
            handles,
        }
    }

    /// The current snapshot, with the handles of its table ready to be asked.
    pub(super) fn current(&mut self) -> Resolved<'_> {
        let snapshot = self.cache.load();
        let handles = &mut self.handles;
        if !handles.version.as_ref().is_some_and(|version| Arc::ptr_eq(version, &snapshot.version)) {
            *handles = Handles {
                version: Some(snapshot.version.clone()),
                origins: vec![None; snapshot.table().origins.len()],
                routes: vec![None; snapshot.table().routes.len()],
            };
        }
        Resolved {
            snapshot,
            handles,
            known: &mut self.known,
            placements: &mut self.placements,
            classes: &mut self.classes,
            shard: &self.shard,
            tls: &self.tls,
            worker: self.worker,
        }
    }

    /// All handles that exist.
    pub(super) fn known(&self) -> impl Iterator<Item = &Rc<Origin>> {
        self.known.values()
    }

    /// Origins that the table no longer mentions, as long as requests run there.
    pub(super) fn leaving(&self) -> &[Rc<Origin>] {
        &self.leaving
    }

    /// After a publish: lets go of origins, routes and regions that the current table does not mention.
    pub(super) fn settle(&mut self) {
        self.leaving.retain(|origin| origin.has_running());
        let snapshot = self.cache.load();
        if self.settled.as_ref().is_some_and(|version| Arc::ptr_eq(version, &snapshot.version)) {
            return;
        }
        self.settled = Some(snapshot.version.clone());
        let mentioned: std::collections::BTreeSet<*const OriginVitals> =
            snapshot.vitals.origins.iter().map(Arc::as_ptr).collect();
        let is_mentioned = |origin: &Origin| mentioned.contains(&Arc::as_ptr(&origin.vitals));
        let leaving = self.known.extract_if(.., |_, origin| !is_mentioned(origin)).map(|(_, origin)| origin);
        self.leaving.extend(leaving);
        let table = snapshot.table();
        let routes: std::collections::BTreeSet<&str> =
            table.routes.iter().map(|route| route.name.as_str()).collect();
        let is_region = |region: &str| table.region_named(region).is_some();
        self.classes.retain(|(route, region), _| routes.contains(route.as_str()) && is_region(region));
        let placements: std::collections::BTreeSet<&PlacementKey> =
            snapshot.vitals.placements.iter().map(|placement| &placement.key).collect();
        self.placements.retain(|key, _| placements.contains(key));
        self.shard.retain(|route| routes.contains(route), is_region);
    }
}

/// A snapshot and the handles of its table.
pub(super) struct Resolved<'a> {
    pub(super) snapshot: &'a Arc<Snapshot>,
    handles: &'a mut Handles,
    known: &'a mut BTreeMap<OriginName, Rc<Origin>>,
    placements: &'a mut BTreeMap<PlacementKey, Rc<Placement>>,
    classes: &'a mut Classes,
    shard: &'a Arc<Shard>,
    tls: &'a OriginTlsStore,
    worker: (usize, usize),
}

impl Resolved<'_> {
    /// The handle of an origin.
    pub(super) fn origin(&mut self, id: OriginId) -> Rc<Origin> {
        if let Some(origin) = &self.handles.origins[id.index()] {
            return origin.clone();
        }
        let origin = self.resolve(id);
        self.handles.origins[id.index()] = Some(origin.clone());
        origin
    }

    /// The handle of a route.
    pub(super) fn route(&mut self, id: RouteId) -> Rc<RouteHandle> {
        let make = || Rc::new(RouteHandle::new(self.snapshot.table(), id));
        self.handles.routes[id.index()].get_or_insert_with(make).clone()
    }

    /// What belongs to a route's requests at a region; `-` is the region of those that none answers.
    pub(super) fn at(&mut self, route: &RouteHandle, region: &Rc<str>) -> Known {
        route.at(self.shard, self.classes, region)
    }

    /// The id of a placement in this table, by what was learnt about it.
    pub(super) fn placement_of(&self, origin: &Origin) -> Option<PlacementId> {
        let placements = &self.snapshot.vitals.placements;
        placements
            .iter()
            .position(|known| Arc::ptr_eq(known, &origin.placement.vitals))
            .and_then(PlacementId::new)
    }

    fn placement(&mut self, id: PlacementId) -> Rc<Placement> {
        let vitals = &self.snapshot.vitals.placements[id.index()];
        let known = self.placements.get(&vitals.key).filter(|known| Arc::ptr_eq(&known.vitals, vitals));
        if let Some(known) = known {
            return known.clone();
        }
        let placement = Rc::new(Placement::new(vitals.clone(), self.worker.0, self.worker.1));
        self.placements.insert(vitals.key.clone(), placement.clone());
        placement
    }

    fn resolve(&mut self, id: OriginId) -> Rc<Origin> {
        let table = self.snapshot.table();
        let vitals = &self.snapshot.vitals.origins[id.index()];
        let transport = self.tls.transport(table, id);
        let key = &vitals.key;
        let name = (key.placement.pool.clone(), key.placement.region.clone(), key.address.clone());
        if let Some(origin) = self.known.get(&name)
            && Arc::ptr_eq(&origin.vitals, vitals)
            && origin.fits(&transport)
        {
            return origin.clone();
        }
        let placement = self.placement(table.origin(id).placement);
        let series = self.shard.region(&key.placement.region);
        let origin = Rc::new(Origin::new(vitals.clone(), placement, self.worker.0, transport, series));
        self.known.insert(name, origin.clone());
        origin
    }
}

/// TLS configurations towards origins, made when a table is checked and shared by all workers, sessions included.
pub(crate) struct OriginTlsStore {
    folder: std::path::PathBuf,
    configs: Mutex<BTreeMap<OriginTlsConfig, Arc<ClientConfig>>>,
}

impl OriginTlsStore {
    /// An empty store; files are relative to `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), configs: Mutex::default() }
    }

    /// Reads the authorities that a table's pools trust, and the certificates shown to their origins. What is wrong with them.
    pub(crate) fn check(&self, table: &Table) -> Vec<Defect> {
        let (mut defects, mut made) = (Vec::new(), Vec::new());
        for (index, pool) in table.pools.iter().enumerate() {
            let Some(tls) = &pool.tls else { continue };
            match tls::origin_config(&self.folder, &tls.config) {
                Ok(config) => made.push((tls.config.clone(), config)),
                Err(tls::Problem { key, text: problem }) => defects.push(Defect {
                    example: format!("{key} = \"origin.pem\""),
                    path: KeyPath::of("pools").index(index).key("tls").key(&key),
                    problem,
                    consequence: "no origin of this pool could be reached".to_owned(),
                }),
            }
        }
        if defects.is_empty() {
            self.configs.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        }
        defects
    }

    /// How an origin of a checked table is spoken to.
    pub(crate) fn transport(&self, table: &Table, id: OriginId) -> Transport {
        let origin = table.origin(id);
        let pool = table.pool(table.placement(origin.placement).pool);
        let protocol = pool.protocol;
        let Some(tls) = &pool.tls else { return Transport { protocol, tls: None } };
        let configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let config = configs.get(&tls.config).cloned().expect("a published table was checked");
        Transport { protocol, tls: Some(OriginTls { config, name: server_name(tls, &origin.host) }) }
    }
}

fn server_name(tls: &steer::table::OriginTls, host: &OriginHost) -> ServerName<'static> {
    let by_host = || match host {
        OriginHost::Ip(address) => ServerName::from(*address),
        OriginHost::Name(name) => ServerName::try_from(name.clone()).expect("a compiled host is a DNS name"),
    };
    tls.server_name.as_ref().map_or_else(by_host, |name| {
        ServerName::try_from(name.clone()).expect("a compiled server_name is a name or an address")
    })
}
