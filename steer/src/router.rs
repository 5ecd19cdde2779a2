//! Host and path to route: an exact host, then the longest path prefix.
//!
//! Hosts and prefixes stand in open-addressing tables over a fixed hash. A prefix covers whole path segments, so only the
//! places before a slash and the end of the path can be where it ends: one look per segment, from the first to as many as
//! the host's deepest prefix has, whatever the number of routes. The last one found is the longest.
//!
//! The path is compared as the client sent it, without its query. Left out: wildcards, regular expressions, headers.

use crate::ids::RouteId;

/// The compiled form of all routes' hosts and prefixes.
#[derive(Clone, Debug, Default)]
pub struct Router {
    hosts: Vec<Host>,
    host_slots: Slots,
    prefixes: Vec<Prefix>,
    prefix_slots: Slots,
}

#[derive(Clone, Debug)]
struct Host {
    name: Box<str>,
    /// The route of the prefix `/`.
    root: Option<RouteId>,
    /// The segments of its deepest prefix.
    depth: usize,
}

/// A prefix of at least one segment.
#[derive(Clone, Debug)]
struct Prefix {
    host: usize,
    /// Without a slash at its end.
    path: Box<str>,
    route: RouteId,
}

/// Why no route was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoRoute {
    /// No route serves this host.
    UnknownHost,
    /// The host is served, this path is not.
    UnknownPath,
}

/// A claim of a route on a host and the paths below a prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) route: RouteId,
}

/// Two routes claim the same host and prefix; the earlier one has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clash {
    pub(crate) first: RouteId,
    pub(crate) second: RouteId,
}

impl Router {
    /// Finds the route for a host (any case, no port) and a path (no query).
    ///
    /// # Errors
    /// [`NoRoute`] says which of the two was not known.
    pub fn find(&self, host: &str, path: &str) -> Result<RouteId, NoRoute> {
        let is_named = |at: &usize| {
            let name = &self.hosts[*at].name;
            **name == *host || name.eq_ignore_ascii_case(host)
        };
        let at = self.host_slots.candidates(host_hash(host)).find(is_named).ok_or(NoRoute::UnknownHost)?;
        let Host { root, depth, .. } = self.hosts[at];
        let path = without_slash(path);
        let mut found = root.filter(|_| path.is_empty() || path.starts_with('/'));
        for (end, hash) in boundaries(at, path).take(depth) {
            let prefix = &path[..end];
            let is_it = |id: &usize| self.prefixes[*id].host == at && *self.prefixes[*id].path == *prefix;
            if let Some(id) = self.prefix_slots.candidates(hash).find(is_it) {
                found = Some(self.prefixes[id].route);
            }
        }
        found.ok_or(NoRoute::UnknownPath)
    }

    /// Builds the router of all claims, and names the claims that came too late.
    pub(crate) fn of(claims: &[Claim<'_>]) -> (Self, Vec<Clash>) {
        let mut sorted: Vec<Claim<'_>> =
            claims.iter().map(|claim| Claim { path: without_slash(claim.path), ..*claim }).collect();
        sorted.sort_by_key(|claim| (claim.host, claim.path, claim.route));
        let mut router = Self::default();
        let mut clashes = Vec::new();
        for claims in sorted.chunk_by(|a, b| a.host == b.host) {
            let at = router.hosts.len();
            let mut host = Host { name: claims[0].host.into(), root: None, depth: 0 };
            for claims in claims.chunk_by(|a, b| a.path == b.path) {
                let Claim { path, route, .. } = claims[0];
                clashes.extend(claims[1..].iter().map(|late| Clash { first: route, second: late.route }));
                if path.is_empty() {
                    host.root = Some(route);
                } else {
                    host.depth = host.depth.max(boundaries(at, path).count());
                    router.prefixes.push(Prefix { host: at, path: path.into(), route });
                }
            }
            router.hosts.push(host);
        }
        router.host_slots = Slots::of(router.hosts.iter().map(|host| host_hash(&host.name)));
        let last = |prefix: &Prefix| boundaries(prefix.host, &prefix.path).last().map_or(0, |(_, hash)| hash);
        router.prefix_slots = Slots::of(router.prefixes.iter().map(last));
        (router, clashes)
    }
}

/// Open addressing: positions of things, by their hashes.
#[derive(Clone, Debug, Default)]
struct Slots {
    /// Positions, plus 1; 0 is empty. A power of two, at most half full.
    slots: Box<[u32]>,
}

impl Slots {
    fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut slots = vec![0; (hashes.len() * 2).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        for (position, hash) in (1..).zip(hashes) {
            let mut slot = hash as usize & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = position;
        }
        Self { slots }
    }

