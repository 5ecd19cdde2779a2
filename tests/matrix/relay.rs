//! The way to a region: every byte arrives half a round trip later, and the way can be broken in the ways networks break.
//!
//! Beyond what `nearside::relay` does for the demo, it falls silent, resets, counts who was asked for what, and carries on to
//! another process after a restart. Connecting itself costs no round trip: the kernel answers it.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::sighting::{Scanner, Sighting};

/// Chunks under way in one direction of a connection; more wait at the sender.
const UNDER_WAY: usize = 1024;
/// After how long a kernel sends again what nobody acknowledged; from then on, twice as long each time.
const SENT_AGAIN: Duration = Duration::from_millis(200);
const CHUNK_BYTES: usize = 16 << 10;

/// What the way does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// It carries.
    Open,
    /// It swallows. What was swallowed arrives after it opens again, when a kernel would have sent it again.
    Silent,
    /// The port is closed, and what was open was reset.
    Closed,
    /// Whoever connects is reset.
    Resetting,
    /// The port is closed; what is open goes on.
    Leaving,
}

#[derive(Clone, Copy, Debug)]
struct State {
    way: Way,
    /// Connections of former generations are reset.
    generation: u64,
}

/// The controls of a way.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    clock: Clock,
    round_trip_us: AtomicU64,
    /// An origin that ends a connection early resets it.
    is_rude: AtomicBool,
    origin: Mutex<SocketAddr>,
    state: watch::Sender<State>,
    sightings: Mutex<Vec<Sighting>>,
}

