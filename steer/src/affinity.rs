//! Keeping a client where it was, as far as everything stronger allows.
//!
//! By a cookie the region is kept and the origin in it; by a header field or an address the draws of the decision (dial, ramp,
//! share) and the origin follow from the same hash, so that equal clients go together without anything being remembered.
//!
//! Left out: the cookie itself. Whoever speaks HTTP writes, signs and reads it.

use crate::client::Client;
use crate::draw::bytes_hash;
use crate::ids::RegionId;
use crate::matching::RequestHead;
use crate::moment::Span;

/// What keeps the clients of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Affinity {
    /// A cookie.
    Cookie {
        /// Whether it is written anew when its region or origin cannot serve.
        sticky: bool,
        /// How long it lasts; `None` is until the browser is closed.
        lifetime: Option<Span>,
        /// How much farther than the best region its region may be, in ms.
        within_ms: f64,
    },
    /// The value of this header field (lower case).
    Header(String),
    /// The client's network.
    Address,
}

/// Where a client was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// The region.
    pub region: RegionId,
    /// How much farther than the best region it may be, in ms.
    pub within_ms: f64,
}

impl Affinity {
    /// The client with the key that this affinity gives it, if that is another one.
    #[must_use]
    pub fn client(&self, client: &Client, head: &RequestHead<'_>) -> Option<Client> {
        let Self::Header(name) = self else { return None };
        let mut key = None;
        head.fields.any(name, &mut |value| {
            key = Some(bytes_hash(value));
            true
        });
        let mut client = client.clone();
        client.key = key?;
        Some(client)
    }

    /// The client kept at a region, if this affinity keeps regions.
    #[must_use]
    pub fn kept(&self, client: &Client, region: RegionId) -> Option<Client> {
        let Self::Cookie { within_ms, .. } = self else { return None };
        let mut client = client.clone();
        client.kept = Some(Kept { region, within_ms: *within_ms });
        Some(client)
    }
}
