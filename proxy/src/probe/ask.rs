//! One question to one origin.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error as _;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use control::vitals::OriginVitals;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use steer::Span;
use steer::spec::ProbeKind;
use steer::table::Probe;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::grpc;
use crate::connect::{
    ConnectError, Opened, PathTimes, Purpose, Sender, Transport, absolute, connect_to, open,
};

/// The most of an answer's body that is read to keep the connection; a longer one costs the connection.
const MAX_BODY_BYTES: usize = 64 << 10;
/// What is read of a message; the one that is understood is shorter.
const MAX_MESSAGE_BYTES: usize = 64;
/// The most connections kept warm for one origin.
pub(super) const MAX_WARM: usize = 32;

/// Someone to ask, and how.
pub(super) struct Asker {
    pub(super) origin: Arc<OriginVitals>,
    probe: Probe,
    transport: Transport,
    host: HeaderValue,
    warm: RefCell<VecDeque<Warm>>,
    opened: Cell<u64>,
    /// Connections that are to be kept.
    wanted: Cell<usize>,
    is_opening: Cell<bool>,
    /// Held by whoever waits for an answer beyond its time.
    late: Rc<()>,
    /// Tells whoever asks on and on to ask now.
    pub(super) now: Notify,
}

/// A connection for probes.
pub(super) struct Warm {
    sender: Sender<Full<Bytes>>,
    task: AbortHandle,
    pub(super) number: u64,
}

/// What became of a new connection.
pub(super) enum Connected {
    /// It can be asked over.
    Ready(Warm),
    /// It was made, and nothing is to be asked.
    Reachable,
    /// It could not be made.
    No(Problem),
}

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// A healthy answer.
    Ok,
    /// None, or one that says it is not well.
    No(Problem),
}

/// Why a question was not answered well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Problem {
    /// In words.
    pub(super) what: String,
    /// How it shows.
    pub(super) how: How,
}

/// How a problem shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum How {
    /// An answer came.
    Answered,
    /// The connection was refused or broken off: no answer, but somebody is there, or a system that speaks for him.
    Refused,
    /// Nothing came.
    Silence,
}

impl Asker {
    pub(super) fn new(origin: Arc<OriginVitals>, probe: Probe, transport: Transport) -> Rc<Self> {
        let host = probe.host.as_deref().unwrap_or(&origin.key.address);
        Rc::new(Self {
            host: HeaderValue::from_str(host).unwrap_or_else(|_| HeaderValue::from_static("localhost")),
            origin,
            probe,
            transport,
            warm: RefCell::default(),
            opened: Cell::new(0),
            wanted: Cell::new(1),
            is_opening: Cell::new(false),
            late: Rc::new(()),
            now: Notify::new(),
        })
    }

    pub(super) const fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Whether this asks the same in the same way.
    pub(super) fn asks(&self, probe: &Probe, transport: &Transport) -> bool {
        self.probe == *probe && self.transport.is(transport)
    }

    /// A warm connection, if one is left.
    pub(super) fn take_warm(&self) -> Option<Warm> {
        let mut warm = self.warm.borrow_mut();
        std::iter::from_fn(|| warm.pop_front()).find(|connection| !connection.sender.is_closed())
    }

    /// Sees to it that `wanted` connections are there, `in_use` of which are being asked over: opens one ahead, if one is missing.
    pub(super) fn keep_warm(self: &Rc<Self>, wanted: usize, in_use: usize, times: PathTimes) {
        let wanted = wanted.min(MAX_WARM);
        self.wanted.set(wanted);
        self.warm.borrow_mut().retain(|connection| !connection.sender.is_closed());
        let is_enough = self.warm.borrow().len() + in_use >= wanted;
        if self.probe.kind == ProbeKind::Tcp || is_enough || self.is_opening.replace(true) {
            return;
        }
        let asker = self.clone();
        tokio::task::spawn_local(async move {
            if let Connected::Ready(connection) = asker.connect(asker.number(), times).await {
                asker.give_back(connection);
            }
            asker.is_opening.set(false);
        });
    }

    /// Leave to wait for an answer beyond its time, unless so many do already.
    pub(super) fn late_guard(&self, most: usize) -> Option<Rc<()>> {
        (Rc::strong_count(&self.late) <= most).then(|| self.late.clone())
    }

    fn give_back(&self, connection: Warm) {
        let mut warm = self.warm.borrow_mut();
        if warm.len() < self.wanted.get() {
            warm.push_back(connection);
        } else {
            connection.task.abort();
        }
    }

    /// A new number for a connection that is about to be opened.
    pub(super) fn number(&self) -> u64 {
        self.opened.set(self.opened.get() + 1);
        self.opened.get()
    }

