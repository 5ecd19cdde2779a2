//! The yardstick: what forwarding costs with nearside's crates and nearside's threads when nothing else is done.
//!
//! Per worker a thread, a runtime, sockets of its own (`SO_REUSEPORT`) and a pool of kept-alive connections to one origin,
//! the most recently used first. No decision, health, limits, timeouts, header rules, counters or log: of all fields, only
//! `Connection` is not passed on. What another proxy costs beyond this is what it does; what it costs below this is what
//! hyper could learn.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::Fault;
use crate::listen::{self, LocalExecutor};

/// Unused connections that a worker keeps, as in nearside.
const MAX_IDLE: usize = 256;
/// Streams at once in an HTTP/2 connection, as in nearside.
const HTTP2_STREAMS: u32 = 100;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where to listen for plain HTTP/1.1
    #[arg(long)]
    plain: SocketAddr,
    /// Where to listen for TLS, with HTTP/2 and HTTP/1.1
    #[arg(long)]
    tls: SocketAddr,
    /// Certificate chain, PEM
    #[arg(long)]
    certificate: PathBuf,
    /// Private key, PEM
    #[arg(long)]
    key: PathBuf,
    /// Where every request goes
    #[arg(long)]
    origin: SocketAddr,
    /// Threads
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// Forwards until the process is ended.
pub(crate) fn run(options: &Options) -> Result<(), Fault> {
    let acceptor = TlsAcceptor::from(tls(&options.certificate, &options.key)?);
    let mut threads = Vec::new();
    for _ in 0..options.workers {
        let sockets =
            [(listen::bind(options.plain)?, None), (listen::bind(options.tls)?, Some(acceptor.clone()))];
        let origin = options.origin;
        threads.push(std::thread::spawn(move || worker(sockets, origin)));
    }
    for thread in threads {
        match thread.join() {
            Ok(ended) => ended?,
            Err(_) => return Err("a worker panicked".into()),
        }
    }
    Ok(())
}

/// The listener's configuration, as nearside's.
fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, Fault> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

fn worker(
    sockets: [(std::net::TcpListener, Option<TlsAcceptor>); 2],
    origin: SocketAddr,
) -> std::io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let pool = Rc::new(Pool { origin, idle: RefCell::default() });
    runtime.block_on(async move {
        for (socket, tls) in sockets {
            let (listener, pool) = (tokio::net::TcpListener::from_std(socket)?, pool.clone());
            tokio::task::spawn_local(listen::accept(listener, move |stream| {
                tokio::task::spawn_local(serve(stream, tls.clone(), pool.clone()));
            }));
        }
        std::future::pending().await
    })
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, pool: Rc<Pool>) {
    let Some(acceptor) = tls else { return serve_http1(stream, pool).await };
    let Ok(stream) = acceptor.accept(stream).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(stream, pool).await;
    } else {
        serve_http1(stream, pool).await;
    }
}

async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S, pool: Rc<Pool>) {
    let service = service_fn(move |request| forward(pool.clone(), request));
    let serving = http1::Builder::new()
        .header_read_timeout(None)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    // Clients leave as they like.
    let _ = serving.await;
}

async fn serve_http2<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S, pool: Rc<Pool>) {
    let service = service_fn(move |request| forward(pool.clone(), request));
    let serving = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .serve_connection(TokioIo::new(stream), service);
    let _ = serving.await;
}

async fn forward(pool: Rc<Pool>, mut request: Request<Incoming>) -> Result<Response<Passed>, Infallible> {
    if request.version() == Version::HTTP_2 {
        let host = request.uri().authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
        if let Some(host) = host {
            request.headers_mut().insert(header::HOST, host);
        }
        *request.version_mut() = Version::HTTP_11;
    }
    // It speaks of the client's connection; passed on, it would close the origin's.
    request.headers_mut().remove(header::CONNECTION);
    *request.uri_mut() = request.uri().path_and_query().cloned().map(Into::into).unwrap_or_default();
    Ok(answered(pool, request).await.unwrap_or_else(|| {
        let mut response = Response::new(Passed { body: None, lease: None });
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

async fn answered(pool: Rc<Pool>, request: Request<Incoming>) -> Option<Response<Passed>> {
    let mut sender = pool.take().await?;
    let mut response = sender.send_request(request).await.ok()?;
    response.headers_mut().remove(header::CONNECTION);
    Some(response.map(|body| {
        let mut passed = Passed { body: Some(body), lease: Some((pool, sender)) };
        passed.finish_if_over();
        passed
    }))
}

/// The connections to the origin that carry nothing.
struct Pool {
    origin: SocketAddr,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl Pool {
    async fn take(&self) -> Option<SendRequest<Incoming>> {
        if let Some(sender) = self.ready() {
            return Some(sender);
        }
        let stream = TcpStream::connect(self.origin).await.ok()?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::task::spawn_local(connection);
        Some(sender)
    }

    /// The most recently used one that has heard of its last answer's end.
    fn ready(&self) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|sender| !sender.is_closed());
        let index = idle.iter().rposition(SendRequest::is_ready)?;
        Some(idle.remove(index))
    }

    fn give_back(&self, sender: SendRequest<Incoming>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }
}

/// An answer's body on its way; at its end, the connection returns to the pool.
struct Passed {
    body: Option<Incoming>,
    lease: Option<(Rc<Pool>, SendRequest<Incoming>)>,
}

impl Passed {
    fn finish_if_over(&mut self) {
        if self.body.as_ref().is_some_and(Body::is_end_stream) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some((pool, sender)) = self.lease.take() {
            pool.give_back(sender);
        }
    }
}

impl Body for Passed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Ok(_))) => self.finish_if_over(),
            // Broken: the connection is dropped with this body.
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
