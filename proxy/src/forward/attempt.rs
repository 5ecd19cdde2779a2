//! One attempt: a request sent to one origin, up to the head of its answer.
//!
//! What matters when it fails is whether the request can have run. It cannot if no connection was made, if hyper hands the
//! request back, if not one byte was written to the socket since it was dispatched, or if the origin says so: over HTTP/2 by
//! REFUSED_STREAM or by GOAWAY with an earlier stream, else by 421 or 425. Everything else may have run.
//!
//! A warm connection that turns out dead is nobody's failure: origins close connections that lie unused. If not a byte was
//! written, or the request is safe to repeat, the same attempt goes on with a new connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use http::{Response, StatusCode, header};
use hyper::body::Incoming;
use steer::attempt::Ending;
use steer::{Moment, Span};
use tokio::time::Instant;

use super::conn::{Conn, InFlight};
use super::opening::connect;
use super::outbound::Outbound;
use super::replay::InboundError;
use crate::connect::PathTimes;
use crate::observe::Reason;
use crate::request::grpc_is_unavailable;
use crate::worker::{Blame, FailureKind, Worker};

/// The head of an answer, with the connection that the rest comes over.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
    pub(crate) began_at: Moment,
}

/// A connection in use, the request that counts for it, and whose it is.
pub(crate) struct Lease {
    pub(crate) conn: Conn,
    pub(crate) in_flight: InFlight,
    pub(crate) blame: Blame,
    pub(crate) sent_at: Moment,
}

impl Lease {
    /// The answer broke off.
    pub(crate) fn broke_off(&self, worker: &Worker) {
        let number = self.conn.channel().number;
        worker.report_failure(self.in_flight.origin(), FailureKind::Bad, number, self.blame, self.sent_at);
    }
}

/// Why an attempt failed.
pub(crate) struct Failed {
    pub(crate) how: How,
    pub(crate) ending: Ending,
    /// The answer, if there is one that may still be passed on.
    pub(crate) answer: Option<Box<Answer>>,
}

impl Failed {
    pub(super) const fn new(how: How, ending: Ending) -> Self {
        Self { how, ending, answer: None }
    }
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
    /// The origin says that it has not looked at the request.
    Unprocessed,
    /// The answer has the status of a gateway that could not.
    GatewayError,
    /// The placement is down, and the answer was no longer waited for.
    Abandoned,
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
            Self::Timeout | Self::Abandoned => 3,
            Self::Reset | Self::Client => 4,
            Self::Protocol => 5,
            Self::Unprocessed => 6,
            Self::GatewayError => 7,
        }
    }

    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Connect => Reason::ConnectFailure,
            Self::ConnectTimeout => Reason::ConnectTimeout,
            Self::NoUpgrade => Reason::BadRequest,
            Self::Timeout => Reason::OriginTimeout,
            Self::Abandoned => Reason::NoHealthy,
            Self::Reset | Self::Unprocessed => Reason::OriginReset,
            Self::Protocol => Reason::OriginProtocol,
            Self::GatewayError => Reason::RetriesExhausted,
            Self::Client => Reason::ClientGone,
        }
    }
}

/// The index of the outcome of an attempt that was given up because another was answered first.
pub(crate) const CANCELLED: usize = 8;

/// How long an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) path: PathTimes,
    /// How old a warm connection may be.
    pub(crate) max_idle: Span,
}

/// How often an attempt goes on with another connection after a warm one turned out dead.
const MAX_RENEWED: u32 = 2;

