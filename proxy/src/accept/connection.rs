//! One client connection: who is at its other end, and the life of it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{ProtocolVersion, ServerConnection};
use steer::Moment;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::preface;
use super::proxy_protocol::{self, Ends};
use super::stream::Watched;
use super::watch::{Expired, Watch};
use super::{Listening, LocalExecutor};
use crate::config::Limits;
use crate::forward;
use crate::locate::Located;
use crate::tls::ClientCertificate;
use crate::worker::Worker;

/// How long a client that is connected when this edge stops, or connects then, may take to ask.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// A client connection.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    /// Who is connected to us, or to the proxy that passes on his bytes.
    pub(crate) peer: IpAddr,
    /// Whether that is a hop whose word counts.
    pub(crate) is_trusted: bool,
    /// The peer, as origins are told.
    pub(crate) peer_field: HeaderValue,
    /// The port that the client has connected to, as origins are told.
    pub(crate) port_field: HeaderValue,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) sni: Option<String>,
    /// What the client has proved to be.
    certificate: Option<Arc<ClientCertificate>>,
    watch: Arc<Watch>,
    /// Counts as open, tunnel or not, until this is dropped.
    _open: Open,
    /// The client last located: the same for all requests unless a trusted hop speaks for many.
    located: RefCell<Option<Rc<Located>>>,
}

impl Connection {
    /// The client of a request.
    pub(crate) fn locate(&self, headers: &HeaderMap) -> Rc<Located> {
        let address =
            if self.is_trusted { self.worker.trusted_hops.client(self.peer, headers) } else { self.peer };
        if let Some(located) = self.located.borrow().as_ref().filter(|located| located.address == address) {
            return located.clone();
        }
        let located = Rc::new(self.worker.locator.locate(address));
        self.worker.shard.lookups[located.told.index()].one();
        *self.located.borrow_mut() = Some(located.clone());
        located
    }

    /// Waits until this edge stops. Who has not asked yet, or is just asking, gets a moment more: his answer ends the
    /// connection.
    async fn may_close(&self) {
        self.worker.stopping.begun().await;
        if self.watch.in_head() {
            tokio::time::sleep(LAST_REQUEST).await;
        }
    }

    /// A request that knows who its client has proved to be.
    fn identified(&self, mut request: Request<Incoming>) -> Request<Incoming> {
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        request
    }

    /// A request began.
    pub(crate) fn began(&self) {
        self.watch.began();
    }

    /// A request ended.
    pub(crate) fn ended(&self, now: Moment) {
        self.watch.ended(now);
    }
}

/// Serves a connection to its end.
pub(super) async fn run(
    worker: Rc<Worker>,
    mut stream: TcpStream,
    peer: SocketAddr,
    listening: Rc<Listening>,
    permit: OwnedSemaphorePermit,
) {
    let open = Open::new(&worker, permit);
    let mut ends = Ends::direct(peer, listening.port);
    if listening.expects_proxy_header(peer.ip()) {
        match timeout(worker.settings.limits.header_timeout, proxy_protocol::read(&mut stream)).await {
            Ok(Ok(told)) => ends = told.unwrap_or(ends),
            refused => {
                worker.shard.proxy_headers_refused.one();
                tracing::debug!(%peer, ?refused, "PROXY header refused");
                return;
            }
        }
    }
    match &listening.tls {
        // Boxed, or a plain connection would take the room of a handshake.
        Some(tls) => Box::pin(encrypted(stream, tls.acceptor(), open, ends)).await,
        None => plain(stream, listening.http2_prior_knowledge, open, ends).await,
    }
}

async fn encrypted(stream: TcpStream, acceptor: TlsAcceptor, open: Open, ends: Ends) {
    let patience = open.worker.settings.limits.header_timeout;
    let Ok(Ok(stream)) = timeout(patience, acceptor.accept(stream)).await else {
        open.worker.shard.handshakes_failed.one();
        return;
    };
    let (_, session) = stream.get_ref();
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let connection = connect(open, ends, Some(session), !is_http2);
    serve(stream, connection, is_http2).await;
}

async fn plain(stream: TcpStream, may_be_http2: bool, open: Open, ends: Ends) {
    let mut is_http2 = false;
    if may_be_http2 {
        let patience = open.worker.settings.limits.header_timeout;
        let Ok(Ok(found)) = timeout(patience, preface::is_http2(&stream)).await else { return };
        is_http2 = found;
    }
    let connection = connect(open, ends, None, !is_http2);
    serve(stream, connection, is_http2).await;
}

