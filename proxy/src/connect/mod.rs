//! A new connection to an origin: TCP to one of its addresses, TLS if the pool wants it, then HTTP/2 or HTTP/1.1.
//!
//! Requests and probes connect in the same way, so that a probe's success says what a request will find. Every step has the
//! time that the path suggests, not the kernel's: Linux waits a second before it repeats a lost SYN.

mod race;
mod sender;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Buf;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use http_body::Body;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use steer::spec::Protocol;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub(crate) use race::connect_to;
pub(crate) use sender::Sender;
use stream::OriginStream;

/// The names by which TLS agrees on HTTP/2 and HTTP/1.1 (RFC 7301).
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// How an origin is spoken to.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) protocol: Protocol,
    /// `None` is plain.
    pub(crate) tls: Option<OriginTls>,
}

/// TLS towards an origin.
#[derive(Clone)]
pub(crate) struct OriginTls {
    /// Whom to trust. What to speak is added for each connection.
    pub(crate) config: Arc<ClientConfig>,
    /// The name asked for and verified.
    pub(crate) name: ServerName<'static>,
}

impl Transport {
    /// Whether both speak in the same way, with the same trust.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(&a.config, &b.config) && a.name == b.name,
            _ => false,
        };
        self.protocol == other.protocol && same_tls
    }

    /// Whether requests share connections, as far as that is known before one is made.
    pub(crate) fn may_share(&self) -> bool {
        match self.protocol {
            Protocol::Auto => self.tls.is_some(),
            Protocol::Http1 => false,
            Protocol::Http2 => true,
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }
}

/// The target of a request as HTTP/2 wants it: with scheme and authority, in place of a `Host`.
pub(crate) fn absolute(scheme: Scheme, host: &HeaderValue, path: PathAndQuery) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Requests and answers.
    Requests,
    /// A switch of protocols, which only HTTP/1.1 knows in this form.
    Upgrade,
}

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
    /// The pool speaks HTTP/2 alone, which cannot switch to another protocol.
    NoUpgrade,
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unresolved => f.write_str("its name has no address yet"),
            Self::Refused(error) | Self::Tls(error) => error.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Http(error) => error.fmt(f),
            Self::NoUpgrade => f.write_str("the pool speaks HTTP/2 alone, which cannot be upgraded"),
        }
    }
}

/// A connection on which HTTP has been started.
pub(crate) struct Opened<B> {
    pub(crate) sender: Sender<B>,
    /// What carries the connection.
    pub(crate) task: AbortHandle,
    /// Bytes of HTTP written so far: an unchanged count proves that nothing was sent.
    pub(crate) written: Arc<AtomicU64>,
}

/// Connects to one of an origin's addresses and starts HTTP.
pub(crate) async fn open<B>(
    addresses: &[SocketAddr],
    transport: &Transport,
    purpose: Purpose,
    times: PathTimes,
) -> Result<Opened<B>, ConnectError>
where
    B: Body + Unpin + 'static,
    B::Data: Buf + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let offered = offer(transport, purpose)?;
    let stream = connect_to(addresses, times).await?;
    let written = Arc::new(AtomicU64::new(0));
    let (stream, is_http2) = match &transport.tls {
        None => (OriginStream::plain(stream, written.clone()), offered == [HTTP_2]),
        Some(OriginTls { config, name }) => {
            let mut config = ClientConfig::clone(config);
            config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
            let handshake = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream);
            let tls = match timeout(times.connect * 2, handshake).await {
                Err(_) => return Err(ConnectError::Timeout),
                Ok(Err(error)) => return Err(ConnectError::Tls(error)),
                Ok(Ok(tls)) => tls,
            };
            let agreed = tls.get_ref().1.alpn_protocol();
            // An origin that names nothing speaks what the pool says.
            let is_http2 = agreed.map_or(offered == [HTTP_2], |protocol| protocol == HTTP_2);
            (OriginStream::tls(tls, written.clone()), is_http2)
        }
    };
    let (sender, task) = Sender::start(stream, is_http2).await.map_err(ConnectError::Http)?;
    Ok(Opened { sender, task, written })
}

fn offer(transport: &Transport, purpose: Purpose) -> Result<&'static [&'static [u8]], ConnectError> {
    Ok(match (transport.protocol, purpose) {
        (Protocol::Auto | Protocol::Http1, Purpose::Upgrade) | (Protocol::Http1, _) => &[HTTP_1],
        (Protocol::Auto, _) if transport.tls.is_none() => &[HTTP_1],
        (Protocol::Auto, _) => &[HTTP_2, HTTP_1],
        (Protocol::Http2, Purpose::Upgrade) => return Err(ConnectError::NoUpgrade),
        (Protocol::Http2, _) => &[HTTP_2],
    })
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
