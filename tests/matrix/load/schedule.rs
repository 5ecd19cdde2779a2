//! Who asks for what, and when: fixed beforehand, from a seed.

use serde::{Deserialize, Serialize};

use super::networks::Networks;
use crate::random::Random;

/// What is asked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    Get,
    Post,
    KeyedPost,
    LargePost,
    Stream,
    WebSocket,
    Grpc,
}

impl Method {
    pub(crate) const ALL: [Self; 7] =
        [Self::Get, Self::Post, Self::KeyedPost, Self::LargePost, Self::Stream, Self::WebSocket, Self::Grpc];

    /// As a table's heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::KeyedPost => "POST with Idempotency-Key",
            Self::LargePost => "POST of 1 MiB",
            Self::Stream => "streaming answer",
            Self::WebSocket => "WebSocket",
            Self::Grpc => "gRPC unary",
        }
    }

    /// Requests in 500.
    const fn share(self) -> usize {
        match self {
            Self::Get => 386,
            Self::Post => 50,
            Self::KeyedPost => 20,
            Self::LargePost => 4,
            Self::Stream => 6,
            Self::WebSocket => 2,
            Self::Grpc => 32,
        }
    }

    /// Whether running it twice is harmless by definition (RFC 9110, 9.2.1).
    pub(crate) const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Stream | Self::WebSocket)
    }
}

/// A request to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Due {
    pub(crate) id: u32,
    pub(crate) method: Method,
    pub(crate) at_ms: f64,
    /// The client's address.
    pub(crate) client: [u8; 4],
    /// Bytes of the answer (GET).
    pub(crate) bytes: usize,
    /// How long somebody talks (WebSocket).
    pub(crate) talk_ms: f64,
}

/// Sizes of GETs' answers: all within what one write carries.
const SIZES: [usize; 5] = [200, 1 << 10, 2 << 10, 8 << 10, 16 << 10];

/// How long somebody talks over a WebSocket, unless the load is over before.
const TALK_MS: f64 = 4_000.0;
const LEAST_TALK_MS: f64 = 500.0;

/// Requests for so many seconds, evenly spaced.
pub(crate) fn schedule(rate: f64, seconds: f64, seed: u64) -> Vec<Due> {
    let mut random = Random::new(seed);
    let networks = Networks::new(&mut random);
    let block: Vec<Method> =
        Method::ALL.iter().flat_map(|method| std::iter::repeat_n(*method, method.share())).collect();
    let mut methods: Vec<Method> = Vec::new();
    let count = (rate * seconds) as u32;
    while methods.len() < count as usize {
        let mut next = block.clone();
        random.shuffle(&mut next);
        methods.extend(next);
    }
    let due = |(id, method): (u32, Method)| {
        let at_ms = f64::from(id) * 1e3 / rate;
        Due {
            id,
            method,
            at_ms,
            client: networks.client(&mut random),
            bytes: SIZES[random.below(SIZES.len())],
            talk_ms: (seconds * 1e3 - at_ms).clamp(LEAST_TALK_MS, TALK_MS),
        }
    };
    (0..count).zip(methods).map(due).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_clients_at_fixed_times() {
        let dues = schedule(500.0, 4.0, 1);
        assert_eq!(dues, schedule(500.0, 4.0, 1));
        assert_ne!(dues, schedule(500.0, 4.0, 2));
        assert_eq!((dues.len(), dues[500].at_ms), (2000, 1000.0));
        for method in Method::ALL {
            let count = dues.iter().filter(|due| due.method == method).count();
            assert_eq!(count, 4 * method.share(), "{method:?}");
        }
        let nets: std::collections::BTreeSet<_> = dues.iter().map(|due| &due.client[..3]).collect();
        assert!(dues.iter().all(|due| due.at_ms + due.talk_ms <= 4_000.0 + LEAST_TALK_MS), "the load ends");
        assert!(nets.len() > 300, "{}", nets.len());
    }
}
