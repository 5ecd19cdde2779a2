//! A long way on one machine: a relay that delivers every byte half a round trip later, and that can die.
//!
//! The demo's regions stand behind relays, and so do the origins of tests that need distance or death. Killed, it resets all its connections and refuses new ones, which is what a crashed process looks like from outside.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Chunks under way in one direction of a connection; more wait at the sender.
const UNDER_WAY: usize = 1024;
const CHUNK_BYTES: usize = 16 << 10;

/// The controls of a relay.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens; the same after it was revived.
    pub address: SocketAddr,
    round_trip_ms: AtomicU64,
    is_alive: AtomicBool,
    alive: watch::Sender<bool>,
}

impl Relay {
    /// Starts a relay in front of `origin` on the current runtime.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(origin: SocketAddr, round_trip_ms: u64) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (alive, lives) = watch::channel(true);
        let relay = Arc::new(Self {
            address: listener.local_addr()?,
            round_trip_ms: AtomicU64::new(round_trip_ms),
            is_alive: AtomicBool::new(true),
            alive,
        });
        tokio::spawn(relay.clone().run(listener, lives, origin));
        Ok(relay)
    }

    /// Lets it die, or live again.
    pub fn set_alive(&self, alive: bool) {
        self.is_alive.store(alive, Relaxed);
        self.alive.send_replace(alive);
    }

    /// Whether it lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.is_alive.load(Relaxed)
    }

    /// Makes the way longer, from the next byte on.
    pub fn add_delay(&self, ms: u64) {
        self.round_trip_ms.fetch_add(ms, Relaxed);
    }

    /// Makes the way so long, from the next byte on; what is under way already keeps its time.
    pub fn set_round_trip(&self, ms: u64) {
        self.round_trip_ms.store(ms, Relaxed);
    }

    /// The round trip that it adds, in ms.
    #[must_use]
    pub fn round_trip_ms(&self) -> u64 {
        self.round_trip_ms.load(Relaxed)
    }

    async fn run(self: Arc<Self>, first: TcpListener, mut lives: watch::Receiver<bool>, origin: SocketAddr) {
        let mut listener = Some(first);
        loop {
            let Some(open) = &listener else {
                // Dead: the port is closed until somebody revives it.
                if lives.wait_for(|alive| *alive).await.is_err() {
                    return;
                }
                listener = rebind(self.address).await;
                continue;
            };
            tokio::select! {
                biased;
                changed = lives.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if !*lives.borrow_and_update() {
                        listener = None;
                    }
                }
                accepted = open.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(self.clone().carry(stream, origin, lives.clone()));
                    }
                }
            }
        }
    }

    async fn carry(self: Arc<Self>, near: TcpStream, origin: SocketAddr, mut lives: watch::Receiver<bool>) {
        let Ok(far) = TcpStream::connect(origin).await else { return };
        for stream in [&near, &far] {
            let _ = stream.set_nodelay(true);
            // Dropping a socket resets its connection instead of closing it in good order.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let there = tokio::spawn(self.clone().one_way(near_in, far_out));
        let back = tokio::spawn(self.clone().one_way(far_in, near_out));
        let (there_abort, back_abort) = (there.abort_handle(), back.abort_handle());
        tokio::select! {
            _ = async { tokio::join!(there, back) } => {}
            _ = lives.wait_for(|alive| !*alive) => {
                there_abort.abort();
                back_abort.abort();
            }
        }
    }

    async fn one_way(self: Arc<Self>, mut from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let writer = tokio::spawn(deliver(receiver, to));
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            match from.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(bytes) => chunk.truncate(bytes),
            }
            let half = Duration::from_micros(self.round_trip_ms() * 500);
            if sender.send((Instant::now() + half, chunk)).await.is_err() {
                break;
            }
        }
        drop(sender);
        // Aborting this task must end the other one too.
        let mut writer = AbortOnDrop(writer);
        let _ = (&mut writer.0).await;
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn deliver(mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((at, chunk)) = chunks.recv().await {
        sleep_until(at).await;
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// The same port again; connections that linger in the kernel do not keep it.
async fn rebind(address: SocketAddr) -> Option<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4().ok()?;
    socket.set_reuseaddr(true).ok()?;
    if socket.bind(address).is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        return None;
    }
    socket.listen(1024).ok()
}
