//! Where operators connect: the admin API's listener, its TLS, and what strangers cannot use up.
//!
//! Not `axum::serve`: it waits for ever for a head that is never finished, takes any number of connections, and knows no TLS.
//! Here a handshake, a head and a body must come within a time, heads have a size, and connections are counted, altogether and
//! per address. Each carries one request at a time (HTTP/1.1), so no more requests run than there are connections. A connection
//! without a request is closed after the same time as one with half a head: whoever calls often pays a handshake for it, and
//! nobody keeps others out by doing nothing. Streams of events have no end; a reader who does not read is cut off by the kernel.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use control::access::{ClientNames, Network, Peer};
use control::admin::Counts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};

use crate::tls::{ListenerTls, operator_names};

/// What one connection, one address, and all together may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// For a handshake, and for a head.
    head: Duration,
    /// For a body: the largest table over a slow line.
    body: Duration,
    /// For an answer that its reader does not read, and for a peer that is gone without a word.
    unread: Duration,
    /// Of a head. `explain` carries a request's header fields in its query.
    head_bytes: usize,
    connections: usize,
    /// Of one address. Half of all are left for others.
    per_address: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(60),
            unread: Duration::from_secs(60),
            head_bytes: 32 << 10,
            connections: 256,
            per_address: 128,
        }
    }
}

/// How long to wait when the system has no file or memory left for another connection.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(50);

/// The listener of the admin API.
pub(super) struct Operators {
    pub(super) listener: StdListener,
    pub(super) tls: Option<Arc<ListenerTls>>,
    pub(super) router: Router,
    pub(super) counts: Arc<Counts>,
    pub(super) bounds: Bounds,
}

/// Connections per address.
type Connected = Arc<Mutex<BTreeMap<Network, usize>>>;

impl Operators {
    /// Serves operators for as long as somebody waits for it.
    pub(super) async fn serve(self) -> io::Result<Infallible> {
        let bounds = self.bounds;
        let listener = TcpListener::from_std(self.listener)?;
        let room = Arc::new(Semaphore::new(bounds.connections));
        let connected = Connected::default();
        let service = TowerToHyperService::new(self.router);
        loop {
            // Whoever finds no room waits in the kernel's queue.
            let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if error.kind() != io::ErrorKind::ConnectionAborted {
                        tracing::warn!(%error, "no operator can be accepted; trying again");
                        sleep(OUT_OF_RESOURCES).await;
                    }
                    continue;
                }
            };
            let Some(counted) = Counted::new(&connected, peer, bounds.per_address) else {
                tracing::debug!(%peer, "too many connections to the admin API from this address");
                continue;
            };
            let (tls, service, counts) = (self.tls.clone(), service.clone(), self.counts.clone());
            tokio::spawn(async move {
                let _held = (permit, counted);
                run(stream, peer, tls.as_deref(), service, &counts, bounds).await;
            });
        }
    }
}

async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<&ListenerTls>,
    service: TowerToHyperService<Router>,
    counts: &Counts,
    bounds: Bounds,
) {
    if let Err(error) = bound(&stream, bounds.unread) {
        tracing::debug!(%peer, %error, "a connection to the admin API has no bounds in the kernel");
    }
    let Some(tls) = tls else { return http(stream, peer, None, service, bounds).await };
    let (acceptor, authorities) = tls.operators_acceptor();
    match timeout(bounds.head, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificate = operator_names(stream.get_ref().1, authorities);
            http(stream, peer, certificate, service, bounds).await;
        }
        Ok(Err(error)) => {
            counts.handshake_failed();
            tracing::debug!(%peer, %error, "a handshake with the admin API failed");
        }
        Err(_) => counts.handshake_failed(),
    }
}

/// What only the kernel sees: answers that nobody takes, peers that are gone.
fn bound(stream: &TcpStream, unread: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(unread))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(unread).with_interval(unread / 4))
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    certificate: Option<ClientNames>,
    service: TowerToHyperService<Router>,
    bounds: Bounds,
) {
    let peer = Peer { address: peer.ip().to_canonical(), certificate };
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Timed { body, due: Box::pin(sleep(bounds.body)) }));
        request.extensions_mut().insert(peer.clone());
        service.call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_header_size(bounds.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection to the admin API broke");
    }
}

/// A connection of an address, until it is dropped.
struct Counted {
    connected: Connected,
    network: Network,
}

impl Counted {
    fn new(connected: &Connected, peer: SocketAddr, most: usize) -> Option<Self> {
        let network = Network::of(peer.ip());
        let mut counts = connected.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Self { connected: connected.clone(), network })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

/// A body that must be over in time.
struct Timed {
    body: Incoming,
    due: Pin<Box<Sleep>>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.due.as_mut().poll(context));
        let late = io::Error::new(io::ErrorKind::TimedOut, "the body did not come in time");
        Poll::Ready(Some(Err(late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
