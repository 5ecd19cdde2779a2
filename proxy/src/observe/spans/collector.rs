//! The collector that spans are sent to, over OTLP/HTTP: one connection, kept while it lasts.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hickory_resolver::TokioResolver;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// For one message: connecting, sending, answering.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The way to a collector.
pub(super) struct Collector {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    path: String,
    authority: HeaderValue,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// Another time it may be.
    ForNow(String),
    /// It never will be.
    Refused(StatusCode),
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ForNow(why) => f.write_str(why),
            Self::Refused(status) => write!(f, "it answered {status}"),
        }
    }
}

impl Collector {
    /// A collector at `endpoint`, which was checked. `tls` is used if its scheme is https.
    pub(super) fn new(
        endpoint: &Uri,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
    ) -> Result<Self, String> {
        let is_tls = endpoint.scheme_str() == Some("https");
        let host = endpoint.host().unwrap_or_default();
        let authority = endpoint.authority().map_or("", http::uri::Authority::as_str);
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: endpoint.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            tls: if is_tls { Some(tls()?) } else { None },
            path: format!("{}/v1/traces", endpoint.path().trim_end_matches('/')),
            authority: HeaderValue::from_str(authority).map_err(|error| error.to_string())?,
            connection: None,
        })
    }

    /// Sends a message; the answer's body.
    pub(super) async fn send(&mut self, message: Bytes) -> Result<Bytes, NotTaken> {
        match timeout(TIMEOUT, self.exchange(message)).await {
            Ok(result) => result,
            Err(_) => {
                self.connection = None;
                Err(NotTaken::ForNow("it did not answer in time".to_owned()))
            }
        }
    }

    async fn exchange(&mut self, message: Bytes) -> Result<Bytes, NotTaken> {
        let for_now = |error: &dyn std::fmt::Display| NotTaken::ForNow(error.to_string());
        let kept = match self.connection.take() {
            Some(mut kept) => kept.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connect().await.map_err(|error| for_now(&error))?,
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::USER_AGENT, concat!("nearside/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(message))
            .map_err(|error| for_now(&error))?;
        let answer = connection.send_request(request).await.map_err(|error| for_now(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| for_now(&error))?.to_bytes();
        self.connection = Some(connection);
        match status {
            _ if status.is_success() => Ok(body),
            // The ones that OTLP calls worth another try.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(NotTaken::ForNow(format!("it answered {status}"))),
            _ => Err(NotTaken::Refused(status)),
        }
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in self.addresses().await? {
            match TcpStream::connect((address, self.port)).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let Some(config) = &self.tls else { return start(stream).await };
                    let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                    return start(TlsConnector::from(config.clone()).connect(name, stream).await?).await;
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asked anew for each connection: collectors move.
    async fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = self.host.parse() {
            return Ok(vec![address]);
        }
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        let found = resolver.map_err(io::Error::other)?.lookup_ip(self.host.as_str()).await;
        Ok(found.map_err(io::Error::other)?.iter().collect())
    }
}

async fn start<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}
