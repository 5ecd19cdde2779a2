//! Clients arrive: sockets, TLS, limits, and the life of a connection.
//!
//! Each worker has sockets of its own on the same ports (SO_REUSEPORT), so the kernel spreads the clients and no worker
//! hands one to another. When a worker has as many connections as it may, it stops accepting, and new clients wait in the
//! kernel's queue instead of being turned away.

mod connection;
mod door;
mod preface;
mod proxy_protocol;
mod stream;
mod watch;

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;

pub(crate) use connection::Connection;
pub(crate) use door::serve;

use crate::tls::ListenerTls;

/// Connections that the kernel queues for a worker.
const BACKLOG: i32 = 4096;

/// A listener as connections know it.
pub(crate) struct Listening {
    pub(crate) port: u16,
    pub(crate) tls: Option<Arc<ListenerTls>>,
    /// Whether clients may begin with HTTP/2 where there is no TLS.
    pub(crate) http2_prior_knowledge: bool,
    /// Proxies that must send a PROXY header.
    pub(crate) proxy_protocol_from: Vec<IpNet>,
    /// Whether somebody else has opened the socket and keeps it.
    pub(crate) is_inherited: bool,
}

impl Listening {
    fn expects_proxy_header(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxy_protocol_from.iter().any(|net| net.contains(&peer))
    }
}

/// Tells a worker's connections that this edge stops.
#[derive(Default)]
pub(crate) struct Stopping {
    is_leaving: Cell<bool>,
    has_begun: Cell<bool>,
    notify: Notify,
}

impl Stopping {
    /// Soon nobody will be here: clients may ask on, and are told to come back elsewhere.
    pub(crate) fn leave(&self) {
        self.is_leaving.set(true);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    pub(crate) fn begin(&self) {
        self.leave();
        self.has_begun.set(true);
        self.notify.notify_waiters();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    pub(crate) async fn begun(&self) {
        while !self.has_begun.get() {
            self.notify.notified().await;
        }
    }
}

/// Opens a socket that several workers can have on the same port.
pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Runs hyper's helper tasks on the worker they belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
