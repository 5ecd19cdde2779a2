//! One question to one origin.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use control::vitals::OriginVitals;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use steer::spec::ProbeKind;
use steer::table::Probe;
use tokio::task::AbortHandle;

use super::grpc;
use crate::connect::{Opened, PathTimes, Purpose, Sender, Transport, absolute, connect_to, open};

/// The most of an answer's body that is read to keep the connection; a longer one costs the connection.
const MAX_BODY_BYTES: usize = 64 << 10;
/// What is read of a message; the one that is understood is shorter.
const MAX_MESSAGE_BYTES: usize = 64;
/// Connections kept warm for one origin.
const MAX_WARM: usize = 4;

/// Someone to ask, and how.
pub(super) struct Asker {
    pub(super) origin: Arc<OriginVitals>,
    probe: Probe,
    transport: Transport,
    host: HeaderValue,
    warm: RefCell<VecDeque<Warm>>,
    opened: std::cell::Cell<u64>,
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
    No,
}

/// What came back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// A healthy answer.
    Ok,
    /// An answer that says it is not well.
    Bad(StatusCode),
    /// A gRPC server that does not serve, or not the service asked about.
    NotServing,
    /// Nothing: refused, reset, or not HTTP.
    Nothing,
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
            opened: std::cell::Cell::new(0),
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

    /// A new number for a connection that is about to be opened.
    pub(super) fn number(&self) -> u64 {
        self.opened.set(self.opened.get() + 1);
        self.opened.get()
    }

    /// Opens a new connection. For a TCP probe that is the whole question.
    pub(super) async fn connect(&self, number: u64) -> Connected {
        let addresses = self.origin.addresses.load_full();
        let times = PathTimes::of(None);
        if self.probe.kind == ProbeKind::Tcp {
            let connected = connect_to(&addresses, times).await;
            return if connected.is_ok() { Connected::Reachable } else { Connected::No };
        }
        match open(&addresses, &self.transport, Purpose::Requests, times).await {
            Ok(Opened { sender, task, .. }) => Connected::Ready(Warm { sender, task, number }),
            Err(_) => Connected::No,
        }
    }

    /// Asks over a connection, and keeps it if it can be used again.
    pub(super) async fn ask(&self, mut connection: Warm) -> Answer {
        if connection.sender.ready().await.is_err() {
            return Answer::Nothing;
        }
        let request = self.question(connection.sender.is_http2());
        let Ok(response) = connection.sender.try_send(request).await else {
            connection.task.abort();
            return Answer::Nothing;
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
        let mut warm = self.warm.borrow_mut();
        if warm.len() < MAX_WARM {
            warm.push_back(connection);
        } else {
            connection.task.abort();
        }
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
                StatusCode::OK => Answer::NotServing,
                _ => Answer::Bad(status),
            };
        }
        let is_healthy =
            self.probe.statuses.iter().any(|(low, high)| (*low..=*high).contains(&status.as_u16()));
        if is_healthy { Answer::Ok } else { Answer::Bad(status) }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        for connection in self.warm.borrow_mut().drain(..) {
            connection.task.abort();
        }
    }
}
