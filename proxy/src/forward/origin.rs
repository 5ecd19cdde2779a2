//! An origin as one worker knows it: its unused connections, its running ones, and where its numbers are kept.
//!
//! Each worker has its own connections, so a request takes and returns one without a lock. The most recently used one is
//! taken first: it is the warmest, and the others get the chance to grow old and be closed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use control::vitals::{OriginCells, OriginVitals, PlacementVitals};
use http::HeaderValue;
use hyper::client::conn::http1::SendRequest;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use steer::health::OriginHealth;
use steer::pick::OriginView;
use steer::spec::State;
use steer::{Moment, Span};
use tokio::task::AbortHandle;

use super::replay::ToOrigin;
use crate::observe::RegionSeries;

/// Unused connections that a worker keeps to one origin; more are closed.
const MAX_IDLE: usize = 256;
/// How long running requests may go on at a drained placement before their answer begins.
const DRAIN_WAITING: Span = Span::from_secs(30);
/// How long answers and tunnels may go on at a drained placement.
const DRAIN_STREAMING: Span = Span::from_secs(300);

/// How an origin is spoken to.
#[derive(Clone)]
pub(crate) enum Transport {
    Plain,
    Tls { config: Arc<ClientConfig>, name: ServerName<'static> },
}

impl Transport {
    /// Whether both speak in the same way, with the same trust.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain, Self::Plain) => true,
            (Self::Tls { config: a, name: x }, Self::Tls { config: b, name: y }) => {
                Arc::ptr_eq(a, b) && x == y
            }
            _ => false,
        }
    }
}

/// An origin and a worker's connections to it.
pub(crate) struct Origin {
    pub(crate) vitals: Arc<OriginVitals>,
    pub(crate) placement: Arc<PlacementVitals>,
    pub(crate) worker: usize,
    pub(crate) region: Rc<str>,
    pub(crate) region_header: HeaderValue,
    pub(crate) address: Rc<str>,
    pub(crate) transport: Transport,
    pub(crate) series: Arc<RegionSeries>,
    /// When a request last went here.
    pub(crate) used_at: Cell<Option<Moment>>,
    idle: RefCell<VecDeque<Idle>>,
    running: RefCell<Vec<Weak<Channel>>>,
    draining_since: Cell<Option<Moment>>,
}

/// One connection, from its handshake to its end.
pub(crate) struct Channel {
    stage: Cell<Stage>,
    task: RefCell<AbortHandle>,
    /// Bytes written to the socket so far: proof that a request was not sent.
    written: Arc<AtomicU64>,
    /// Tells connections apart.
    pub(crate) number: u64,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    Idle,
    Waiting,
    Streaming,
    Tunnel,
}

/// The two ends that a connection is held by.
struct Ends {
    sender: SendRequest<ToOrigin>,
    channel: Rc<Channel>,
}

struct Idle {
    ends: Ends,
    since: Moment,
}

/// A connection that carries a request. Dropped without [`Conn::give_back`], it is closed.
pub(crate) struct Conn {
    /// `Some` until it is given back or becomes a tunnel.
    ends: Option<Ends>,
    pub(crate) is_reused: bool,
    origin: Rc<Origin>,
}

/// A request that counts as running at an origin until this is dropped.
pub(crate) struct InFlight(Rc<Origin>);

impl Origin {
    pub(crate) fn new(
        vitals: Arc<OriginVitals>,
        placement: Arc<PlacementVitals>,
        worker: usize,
        transport: Transport,
        series: Arc<RegionSeries>,
    ) -> Self {
        Self {
            region: vitals.key.placement.region.as_str().into(),
            region_header: HeaderValue::from_str(&vitals.key.placement.region)
                .expect("a compiled name is a header value"),
            address: vitals.key.address.as_str().into(),
            vitals,
            placement,
            worker,
            transport,
            series,
            used_at: Cell::new(None),
            idle: RefCell::default(),
            running: RefCell::default(),
            draining_since: Cell::new(None),
        }
    }

    /// Whether this handle still fits what a table says of the origin.
    pub(crate) fn fits(&self, transport: &Transport) -> bool {
        self.transport.is(transport)
    }

    pub(crate) fn cells(&self) -> &OriginCells {
        self.vitals.cells(self.worker)
    }

    /// How it stands for the next attempt of a request. `prior_ms` is its region's latency.
    pub(crate) fn view(&self, now: Moment, prior_ms: f64, tried: bool) -> OriginView {
        let cells = self.cells();
        OriginView {
            load: cells.ewma().load(now, prior_ms, cells.in_flight()),
            trusted: matches!(self.vitals.health(), OriginHealth::Up | OriginHealth::Unknown),
            tried,
        }
    }

    /// A warm connection, if there is one that is still open and young enough.
    pub(crate) fn checkout(self: &Rc<Self>, now: Moment, max_age: Span) -> Option<Conn> {
        while let Some(Idle { ends, since }) = self.idle.borrow_mut().pop_back() {
            self.series.connections_idle.less();
            // One that is not ready has closed, or still carries the body of a request that was answered early.
            if ends.sender.is_ready() && now.since(since) < max_age {
                self.series.connections_reused.one();
                self.series.connections_active.one();
                ends.channel.stage.set(Stage::Waiting);
                return Some(Conn { ends: Some(ends), is_reused: true, origin: self.clone() });
            }
            ends.channel.abort();
        }
        None
    }

