//! An origin as one worker knows it: its unused connections, its running ones, and where its numbers are kept.
//!
//! Each worker has its own connections, so a request takes and returns one without a lock. The most recently used one is
//! taken first: it is the warmest, and the others get the chance to grow old and be closed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use control::vitals::{OriginCells, OriginVitals};
use http::HeaderValue;
use steer::health::OriginHealth;
use steer::spec::State;
use steer::{Moment, Span};

use super::conn::{Channel, Conn, Shared};
use super::opening::Opening;
use super::placement::Placement;
use super::replay::ToOrigin;
use crate::connect::{Opened, Purpose, Sender, Transport};
use crate::observe::RegionSeries;

/// Unused connections that a worker keeps to one origin; more are closed. Above the requests that a busy worker has running at
/// once, or connections would be closed and opened all the time; those that stay unused are closed by their age.
const MAX_IDLE: usize = 1024;
/// How long running requests may go on at a drained placement before their answer begins.
const DRAIN_WAITING: Span = Span::from_secs(30);
/// How long answers and tunnels may go on at a drained placement.
const DRAIN_STREAMING: Span = Span::from_secs(300);

/// An origin and a worker's connections to it.
pub(crate) struct Origin {
    pub(crate) vitals: Arc<OriginVitals>,
    pub(crate) placement: Rc<Placement>,
    worker: usize,
    pub(crate) region: Rc<str>,
    pub(crate) region_header: HeaderValue,
    pub(crate) address: Rc<str>,
    pub(crate) transport: Transport,
    pub(crate) series: Arc<RegionSeries>,
    /// When a request last went here.
    pub(crate) used_at: Cell<Option<Moment>>,
    /// Unused connections that carry one request at a time.
    idle: RefCell<VecDeque<Idle>>,
    /// Connections that requests share, used or not.
    shared: RefCell<Vec<Rc<Shared>>>,
    /// The connection that is being opened for several requests to share.
    pub(super) opening: RefCell<Option<Rc<Opening>>>,
    running: RefCell<Vec<Weak<Channel>>>,
    draining_since: Cell<Option<Moment>>,
    /// Whether the last connection turned out to be one that requests share.
    shares: Cell<bool>,
}

struct Idle {
    sender: Sender<ToOrigin>,
    channel: Rc<Channel>,
    since: Moment,
}

