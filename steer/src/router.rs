//! Host and path to route: an exact host, then the longest path prefix.
//!
//! Hosts stand in an open-addressing table over a fixed hash, the prefixes of one host in a sorted list. A prefix covers
//! whole path segments, so it is compared as if both it and the path ended in `/`. All paths below a prefix stand next to
//! each other in byte order; the longest match is therefore the path's predecessor in the list or one of that one's
//! ancestors, and each entry knows its parent: one binary search and a short walk, whatever the number of routes.
//!
//! The path is compared as the client sent it, without its query. Left out: wildcards, regular expressions, headers.

use crate::ids::RouteId;

/// The compiled form of all routes' hosts and prefixes.
#[derive(Clone, Debug, Default)]
pub struct Router {
    /// Indices into `hosts`, plus 1; 0 is empty. A power of two, at most half full.
    slots: Box<[u32]>,
    hosts: Vec<Host>,
}

#[derive(Clone, Debug)]
struct Host {
    name: Box<str>,
    prefixes: Vec<Prefix>,
}

#[derive(Clone, Debug)]
struct Prefix {
    /// Without a slash at its end; the root is empty.
    path: Box<str>,
    route: RouteId,
    /// The longest shorter prefix that covers this one.
    parent: Option<u32>,
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
        let host = self.host(host).ok_or(NoRoute::UnknownHost)?;
        let path = without_slash(path);
        let after = host.prefixes.partition_point(|prefix| compare(&prefix.path, path).is_le());
        let mut candidate = after.checked_sub(1);
        while let Some(index) = candidate {
            let prefix = &host.prefixes[index];
            if covers(&prefix.path, path) {
                return Ok(prefix.route);
            }
            candidate = prefix.parent.map(|parent| parent as usize);
        }
        Err(NoRoute::UnknownPath)
    }

    /// Builds the router of all claims, and names the claims that came too late.
    pub(crate) fn of(claims: &[Claim<'_>]) -> (Self, Vec<Clash>) {
        let mut sorted: Vec<Claim<'_>> =
            claims.iter().map(|claim| Claim { path: without_slash(claim.path), ..*claim }).collect();
        sorted.sort_by(|a, b| {
            a.host.cmp(b.host).then_with(|| compare(a.path, b.path)).then_with(|| a.route.cmp(&b.route))
        });
        let mut router = Self::default();
        let mut clashes = Vec::new();
        for claims in sorted.chunk_by(|a, b| a.host == b.host) {
            let mut prefixes: Vec<Prefix> = Vec::with_capacity(claims.len());
            for claim in claims {
                match prefixes.last() {
                    Some(last) if *last.path == *claim.path => {
                        clashes.push(Clash { first: last.route, second: claim.route });
                    }
                    _ => prefixes.push(Prefix { path: claim.path.into(), route: claim.route, parent: None }),
                }
            }
            link(&mut prefixes);
            router.hosts.push(Host { name: claims[0].host.into(), prefixes });
        }
        router.index_hosts();
        (router, clashes)
    }

    fn index_hosts(&mut self) {
        let size = (self.hosts.len() * 2).next_power_of_two();
        let mut slots = vec![0; size].into_boxed_slice();
        for (index, host) in (1..).zip(&self.hosts) {
            let mut slot = hash(&host.name) & (size - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = index;
        }
        self.slots = slots;
    }

    fn host(&self, name: &str) -> Option<&Host> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(name) & mask;
        loop {
            let index = self.slots[slot].checked_sub(1)?;
            let host = &self.hosts[index as usize];
            if host.name.eq_ignore_ascii_case(name) {
                return Some(host);
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// Tells each prefix its parent; they are sorted, so the open ancestors form a stack.
fn link(prefixes: &mut [Prefix]) {
    let mut open: Vec<usize> = Vec::new();
    for index in 0..prefixes.len() {
        while open.last().is_some_and(|last| !covers(&prefixes[*last].path, &prefixes[index].path)) {
            open.pop();
        }
        prefixes[index].parent = open.last().and_then(|last| u32::try_from(*last).ok());
        open.push(index);
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// A hash of the host in lower case, eight bytes at a time. Setting bit 5 folds the case of letters and confuses a few
/// other bytes, which costs a comparison at worst.
fn hash(host: &str) -> usize {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let mut hash = host.len() as u64;
    let mut chunks = host.as_bytes().chunks_exact(8);
    let mut feed = |word: u64| {
        let product = u128::from((word | LOWER) ^ hash) * 0x9e37_79b9_7f4a_7c15;
        hash = (product ^ product >> 64) as u64;
    };
    for chunk in &mut chunks {
        feed(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
    }
    let mut rest = [0; 8];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    feed(u64::from_le_bytes(rest));
    hash as usize
}

/// Orders two paths as if both ended in `/`.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let common = a.len().min(b.len());
    a[..common].cmp(&b[..common]).then_with(|| match (a.get(common), b.get(common)) {
        (None, None) => std::cmp::Ordering::Equal,
        // The shorter one goes on with its slash; if the longer one has it too, the shorter ends first.
        (None, Some(next)) => b'/'.cmp(next).then(std::cmp::Ordering::Less),
        (Some(next), None) => next.cmp(&b'/').then(std::cmp::Ordering::Greater),
        (Some(_), Some(_)) => unreachable!("one of them ends at `common`"),
    })
}

fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
