//! How an origin behaves, and the orders that change it.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::wall_us;
use crate::random::Random;

/// A change of behaviour, as one line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// As it should be.
    Well,
    /// This share of requests is answered 503; with `probes`, every probe too.
    Refuse { share: f64, probes: bool },
    /// Answers come this much later; probes do not.
    Slow { ms: u64 },
    /// Bodies come a tenth at a time, 100 ms apart.
    Trickle,
    /// Bodies end in the middle.
    Half,
    /// The certificate is somebody else's from now on.
    BreakTls,
    /// The port is closed, connections end in good order, and then the process.
    Leave,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => write!(f, "well"),
            Self::Refuse { share, probes } => write!(f, "refuse {share} {probes}"),
            Self::Slow { ms } => write!(f, "slow {ms}"),
            Self::Trickle => write!(f, "trickle"),
            Self::Half => write!(f, "half"),
            Self::BreakTls => write!(f, "break-tls"),
            Self::Leave => write!(f, "leave"),
        }
    }
}

impl FromStr for Order {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["well"] => Ok(Self::Well),
            ["refuse", share, probes] => Ok(Self::Refuse {
                share: share.parse().map_err(|_| ())?,
                probes: probes.parse().map_err(|_| ())?,
            }),
            ["slow", ms] => Ok(Self::Slow { ms: ms.parse().map_err(|_| ())? }),
            ["trickle"] => Ok(Self::Trickle),
            ["half"] => Ok(Self::Half),
            ["break-tls"] => Ok(Self::BreakTls),
            ["leave"] => Ok(Self::Leave),
            _ => Err(()),
        }
    }
}

/// How an origin behaves now.
pub(super) struct Behaviour {
    pub(super) region: String,
    now: Mutex<Order>,
    /// Chooses who is refused.
    random: Mutex<Random>,
    is_tls_broken: AtomicBool,
    /// Requests that were refused, for whoever looks.
    refused: AtomicU64,
}

impl Behaviour {
    pub(super) fn new(region: String) -> Self {
        let seed = region.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        Self {
            region,
            now: Mutex::new(Order::Well),
            random: Mutex::new(Random::new(seed)),
            is_tls_broken: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn obey(&self, order: &Order) {
        self.is_tls_broken.store(*order == Order::BreakTls, Relaxed);
        *self.now.lock().expect("nobody panics with it") = order.clone();
    }

    fn now(&self) -> Order {
        self.now.lock().expect("nobody panics with it").clone()
    }

    pub(super) fn is_tls_broken(&self) -> bool {
        self.is_tls_broken.load(Relaxed)
    }

    /// Whether a request or a probe is answered 503.
    pub(super) fn refuses(&self, is_probe: bool) -> bool {
        let Order::Refuse { share, probes } = self.now() else { return false };
        let refuses =
            if is_probe { probes } else { self.random.lock().expect("nobody panics with it").unit() < share };
        self.refused.fetch_add(u64::from(refuses), Relaxed);
        refuses
    }

    /// How much later an answer comes.
    pub(super) fn lag(&self) -> Option<Duration> {
        match self.now() {
            Order::Slow { ms } => Some(Duration::from_millis(ms)),
            _ => None,
        }
    }

    /// How a body is cut: pieces, time between them, and whether only half of it comes.
    pub(super) fn cutting(&self) -> Cutting {
        match self.now() {
            Order::Trickle => Cutting { pieces: 10, gap: Duration::from_millis(100), is_half: false },
            Order::Half => Cutting { pieces: 2, gap: Duration::from_millis(2), is_half: true },
            _ => Cutting { pieces: 1, gap: Duration::ZERO, is_half: false },
        }
    }
}

/// How a body is cut.
pub(super) struct Cutting {
    pub(super) pieces: usize,
    pub(super) gap: Duration,
    pub(super) is_half: bool,
}

/// Says that a request was carried out. At once: whoever kills this process may do so now.
pub(super) fn carried_out(id: &str, method: &str) {
    let line = format!("x {id} {method} {}\n", wall_us());
    let mut out = std::io::stdout().lock();
    // Whoever should read it may be gone; then nobody misses it.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_written() {
        for order in [
            Order::Well,
            Order::Refuse { share: 0.2, probes: true },
            Order::Slow { ms: 300 },
            Order::Trickle,
            Order::Half,
            Order::BreakTls,
            Order::Leave,
        ] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        assert_eq!("dance".parse::<Order>(), Err(()));
    }
}