impl Origin {
    pub(crate) fn new(
        vitals: Arc<OriginVitals>,
        placement: Rc<Placement>,
        worker: usize,
        transport: Transport,
        series: Arc<RegionSeries>,
    ) -> Self {
        let transport_may_share = transport.may_share();
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
            shared: RefCell::default(),
            opening: RefCell::default(),
            running: RefCell::default(),
            draining_since: Cell::new(None),
            shares: Cell::new(transport_may_share),
        }
    }

    /// Whether this handle still fits what a table says of the origin.
    pub(crate) fn fits(&self, transport: &Transport) -> bool {
        self.transport.is(transport)
    }

    pub(crate) fn cells(&self) -> &OriginCells {
        self.vitals.cells(self.worker)
    }

    /// Whether requests may go here as long as others are left.
    pub(crate) fn is_trusted(&self) -> bool {
        matches!(self.vitals.health(), OriginHealth::Up | OriginHealth::Unknown)
    }

    /// A warm connection, if there is one that is still open, has room, and is young enough.
    pub(crate) fn checkout(self: &Rc<Self>, now: Moment, max_age: Span, purpose: Purpose) -> Option<Conn> {
        if purpose == Purpose::Requests
            && let Some(conn) = self.share(now)
        {
            return Some(conn);
        }
        while let Some(Idle { sender, channel, since }) = self.idle.borrow_mut().pop_back() {
            self.series.connections_idle.less();
            // One that is not ready has closed, or still carries the body of a request that was answered early.
            if sender.is_ready() && now.since(since) < max_age {
                self.series.connections_reused.one();
                return Some(Conn::alone(self.clone(), sender, channel, true));
            }
            channel.abort();
        }
        None
    }

    /// A place on a shared connection. The first with room: the later ones get the chance to grow old and be closed.
    fn share(self: &Rc<Self>, now: Moment) -> Option<Conn> {
        let shared = self.shared.borrow();
        let has_room = |shared: &&Rc<Shared>| {
            shared.sender.is_ready() && (shared.channel.users() as usize) < shared.sender.max_streams()
        };
        let found = shared.iter().find(has_room)?.clone();
        drop(shared);
        if found.channel.users() == 0 {
            self.series.connections_idle.less();
        }
        found.used_at.set(now);
        self.series.connections_reused.one();
        Conn::on(self.clone(), found, true)
    }

    /// Takes in a new connection, for a first request.
    pub(crate) fn opened(self: &Rc<Self>, opened: Opened<ToOrigin>, now: Moment) -> Conn {
        self.series.connections_opened.one();
        thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
        let number = NUMBER.replace(NUMBER.get() + 1);
        let Opened { sender, task, written } = opened;
        let channel = Rc::new(Channel::new(task, written, number));
        let mut running = self.running.borrow_mut();
        running.retain(|channel| channel.strong_count() > 0);
        running.push(Rc::downgrade(&channel));
        drop(running);
        self.shares.set(sender.is_http2());
        let Some(second) = sender.share() else {
            return Conn::alone(self.clone(), sender, channel, false);
        };
        let shared = Rc::new(Shared {
            sender: second,
            channel: channel.clone(),
            used_at: Cell::new(now),
            is_retired: Cell::new(false),
        });
        self.shared.borrow_mut().push(shared.clone());
        Conn::on(self.clone(), shared, false)
            .unwrap_or_else(|| Conn::alone(self.clone(), sender, channel, false))
    }

    /// Whether requests had better wait for a connection that is being opened than open their own.
    pub(crate) fn shares(&self) -> bool {
        self.shares.get()
    }

    /// Keeps a connection that carries one request at a time, if it is still good for one.
    pub(super) fn keep(&self, sender: Sender<ToOrigin>, channel: Rc<Channel>, now: Moment) {
        let mut idle = self.idle.borrow_mut();
        let is_draining = self.draining_since.get().is_some();
        if sender.is_closed() || is_draining || idle.len() >= MAX_IDLE {
            channel.abort();
            return;
        }
        self.series.connections_idle.one();
        idle.push_back(Idle { sender, channel, since: now });
    }

    /// A request has left a shared connection.
    pub(super) fn left(&self, shared: &Rc<Shared>) {
        if shared.channel.users() > 0 {
            return;
        }
        self.series.connections_active.less();
        if shared.is_retired.get() {
            shared.channel.abort();
            return;
        }
        self.series.connections_idle.one();
        if shared.sender.is_closed() || self.draining_since.get().is_some() {
            self.retire(shared);
        }
    }

    /// Takes a shared connection out of use.
    pub(super) fn retire(&self, shared: &Rc<Shared>) {
        self.shared.borrow_mut().retain(|other| !Rc::ptr_eq(other, shared));
        self.end_of_service(shared);
    }

    fn end_of_service(&self, shared: &Shared) {
        if !shared.is_retired.replace(true) && shared.channel.users() == 0 {
            self.series.connections_idle.less();
            shared.channel.abort();
        }
    }

    /// Closes all unused connections and puts nothing more onto the others: one of them turned out dead, so all are doubtful.
    pub(crate) fn forget_idle(&self) {
        for idle in self.idle.borrow_mut().drain(..) {
            self.series.connections_idle.less();
            idle.channel.abort();
        }
        for shared in self.shared.take() {
            self.end_of_service(&shared);
        }
    }

    /// Closes unused connections that are too old.
    pub(crate) fn close_old(&self, now: Moment, max_age: Span) {
        let mut idle = self.idle.borrow_mut();
        while idle
            .front()
            .is_some_and(|oldest| oldest.sender.is_closed() || now.since(oldest.since) >= max_age)
        {
            if let Some(old) = idle.pop_front() {
                self.series.connections_idle.less();
                old.channel.abort();
            }
        }
        let is_old = |shared: &Rc<Shared>| {
            shared.sender.is_closed()
                || (shared.channel.users() == 0 && now.since(shared.used_at.get()) >= max_age)
        };
        let old: Vec<Rc<Shared>> =
            self.shared.borrow().iter().filter(|shared| is_old(shared)).cloned().collect();
        old.iter().for_each(|shared| self.retire(shared));
    }

    /// Whether a warm connection is at hand or will be when a running request ends.
    pub(crate) fn is_warm(&self) -> bool {
        self.idle_count() > 0 || self.cells().in_flight() > 0
    }

    pub(crate) fn idle_count(&self) -> usize {
        self.idle.borrow().len() + self.shared.borrow().len()
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
            let patience = if channel.is_streaming() { DRAIN_STREAMING } else { DRAIN_WAITING };
            let is_over = state == State::Off || drained >= patience;
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
