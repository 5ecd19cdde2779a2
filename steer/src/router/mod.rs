//! Request to route: the most exact host, then the most exact path, then the route with the most conditions.
//!
//! The host is chosen first and alone: exact, else the longest wildcard, else `*`. Of its routes an exact path comes before a
//! regular expression and that before a prefix; longer prefixes come before shorter ones. Where several routes share a path, the
//! one with more conditions is asked first, and if none of them is met the next less exact path is. So the order is total and
//! the same for every request.
//!
//! Hosts, paths and prefixes stand in open-addressing tables over a fixed hash. A prefix covers whole path segments, so only the
//! places before a slash and the end of the path can be where it ends: one look per segment, from the first to as many as
//! the host's deepest prefix has, whatever the number of routes. The last one found is the longest.
//!
//! The path is compared as the client sent it, without its query.

mod slots;

use std::ops::Range;

use crate::ids::RouteId;
use crate::matching::{Conditions, Pattern, RequestHead};
use crate::route::PathRule;
use slots::{Slots, boundaries, host_hash, mixed};

/// The compiled form of all routes' hosts, paths and conditions.
#[derive(Clone, Debug, Default)]
pub struct Router {
    hosts: Vec<Host>,
    host_slots: Slots,
    has_wildcards: bool,
    /// The host `*`.
    any_host: Option<usize>,
    exacts: Vec<Path>,
    exact_slots: Slots,
    prefixes: Vec<Path>,
    prefix_slots: Slots,
    alternatives: Vec<Alternative>,
}

#[derive(Clone, Debug)]
struct Host {
    /// A wildcard begins with a dot.
    name: Box<str>,
    /// The routes of the prefix `/`.
    root: Range<usize>,
    /// The segments of its deepest prefix.
    depth: usize,
    has_exacts: bool,
    patterns: Vec<(Pattern, Range<usize>)>,
}

/// An exact path, or a prefix of at least one segment.
#[derive(Clone, Debug)]
struct Path {
    host: usize,
    /// Of a prefix: without a slash at its end.
    path: Box<str>,
    routes: Range<usize>,
}

/// A route among those of the same path, those with more conditions first.
#[derive(Clone, Debug)]
struct Alternative {
    route: RouteId,
    conditions: Option<Box<Conditions>>,
}

/// Why no route was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoRoute {
    /// No route serves this host.
    UnknownHost,
    /// The host is served, this path is not.
    UnknownPath,
    /// The path is served, but not for this method, header or query.
    Unmet,
}

/// A claim of a route on a host, its paths, and the requests that meet its conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) host: &'a str,
    pub(crate) path: &'a PathRule,
    pub(crate) conditions: &'a Conditions,
    pub(crate) route: RouteId,
}

/// Two routes claim the same requests; the earlier one has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clash {
    pub(crate) first: RouteId,
    pub(crate) second: RouteId,
}

impl Router {
    /// Finds the route of a request.
    ///
    /// # Errors
    /// [`NoRoute`] says what was not known.
    pub fn find(&self, head: &RequestHead<'_>) -> Result<RouteId, NoRoute> {
        let at = self.host(head.host).ok_or(NoRoute::UnknownHost)?;
        let host = &self.hosts[at];
        let mut why = NoRoute::UnknownPath;
        let mut first_of = |routes: &Range<usize>| {
            let alternatives = &self.alternatives[routes.clone()];
            let met = alternatives
                .iter()
                .find(|one| one.conditions.as_ref().is_none_or(|conditions| conditions.are_met_by(head)));
            if met.is_none() && !alternatives.is_empty() {
                why = NoRoute::Unmet;
            }
            met.map(|one| one.route)
        };
        if host.has_exacts {
            let is_it = |id: &usize| self.exacts[*id].host == at && *self.exacts[*id].path == *head.path;
            let exact = self.exact_slots.candidates(exact_hash(at, head.path)).find(is_it);
            if let Some(route) = exact.and_then(|id| first_of(&self.exacts[id].routes)) {
                return Ok(route);
            }
        }
        for (pattern, routes) in &host.patterns {
            if pattern.matches(head.path.as_bytes())
                && let Some(route) = first_of(routes)
            {
                return Ok(route);
            }
        }
        let path = without_slash(head.path);
        let has_root = path.is_empty() || path.starts_with('/');
        let mut found = if has_root { first_of(&host.root) } else { None };
        for (end, hash) in boundaries(at, path).take(host.depth) {
            let prefix = &path[..end];
            let is_it = |id: &usize| self.prefixes[*id].host == at && *self.prefixes[*id].path == *prefix;
            if let Some(id) = self.prefix_slots.candidates(hash).find(is_it) {
                found = first_of(&self.prefixes[id].routes).or(found);
            }
        }
        found.ok_or(why)
    }