impl Relay {
    /// Opens a way to `origin` at an address of its own.
    pub(crate) async fn start(
        host: &str,
        origin: SocketAddr,
        round_trip: Duration,
        clock: Clock,
    ) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind((host, 0)).await?;
        let relay = Arc::new(Self {
            address: listener.local_addr()?,
            clock,
            round_trip_us: AtomicU64::new(u64::try_from(round_trip.as_micros()).unwrap_or(0)),
            is_rude: AtomicBool::new(false),
            origin: Mutex::new(origin),
            state: watch::Sender::new(State { way: Way::Open, generation: 0 }),
            sightings: Mutex::default(),
        });
        tokio::spawn(relay.clone().run(listener));
        Ok(relay)
    }

    /// Changes what the way does. Closing and resetting end what is open.
    pub(crate) fn set(&self, way: Way) {
        self.state.send_modify(|state| {
            state.way = way;
            state.generation += u64::from(matches!(way, Way::Closed | Way::Resetting));
        });
    }

    /// Resets what is open, and carries on.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Makes the way longer or shorter, from the next byte on.
    pub(crate) fn set_round_trip(&self, round_trip: Duration) {
        self.round_trip_us.store(u64::try_from(round_trip.as_micros()).unwrap_or(0), Relaxed);
    }

    /// Whether an origin's early end becomes a reset.
    pub(crate) fn set_rude(&self, is_rude: bool) {
        self.is_rude.store(is_rude, Relaxed);
    }

    /// Leads new connections to another process.
    pub(crate) fn lead_to(&self, origin: SocketAddr) {
        *self.origin.lock().expect("nobody panics with it") = origin;
    }

    /// Which requests came this way, and when.
    pub(crate) fn sightings(&self) -> Vec<Sighting> {
        self.sightings.lock().expect("nobody panics with it").clone()
    }

    async fn run(self: Arc<Self>, first: TcpListener) {
        let mut listener = Some(first);
        let mut states = self.state.subscribe();
        loop {
            let wants = !matches!(states.borrow_and_update().way, Way::Closed | Way::Leaving);
            match (&listener, wants) {
                (Some(_), false) => {
                    if let Some(listener) = listener.take() {
                        self.close(listener);
                    }
                }
                (None, true) => {
                    listener = self.bind_again();
                    if listener.is_none() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    }
                }
                _ => {}
            }
            let accept = async {
                match &listener {
                    Some(listener) => listener.accept().await.ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = states.changed() => if changed.is_err() { return },
                accepted = accept => if let Some((stream, _)) = accepted {
                    tokio::spawn(self.clone().carry(stream));
                },
            }
        }
    }

    /// Closes the port. Whoever is connected already, as far as the kernel is concerned, has perhaps sent something.
    fn close(self: &Arc<Self>, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        let is_leaving = self.state.borrow().way == Way::Leaving;
        while let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_nonblocking(true);
            match TcpStream::from_std(stream) {
                Ok(stream) if is_leaving => drop(tokio::spawn(self.clone().carry(stream))),
                Ok(stream) => self.turn_away(stream, &mut Scanner::default()),
                Err(_) => {}
            }
        }
    }

    /// Resets a connection. What was written to it by now was sent, though nobody reads it.
    fn turn_away(&self, stream: TcpStream, scanner: &mut Scanner) {
        // The runtime may not have heard yet that something is there to be read; the kernel has.
        let Ok(mut stream) = stream.into_std() else { return };
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(bytes @ 1..) = stream.read(&mut chunk) {
            self.see(scanner, &chunk[..bytes]);
        }
        // Dropping a socket resets its connection instead of closing it in good order.
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }

    /// The same port; connections that linger in the kernel do not keep it.
    fn bind_again(&self) -> Option<TcpListener> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.set_reuseaddr(true).ok()?;
        socket.bind(self.address).ok()?;
        socket.listen(1024).ok()
    }

    async fn carry(self: Arc<Self>, mut near: TcpStream) {
        let mut states = self.state.subscribe();
        let State { way, generation } = *states.borrow_and_update();
        let origin = *self.origin.lock().expect("nobody panics with it");
        let _ = near.set_nodelay(true);
        let mut scanner = Scanner::default();
        let connected = match way {
            Way::Resetting => None,
            _ => TcpStream::connect(origin).await.ok(),
        };
        if let Some(mut far) = connected {
            let _ = far.set_nodelay(true);
            let is_over = {
                let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
                let there = self.one_way(near_in, far_out, Some(&mut scanner), &states);
                let back = self.one_way(far_in, near_out, None, &states);
                let mut cuts = states.clone();
                tokio::select! {
                    done = async { tokio::try_join!(there, back) } => done.is_ok(),
                    _ = cuts.wait_for(|state| state.generation > generation) => false,
                }
            };
            if is_over {
                return;
            }
            let _ = socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO));
        }
        self.turn_away(near, &mut scanner);
    }

    fn see(&self, scanner: &mut Scanner, bytes: &[u8]) {
        let ids = scanner.feed(bytes);
        if !ids.is_empty() {
            let at_ms = self.clock.now_ms();
            let mut sightings = self.sightings.lock().expect("nobody panics with it");
            sightings.extend(ids.into_iter().map(|id| Sighting { id, at_ms }));
        }
    }

    async fn one_way(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        mut scanner: Option<&mut Scanner>,
        states: &watch::Receiver<State>,
    ) -> io::Result<()> {
        let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
        let is_from_edge = scanner.is_some();
        let read = async move {
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let bytes = from.read(&mut chunk).await?;
                chunk.truncate(bytes);
                if let Some(scanner) = &mut scanner {
                    self.see(scanner, &chunk);
                }
                let half = Duration::from_micros(self.round_trip_us.load(Relaxed) / 2);
                // An empty one is the end.
                if sender.send((Instant::now() + half, chunk)).await.is_err() || bytes == 0 {
                    return Ok(());
                }
            }
        };
        let mut states = states.clone();
        let write = async move {
            while let Some((at, chunk)) = chunks.recv().await {
                sleep_until(at).await;
                while states.borrow().way == Way::Silent {
                    let _ = states.wait_for(|state| state.way != Way::Silent).await;
                    sleep_until(at + sent_again(at.elapsed())).await;
                }
                match chunk.is_empty() {
                    false => to.write_all(&chunk).await?,
                    true if !is_from_edge && self.is_rude.load(Relaxed) => {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    true => to.shutdown().await?,
                }
            }
            Ok(())
        };
        tokio::try_join!(read, write).map(|_: ((), ())| ())
    }
}

/// When bytes that have waited for so long are sent again next: how long after they were first.
fn sent_again(waited: Duration) -> Duration {
    let (mut at, mut pause) = (Duration::ZERO, SENT_AGAIN);
    while at < waited {
        at += pause;
        pause *= 2;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_swallowed_is_sent_again_ever_more_seldom() {
        let again = |ms| sent_again(Duration::from_millis(ms)).as_millis();
        assert_eq!(
            [0, 1, 200, 201, 1_000, 2_900, 6_300].map(again),
            [0, 200, 200, 600, 1_400, 3_000, 12_600]
        );
    }
    #[tokio::test]
    async fn what_a_closing_port_had_not_taken_yet_was_sent() {
        use std::io::Write;
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clock = Clock::starting_in(Duration::ZERO);
        let round_trip = Duration::from_millis(1);
        for way in [Way::Closed, Way::Resetting] {
            let address = origin.local_addr().unwrap();
            let relay = Relay::start("127.0.0.1", address, round_trip, clock).await.unwrap();
            // The relay has had no turn since then: the kernel alone has accepted.
            let mut client = std::net::TcpStream::connect(relay.address).unwrap();
            client.write_all(b"POST / HTTP/1.1\r\nx-matrix-id: 7\r\n\r\n").unwrap();
            relay.set(way);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let seen: Vec<u32> = relay.sightings().iter().map(|seen| seen.id).collect();
            assert_eq!(seen, [7], "{way:?}");
            let error = client.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{way:?}");
        }
    }
}