    /// Opens a new connection. For a TCP probe that is the whole question.
    pub(super) async fn connect(&self, number: u64, times: PathTimes) -> Connected {
        let addresses = self.origin.addresses.load_full();
        if self.probe.kind == ProbeKind::Tcp {
            return match connect_to(&addresses, times).await {
                Ok(_) => Connected::Reachable,
                Err(error) => Connected::No(Problem::of(&error)),
            };
        }
        match open(&addresses, &self.transport, Purpose::Requests, times).await {
            Ok(Opened { sender, task, .. }) => Connected::Ready(Warm { sender, task, number }),
            Err(error) => Connected::No(Problem::of(&error)),
        }
    }

    /// Whether a new connection takes more than one round trip.
    pub(super) const fn is_tls(&self) -> bool {
        self.transport.tls.is_some()
    }

    /// Asks over a connection, and keeps it if it can be used again.
    pub(super) async fn ask(&self, mut connection: Warm) -> Answer {
        if let Err(error) = connection.sender.ready().await {
            return Answer::No(Problem::broken(&error));
        }
        let request = self.question(connection.sender.is_http2());
        let response = match connection.sender.try_send(request).await {
            Ok(response) => response,
            Err(failed) => {
                connection.task.abort();
                return Answer::No(Problem::broken(failed.error()));
            }
        };
        let (head, mut body) = response.into_parts();
        let (mut end, mut said) = (head.headers, BytesMut::new());
        let mut left = MAX_BODY_BYTES;
        while !body.is_end_stream() {
            match body.frame().await {
                Some(Ok(frame)) if frame.data_ref().is_none_or(|data| data.len() <= left) => {
                    match frame.into_data() {
                        Ok(data) => {
                            left -= data.len();
                            said.extend_from_slice(&data[..data.len().min(MAX_MESSAGE_BYTES)]);
                        }
                        Err(frame) => end = frame.into_trailers().unwrap_or_default(),
                    }
                }
                None => break,
                _ => {
                    connection.task.abort();
                    return self.judge(head.status, &end, &said);
                }
            }
        }
        self.give_back(connection);
        self.judge(head.status, &end, &said)
    }

    fn question(&self, is_http2: bool) -> Request<Full<Bytes>> {
        let is_grpc = self.probe.kind == ProbeKind::Grpc;
        let mut request =
            Request::new(if is_grpc { grpc::call(&self.probe.path).into() } else { Full::default() });
        let path = if is_grpc { grpc::PATH } else { &self.probe.path };
        let path = path.parse().unwrap_or_else(|_| PathAndQuery::from_static("/"));
        if is_grpc {
            *request.method_mut() = Method::POST;
            let headers = request.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        if is_http2 {
            *request.uri_mut() = absolute(self.transport.scheme(), &self.host, path).unwrap_or_default();
        } else {
            *request.uri_mut() = path.into();
            request.headers_mut().insert(header::HOST, self.host.clone());
        }
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("nearside-probe"));
        request
    }

    fn judge(&self, status: StatusCode, end: &HeaderMap, said: &[u8]) -> Answer {
        if self.probe.kind == ProbeKind::Grpc {
            return match status {
                StatusCode::OK if grpc::is_serving(end, said) => Answer::Ok,
                StatusCode::OK => Answer::No(Problem::answered("gRPC: not serving".to_owned())),
                _ => Answer::No(Problem::answered(format!("answered {}", status.as_u16()))),
            };
        }
        let is_healthy =
            self.probe.statuses.iter().any(|(low, high)| (*low..=*high).contains(&status.as_u16()));
        if is_healthy {
            Answer::Ok
        } else {
            Answer::No(Problem::answered(format!("answered {}", status.as_u16())))
        }
    }
}

impl Problem {
    /// An answer says that all is not well.
    const fn answered(what: String) -> Self {
        Self { what, how: How::Answered }
    }

    /// Nothing came in time.
    pub(super) fn silence(patience: Span) -> Self {
        let what = format!("no answer within {:.0} ms", patience.as_millis_f64());
        Self { what, how: How::Silence }
    }

    fn of(error: &ConnectError) -> Self {
        let (what, how) = match error {
            ConnectError::Unresolved | ConnectError::Timeout => ("no connection", How::Silence),
            ConnectError::Refused(error) => ("no connection", shown_by(error)),
            ConnectError::Tls(error) => ("no TLS", shown_by(error)),
            ConnectError::Http(error) => ("no HTTP", Self::broken(error).how),
            ConnectError::NoUpgrade => ("no connection", How::Answered),
        };
        Self { what: format!("{what}: {error}"), how }
    }

    fn broken(error: &hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Self { what: format!("the connection broke: {error}"), how: shown_by(error) };
            }
            cause = error.source();
        }
        Self { what: format!("the connection broke: {error}"), how: How::Refused }
    }
}

/// Whether a failure is somebody's answer, and not this machine giving up.
pub(super) fn is_answer(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    !matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable | NetworkDown)
}

fn shown_by(error: &io::Error) -> How {
    if is_answer(error) { How::Refused } else { How::Silence }
}

impl Drop for Asker {
    fn drop(&mut self) {
        for connection in self.warm.borrow_mut().drain(..) {
            connection.task.abort();
        }
    }
}
