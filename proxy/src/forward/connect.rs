//! A new connection to an origin: TCP, TLS if the pool wants it, HTTP/1.1.
//!
//! Every step has the time that the path suggests, not the kernel's: Linux waits a second before it repeats a lost SYN. A
//! name may have several addresses; they are tried in turn.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::origin::{Conn, Origin, Transport};

/// The largest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 256 << 10;

/// The times that a path suggests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathTimes {
    /// To connect, and again to shake hands.
    pub(crate) connect: Duration,
    /// For sent bytes to be acknowledged.
    pub(crate) user_timeout: Duration,
}

impl PathTimes {
    /// From the latency of the region: connect in 2L + 50 ms, 100 ms to 1 s; acknowledge in 4L + 200 ms, 0.5 to 3 s. What is
    /// not known counts as far.
    pub(crate) fn of(latency_ms: Option<f64>) -> Self {
        let latency = latency_ms.unwrap_or(500.0);
        let millis = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        Self {
            connect: millis((2.0 * latency + 50.0).clamp(100.0, 1000.0)),
            user_timeout: millis((4.0 * latency + 200.0).clamp(500.0, 3000.0)),
        }
    }
}

/// Why no connection could be made.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The name has no address yet.
    Unresolved,
    /// Refused, reset, or no route.
    Refused(io::Error),
    /// No answer in time.
    Timeout,
    /// The certificate or the handshake is not acceptable.
    Tls(io::Error),
    /// HTTP could not be started.
    Http(hyper::Error),
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unresolved => f.write_str("its name has no address yet"),
            Self::Refused(error) | Self::Tls(error) => error.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Http(error) => error.fmt(f),
        }
    }
}

/// Connects to an origin and starts HTTP on the connection.
pub(crate) async fn connect(origin: &Rc<Origin>, times: PathTimes) -> Result<Conn, ConnectError> {
    let addresses = origin.vitals.addresses.load_full();
    let stream = connect_to(&addresses, times).await?;
    start(origin, stream, times).await
}

/// Opens a TCP connection to the first of an origin's addresses that takes it.
pub(crate) async fn connect_to(
    addresses: &[SocketAddr],
    times: PathTimes,
) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Unresolved;
    for address in addresses {
        match connect_to_one(*address, times).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to_one(address: SocketAddr, times: PathTimes) -> Result<TcpStream, ConnectError> {
    let stream = match timeout_at(Instant::now() + times.connect, TcpStream::connect(address)).await {
        Err(_) => return Err(ConnectError::Timeout),
        Ok(Err(error)) => return Err(ConnectError::Refused(error)),
        Ok(Ok(stream)) => stream,
    };
    let socket = socket2::SockRef::from(&stream);
    // Both only make failures show sooner; a system that knows neither is served all the same.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(times.user_timeout));
    Ok(stream)
}

async fn start(origin: &Rc<Origin>, stream: TcpStream, times: PathTimes) -> Result<Conn, ConnectError> {
    let written = Arc::new(AtomicU64::new(0));
    let counted = Counted { stream, written: written.clone() };
    match &origin.transport {
        Transport::Plain => start_http(origin, counted, written).await,
        Transport::Tls { config, name } => {
            let handshake = TlsConnector::from(config.clone()).connect(name.clone(), counted.stream);
            let tls = match timeout_at(Instant::now() + times.connect * 2, handshake).await {
                Err(_) => return Err(ConnectError::Timeout),
                Ok(Err(error)) => return Err(ConnectError::Tls(error)),
                Ok(Ok(tls)) => tls,
            };
            // Counted above TLS: the handshake's bytes are no part of a request.
            start_http(origin, Counted { stream: tls, written: written.clone() }, written).await
        }
    }
}

async fn start_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    origin: &Rc<Origin>,
    stream: Counted<S>,
    written: Arc<AtomicU64>,
) -> Result<Conn, ConnectError> {
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_header_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ConnectError::Http)?;
    let task = tokio::task::spawn_local(async move {
        // Whoever waits for an answer learns of the error there.
        let _ = connection.with_upgrades().await;
    });
    Ok(origin.opened(sender, task.abort_handle(), written))
}

/// A stream that counts what is written: an unchanged count proves that nothing was sent.
struct Counted<S> {
    stream: S,
    written: Arc<AtomicU64>,
}

impl<S: Unpin> Counted<S> {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut S> {
        Pin::new(&mut self.get_mut().stream)
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            // One task writes; the other side only compares.
            self.written.store(self.written.load(Relaxed) + *bytes as u64, Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.as_mut().stream().poll_write(cx, bytes);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().stream().poll_write_vectored(cx, slices);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_path_within_bounds() {
        let connect = |ms| PathTimes::of(ms).connect.as_millis();
        assert_eq!(
            [connect(Some(1.0)), connect(Some(80.0)), connect(Some(900.0)), connect(None)],
            [100, 210, 1000, 1000]
        );
        assert_eq!(PathTimes::of(Some(80.0)).user_timeout.as_millis(), 520);
    }
}
