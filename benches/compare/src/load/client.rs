//! A client's connection, and a request over it that is right or has failed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Aim, PATIENCE};
use crate::listen::LocalExecutor;
use crate::{Fault, answers};

/// The host that all ask for, and the name in the certificate.
const HOST: &str = "localhost";

/// Where the clients say they come from, as a load balancer in front would say it. All contestants get this field; those
/// who look up places have something to look up.
const ORIGINS_OF_CLIENTS: [&str; 8] = [
    "81.2.69.142",
    "8.8.8.8",
    "1.21.0.1",
    "200.147.3.157",
    "41.242.116.1",
    "49.44.64.1",
    "139.130.4.5",
    "5.44.16.1",
];

/// Who is asked, and how.
#[derive(Clone)]
pub(super) struct Target {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

pub(super) type Http1 = http1::SendRequest<Full<Bytes>>;

impl Target {
    pub(super) fn of(aim: &Aim) -> Result<Self, Fault> {
        Self::new(aim.address, aim.certificate.as_deref(), b"http/1.1")
    }

    /// Without a certificate, plain.
    pub(super) fn new(address: SocketAddr, certificate: Option<&Path>, alpn: &[u8]) -> Result<Self, Fault> {
        let tls = match certificate {
            Some(file) => Some(TlsConnector::from(tls(file, alpn)?)),
            None => None,
        };
        Ok(Self { address, tls })
    }

    /// A new connection for HTTP/1.1.
    pub(super) async fn open(&self) -> Result<Http1, Fault> {
        timeout(PATIENCE, self.open_patiently()).await?
    }

    async fn open_patiently(&self) -> Result<Http1, Fault> {
        let stream = self.stream().await?;
        let Some(tls) = &self.tls else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::task::spawn_local(connection);
            return Ok(sender);
        };
        let stream = tls.connect(ServerName::try_from(HOST)?, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }

    /// A new connection for HTTP/2, which needs TLS.
    pub(super) async fn open_http2(&self) -> Result<http2::SendRequest<Full<Bytes>>, Fault> {
        let tls = self.tls.as_ref().ok_or("HTTP/2 is only asked over TLS")?;
        let stream = tls.connect(ServerName::try_from(HOST)?, self.stream().await?).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("HTTP/2 was not chosen".into());
        }
        let (sender, connection) = http2::handshake(LocalExecutor, TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }

    async fn stream(&self) -> Result<TcpStream, Fault> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// TLS without resumption and with X25519 alone: every handshake is a full one, and of the same kind for everybody,
/// whether or not he knows the post-quantum groups.
fn tls(certificate: &Path, alpn: &[u8]) -> Result<Arc<ClientConfig>, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A request by the client with this number.
pub(super) fn request(method: Method, path: &str, body: Bytes, client: usize) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("the paths here are paths");
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static(HOST));
    let from = ORIGINS_OF_CLIENTS[client % ORIGINS_OF_CLIENTS.len()];
    headers.insert("x-forwarded-for", HeaderValue::from_static(from));
    request
}

/// The same for HTTP/2, where the host stands in the URI.
pub(super) fn request_http2(method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = request(method, path, body, 0);
    request.headers_mut().remove(header::HOST);
    *request.uri_mut() = format!("https://{HOST}{path}").parse().expect("the paths here are paths");
    *request.version_mut() = Version::HTTP_2;
    request
}

/// A small answer over a kept connection.
pub(super) async fn ask_small(sender: &mut Http1, client: usize) -> Result<(), Fault> {
    let request = request(Method::GET, answers::SMALL_PATH, Bytes::new(), client);
    ask(sender, request, answers::SMALL_BYTES).await
}

/// A request whose answer must be 200 with so many bytes.
pub(super) async fn ask(
    sender: &mut Http1,
    request: Request<Full<Bytes>>,
    expected: usize,
) -> Result<(), Fault> {
    let asked = async {
        sender.ready().await?;
        let bytes = read(sender.send_request(request).await?).await?;
        if bytes == expected { Ok(()) } else { Err(format!("{bytes} bytes instead of {expected}").into()) }
    };
    timeout(PATIENCE, asked).await?
}

async fn read(response: Response<Incoming>) -> Result<usize, Fault> {
    if response.status() != 200 {
        return Err(format!("status {}", response.status()).into());
    }
    let (mut body, mut bytes) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(bytes)
}