    /// Where the routes of a host stand.
    fn host(&self, host: &str) -> Option<usize> {
        let named = |wanted: &str| {
            let is_named = |at: &usize| {
                let name = &self.hosts[*at].name;
                **name == *wanted || name.eq_ignore_ascii_case(wanted)
            };
            self.host_slots.candidates(host_hash(wanted)).find(is_named)
        };
        let wildcard = || {
            let mut dots =
                host.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
            if self.has_wildcards { dots.find_map(|dot| named(&host[dot..])) } else { None }
        };
        // A wildcard stands under its name with a dot before it, which no host of a request begins with.
        let exact = if host.starts_with('.') { None } else { named(host) };
        exact.or_else(wildcard).or(self.any_host)
    }

    /// Builds the router of all claims, and names the claims that came too late.
    pub(crate) fn of(claims: &[Claim<'_>]) -> (Self, Vec<Clash>) {
        let mut sorted: Vec<Claim<'_>> = claims.to_vec();
        sorted.sort_by(|a, b| {
            let order = |claim: &Claim<'_>| (claim.conditions.rank(), std::cmp::Reverse(claim.route));
            (a.host, kind(a.path)).cmp(&(b.host, kind(b.path))).then_with(|| order(b).cmp(&order(a)))
        });
        let mut router = Self::default();
        let mut clashes = Vec::new();
        for claims in sorted.chunk_by(|a, b| a.host == b.host) {
            let at = router.hosts.len();
            let name = claims[0].host.strip_prefix('*').unwrap_or(claims[0].host);
            if name.is_empty() {
                router.any_host = Some(at);
            }
            router.has_wildcards |= name.starts_with('.');
            let mut host =
                Host { name: name.into(), root: 0..0, depth: 0, has_exacts: false, patterns: Vec::new() };
            for claims in claims.chunk_by(|a, b| kind(a.path) == kind(b.path)) {
                let routes = router.alternatives(claims, &mut clashes);
                match claims[0].path {
                    PathRule::Exact(path) => {
                        host.has_exacts = true;
                        router.exacts.push(Path { host: at, path: path.as_str().into(), routes });
                    }
                    PathRule::Matches(pattern) => host.patterns.push((pattern.clone(), routes)),
                    PathRule::Prefix(prefix) => match without_slash(prefix) {
                        "" => host.root = routes,
                        path => {
                            host.depth = host.depth.max(boundaries(at, path).count());
                            router.prefixes.push(Path { host: at, path: path.into(), routes });
                        }
                    },
                }
            }
            // Patterns are asked in the order of the table.
            host.patterns.sort_by_key(|(_, routes)| {
                router.alternatives[routes.clone()].iter().map(|one| one.route).min()
            });
            router.hosts.push(host);
        }
        router.host_slots = Slots::of(router.hosts.iter().map(|host| host_hash(&host.name)));
        router.exact_slots = Slots::of(router.exacts.iter().map(|path| exact_hash(path.host, &path.path)));
        let last = |prefix: &Path| boundaries(prefix.host, &prefix.path).last().map_or(0, |(_, hash)| hash);
        router.prefix_slots = Slots::of(router.prefixes.iter().map(last));
        (router, clashes)
    }

    /// Takes in the claims on one path, those with more conditions first.
    fn alternatives(&mut self, claims: &[Claim<'_>], clashes: &mut Vec<Clash>) -> Range<usize> {
        let start = self.alternatives.len();
        for (index, claim) in claims.iter().enumerate() {
            if let Some(same) = claims[..index].iter().find(|other| other.conditions == claim.conditions) {
                clashes.push(Clash { first: same.route, second: claim.route });
            }
            let conditions = (!claim.conditions.is_empty()).then(|| Box::new(claim.conditions.clone()));
            self.alternatives.push(Alternative { route: claim.route, conditions });
        }
        start..self.alternatives.len()
    }
}

/// What makes two paths the same.
fn kind(path: &PathRule) -> (u8, &str) {
    match path {
        PathRule::Exact(path) => (0, path),
        PathRule::Matches(pattern) => (1, pattern.as_str()),
        PathRule::Prefix(path) => (2, without_slash(path)),
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn exact_hash(host: usize, path: &str) -> u64 {
    mixed((host as u64) << 32 | path.len() as u64, path.as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{Condition, Test};
    use proptest::prelude::*;

    /// Routes of `(host, path)`; a path is a prefix, `=` an exact one, `~` a pattern.
    fn router(routes: &[(&str, &str)]) -> Router {
        let (router, clashes) =
            router_of(routes.iter().map(|(host, path)| (*host, *path, Conditions::default())));
        assert_eq!(clashes, []);
        router
    }

    fn router_of<'a>(routes: impl Iterator<Item = (&'a str, &'a str, Conditions)>) -> (Router, Vec<Clash>) {
        let rule = |path: &str| match path.split_at(1) {
            ("=", path) => PathRule::Exact(path.to_owned()),
            ("~", pattern) => PathRule::Matches(Pattern::new(pattern).unwrap()),
            _ => PathRule::Prefix(path.to_owned()),
        };
        let routes: Vec<(&str, PathRule, Conditions)> =
            routes.map(|(host, path, conditions)| (host, rule(path), conditions)).collect();
        let claims: Vec<Claim<'_>> = (0..)
            .zip(&routes)
            .map(|(index, (host, path, conditions))| Claim {
                host,
                path,
                conditions,
                route: RouteId::new(index).unwrap(),
            })
            .collect();
        Router::of(&claims)
    }

    fn found(router: &Router, host: &str, path: &str) -> Result<usize, NoRoute> {
        router.find(&RequestHead::get(host, path)).map(RouteId::index)
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
    fn the_most_exact_host_wins_alone() {
        let router = router(&[("*", "/"), ("*.a.test", "/"), ("*.b.a.test", "/"), ("c.b.a.test", "/only")]);
        assert_eq!(found(&router, "a.test", "/"), Ok(0), "a wildcard does not cover its own name");
        assert_eq!(found(&router, "X.a.Test", "/"), Ok(1));
        assert_eq!(found(&router, "x.y.a.test", "/"), Ok(1), "it covers any depth");
        assert_eq!(found(&router, "x.b.a.test", "/"), Ok(2), "the longest wildcard");
        assert_eq!(found(&router, "c.b.a.test", "/only"), Ok(3));
        assert_eq!(found(&router, "c.b.a.test", "/"), Err(NoRoute::UnknownPath), "never a less exact host");
        assert_eq!(found(&router, ".a.test", "/"), Ok(0), "an empty label is no name below");
        assert_eq!(found(&router, "127.0.0.1", "/"), Ok(0));
    }

    #[test]
    fn exact_paths_then_patterns_then_prefixes() {
        let router = router(&[
            ("h", "/"),
            ("h", "/img"),
            ("h", "~/img/.*[.]png"),
            ("h", "~/img/a.*"),
            ("h", "=/img/a.png"),
        ]);
        assert_eq!(found(&router, "h", "/img/a.png"), Ok(4));
        assert_eq!(found(&router, "h", "/img/ab.png"), Ok(2), "of two patterns the earlier");
        assert_eq!(found(&router, "h", "/img/ab.gif"), Ok(3));
        assert_eq!(found(&router, "h", "/img/b.gif"), Ok(1));
        assert_eq!(found(&router, "h", "/img/a.png/"), Ok(3), "exact is exact");
    }

    fn needs(methods: &[&str], headers: &[&str]) -> Conditions {
        Conditions {
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            headers: headers
                .iter()
                .map(|name| Condition { name: (*name).to_owned(), test: Test::Present })
                .collect(),
            query: Vec::new(),
        }
    }

    #[test]
    fn more_conditions_first_and_less_exact_paths_after() {
        let routes = [
            ("h", "/", Conditions::default()),
            ("h", "/api", needs(&[], &["x-a"])),
            ("h", "/api", needs(&["GET"], &[])),
            ("h", "/api", needs(&[], &["x-a", "x-b"])),
            ("g", "/", needs(&["POST"], &[])),
        ];
        let (router, clashes) = router_of(routes.into_iter());
        assert_eq!(clashes, []);
        let ask = |host, method, fields: &[&str]| {
            let fields: Vec<(String, String)> =
                fields.iter().map(|name| ((*name).to_owned(), String::new())).collect();
            let head = RequestHead { method, fields: &fields, ..RequestHead::get(host, "/api/x") };
            router.find(&head).map(RouteId::index)
        };
        assert_eq!(ask("h", "GET", &["x-a", "x-b"]), Ok(2), "a method counts most");
        assert_eq!(ask("h", "PUT", &["x-a", "x-b"]), Ok(3));
        assert_eq!(ask("h", "PUT", &["x-a"]), Ok(1));
        assert_eq!(ask("h", "PUT", &[]), Ok(0), "the less exact path");
        assert_eq!(ask("g", "PUT", &[]), Err(NoRoute::Unmet));
    }

    #[test]
    fn two_routes_cannot_claim_the_same_requests() {
        let [first, second] = [0, 1].map(|index| RouteId::new(index).unwrap());
        let twice = [("a.test", "/api/", needs(&["GET"], &[])), ("a.test", "/api", needs(&["GET"], &[]))];
        let (_, clashes) = router_of(twice.into_iter());
        assert_eq!(clashes, [Clash { first, second }]);
        let differ = [("a.test", "/api/", needs(&["GET"], &[])), ("a.test", "/api", needs(&["PUT"], &[]))];
        assert_eq!(router_of(differ.into_iter()).1, []);
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
            let prefixes: Vec<String> = prefixes.into_iter().map(|path| format!("{path}/")).collect();
            let routes: Vec<(&str, &str)> = prefixes.iter().map(|prefix| ("h", prefix.as_str())).collect();
            let router = router(&routes);
            let expected = (0..prefixes.len())
                .filter(|index| covers(without_slash(&prefixes[*index]), without_slash(&path)))
                .max_by_key(|index| prefixes[*index].len());
            prop_assert_eq!(found(&router, "h", &path).ok(), expected);
        }
    }
}
