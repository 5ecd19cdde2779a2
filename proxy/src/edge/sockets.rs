//! The sockets of the listeners: one per worker and listener, each with its TLS.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use super::StartError;
use crate::accept;
use crate::config::Settings;
use crate::tls::{ListenerTls, TlsListeners};

/// A socket of one worker.
pub(super) struct Socket {
    pub(super) listener: StdListener,
    pub(super) tls: Option<Arc<ListenerTls>>,
}

/// All sockets that clients connect to.
pub(super) struct Sockets {
    pub(super) by_worker: Vec<Vec<Socket>>,
    /// In the order of the settings.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) tls: Arc<TlsListeners>,
}

impl Sockets {
    /// Opens every listener once per worker.
    pub(super) fn open(settings: &Settings) -> Result<Self, StartError> {
        let mut by_worker: Vec<Vec<_>> = (0..settings.workers).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        let mut secured = Vec::new();
        for listener in &settings.listeners {
            let tls = match &listener.tls {
                Some(tls) => Some(open_tls(listener.address, tls.clone())?),
                None => None,
            };
            secured.extend(tls.clone());
            // The first socket learns the port if any will do; the others take the same.
            let mut address = listener.address;
            for sockets in &mut by_worker {
                let listener = accept::bind(address)
                    .map_err(|error| StartError::System(format!("listener {address}"), error))?;
                address = local(&listener)?;
                sockets.push(Socket { listener, tls: tls.clone() });
            }
            addresses.push(address);
        }
        Ok(Self { by_worker, addresses, tls: Arc::new(TlsListeners::of(secured)) })
    }
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