    /// Takes in a new connection.
    pub(crate) fn opened(
        self: &Rc<Self>,
        sender: SendRequest<ToOrigin>,
        task: AbortHandle,
        written: Arc<AtomicU64>,
    ) -> Conn {
        self.series.connections_opened.one();
        self.series.connections_active.one();
        thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
        let number = NUMBER.replace(NUMBER.get() + 1);
        let (stage, task) = (Cell::new(Stage::Waiting), RefCell::new(task));
        let channel = Rc::new(Channel { stage, task, written, number });
        let mut running = self.running.borrow_mut();
        running.retain(|channel| channel.strong_count() > 0);
        running.push(Rc::downgrade(&channel));
        Conn { ends: Some(Ends { sender, channel }), is_reused: false, origin: self.clone() }
    }

    /// Closes all unused connections: one of them turned out dead, so the others are doubtful.
    pub(crate) fn forget_idle(&self) {
        for idle in self.idle.borrow_mut().drain(..) {
            self.series.connections_idle.less();
            idle.ends.channel.abort();
        }
    }

    /// Closes unused connections that are too old.
    pub(crate) fn close_old(&self, now: Moment, max_age: Span) {
        let mut idle = self.idle.borrow_mut();
        while idle
            .front()
            .is_some_and(|oldest| oldest.ends.sender.is_closed() || now.since(oldest.since) >= max_age)
        {
            if let Some(old) = idle.pop_front() {
                self.series.connections_idle.less();
                old.ends.channel.abort();
            }
        }
    }

    /// Whether a warm connection is at hand or will be when a running request ends.
    pub(crate) fn is_warm(&self) -> bool {
        !self.idle.borrow().is_empty() || self.cells().in_flight() > 0
    }

    pub(crate) fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Whether connections are still open that carry something.
    pub(crate) fn has_running(&self) -> bool {
        self.running.borrow().iter().any(|channel| channel.strong_count() > 0)
    }

    /// Ends what may no longer run here: everything when `off`; when drained, requests whose answer has not begun after 30 s,
    /// and the rest after 300 s.
    pub(crate) fn enforce(&self, state: State, now: Moment) {
        if state < State::Drain {
            self.draining_since.set(None);
            return;
        }
        let since = self.draining_since.get().unwrap_or(now);
        self.draining_since.set(Some(since));
        self.forget_idle();
        let drained = now.since(since);
        for channel in self.running.borrow().iter().filter_map(Weak::upgrade) {
            let is_over = match channel.stage.get() {
                _ if state == State::Off => true,
                Stage::Idle => true,
                Stage::Waiting => drained >= DRAIN_WAITING,
                Stage::Streaming | Stage::Tunnel => drained >= DRAIN_STREAMING,
            };
            if is_over {
                channel.abort();
            }
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.forget_idle();
    }
}

impl Channel {
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.set(stage);
    }

    /// Another task carries the connection now.
    pub(crate) fn hand_over(&self, task: AbortHandle) {
        *self.task.borrow_mut() = task;
        self.stage.set(Stage::Tunnel);
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    fn abort(&self) {
        self.task.borrow().abort();
    }
}

impl Conn {
    pub(crate) fn sender(&mut self) -> &mut SendRequest<ToOrigin> {
        &mut self.ends.as_mut().expect(HELD).sender
    }

    pub(crate) fn channel(&self) -> &Rc<Channel> {
        &self.ends.as_ref().expect(HELD).channel
    }

    /// The answer is read to its end; the connection may carry the next request.
    pub(crate) fn give_back(mut self, now: Moment) {
        let Some(ends) = self.ends.take() else { return };
        self.origin.series.connections_active.less();
        let mut idle = self.origin.idle.borrow_mut();
        let is_draining = self.origin.draining_since.get().is_some();
        if ends.sender.is_closed() || is_draining || idle.len() >= MAX_IDLE {
            ends.channel.abort();
            return;
        }
        ends.channel.stage.set(Stage::Idle);
        self.origin.series.connections_idle.one();
        idle.push_back(Idle { ends, since: now });
    }

    /// The connection lives on as a tunnel, which whoever holds the channel ends.
    pub(crate) fn into_tunnel(mut self) -> Option<Rc<Channel>> {
        let ends = self.ends.take()?;
        self.origin.series.connections_active.less();
        Some(ends.channel)
    }
}

const HELD: &str = "a connection is held until it is given back, which consumes it";

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take() {
            self.origin.series.connections_active.less();
            ends.channel.abort();
        }
    }
}

impl InFlight {
    pub(crate) fn at(origin: &Rc<Origin>) -> Self {
        origin.cells().begin();
        origin.placement.cells(origin.worker).begin();
        Self(origin.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.cells().end();
        self.0.placement.cells(self.0.worker).end();
    }
}