    /// The positions of the things that may have this hash.
    #[inline]
    fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = hash as usize & mask;
        std::iter::from_fn(move || {
            let position = self.slots.get(slot)?.checked_sub(1)?;
            slot = (slot + 1) & mask;
            Some(position as usize)
        })
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The hash of a host in lower case. Setting bit 5 folds the case of letters and confuses a few other bytes, which costs a
/// comparison at worst.
#[inline]
fn host_hash(host: &str) -> u64 {
    mixed(host.len() as u64, host.as_bytes(), 0x2020_2020_2020_2020)
}

/// Where a prefix of this path may end, from the shortest on, and what such a prefix of this host hashes to. The root is
/// not among them.
#[inline]
fn boundaries(host: usize, path: &str) -> impl Iterator<Item = (usize, u64)> {
    let bytes = path.as_bytes();
    let mut hash = host as u64;
    let mut end = 0;
    std::iter::from_fn(move || {
        let segment = bytes.get(end..)?.strip_prefix(b"/")?;
        let segment = &segment[..segment.iter().position(|byte| *byte == b'/').unwrap_or(segment.len())];
        hash = mixed(hash.wrapping_add(segment.len() as u64), segment, 0);
        end += 1 + segment.len();
        Some((end, hash))
    })
}

/// A multiplicative hash, eight bytes at a time, of `bytes` with the bits of `set` set. Tables come from operators, so
/// nobody can choose what collides.
#[inline]
fn mixed(seed: u64, bytes: &[u8], set: u64) -> u64 {
    let mut hash = seed;
    let mut feed = |word: u64| {
        let product = u128::from((word | set) ^ hash) * 0x9e37_79b9_7f4a_7c15;
        hash = (product ^ product >> 64) as u64;
    };
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        feed(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    let mut rest = [0; 8];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    feed(u64::from_le_bytes(rest));
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn router(routes: &[(&str, &str)]) -> Router {
        let claims: Vec<Claim<'_>> = (0..)
            .zip(routes)
            .map(|(index, (host, path))| Claim { host, path, route: RouteId::new(index).unwrap() })
            .collect();
        let (router, clashes) = Router::of(&claims);
        assert_eq!(clashes, []);
        router
    }

    fn found(router: &Router, host: &str, path: &str) -> Result<usize, NoRoute> {
        router.find(host, path).map(RouteId::index)
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let router =
            router(&[("a.test", "/"), ("a.test", "/api"), ("a.test", "/api/v1/"), ("b.test", "/only")]);
        assert_eq!(found(&router, "a.test", "/"), Ok(0));
        assert_eq!(found(&router, "A.Test", "/apix"), Ok(0));
        assert_eq!(found(&router, "a.test", "/api"), Ok(1));
        assert_eq!(found(&router, "a.test", "/api/"), Ok(1));
        assert_eq!(found(&router, "a.test", "/api/v1"), Ok(2));
        assert_eq!(found(&router, "a.test", "/api/v1.5"), Ok(1));
        assert_eq!(found(&router, "a.test", "/api/v1/x/y"), Ok(2));
        assert_eq!(found(&router, "b.test", "/other"), Err(NoRoute::UnknownPath));
        assert_eq!(found(&router, "c.test", "/"), Err(NoRoute::UnknownHost));
        assert_eq!(found(&Router::default(), "a.test", "/"), Err(NoRoute::UnknownHost));
    }

    #[test]
    fn two_routes_cannot_claim_the_same_prefix() {
        let [first, second] = [0, 1].map(|index| RouteId::new(index).unwrap());
        let claim = |path, route| Claim { host: "a.test", path, route };
        let (_, clashes) = Router::of(&[claim("/api/", first), claim("/api", second)]);
        assert_eq!(clashes, [Clash { first, second }]);
    }

    fn covers(prefix: &str, path: &str) -> bool {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    #[test]
    fn a_path_that_is_none_has_no_route() {
        assert_eq!(found(&router(&[("a.test", "/")]), "a.test", "*"), Err(NoRoute::UnknownPath));
        assert_eq!(found(&router(&[("a.test", "/")]), "a.test", ""), Ok(0));
        assert_eq!(found(&router(&[("a.test", "/x")]), "a.test", ""), Err(NoRoute::UnknownPath));
    }

    proptest! {
        /// The search finds what trying every prefix finds.
        #[test]
        fn agrees_with_trying_every_prefix(
            prefixes in proptest::collection::btree_set("(/[ab-]{1,2}){0,4}", 1..20),
            path in "(/[ab-]{1,2}){0,6}/?",
        ) {
            let prefixes: Vec<String> = prefixes.into_iter().collect();
            let routes: Vec<(&str, &str)> = prefixes.iter().map(|prefix| ("h", prefix.as_str())).collect();
            let router = router(&routes);
            let expected = (0..prefixes.len())
                .filter(|index| covers(&prefixes[*index], without_slash(&path)))
                .max_by_key(|index| prefixes[*index].len());
            prop_assert_eq!(found(&router, "h", &path).ok(), expected);
        }
    }
}
