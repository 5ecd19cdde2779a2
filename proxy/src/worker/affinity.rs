//! Affinity on the wire: the cookie that names where a client was, and the origin that belongs to him.
//!
//! The cookie holds the region's name, a hash of the origin's address and a signature over both and the pool, so that nobody
//! can choose his region, and no address is told. It is read only for routes that want it.
//!
//! Left out: whether the client may stay there; `steer` says that, after everything stronger.

use aws_lc_rs::hmac;
use http::HeaderMap;
use http::header::COOKIE;
use steer::Table;
use steer::affinity::Affinity;
use steer::client::Client;
use steer::ids::{OriginId, PoolId, RegionId};
use steer::matching::RequestHead;
use steer::pick;

/// Bytes of the signature that are kept: nobody guesses 128 bits.
const SIGNATURE_BYTES: usize = 16;
/// The beginning of a cookie's name; the pool's follows.
const COOKIE_PREFIX: &str = "nearside_region-";

/// The key of this and all edges that serve the same clients.
pub(crate) struct AffinityKey(hmac::Key);

/// Where a cookie says that its client was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// `None` if the table has no such region any more.
    region: Option<RegionId>,
    /// The hash of the origin's address.
    origin: u64,
}

/// A request's affinity.
pub(super) struct Affine {
    /// The client that the decision is for, if it is not the one who was located.
    pub(super) client: Option<Client>,
    pub(super) belongs: Belongs,
}

/// Which origin of a placement a request belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Belongs {
    /// The less loaded of two.
    Anywhere,
    /// The one with the greatest lot for this key.
    Key(u64),
    /// The one of the cookie.
    Place(Place),
    /// None yet; a cookie will say where.
    New,
}

impl AffinityKey {
    pub(crate) fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    fn signature(&self, pool: &str, region: &str, origin: u64) -> String {
        let tag = hmac::sign(&self.0, &signed(pool, region, origin));
        tag.as_ref()[..SIGNATURE_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The place that a sound cookie for this pool names.
    fn read(&self, headers: &HeaderMap, table: &Table, pool: PoolId) -> Option<Place> {
        let pool = &table.pool(pool).name;
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut values = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| {
            cookie.trim().strip_prefix(COOKIE_PREFIX)?.strip_prefix(pool.as_str())?.strip_prefix('=')
        });
        let mut parts = values.next()?.splitn(3, ':');
        let (region, origin, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let origin = u64::from_str_radix(origin, 16).ok()?;
        let expected = self.signature(pool, region, origin);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).ok()?;
        Some(Place { region: table.region_named(region), origin })
    }

    /// The cookie that names a place, without `Secure`.
    fn write(&self, pool: &str, region: &str, origin: u64, lifetime: Option<steer::Span>) -> String {
        let signature = self.signature(pool, region, origin);
        let age =
            lifetime.map_or_else(String::new, |span| format!("; Max-Age={}", span.as_secs_f64().ceil()));
        format!("{COOKIE_PREFIX}{pool}={region}:{origin:x}:{signature}; Path=/; HttpOnly; SameSite=Lax{age}")
    }

    /// What a request's affinity is.
    pub(super) fn affine(
        &self,
        affinity: Option<&Affinity>,
        table: &Table,
        pool: PoolId,
        head: &RequestHead<'_>,
        headers: &HeaderMap,
        client: &Client,
    ) -> Affine {
        let Some(affinity) = affinity else { return Affine { client: None, belongs: Belongs::Anywhere } };
        if !matches!(affinity, Affinity::Cookie { .. }) {
            let keyed = affinity.client(client, head);
            let key = keyed.as_ref().unwrap_or(client).key;
            return Affine { client: keyed, belongs: Belongs::Key(key) };
        }
        let Some(place) = self.read(headers, table, pool) else {
            return Affine { client: None, belongs: Belongs::New };
        };
        let kept = place.region.and_then(|region| affinity.kept(client, region));
        Affine { client: kept, belongs: Belongs::Place(place) }
    }

    /// The cookie that an answer of an origin must carry, if any.
    pub(super) fn cookie(
        &self,
        affinity: Option<&Affinity>,
        belongs: Belongs,
        table: &Table,
        answers: OriginId,
    ) -> Option<String> {
        let Some(Affinity::Cookie { sticky, lifetime, .. }) = affinity else { return None };
        let origin = table.origin(answers);
        let placed = table.placement(origin.placement);
        let actual = Place { region: Some(placed.region), origin: origin.hash };
        let stays = match belongs {
            Belongs::Place(place) => place == actual || !sticky && place.is_in(table, placed.pool),
            _ => false,
        };
        let names = (&table.pool(placed.pool).name, &table.region(placed.region).name);
        (!stays).then(|| self.write(names.0, names.1, origin.hash, *lifetime))
    }
}

impl Belongs {
    /// As the choice between origins takes it.
    pub(super) const fn to_pick(self) -> pick::Belongs {
        match self {
            Self::Anywhere | Self::New => pick::Belongs::Anywhere,
            Self::Key(key) => pick::Belongs::Key(key),
            Self::Place(Place { region, origin }) => pick::Belongs::Origin { region, hash: origin },
        }
    }
}

impl Place {
    /// Whether the pool still has the origin there.
    fn is_in(self, table: &Table, pool: PoolId) -> bool {
        let placements = table.placements_of(pool);
        placements
            .into_iter()
            .filter(|id| Some(table.placement(*id).region) == self.region)
            .any(|id| table.origins_of(id).any(|origin| table.origin(origin).hash == self.origin))
    }
}

fn signed(pool: &str, region: &str, origin: u64) -> Vec<u8> {
    // Names have no zero bytes, so no two places are signed alike.
    format!("{pool}\0{region}\0{origin:x}").into_bytes()
}
