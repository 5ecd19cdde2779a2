//! The sockets of the listeners: one per worker and listener, each with its TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use ipnet::IpNet;

use super::StartError;
use crate::accept;
use crate::config::{Listener, Settings};
use crate::tls::{ListenerTls, TlsListeners};

const V4_ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A socket of one worker.
pub(super) struct Socket {
    pub(super) listener: StdListener,
    pub(super) tls: Option<Arc<ListenerTls>>,
    pub(super) http2_prior_knowledge: bool,
    pub(super) proxy_protocol_from: Vec<IpNet>,
    pub(super) is_inherited: bool,
}

/// All sockets that clients connect to.
pub(super) struct Sockets {
    pub(super) by_worker: Vec<Vec<Socket>>,
    /// In the order of the settings.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) tls: Arc<TlsListeners>,
    /// TLS of the admin API; among the former too.
    pub(super) admin_tls: Option<Arc<ListenerTls>>,
}

impl Sockets {
    /// Opens every listener once per worker, or gives each worker a handle of an inherited socket for its address.
    pub(super) fn open(settings: &Settings, inherited: Vec<StdListener>) -> Result<Self, StartError> {
        let mut inherited = with_addresses(inherited)?;
        let mut by_worker: Vec<Vec<_>> = (0..settings.workers).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        let mut secured = Vec::new();
        for listener in &settings.listeners {
            let tls = match &listener.tls {
                Some(tls) => Some(open_tls(listener.address, tls.clone())?),
                None => None,
            };
            secured.extend(tls.clone());
            let ours: Vec<_> =
                inherited.extract_if(.., |(address, _)| *address == listener.address).collect();
            // With [::] and 0.0.0.0 on one port, clients over IPv4 would get either.
            let takes_v4 = |other: &Listener| {
                other.address.port() == listener.address.port() && other.address.ip() == V4_ANY
            };
            let only_v6 = !listener.address.ip().is_unspecified() || settings.listeners.iter().any(takes_v4);
            let mut address = listener.address;
            for (index, sockets) in by_worker.iter_mut().enumerate() {
                let opened = match &ours[..] {
                    [] => accept::bind(address, only_v6),
                    ours => ours[index % ours.len()].1.try_clone(),
                };
                let opened =
                    opened.map_err(|error| StartError::System(format!("listener {address}"), error))?;
                // The first socket learns the port if any will do; the others take the same.
                address = local(&opened)?;
                sockets.push(Socket {
                    listener: opened,
                    tls: tls.clone(),
                    http2_prior_knowledge: listener.http2_prior_knowledge,
                    proxy_protocol_from: listener.proxy_protocol_from.clone(),
                    is_inherited: !ours.is_empty(),
                });
            }
            addresses.push(address);
        }
        if let Some((address, _)) = inherited.first() {
            return Err(StartError::Inherited(*address));
        }
        let admin = &settings.admin;
        let admin_tls = admin.tls.clone().map(|tls| open_tls(admin.address, tls)).transpose()?;
        secured.extend(admin_tls.clone());
        Ok(Self { by_worker, addresses, tls: Arc::new(TlsListeners::of(secured)), admin_tls })
    }
}

fn with_addresses(inherited: Vec<StdListener>) -> Result<Vec<(SocketAddr, StdListener)>, StartError> {
    let each = |listener: StdListener| {
        listener
            .set_nonblocking(true)
            .map_err(|error| StartError::System("inherited socket".to_owned(), error))?;
        Ok((local(&listener)?, listener))
    };
    inherited.into_iter().map(each).collect()
}

fn open_tls(
    address: SocketAddr,
    settings: crate::config::ListenerTls,
) -> Result<Arc<ListenerTls>, StartError> {
    let tls = ListenerTls::open(address.to_string(), settings)
        .map_err(|problem| StartError::Tls(format!("listener {address}: {problem}")))?;
    tls.warnings().iter().for_each(|warning| tracing::warn!(listener = %address, "{warning}"));
    Ok(Arc::new(tls))
}

/// Opens the only socket of an address.
pub(super) fn bind(what: &str, address: SocketAddr) -> Result<StdListener, StartError> {
    let listener = StdListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error: io::Error| StartError::System(format!("{what} listener {address}"), error))
}

pub(super) fn local(listener: &StdListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::System("listener".to_owned(), error))
}
