//! Whose address is the client's: the peer's, or one that a trusted hop vouches for.
//!
//! `X-Forwarded-For` is read from the right. Each trusted hop vouches for the address to its left; the first one that is no
//! trusted hop is the client. Whatever stands further left was written by the client himself and proves nothing. An entry
//! that is no address ends the walk at the hop that passed it on.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Entries of the header that are looked at, from the right. A longer chain of proxies of one's own does not exist.
const MAX_HOPS: usize = 32;

/// Proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedHops(Vec<IpNet>);

impl TrustedHops {
    pub(crate) fn new(nets: Vec<IpNet>) -> Self {
        Self(nets)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }

    /// The client behind a trusted peer.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values = headers.get_all("x-forwarded-for").iter().rev();
        let entries = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
        let mut client = peer;
        for entry in entries.take(MAX_HOPS) {
            if !self.contains(client) {
                break;
            }
            match parse(entry.trim()) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

/// An address, perhaps in brackets or with a port, as proxies write it.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let hops = TrustedHops::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        hops.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "nobody vouches for it");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.2.3.4"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.1", "10.2.3.4"]), "198.51.100.1");
        assert_eq!(client("2001:db8::1", &["[2001:db8::2]:443", "::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1:5555"]), "198.51.100.1");
    }

    #[test]
    fn without_a_usable_entry_the_last_trusted_hop_stands_for_the_client() {
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, unknown, 10.2.2.2"]), "10.2.2.2");
        assert_eq!(client("10.0.0.1", &["10.1.1.1, 10.2.2.2"]), "10.1.1.1");
    }

    #[test]
    fn endless_headers_are_not_walked_to_their_end() {
        let long = "10.1.1.1,".repeat(10_000) + "10.9.9.9";
        assert_eq!(client("10.0.0.1", &[&long]), "10.1.1.1");
    }
}
