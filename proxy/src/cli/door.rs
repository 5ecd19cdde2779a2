//! The way to an edge's admin API: plain to loopback, and by TLS to wherever.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use http::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::AdminArgs;
use crate::config::AdminListener;
use crate::tls::{Trust, config_towards_edge};

/// Bytes to and from an edge.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where to knock, and how.
#[derive(Debug)]
pub(super) struct Door {
    /// Host and port, as the request says them.
    pub(super) host: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Door {
    /// The one that the arguments mean, or else the configuration; why not, in words.
    pub(super) fn find(args: &AdminArgs, configured: Option<&AdminListener>) -> Result<Self, String> {
        let pinned = configured.filter(|_| args.admin.is_none()).and_then(|admin| admin.tls.as_ref());
        let written = match (&args.admin, configured) {
            (Some(written), _) => written.clone(),
            (None, Some(admin)) => reachable(admin.address).to_string(),
            (None, None) => {
                return Err("no admin address is known; for example: --admin 127.0.0.1:9180".to_owned());
            }
        };
        let is_secured = pinned.is_some() || args.ca.is_some() || args.cert.is_some();
        let scheme = if is_secured { "https" } else { "http" };
        let url = if written.contains("://") { written.clone() } else { format!("{scheme}://{written}") };
        let wrong = |problem: &str| {
            format!(
                "--admin {written:?} {problem}; for example: 127.0.0.1:9180 or https://edge1.ops.example:9180"
            )
        };
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| wrong("is no address"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("is no address"));
        };
        if uri.path() != "/" && !uri.path().is_empty() {
            return Err(wrong("has a path"));
        }
        let name = authority.host();
        let usual = match scheme {
            "https" => 443,
            "http" if is_secured => return Err(wrong("speaks no TLS, and --ca and --cert are for TLS")),
            "http" if is_loopback(name) => 80,
            "http" => return Err(wrong("would show the token to whoever listens in: use https, or ssh -L")),
            _ => return Err(wrong("is neither http nor https")),
        };
        let host = format!("{name}:{}", authority.port_u16().unwrap_or(usual));
        if scheme == "http" {
            return Ok(Self { host, tls: None });
        }
        let trust = match (&args.ca, pinned) {
            (Some(file), _) => Trust::Authorities(file),
            (None, Some(tls)) => Trust::Exactly(&tls.certificates[0].0),
            (None, None) => Trust::System,
        };
        let certificate = args.cert.as_deref().zip(args.key.as_deref());
        let config = config_towards_edge(trust, certificate)?;
        let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name =
            ServerName::try_from(bare).map_err(|_| wrong("has no host that a certificate could be for"))?;
        Ok(Self { host, tls: Some((config, name)) })
    }

    /// Connects.
    pub(super) async fn connect(&self) -> io::Result<Pin<Box<dyn Stream>>> {
        let stream = TcpStream::connect(&self.host).await?;
        let Some((config, name)) = &self.tls else { return Ok(Box::pin(stream)) };
        Ok(Box::pin(TlsConnector::from(config.clone()).connect(name.clone(), stream).await?))
    }
}

/// Whoever listens on all addresses is called on the loopback one.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
