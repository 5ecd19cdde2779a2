//! The body of a request, kept for as long as it may have to be sent again.
//!
//! A client's body can be read once. What was read is kept up to a bound, so that an attempt that failed can be repeated
//! with the same body. Beyond the bound it is kept only as long as nothing has been written to the origin: what HTTP reads
//! ahead of its first write is little, and a request that was not sent can then move however large its body is. All bodies of
//! a worker share a room; when that is full, bodies pass through and are not kept.
//!
//! The client's body is not read before an origin asks for it, which makes back-pressure and `100-continue` come out right.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::conn::Unwritten;
use super::gate::Gate;
use crate::request::filter_trailers;

/// What a body may have and still count as short: it fits into the first flight of a connection (RFC 6928).
const SHORT_BYTES: u64 = 14_600;

/// A client's body and what was kept of it; most requests have none.
#[derive(Clone, Debug)]
pub(crate) struct Inbound(Option<Rc<RefCell<State>>>);

#[derive(Debug)]
struct State {
    body: Incoming,
    size: SizeHint,
    kept: Vec<Bytes>,
    /// How many bytes of it may be kept, and where they are kept.
    limit: usize,
    room: ReplayRoom,
    /// What is kept within the limit, and counts in the room.
    kept_bytes: usize,
    /// Whether more is kept than that, since nothing was written yet.
    is_over: bool,
    /// Whether everything that was read is kept.
    is_whole: bool,
    trailers: Option<HeaderMap>,
    is_read: bool,
    bytes: u64,
    /// Attempts are numbered; only the last one may read.
    attempt: u32,
    /// Whether the client waits for an origin to say that it wants the body.
    expects: bool,
    /// Whether its connection carries nothing else.
    is_alone: bool,
}

/// Bytes that all bodies of a worker may still keep.
#[derive(Clone, Debug)]
pub(crate) struct ReplayRoom(Rc<Cell<usize>>);

impl ReplayRoom {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Rc::new(Cell::new(bytes)))
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        left.inspect(|left| self.0.set(*left)).is_some()
    }
}

impl State {
    fn has_room(&mut self, bytes: usize) -> bool {
        let has_room = self.kept_bytes + bytes <= self.limit && self.room.take(bytes);
        self.kept_bytes += if has_room { bytes } else { 0 };
        has_room
    }

    fn forget(&mut self) {
        self.is_whole = false;
        self.kept.clear();
        self.leave_room();
    }

    fn leave_room(&mut self) {
        self.room.0.set(self.room.0.get() + std::mem::take(&mut self.kept_bytes));
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.leave_room();
    }
}

/// The body of one attempt.
#[derive(Debug)]
pub(crate) enum ToOrigin {
    Empty,
    Replay(Replay),
}

/// A reader of the kept part and then of the rest.
#[derive(Debug)]
pub(crate) struct Replay {
    state: Rc<RefCell<State>>,
    attempt: u32,
    at: usize,
    is_done: bool,
    /// Whether anything of the attempt has been written.
    unwritten: Unwritten,
    /// Keeps the client's body back until the origin wants it.
    gate: Option<Arc<Gate>>,
}

/// Why a body could not be sent on.
#[derive(Debug)]
pub(crate) enum InboundError {
    /// The client broke off.
    Client(hyper::Error),
    /// A later attempt has taken over.
    Superseded,
}

impl std::fmt::Display for InboundError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(error) => write!(f, "the client's body ended early: {error}"),
            Self::Superseded => f.write_str("a later attempt sends this body"),
        }
    }
}

impl std::error::Error for InboundError {}

