//! A worker: one thread that serves its share of the clients with everything it needs at hand.
//!
//! Connections, counters and its view of the table belong to it alone; a request takes no lock and writes no memory that
//! another request's processor writes. What workers share they only read: the snapshot, the settings, the databases.

mod affinity;
mod class;
mod handle;
mod maintain;
mod target;
mod trouble;
mod view;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use control::clock::Clock;
use control::decisions::{Decisions, Desk};
use control::publisher::Publisher;
use control::share::Samples;
use control::uplink::Uplink;
use control::vitals::OriginVitals;
use http::HeaderValue;
use steer::Moment;
use steer::draw::Rng;
use tokio::sync::{Notify, mpsc, watch};

pub(crate) use affinity::AffinityKey;
pub(crate) use class::Class;
pub(crate) use handle::RouteHandle;
pub(crate) use maintain::maintain;
pub(crate) use target::{Asked, Chosen, Declined, Direct, Onward, Target, Tried};
pub(crate) use trouble::follow_health;
pub(crate) use view::OriginTlsStore;
use view::View;

use crate::accept::Stopping;
use crate::config::Settings;
use crate::forward::{Origin, ReplayRoom};
use crate::locate::{Locator, TrustedHops};
use crate::observe::{Log, LogSink, RequestSeries, Shard, SpanSink};
use crate::request::CdnLoop;

/// What a worker is made of.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) clock: Clock,
    pub(crate) settings: Arc<Settings>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) locator: Arc<Locator>,
    pub(crate) samples: Arc<Samples>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) origin_tls: Arc<OriginTlsStore>,
    pub(crate) affinity: Arc<AffinityKey>,
    pub(crate) failures: mpsc::Sender<Failure>,
    pub(crate) sinks: (Option<LogSink>, Option<SpanSink>),
    pub(crate) seed: u64,
}

/// An attempt failed: the prober wants to know at once.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) origin: Arc<OriginVitals>,
    pub(crate) kind: FailureKind,
    /// Tells connections apart, within this edge.
    pub(crate) connection: u64,
    /// The network of the client whose request failed (its key in decisions), and a hash of the route: one client's bad
    /// requests to one route say little. 0 where no client asked.
    pub(crate) client: u64,
    pub(crate) route: u64,
    /// When it was sent, or its connection begun.
    pub(crate) began: Moment,
}

/// What a failure says of an origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FailureKind {
    /// No connection could be made.
    Unreachable,
    /// A connection that had just been made broke before an answer.
    Broken,
    /// The attempt ended badly in another way: an older connection that broke, no answer in time, an answer that was no HTTP,
    /// a gateway's error status, an answer that broke off.
    Bad,
}

/// Whose request failed: 0 where no client asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blame {
    /// The network of the client: his key in decisions.
    pub(crate) client: u64,
    /// A hash of the route's name.
    pub(crate) route: u64,
}

/// One thread's share of the edge.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) clock: Clock,
    pub(crate) settings: Arc<Settings>,
    pub(crate) locator: Arc<Locator>,
    pub(crate) trusted_hops: TrustedHops,
    pub(crate) shard: Arc<Shard>,
    pub(crate) log: Option<Log>,
    pub(crate) spans: Option<SpanSink>,
    pub(crate) pop_header: HeaderValue,
    pub(crate) cdn_loop: CdnLoop,
    pub(crate) stopping: Rc<Stopping>,
    /// Wakes requests that wait for a late answer when the health of a placement changes.
    pub(crate) trouble: Notify,
    /// Room for bodies that may have to be sent again.
    pub(crate) replay_room: ReplayRoom,
    pub(crate) uplink: Arc<Uplink>,
    health: watch::Receiver<u64>,
    samples: Arc<Samples>,
    /// Where its decisions are taken and written down.
    desk: RefCell<Desk>,
    affinity: Arc<AffinityKey>,
    failures: mpsc::Sender<Failure>,
    view: RefCell<View>,
    rng: RefCell<Rng>,
    nothing: Arc<RequestSeries>,
    /// The name of no region.
    nowhere: Rc<str>,
    /// Requests decided, to sample some of them.
    seen: Cell<u32>,
    /// The version that was sampled last.
    met: Cell<u64>,
}

/// One request in so many is remembered for predictions.
const SAMPLE_EVERY: u32 = 16;
/// So many are sampled without gaps at first, for a picture from the first requests on.
const SAMPLE_ALL_OF_FIRST: u32 = 64;

impl Worker {
    pub(crate) fn new(parts: Parts) -> Rc<Self> {
        let Parts {
            index,
            clock,
            settings,
            publisher,
            locator,
            samples,
            decisions,
            shard,
            origin_tls,
            affinity,
            failures,
            sinks: (log, spans),
            seed,
        } = parts;
        let view =
            View::new((index, settings.workers), publisher.current().clone(), shard.clone(), origin_tls);
        Rc::new(Self {
            index,
            clock,
            cdn_loop: CdnLoop::of(&settings.name),
            pop_header: HeaderValue::from_str(&settings.name).expect("a checked name is a header value"),
            trusted_hops: TrustedHops::new(settings.trusted_hops.clone()),
            replay_room: ReplayRoom::new(settings.limits.replay_total_bytes / settings.workers),
            settings,
            locator,
            log: log.map(|sink| sink.log(shard.clone())),
            spans,
            stopping: Rc::default(),
            trouble: Notify::new(),
            uplink: publisher.uplink().clone(),
            health: publisher.health(),
            samples,
            desk: RefCell::new(decisions.desk(index).expect("each worker is made once")),
            affinity,
            failures,
            view: RefCell::new(view),
            rng: RefCell::new(Rng::new(seed)),
            nothing: shard.requests("-", "-"),
            nowhere: "-".into(),
            seen: Cell::new(0),
            met: Cell::new(0),
            shard,
        })
    }

    /// A new request id: 128 random bits in hex. Unique, not secret.
    pub(crate) fn new_id(&self) -> HeaderValue {
        let mut rng = self.rng.borrow_mut();
        let mut id = [0; 32];
        for half in id.chunks_exact_mut(16) {
            let mut bits = rng.next_u64();
            for digit in half {
                *digit = b"0123456789abcdef"[(bits & 15) as usize];
                bits >>= 4;
            }
        }
        HeaderValue::from_bytes(&id).expect("hex digits are a header value")
    }

    /// 64 random bits. Not secret.
    pub(crate) fn draw(&self) -> u64 {
        self.rng.borrow_mut().next_u64()
    }

    /// The numbers of requests that found no route.
    pub(crate) fn series_of_nothing(&self) -> &RequestSeries {
        &self.nothing
    }

    /// Changes of placements' health, from the worker's beginning on.
    pub(crate) fn health(&self) -> watch::Receiver<u64> {
        self.health.clone()
    }

    /// Tells the prober that an attempt failed. If it has too much to do already, it knows.
    pub(crate) fn report_failure(
        &self,
        origin: &Rc<Origin>,
        kind: FailureKind,
        connection: u64,
        blame: Blame,
        began: Moment,
    ) {
        let connection = (self.index as u64 + 1) << 48 | connection;
        let (origin, Blame { client, route }) = (origin.vitals.clone(), blame);
        let _ = self.failures.try_send(Failure { origin, kind, connection, client, route, began });
    }
}
