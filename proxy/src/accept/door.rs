//! What clients come in by, and how it is closed without shutting it in anybody's face.
//!
//! Clients wait in a queue that belongs to a socket; closing the socket resets them. So when this edge stops, a socket of ours
//! first takes in no new ones, then lets in who is half way in and who waits, and only then is closed.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Listening, connection};
use crate::worker::Worker;

/// How long to wait when the system has no file or memory left for another connection.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(50);
/// How long clients who are half way in when a socket is about to close may take to get in: a round trip.
const LAST_HANDSHAKES: Duration = Duration::from_millis(250);

struct Door {
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    room: Arc<Semaphore>,
}

/// Accepts clients until this edge stops and nobody waits in the queue any more.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    listener: TcpListener,
    listening: Rc<Listening>,
    room: Arc<Semaphore>,
) {
    let door = Door { worker, listening, room };
    tokio::select! {
        biased;
        () = door.worker.stopping.begun() => {}
        () = door.accept(&listener) => return,
    }
    // The queue of an inherited socket is not lost with us: whoever opened it keeps it for the next one.
    if door.listening.is_inherited {
        return;
    }
    if let Err(error) = drop_new(&listener) {
        tracing::debug!(%error, "new clients cannot be kept from a socket that is about to close");
    }
    let _ = timeout(LAST_HANDSHAKES, door.accept(&listener)).await;
    if let Err(error) = door.empty(listener).await {
        tracing::warn!(%error, "clients that waited while this edge stopped may be lost");
    }
}

/// Leaves unanswered what would begin a connection: the client tries again after a second, with whoever listens then. Who has
/// got half way in still gets in.
fn drop_new(listener: &TcpListener) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const TCP_FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, TCP_FLAGS),
        SockFilter::new(JUMP_IF_ANY_BIT, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&filter)
}

impl Door {
    /// Accepts clients for as long as somebody waits for it.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok(permit) = self.room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => self.let_in(stream, peer, permit),
                Err(error) => failed(&error).await,
            }
        }
    }

    /// Accepts whoever is in the queue. The kernel is asked and not the event loop, which may not have heard of the last ones.
    async fn empty(&self, listener: TcpListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        loop {
            let Ok(permit) = self.room.clone().acquire_owned().await else { return Ok(()) };
            match listener.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    self.let_in(TcpStream::from_std(stream)?, peer, permit);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => failed(&error).await,
            }
        }
    }

    fn let_in(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let _ = stream.set_nodelay(true);
        let (worker, listening) = (self.worker.clone(), self.listening.clone());
        tokio::task::spawn_local(async move {
            connection::run(worker, stream, peer, listening, permit).await;
        });
    }
}

async fn failed(error: &io::Error) {
    // The client gave up while it waited; the next one did not.
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "no client can be accepted; trying again");
        tokio::time::sleep(OUT_OF_RESOURCES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closing_socket_takes_nobody_new_and_keeps_those_who_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _waits = TcpStream::connect(address).await.unwrap();
        drop_new(&listener).unwrap();
        let late = timeout(Duration::from_millis(300), TcpStream::connect(address)).await;
        assert!(late.is_err(), "{late:?}");
        timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
        let none = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(none.is_err(), "{none:?}");
    }
}
