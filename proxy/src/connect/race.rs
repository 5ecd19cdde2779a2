//! TCP to whichever of an origin's addresses answers first (happy eyeballs, RFC 8305).
//!
//! Addresses are tried in turn, IPv6 and IPv4 alternating. The next one starts when the last has failed or has been silent for
//! a while, and whichever connects first wins; so an address that swallows packets costs a fraction of a timeout and not a
//! whole one. Left out: remembering which address answered last time.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::{ConnectError, PathTimes};

/// The longest silence before the next address is tried too (RFC 8305, 5).
const MAX_HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one origin that are tried.
const MAX_ADDRESSES: usize = 8;

/// Opens a TCP connection to one of an origin's addresses.
pub(crate) async fn connect_to(
    addresses: &[SocketAddr],
    times: PathTimes,
) -> Result<TcpStream, ConnectError> {
    match addresses {
        [] => Err(ConnectError::Unresolved),
        [only] => connect_to_one(*only, times).await,
        several => race(alternating(several), times).await,
    }
}

type Connected = Result<TcpStream, ConnectError>;

async fn race(addresses: Vec<SocketAddr>, times: PathTimes) -> Result<TcpStream, ConnectError> {
    let head_start = MAX_HEAD_START.min(times.connect / 2);
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Pin<Box<dyn Future<Output = Connected>>>> = Vec::new();
    let mut last = ConnectError::Unresolved;
    loop {
        match waiting.next() {
            Some(address) => running.push(Box::pin(connect_to_one(address, times))),
            None if running.is_empty() => return Err(last),
            None => {}
        }
        let next_start = Instant::now() + head_start;
        let mut silence = std::pin::pin!(sleep_until(next_start));
        let has_more = waiting.len() > 0;
        // `Some` is an attempt that ended; `None` says that the next may start.
        let ended = poll_fn(|cx| {
            for at in 0..running.len() {
                if let Poll::Ready(ended) = running[at].as_mut().poll(cx) {
                    drop(running.swap_remove(at));
                    return Poll::Ready(Some(ended));
                }
            }
            if has_more && silence.as_mut().poll(cx).is_ready() { Poll::Ready(None) } else { Poll::Pending }
        });
        match ended.await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            None => {}
        }
    }
}

/// IPv6 first, then the families in turn, each in its own order.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let (mut six, mut four): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(SocketAddr::is_ipv6);
    let (mut six, mut four) = (six.drain(..), four.drain(..));
    let turns = std::iter::from_fn(|| {
        let turn: Vec<SocketAddr> = six.next().into_iter().chain(four.next()).collect();
        (!turn.is_empty()).then_some(turn)
    });
    turns.flatten().take(MAX_ADDRESSES).collect()
}

async fn connect_to_one(address: SocketAddr, times: PathTimes) -> Connected {
    let stream = match timeout(times.connect, TcpStream::connect(address)).await {
        Err(_) => return Err(ConnectError::Timeout),
        Ok(Err(error)) => return Err(ConnectError::Refused(error)),
        Ok(Ok(stream)) => stream,
    };
    let socket = socket2::SockRef::from(&stream);
    // Both only make failures show sooner; a system that knows neither is served all the same.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(times.user_timeout));
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_the_number_is_bounded() {
        let addresses: Vec<SocketAddr> = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[::1]:1", "[::2]:1"]
            .map(|a| a.parse().unwrap())
            .into();
        let order: Vec<String> = alternating(&addresses).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "10.0.0.3:1"]);
        assert_eq!(alternating(&[addresses[0]; 20]).len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    #[expect(clippy::print_stderr, reason = "a skip is heard")]
    async fn a_refusing_address_does_not_hide_a_working_one() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed =
            tokio::net::TcpListener::bind("[::1]:0").await.map(|socket| socket.local_addr().unwrap());
        let Ok(closed) = closed else {
            eprintln!("SKIPPED: this machine has no IPv6 loopback");
            return;
        };
        let open = open.local_addr().unwrap();
        let stream = connect_to(&[open, closed], PathTimes::of(None)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let refused = connect_to(&[closed, closed], PathTimes::of(None)).await;
        assert!(matches!(refused, Err(ConnectError::Refused(_))), "{refused:?}");
    }
}
