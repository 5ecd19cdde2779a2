//! A connection to an origin while a request uses it.
//!
//! With HTTP/1.1 a connection carries one request and then returns to its origin's unused ones. With HTTP/2 it stays where it
//! is and counts the requests that share it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use steer::Moment;
use tokio::task::AbortHandle;

use super::origin::Origin;
use super::replay::ToOrigin;
use crate::connect::Sender;

/// One connection, from its handshake to its end.
pub(crate) struct Channel {
    waiting: Cell<u32>,
    streaming: Cell<u32>,
    is_tunnel: Cell<bool>,
    task: RefCell<AbortHandle>,
    /// Bytes written to the socket so far: proof that a request was not sent.
    written: Arc<AtomicU64>,
    /// Tells connections apart.
    pub(crate) number: u64,
}

/// Whether nothing has been written to a connection since this was made. Requests that share one may all seem to have been
/// written when one was, never the other way round.
#[derive(Clone, Debug)]
pub(super) struct Unwritten {
    written: Arc<AtomicU64>,
    before: u64,
}

impl Unwritten {
    pub(super) fn holds(&self) -> bool {
        self.written.load(Relaxed) == self.before
    }
}

/// What a request on a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Its answer has not begun.
    Waiting,
    /// Its answer has begun.
    Streaming,
}

impl Channel {
    pub(super) fn new(task: AbortHandle, written: Arc<AtomicU64>, number: u64) -> Self {
        Self {
            waiting: Cell::new(0),
            streaming: Cell::new(0),
            is_tunnel: Cell::new(false),
            task: RefCell::new(task),
            written,
            number,
        }
    }

    /// Another task carries the connection now.
    pub(crate) fn hand_over(&self, task: AbortHandle) {
        *self.task.borrow_mut() = task;
    }

    /// Whether anything is written from now on.
    pub(super) fn unwritten(&self) -> Unwritten {
        Unwritten { before: self.written.load(Relaxed), written: self.written.clone() }
    }

    /// Requests that use it.
    pub(super) fn users(&self) -> u32 {
        self.waiting.get() + self.streaming.get()
    }

    /// Whether an answer or a tunnel runs over it.
    pub(super) fn is_streaming(&self) -> bool {
        self.streaming.get() > 0 || self.is_tunnel.get()
    }

    pub(super) fn abort(&self) {
        self.task.borrow().abort();
    }

    fn count(&self, stage: Stage) -> &Cell<u32> {
        match stage {
            Stage::Waiting => &self.waiting,
            Stage::Streaming => &self.streaming,
        }
    }

    fn enter(&self, stage: Stage) {
        self.count(stage).set(self.count(stage).get() + 1);
    }

    fn leave(&self, stage: Stage) {
        self.count(stage).set(self.count(stage).get().saturating_sub(1));
    }
}

/// A connection that several requests share.
pub(super) struct Shared {
    pub(super) sender: Sender<ToOrigin>,
    pub(super) channel: Rc<Channel>,
    pub(super) used_at: Cell<Moment>,
    /// No further request may use it; it closes when its last one ends.
    pub(super) is_retired: Cell<bool>,
}

/// A connection that carries a request. Dropped without [`Conn::give_back`], it is closed, or if it is shared, the request
/// on it ends.
pub(crate) struct Conn {
    /// `Some` until it is given back or becomes a tunnel.
    held: Option<Held>,
    pub(crate) is_reused: bool,
    origin: Rc<Origin>,
}

struct Held {
    sender: Sender<ToOrigin>,
    channel: Rc<Channel>,
    stage: Cell<Stage>,
    shared: Option<Rc<Shared>>,
}

const HELD: &str = "a connection is held until it is given back, which consumes it";

impl Conn {
    /// A connection for one request alone.
    pub(super) fn alone(
        origin: Rc<Origin>,
        sender: Sender<ToOrigin>,
        channel: Rc<Channel>,
        is_reused: bool,
    ) -> Self {
        origin.series.connections_active.one();
        Self::hold(origin, sender, channel, None, is_reused)
    }

    /// A place on a shared connection.
    pub(super) fn on(origin: Rc<Origin>, shared: Rc<Shared>, is_reused: bool) -> Option<Self> {
        let sender = shared.sender.share()?;
        if shared.channel.users() == 0 {
            origin.series.connections_active.one();
        }
        let channel = shared.channel.clone();
        Some(Self::hold(origin, sender, channel, Some(shared), is_reused))
    }

    fn hold(
        origin: Rc<Origin>,
        sender: Sender<ToOrigin>,
        channel: Rc<Channel>,
        shared: Option<Rc<Shared>>,
        is_reused: bool,
    ) -> Self {
        channel.enter(Stage::Waiting);
        let held = Held { sender, channel, stage: Cell::new(Stage::Waiting), shared };
        Self { held: Some(held), is_reused, origin }
    }

    pub(crate) fn sender(&mut self) -> &mut Sender<ToOrigin> {
        &mut self.held.as_mut().expect(HELD).sender
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.held.as_ref().expect(HELD).sender.is_http2()
    }

    pub(crate) fn channel(&self) -> &Rc<Channel> {
        &self.held.as_ref().expect(HELD).channel
    }

    /// The answer has begun.
    pub(crate) fn begins(&self) {
        let held = self.held.as_ref().expect(HELD);
        held.channel.leave(held.stage.replace(Stage::Streaming));
        held.channel.enter(Stage::Streaming);
    }

    /// It kept silent: nothing more is put onto it.
    pub(crate) fn retire(&self) {
        if let Some(shared) = self.held.as_ref().and_then(|held| held.shared.as_ref()) {
            self.origin.retire(shared);
        }
    }

    /// The answer is read to its end; the connection may carry the next request.
    pub(crate) fn give_back(mut self, now: Moment) {
        let Some(held) = self.held.take() else { return };
        held.channel.leave(held.stage.get());
        match held.shared {
            None => {
                self.origin.series.connections_active.less();
                self.origin.keep(held.sender, held.channel, now);
            }
            Some(shared) => {
                shared.used_at.set(now);
                self.origin.left(&shared);
            }
        }
    }

    /// The connection lives on as a tunnel, which whoever holds the channel ends.
    pub(crate) fn into_tunnel(mut self) -> Option<Rc<Channel>> {
        let held = self.held.take()?;
        held.channel.leave(held.stage.get());
        held.channel.is_tunnel.set(true);
        self.origin.series.connections_active.less();
        Some(held.channel)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        held.channel.leave(held.stage.get());
        match held.shared {
            None => {
                self.origin.series.connections_active.less();
                held.channel.abort();
            }
            Some(shared) => self.origin.left(&shared),
        }
    }
}

/// A request that counts as running at an origin until this is dropped.
pub(crate) struct InFlight(Rc<Origin>);

impl InFlight {
    pub(crate) fn at(origin: &Rc<Origin>) -> Self {
        origin.cells().begin();
        origin.placement.cells().begin();
        Self(origin.clone())
    }

    /// Where it runs.
    pub(super) fn origin(&self) -> &Rc<Origin> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.cells().end();
        self.0.placement.cells().end();
    }
}