/// Speaks HTTP. What that takes is allocated for the version spoken, or every connection would pay for the dearer one.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    connection: Rc<Connection>,
    is_http2: bool,
) {
    if is_http2 {
        Box::pin(http2(stream, connection)).await;
    } else {
        Box::pin(http1(stream, connection)).await;
    }
}

fn connect(open: Open, ends: Ends, session: Option<&ServerConnection>, is_http1: bool) -> Rc<Connection> {
    let worker = open.worker.clone();
    let peer = ends.client.to_canonical();
    let version = |session: &ServerConnection| match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    Rc::new(Connection {
        peer,
        is_trusted: worker.trusted_hops.contains(peer),
        peer_field: HeaderValue::from_str(&peer.to_string()).expect("an address is a header value"),
        port_field: HeaderValue::from(ends.port),
        tls_version: session.map(version),
        sni: session.and_then(|session| session.server_name().map(str::to_owned)),
        certificate: session.and_then(ClientCertificate::of),
        watch: Arc::new(Watch::new(worker.clock, is_http1)),
        worker,
        _open: open,
        located: RefCell::default(),
    })
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, connection: Rc<Connection>) {
    let io = TokioIo::new(Watched::new(stream, connection.watch.clone()));
    let owner = connection.clone();
    let service = service_fn(move |request| {
        let connection = connection.clone();
        // hyper keeps room for this as long as the connection is open; an idle one should hold no more than a pointer.
        Box::pin(async move {
            let mut response = forward::serve(connection.clone(), connection.identified(request)).await?;
            // The client's next request should go where somebody will be. Told with an answer, it cannot be under way already.
            let is_leaving = connection.worker.stopping.is_leaving();
            if is_leaving && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        })
    });
    let limits = &owner.worker.settings.limits;
    let serving = http1::Builder::new()
        // The watch ends slow heads; hyper's own timer would be set anew with each head.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_headers_unless_default(limits.headers)
        .half_close(false)
        .serve_connection(io, service)
        .with_upgrades();
    let serving = std::pin::pin!(serving);
    drive(&owner, serving, |serving| serving.graceful_shutdown()).await;
}

async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, connection: Rc<Connection>) {
    let io = TokioIo::new(Watched::new(stream, connection.watch.clone()));
    let owner = connection.clone();
    // A stream's future is moved from hand to hand before it runs; a pointer is lighter.
    let service = service_fn(move |request| {
        Box::pin(forward::serve(connection.clone(), connection.identified(request)))
    });
    let Limits { http2_streams, http2_resets, header_bytes, stream_idle_timeout, .. } =
        owner.worker.settings.limits;
    let serving = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2_streams)
        .max_pending_accept_reset_streams(http2_resets)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(stream_idle_timeout / 4)
        .keep_alive_timeout(stream_idle_timeout / 4)
        .serve_connection(io, service);
    let serving = std::pin::pin!(serving);
    drive(&owner, serving, |serving| serving.graceful_shutdown()).await;
}

/// Runs a connection until it ends, its patience does, or this edge stops.
async fn drive<C: Future>(owner: &Connection, mut serving: Pin<&mut C>, shut_down: impl Fn(Pin<&mut C>)) {
    let limits = &owner.worker.settings.limits;
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            _ = serving.as_mut() => return,
            () = owner.may_close(), if !is_closing => {}
            expired = owner.watch.expired(limits) => {
                if expired == Expired::Slow || is_closing {
                    return;
                }
            }
        }
        // Running requests may finish; a connection that stays open after that is ended when its patience is used up again.
        is_closing = true;
        shut_down(serving.as_mut());
    }
}

/// Counts a connection as open until it is dropped.
struct Open {
    worker: Rc<Worker>,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(worker: &Rc<Worker>, permit: OwnedSemaphorePermit) -> Self {
        worker.shard.connections_total.one();
        worker.shard.connections.one();
        Self { worker: worker.clone(), _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.shard.connections.less();
    }
}

/// hyper keeps up to 100 header fields on the stack and allocates for any other limit.
trait MaxHeaders {
    fn max_headers_unless_default(&mut self, headers: usize) -> &mut Self;
}

const HYPER_MAX_HEADERS: usize = 100;

impl MaxHeaders for http1::Builder {
    fn max_headers_unless_default(&mut self, headers: usize) -> &mut Self {
        if headers != HYPER_MAX_HEADERS {
            self.max_headers(headers);
        }
        self
    }
}
