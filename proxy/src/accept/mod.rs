//! Clients arrive: sockets, TLS, limits, and the life of a connection.
//!
//! Each worker has sockets of its own on the same ports (SO_REUSEPORT), so the kernel spreads the clients and no worker
//! hands one to another. When a worker has as many connections as it may, it stops accepting, and new clients wait in the
//! kernel's queue instead of being turned away.

mod connection;
mod stream;
mod watch;

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

pub(crate) use connection::Connection;

use crate::tls::ListenerTls;
use crate::worker::Worker;

/// Connections that the kernel queues for a worker.
const BACKLOG: i32 = 4096;
/// How long to wait when the system has no file or memory left for another connection.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(50);

/// A listener as connections know it.
pub(crate) struct Listening {
    pub(crate) port: u16,
    pub(crate) tls: Option<Arc<ListenerTls>>,
}

/// Tells a worker's connections that this edge stops.
#[derive(Default)]
pub(crate) struct Stopping {
    has_begun: Cell<bool>,
    notify: Notify,
}

impl Stopping {
    pub(crate) fn begin(&self) {
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
pub(crate) fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts clients until this edge stops.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    listener: TcpListener,
    listening: Rc<Listening>,
    room: Arc<Semaphore>,
) {
    loop {
        let permit = tokio::select! {
            biased;
            () = worker.stopping.begun() => return,
            permit = room.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            biased;
            () = worker.stopping.begun() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                let (worker, listening) = (worker.clone(), listening.clone());
                tokio::task::spawn_local(async move {
                    connection::run(worker, stream, peer, listening, permit).await;
                });
            }
            // The client gave up while it waited; the next one did not.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "no client can be accepted; trying again");
                tokio::time::sleep(OUT_OF_RESOURCES).await;
            }
        }
    }
}

/// Runs hyper's helper tasks on the worker they belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
