//! How long a client connection may take for what it is doing.
//!
//! A connection is reading a head, idle, or running requests, and each has its own patience. A client that drips a head byte
//! by byte gets no more time for it than one that sends it at once. One timer per connection looks at the phase when it
//! fires, instead of one that is moved with every byte.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use control::clock::Clock;
use steer::{Moment, Span};

use crate::config::Limits;

/// What a connection is doing. Shared by its task and its stream, which hyper may send elsewhere; one thread touches it.
#[derive(Debug)]
pub(crate) struct Watch {
    clock: Clock,
    /// Requests running.
    running: AtomicU32,
    /// Whether a head has begun; only known for HTTP/1.1.
    in_head: AtomicU32,
    since: AtomicU64,
    /// Reads and writes while requests run.
    moves: AtomicU64,
    /// Whether heads can be told from the bytes read.
    is_http1: bool,
}

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expired {
    /// Nothing was asked for too long: it may close in good order.
    Idle,
    /// It is not worth any more patience.
    Slow,
}

impl Watch {
    /// A connection that begins with reading a head (HTTP/1.1) or a preface (HTTP/2) at once.
    pub(crate) fn new(clock: Clock, is_http1: bool) -> Self {
        Self {
            clock,
            running: AtomicU32::new(0),
            in_head: AtomicU32::new(1),
            since: AtomicU64::new(clock.now().as_nanos()),
            moves: AtomicU64::new(0),
            is_http1,
        }
    }

    pub(crate) fn began(&self) {
        self.running.store(self.running.load(Relaxed) + 1, Relaxed);
        self.in_head.store(0, Relaxed);
    }

    pub(crate) fn ended(&self, now: Moment) {
        self.running.store(self.running.load(Relaxed).saturating_sub(1), Relaxed);
        self.since.store(now.as_nanos(), Relaxed);
    }

    /// Whether a head is awaited or has begun; between requests of HTTP/1.1, only the latter.
    pub(crate) fn in_head(&self) -> bool {
        self.running.load(Relaxed) == 0 && self.in_head.load(Relaxed) > 0
    }

    pub(crate) fn read(&self) {
        if self.running.load(Relaxed) > 0 {
            self.moves.store(self.moves.load(Relaxed) + 1, Relaxed);
        } else if self.is_http1 && self.in_head.load(Relaxed) == 0 {
            self.in_head.store(1, Relaxed);
            self.since.store(self.clock.now().as_nanos(), Relaxed);
        }
    }

    pub(crate) fn wrote(&self) {
        self.moves.store(self.moves.load(Relaxed) + 1, Relaxed);
    }

    /// Waits until the connection has used up its patience.
    pub(crate) async fn expired(&self, limits: &Limits) -> Expired {
        let (head, idle) = (Span::from(limits.header_timeout), Span::from(limits.idle_timeout));
        let stream = Span::from(limits.stream_idle_timeout);
        let mut moves = self.moves.load(Relaxed);
        let mut still_since = self.clock.now();
        loop {
            let now = self.clock.now();
            let since = Moment::from_nanos(self.since.load(Relaxed));
            let left = if self.running.load(Relaxed) > 0 {
                let moved = self.moves.load(Relaxed);
                if moved != moves {
                    (moves, still_since) = (moved, now);
                }
                left(stream, still_since, now).ok_or(Expired::Slow)
            } else if self.in_head.load(Relaxed) > 0 {
                left(head, since, now).ok_or(Expired::Slow)
            } else {
                still_since = now;
                left(idle, since, now).ok_or(Expired::Idle)
            };
            match left {
                Err(expired) => return expired,
                // A head may begin at any time, and its patience may be the shortest.
                Ok(left) => tokio::time::sleep(Duration::from(left.min(head))).await,
            }
        }
    }
}

fn left(patience: Span, since: Moment, now: Moment) -> Option<Span> {
    let used = now.since(since);
    (used < patience).then(|| Span::from_nanos(patience.as_nanos() - used.as_nanos()))
}
