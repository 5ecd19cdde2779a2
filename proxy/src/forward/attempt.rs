//! One attempt: a request sent to one origin, up to the head of its answer.
//!
//! What matters when it fails is whether the request can have run. It cannot if no connection was made, if hyper hands the
//! request back, if not one byte was written to the socket since it was dispatched, or if an HTTP/2 origin says so
//! (REFUSED_STREAM, or GOAWAY with an earlier stream). Everything else may have run.
//!
//! A warm connection that turns out dead is nobody's failure: origins close connections that lie unused. If not a byte was
//! written, or the request is safe to repeat, the same attempt goes on with a new connection.

use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use steer::attempt::Progress;
use steer::{Moment, Span};
use tokio::time::timeout;

use super::conn::{Conn, InFlight};
use super::opening::connect;
use super::origin::Origin;
use super::replay::{InboundError, ToOrigin};
use crate::connect::{PathTimes, Purpose};
use crate::observe::Reason;
use crate::worker::{FailureKind, Worker};

/// The head of an answer, with the connection that the rest comes over.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
    pub(crate) began_at: Moment,
}

/// A connection in use and the request that counts for it.
pub(crate) struct Lease {
    pub(crate) conn: Conn,
    pub(crate) in_flight: InFlight,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Failed {
    pub(crate) how: How,
    pub(crate) progress: Progress,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum How {
    /// No connection: refused, TLS, no address.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The connection closed or broke before the answer.
    Reset,
    /// No answer in time.
    Timeout,
    /// The answer was not HTTP.
    Protocol,
    /// The client's body ended early; the origin is not to blame.
    Client,
    /// The client wants to switch protocols, which the pool's cannot.
    NoUpgrade,
}

impl How {
    /// The index of [`crate::observe::OUTCOMES`].
    pub(crate) const fn outcome(self) -> usize {
        match self {
            Self::Connect | Self::NoUpgrade => 1,
            Self::ConnectTimeout => 2,
            Self::Timeout => 3,
            Self::Reset | Self::Client => 4,
            Self::Protocol => 5,
        }
    }

    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Connect => Reason::ConnectFailure,
            Self::ConnectTimeout => Reason::ConnectTimeout,
            Self::NoUpgrade => Reason::BadRequest,
            Self::Timeout => Reason::OriginTimeout,
            Self::Reset => Reason::OriginReset,
            Self::Protocol => Reason::OriginProtocol,
            Self::Client => Reason::ClientGone,
        }
    }
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) path: PathTimes,
    /// From the dispatch of the request to the head of the answer, while the request's body makes no progress.
    pub(crate) first_byte: Duration,
    /// How old a warm connection may be.
    pub(crate) max_idle: Span,
}

/// A request that can be made as often as it must be sent.
pub(crate) trait Sendable {
    /// The request, with its body from the beginning, as the version of HTTP wants it.
    fn build(&self, is_http2: bool) -> Request<ToOrigin>;

    /// What it needs of a connection.
    fn purpose(&self) -> Purpose;

    /// Whether it may be sent again after it got so far.
    fn may_repeat(&self, progress: Progress) -> bool;

    /// How much of its body has been read from the client.
    fn body_progress(&self) -> u64;
}

/// Sends a request.
pub(crate) async fn attempt(
    worker: &Worker,
    origin: &Rc<Origin>,
    times: Times,
    request: &impl Sendable,
) -> Result<Answer, Failed> {
    let started = worker.clock.now();
    origin.used_at.set(Some(started));
    let in_flight = InFlight::at(origin);
    let purpose = request.purpose();
    let open = async || {
        // Boxed: most requests find a warm connection, and should not carry the room that connecting takes.
        let opened = Box::pin(connect(worker, origin, times.path, purpose)).await;
        opened.map_err(|how| Failed { how, progress: Progress::NotSent })
    };
    let mut conn = match origin.checkout(started, times.max_idle, purpose) {
        Some(conn) => conn,
        None => open().await?,
    };
    loop {
        if conn.sender().ready().await.is_err() {
            // Closed while it lay unused.
            origin.forget_idle();
            conn = open().await?;
            continue;
        }
        let dispatched_at = worker.clock.now();
        let written_before = conn.channel().written();
        let built = request.build(conn.is_http2());
        let head = conn.sender().try_send(built);
        let answer = await_head(head, times.first_byte, || request.body_progress()).await;
        let unsent = conn.channel().written() == written_before;
        let error = match answer {
            Some(Ok(response)) => {
                let began_at = worker.clock.now();
                origin.cells().answered(began_at.since(dispatched_at).as_millis_f64(), began_at);
                conn.begins();
                return Ok(Answer { response, lease: Lease { conn, in_flight }, began_at });
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        let how = match error.as_ref().map(hyper::client::conn::TrySendError::error) {
            None => How::Timeout,
            Some(error) if error.is_parse() => How::Protocol,
            Some(error) if is_clients_fault(error) => How::Client,
            Some(_) => How::Reset,
        };
        let unprocessed = error.as_ref().is_some_and(|error| is_refused(error.error()));
        let handed_back = error.is_some_and(|mut error| error.take_message().is_some());
        let progress = if handed_back || unsent || unprocessed { Progress::NotSent } else { Progress::Sent };
        if conn.is_reused && how == How::Reset && request.may_repeat(progress) {
            origin.forget_idle();
            conn = open().await?;
            continue;
        }
        if how != How::Client {
            let now = worker.clock.now();
            origin.cells().failed(now.since(dispatched_at).as_millis_f64(), now);
        }
        if how == How::Timeout {
            conn.retire();
        }
        if how == How::Reset && !conn.is_reused {
            worker.report_failure(origin, FailureKind::Broken, conn.channel().number);
        }
        return Err(Failed { how, progress });
    }
}

/// Waits for the head; `None` if neither the answer nor the request's body moved for `first_byte`.
async fn await_head<F: Future>(
    head: F,
    first_byte: Duration,
    body_progress: impl Fn() -> u64,
) -> Option<F::Output> {
    let mut head = std::pin::pin!(head);
    loop {
        let before = body_progress();
        match timeout(first_byte, head.as_mut()).await {
            Ok(output) => return Some(output),
            // An upload that takes long is not an origin that takes long.
            Err(_) if body_progress() != before => {}
            Err(_) => return None,
        }
    }
}

/// Whether the client's body ended early, which is no failure of the origin.
fn is_clients_fault(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<InboundError>())
}

/// Whether an HTTP/2 origin says that it has not looked at the request (RFC 9113, 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| {
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (is_refused || error.is_go_away())
    })
}