impl Inbound {
    /// A body that is kept in `room`, once [`Inbound::keep`] says how much of it. `expects` says that the client sends it only
    /// when told to, `is_alone` that its connection carries nothing else meanwhile.
    pub(crate) fn new(body: Incoming, room: &ReplayRoom, expects: bool, is_alone: bool) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        let size = body.size_hint();
        Self(Some(Rc::new(RefCell::new(State {
            is_read: false,
            body,
            size,
            kept: Vec::new(),
            kept_bytes: 0,
            limit: 0,
            room: room.clone(),
            is_over: false,
            is_whole: true,
            trailers: None,
            bytes: 0,
            attempt: 0,
            expects,
            is_alone,
        }))))
    }

    /// Up to so many bytes of it are kept.
    pub(crate) fn keep(&self, limit: usize) {
        if let Some(state) = &self.0 {
            state.borrow_mut().limit = limit;
        }
    }

    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The body for the next attempt, from its beginning, and what holds it back if the client waits to be told and the origin
    /// can say so.
    pub(super) fn attempt(
        &self,
        may_wait: bool,
        unwritten: impl FnOnce() -> Unwritten,
    ) -> (ToOrigin, Option<Arc<Gate>>) {
        let Some(shared) = &self.0 else { return (ToOrigin::Empty, None) };
        let mut state = shared.borrow_mut();
        state.attempt += 1;
        if state.is_read && state.kept.is_empty() && state.trailers.is_none() {
            return (ToOrigin::Empty, None);
        }
        // Once it was asked for, the client has been told.
        let gate = (may_wait && state.expects && state.bytes == 0).then(Gate::closed);
        let replay = Replay {
            state: shared.clone(),
            attempt: state.attempt,
            at: 0,
            is_done: false,
            unwritten: unwritten(),
            gate: gate.clone(),
        };
        (ToOrigin::Replay(replay), gate)
    }

    /// Whether it is none, or a short one that has been read to its end: then it does not decide when an answer begins.
    pub(crate) fn is_short(&self) -> bool {
        self.0.as_ref().is_none_or(|state| {
            let state = state.borrow();
            state.is_read && state.bytes <= SHORT_BYTES
        })
    }

    /// Whether it can be sent from its beginning.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.borrow().is_whole)
    }

    /// What was read of it, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |state| state.borrow().bytes)
    }

    /// The body, if its client may still be sending it over a connection that would have to end.
    pub(super) fn unread(&self) -> Option<Self> {
        let state = self.0.as_ref()?.borrow();
        let is_coming = state.is_alone && !state.is_read && !(state.expects && state.bytes == 0);
        is_coming.then(|| self.clone())
    }

    /// Reads what comes, up to so many bytes, and keeps nothing.
    pub(super) async fn throw_away(self, most: u64) {
        let Some(state) = self.0 else { return };
        // Whoever has read so far has read enough.
        state.borrow_mut().attempt += 1;
        state.borrow_mut().forget();
        let mut left = most;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut state.borrow_mut().body).poll_frame(cx)).await
        {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            let Some(rest) = left.checked_sub(bytes) else { return };
            left = rest;
        }
    }

    /// It will not be sent again: nothing more is kept. What the running attempt still has to send stays for it.
    pub(crate) fn release(&self) {
        let Some(state) = &self.0 else { return };
        let mut state = state.borrow_mut();
        state.is_whole = false;
        state.limit = 0;
    }
}

impl Replay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        let mut state = self.state.borrow_mut();
        if state.attempt != self.attempt {
            return Poll::Ready(Some(Err(InboundError::Superseded)));
        }
        if self.is_done {
            return Poll::Ready(None);
        }
        if let Some(kept) = state.kept.get(self.at) {
            self.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(kept.clone()))));
        }
        if state.is_read {
            self.is_done = true;
            return Poll::Ready(state.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        if let Some(gate) = &self.gate {
            std::task::ready!(gate.poll(cx));
            self.gate = None;
        }
        let frame = match std::task::ready!(Pin::new(&mut state.body).poll_frame(cx)) {
            None => {
                state.is_read = true;
                self.is_done = true;
                return Poll::Ready(None);
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(InboundError::Client(error)))),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => {
                state.bytes += data.len() as u64;
                state.is_read = state.body.is_end_stream();
                if state.is_whole {
                    let has_room = !state.is_over && state.has_room(data.len());
                    state.is_over |= !has_room;
                    if has_room || self.unwritten.holds() {
                        state.kept.push(data.clone());
                        self.at += 1;
                    } else {
                        state.forget();
                        self.at = 0;
                    }
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Err(frame) => {
                let trailers = filter_trailers(frame.into_trailers().unwrap_or_default());
                state.is_read = true;
                state.trailers = Some(trailers.clone());
                self.is_done = true;
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
        }
    }
}

impl http_body::Body for ToOrigin {
    type Data = Bytes;
    type Error = InboundError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Replay(replay) => replay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Replay(replay) => {
                let state = replay.state.borrow();
                replay.is_done || (state.is_read && replay.at >= state.kept.len() && state.trailers.is_none())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Replay(replay) => replay.state.borrow().size,
        }
    }
}
