//! The compiled, valid, immutable form of a [`Spec`](crate::spec::Spec).
//!
//! A `Table` that exists is valid: every reference is resolved to a dense id, every address parsed, every route reachable.
//! It holds what an operator wrote and nothing that was learnt; health, latency and overrides are looked up beside it.
//!
//! Routes with the same pool, policy and jurisdictions share a [`Lane`]: the candidates and the rule that orders them. Ten
//! thousand routes usually need a handful of lanes.

use std::net::IpAddr;
use std::ops::Range;

use crate::geo::{Continent, Country, Place, Point, Points};
use crate::ids::{LaneId, OriginId, PlacementId, PoolId, RegionId, RouteId};
use crate::moment::Span;
use crate::retry::Budgets;
use crate::route::Route;
use crate::router::Router;
use crate::spec::{Failback, OnAllDown, ProbeKind, Protocol, State, Steering, TlsProfile};

/// A compiled table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// All regions, in the order of the spec, which breaks ties.
    pub regions: Vec<Region>,
    /// All pools.
    pub pools: Vec<Pool>,
    /// All placements, pool by pool.
    pub placements: Vec<Placement>,
    /// All origins, placement by placement.
    pub origins: Vec<Origin>,
    /// All lanes.
    pub lanes: Vec<Lane>,
    /// All routes, in the order of the spec.
    pub routes: Vec<Route>,
    /// Request to route.
    pub router: Router,
}

/// A place where origins run.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// [`name_hash`](crate::draw::name_hash) of the name: the subject of its draws.
    pub hash: u64,
    /// Its coordinates as written.
    pub place: Place,
    /// Its coordinates as a vector.
    pub point: Point,
    /// The legal area its data is in.
    pub jurisdiction: Option<String>,
    /// 0 to 100.
    pub weight: u8,
    /// What the operator configured.
    pub state: State,
    /// Added to its cost.
    pub bias_ms: f64,
}

/// All origins that serve one application.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How its origins are checked.
    pub probe: Probe,
    /// TLS towards its origins; `None` is plain HTTP.
    pub tls: Option<OriginTls>,
    /// What is spoken to its origins.
    pub protocol: Protocol,
    /// How much of its requests may be sent again.
    pub budgets: Budgets,
    /// Its placements, as a range of `Table::placements`.
    pub placements: Range<usize>,
}

/// How the origins of a pool are checked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Probe {
    /// Page or connection.
    pub kind: ProbeKind,
    /// The page that is asked for, or the gRPC service; an empty one is the whole server.
    pub path: String,
    /// The Host header; `None` is the origin's own `host:port`.
    pub host: Option<String>,
    /// Inclusive ranges of healthy statuses.
    pub statuses: Vec<(u16, u16)>,
    /// From one probe to the next.
    pub interval: Span,
}

/// TLS towards the origins of a pool.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OriginTls {
    /// The name asked for and verified; `None` is the origin's host.
    pub server_name: Option<String>,
    /// What its connections are made from.
    pub config: OriginTlsConfig,
}

/// What TLS connections to origins are made from. Pools with the same share them.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OriginTlsConfig {
    /// The authorities to trust; `None` is the system's.
    pub ca_file: Option<String>,
    /// Certificate chain and key shown to origins, as files.
    pub certificate: Option<(String, String)>,
    /// The versions spoken.
    pub profile: TlsProfile,
}

/// One pool's presence in one region.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Its pool.
    pub pool: PoolId,
    /// Its region.
    pub region: RegionId,
    /// Its origins, as a range of `Table::origins`.
    pub origins: Range<usize>,
    /// 0 to 100, multiplied with the region's.
    pub weight: u8,
    /// What the operator configured; the less willing of this and the region's counts.
    pub state: State,
    /// The most requests that this edge runs here at once.
    pub max_in_flight: Option<u32>,
}

/// One address that answers requests for a pool.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its placement.
    pub placement: PlacementId,
    /// As written: the name of this origin in logs and metrics.
    pub address: String,
    /// [`name_hash`](crate::draw::name_hash) of it: the subject of its draws.
    pub hash: u64,
    /// Address or DNS name.
    pub host: OriginHost,
    /// TCP port.
    pub port: u16,
}

/// The host of an origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OriginHost {
    /// An address.
    Ip(IpAddr),
    /// A DNS name, in lower case.
    Name(String),
}

/// What routes with the same pool, policy and jurisdictions share.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The pool that answers.
    pub pool: PoolId,
    /// The policy's name; `None` where the route names a steering or nothing.
    pub policy: Option<String>,
    /// What orders the candidates.
    pub steering: Steering,
    /// What happens when none is usable.
    pub on_all_down: OnAllDown,
    /// Whether an `active-passive` lane returns by itself.
    pub failback: Failback,
    /// The jurisdictions that may serve; empty is any.
    pub jurisdictions: Vec<String>,
    /// The placements that may ever serve, in the order that breaks ties.
    pub candidates: Vec<Candidate>,
    /// Where the candidates are, in the same order.
    pub points: Points,
    /// The placements of the pool that never may, and why.
    pub excluded: Vec<(PlacementId, Exclusion)>,
    /// Regions preferred by country, sorted by country (`geo`).
    pub countries: Vec<(Country, Vec<RegionId>)>,
    /// Regions preferred by continent, sorted by continent (`geo`).
    pub continents: Vec<(Continent, Vec<RegionId>)>,
}

/// Why a placement of the pool can never serve a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exclusion {
    /// Its region's jurisdiction is not among the route's.
    Jurisdiction,
    /// The `active-passive` policy does not list its region.
    NotListed,
}

/// A placement as a lane sees it: what the ranking loop reads, next to each other.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The placement.
    pub placement: PlacementId,
    /// Its region.
    pub region: RegionId,
    /// The region's draw subject.
    pub hash: u64,
    /// The region's bias.
    pub bias_ms: f64,
    /// The placement's limit; `u32::MAX` is none.
    pub max_in_flight: u32,
}

impl Table {
    /// The region of an id that this table gave.
    #[must_use]
    pub fn region(&self, id: RegionId) -> &Region {
        &self.regions[id.index()]
    }

    /// The pool of an id that this table gave.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> &Pool {
        &self.pools[id.index()]
    }

    /// The placement of an id that this table gave.
    #[must_use]
    pub fn placement(&self, id: PlacementId) -> &Placement {
        &self.placements[id.index()]
    }

    /// The origin of an id that this table gave.
    #[must_use]
    pub fn origin(&self, id: OriginId) -> &Origin {
        &self.origins[id.index()]
    }

    /// The lane of an id that this table gave.
    #[must_use]
    pub fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[id.index()]
    }

    /// The route of an id that this table gave.
    #[must_use]
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.index()]
    }

    /// The region of that name.
    #[must_use]
    pub fn region_named(&self, name: &str) -> Option<RegionId> {
        self.regions.iter().position(|region| region.name == name).and_then(RegionId::new)
    }

    /// The origins of a placement, as ids.
    pub fn origins_of(
        &self,
        placement: PlacementId,
    ) -> impl ExactSizeIterator<Item = OriginId> + Clone + use<> {
        self.placement(placement).origins.clone().map(|index| OriginId::new(index).expect("compiled ids fit"))
    }

    /// The placements of a pool, as ids.
    pub fn placements_of(&self, pool: PoolId) -> impl ExactSizeIterator<Item = PlacementId> + use<> {
        self.pool(pool).placements.clone().map(|index| PlacementId::new(index).expect("compiled ids fit"))
    }
}