/// Sends a request.
pub(crate) async fn attempt(request: &Outbound<'_>, times: Times) -> Result<Answer, Failed> {
    let (worker, origin) = (request.worker, &request.target.origin);
    let started = worker.clock.now();
    origin.used_at.set(Some(started));
    let in_flight = InFlight::at(origin);
    let purpose = request.purpose();
    let open = async || {
        // Boxed: most requests find a warm connection, and should not carry the room that connecting takes.
        let opened = Box::pin(connect(worker, origin, times.path, purpose, request.blame)).await;
        opened.map_err(|how| Failed::new(how, Ending::NotSent))
    };
    let mut conn = match origin.checkout(started, times.max_idle, purpose) {
        Some(conn) => conn,
        None => open().await?,
    };
    let mut renewed = 0;
    loop {
        if conn.sender().ready().await.is_err() {
            if conn.is_reused && renewed < MAX_RENEWED {
                // Closed while it lay unused.
                renewed += 1;
                origin.forget_idle();
                conn = open().await?;
                continue;
            }
            worker.report_failure(origin, FailureKind::Broken, conn.channel().number, request.blame, started);
            return Err(Failed::new(How::Reset, Ending::NotSent));
        }
        let dispatched_at = worker.clock.now();
        request.dispatched_at.set(Some(dispatched_at));
        let unwritten = conn.channel().unwritten();
        let built = request.build(&conn);
        let head = conn.sender().try_send(built);
        let answer = await_head(head, request, dispatched_at).await;
        let error = match answer {
            Some(Ok(response)) => {
                let began_at = worker.clock.now();
                let took = began_at.since(dispatched_at);
                conn.begins();
                let lease = Lease { conn, in_flight, blame: request.blame, sent_at: dispatched_at };
                return judge(request, Answer { response, lease, began_at }, took);
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        let how = match error.as_ref().map(hyper::client::conn::TrySendError::error) {
            None => How::Timeout,
            Some(error) if error.is_parse() => How::Protocol,
            Some(error) if is_clients_fault(error) => How::Client,
            Some(error) if is_refused(error) => How::Unprocessed,
            Some(_) => How::Reset,
        };
        let handed_back = error.is_some_and(|mut error| error.take_message().is_some());
        let ending = match how {
            How::Unprocessed => Ending::Unprocessed,
            _ if handed_back || unwritten.holds() => Ending::NotSent,
            _ => Ending::Unanswered,
        };
        let is_old = conn.is_reused && matches!(how, How::Reset | How::Unprocessed);
        if is_old && renewed < MAX_RENEWED && request.may_renew(ending) {
            renewed += 1;
            origin.forget_idle();
            conn = open().await?;
            continue;
        }
        if !matches!(how, How::Client | How::Unprocessed) {
            let now = worker.clock.now();
            origin.cells().failed(now.since(dispatched_at).as_millis_f64(), now);
            let is_new = !conn.is_reused && how == How::Reset;
            let kind = if is_new { FailureKind::Broken } else { FailureKind::Bad };
            worker.report_failure(origin, kind, conn.channel().number, request.blame, dispatched_at);
        }
        if how == How::Timeout {
            conn.retire();
        }
        return Err(Failed::new(how, ending));
    }
}

/// What an answer says of its origin, and whether it is one to pass on.
fn judge(request: &Outbound<'_>, answer: Answer, took: Span) -> Result<Answer, Failed> {
    let (worker, origin) = (request.worker, &request.target.origin);
    let status = answer.response.status();
    if is_gateway_error(status) || grpc_is_unavailable(answer.response.headers()) {
        let number = answer.lease.conn.channel().number;
        worker.report_failure(origin, FailureKind::Bad, number, request.blame, answer.lease.sent_at);
        // An error is no service: it does not speak against probes that say the same, and does not win traffic by being fast.
        origin.cells().failed(took.as_millis_f64(), answer.began_at);
    } else {
        origin.cells().answered(took.as_millis_f64(), answer.began_at);
        let us = took.as_nanos() / 1_000;
        let lateness = request.body.is_short().then(|| request.target.class.add(us)).flatten();
        origin.placement.cells().answered(lateness);
    }
    let retry_after = answer.response.headers().contains_key(header::RETRY_AFTER);
    match Ending::of_status(status.as_u16(), retry_after, request.target.route.retry()) {
        None => Ok(answer),
        Some(ending) => {
            let how = if ending == Ending::Unprocessed { How::Unprocessed } else { How::GatewayError };
            Err(Failed { how, ending, answer: Some(Box::new(answer)) })
        }
    }
}

/// What proxies and overloaded origins say; what applications say of a request (500 among it) tells nothing of the region.
fn is_gateway_error(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Waits for the head; `None` if neither the answer nor the request's body moved for too long.
async fn await_head<F: Future>(head: F, request: &Outbound<'_>, sent_at: Moment) -> Option<F::Output> {
    let (silence, body_bytes) = (request.silence, || request.body.bytes());
    silence.begins(Instant::from_std(request.worker.clock.instant(sent_at)), body_bytes());
    let mut head = pin!(head);
    let heard = poll_fn(|cx| match head.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if silence.is_over(body_bytes) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let heard = heard.await;
    silence.is_broken();
    heard
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
