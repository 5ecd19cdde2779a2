//! Spec to table: resolve every reference, refuse everything that makes no sense, all at once.
//!
//! A compile that stopped at the first mistake would cost an operator one run per mistake. Each check therefore records its
//! [`Defect`] and goes on with what is left; only at the end is the question asked whether there were any.
//!
//! Ranges are checked again here although the schema states them too: a spec may come from code.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::defect::{Defect, KeyPath};
use crate::draw::name_hash;
use crate::geo::{Place, Point};
use crate::ids::{LaneId, OriginId, PlacementId, PoolId, RegionId, RouteId};
use crate::moment::Span;
use crate::router::{Claim, Router};
use crate::spec::{
    Name, OriginTlsSpec, PlacementSpec, PolicySpec, PoolSpec, ProbeKind, ProbeSpec, RegionSpec, RouteSpec,
    Spec, Steering,
};
use crate::table::{
    Candidate, Exclusion, Lane, Origin, OriginHost, OriginTls, Placement, Pool, Probe, Region, Route, Table,
};

impl Table {
    /// Compiles a spec.
    ///
    /// # Errors
    /// Every [`Defect`] that could be found, in the order of the spec's sections.
    pub fn compile(spec: &Spec) -> Result<Self, Vec<Defect>> {
        let mut compiler = Compiler { table: Self::default(), defects: Vec::new(), lanes: BTreeMap::new() };
        compiler.regions(&spec.regions);
        compiler.pools(&spec.pools);
        let policies = compiler.policies(&spec.policies);
        compiler.routes(&spec.routes, &policies);
        if compiler.defects.is_empty() { Ok(compiler.table) } else { Err(compiler.defects) }
    }
}

struct Compiler<'a> {
    table: Table,
    defects: Vec<Defect>,
    lanes: BTreeMap<LaneKey<'a>, LaneId>,
}

/// What makes two routes share a lane.
type LaneKey<'a> = (PoolId, Option<&'a str>, u8, &'a [String]);

const MIN_PROBE_INTERVAL: Span = Span::from_millis(10);
const MAX_PROBE_INTERVAL: Span = Span::from_secs(3600);

const NOWHERE: &str = "requests for it would have nowhere to go";

impl<'a> Compiler<'a> {
    fn regions(&mut self, specs: &[RegionSpec]) {
        let root = KeyPath::of("regions");
        self.at_least_one(specs.is_empty(), &root, "region", "[[regions]]");
        self.unique(
            specs.iter().map(|spec| &spec.name),
            &root,
            "region",
            "one of the two would never be used",
        );
        for (index, spec) in specs.iter().enumerate() {
            let path = root.index(index);
            let place = Place { latitude: spec.latitude, longitude: spec.longitude };
            if !place.is_on_earth() {
                self.defect(
                    path.key("latitude"),
                    format!("{}, {} is no place on Earth", place.latitude, place.longitude),
                    "no distance to this region could be told",
                    "latitude = 50.11",
                );
            }
            self.weight(spec.weight, &path);
            if !(-500.0..=500.0).contains(&spec.bias_ms) {
                self.defect(
                    path.key("bias_ms"),
                    format!("{} is not between -500 and 500", spec.bias_ms),
                    "the region would win or lose every comparison: use weight or state for that",
                    "bias_ms = 10.0",
                );
            }
            self.table.regions.push(Region {
                name: spec.name.0.clone(),
                hash: name_hash(&spec.name.0),
                place,
                point: Point::of(place),
                jurisdiction: spec.jurisdiction.clone(),
                weight: spec.weight,
                state: spec.state,
                bias_ms: spec.bias_ms,
            });
        }
        self.fits(RegionId::new(specs.len()).is_some(), &root, "regions");
    }

    fn pools(&mut self, specs: &[PoolSpec]) {
        let root = KeyPath::of("pools");
        self.at_least_one(specs.is_empty(), &root, "pool", "[[pools]]");
        self.unique(specs.iter().map(|spec| &spec.name), &root, "pool", "routes could mean either");
        self.fits(PoolId::new(specs.len()).is_some(), &root, "pools");
        for (index, spec) in specs.iter().enumerate() {
            let path = root.index(index);
            let Some(id) = PoolId::new(index) else { return };
            let start = self.table.placements.len();
            let placements = path.key("placements");
            self.at_least_one(spec.placements.is_empty(), &placements, "placement", "[[pools.placements]]");
            for (index, placement) in spec.placements.iter().enumerate() {
                self.placement(id, start, placement, spec.tls.as_ref(), &placements.index(index));
            }
            let probe = self.probe(&spec.probe, &path.key("probe"));
            let tls = spec.tls.as_ref().map(|tls| self.origin_tls(tls, &path.key("tls")));
            self.table.pools.push(Pool {
                name: spec.name.0.clone(),
                probe,
                tls,
                placements: start..self.table.placements.len(),
            });
        }
    }

    fn placement(
        &mut self,
        pool: PoolId,
        first_of_pool: usize,
        spec: &PlacementSpec,
        tls: Option<&OriginTlsSpec>,
        path: &KeyPath,
    ) {
        let id = PlacementId::new(self.table.placements.len());
        let region = self.region(&spec.region, &path.key("region"), "the placement would be nowhere");
        let (Some(id), Some(region)) = (id, region) else {
            return;
        };
        if self.table.placements[first_of_pool..].iter().any(|other| other.region == region) {
            self.defect(
                path.key("region"),
                format!("this pool is placed in {:?} already", spec.region.0),
                "its weight, state and health would be counted twice",
                "origins = [\"10.0.0.1:8080\", \"10.0.0.2:8080\"]",
            );
        }
        self.weight(spec.weight, path);
        if spec.max_in_flight == Some(0) {
            self.defect(
                path.key("max_in_flight"),
                "0 lets no request in".to_owned(),
                "use state = \"off\" to say so",
                "max_in_flight = 500",
            );
        }
        let start = self.table.origins.len();
        let origins = path.key("origins");
        self.at_least_one(spec.origins.is_empty(), &origins, "origin", "origins = [\"10.0.0.1:8080\"]");
        for (index, address) in spec.origins.iter().enumerate() {
            let path = origins.index(index);
            if spec.origins[..index].contains(address) {
                self.defect(
                    path.clone(),
                    format!("{address:?} stands here twice"),
                    "it would get twice the requests of the others",
                    "origins = [\"10.0.0.1:8080\", \"10.0.0.2:8080\"]",
                );
            }
            match parse_address(address) {
                Ok((host, port)) => {
                    let named = matches!(host, OriginHost::Name(_));
                    if !named && tls.is_some_and(|tls| tls.server_name.is_none()) {
                        self.defect(
                            path,
                            format!(
                                "{address:?} is an address, and no name is given to verify its certificate by"
                            ),
                            "its certificate would have to name the address",
                            "tls = { server_name = \"origin.example.com\" }",
                        );
                    }
                    self.table.origins.push(Origin { placement: id, address: address.clone(), host, port });
                }
                Err(problem) => self.defect(
                    path,
                    format!("{address:?} {problem}"),
                    "it could not be connected to",
                    "origins = [\"10.0.0.1:8080\", \"[2001:db8::1]:8080\", \"origin.example.com:80\"]",
                ),
            }
        }
        self.fits(OriginId::new(self.table.origins.len()).is_some(), &origins, "origins");
        self.table.placements.push(Placement {
            pool,
            region,
            origins: start..self.table.origins.len(),
            weight: spec.weight,
            state: spec.state,
            max_in_flight: spec.max_in_flight,
        });
    }

    fn probe(&mut self, spec: &ProbeSpec, path: &KeyPath) -> Probe {
        if spec.kind == ProbeKind::Tcp {
            let unused = [
                ("path", spec.path.is_some()),
                ("host", spec.host.is_some()),
                ("statuses", spec.statuses.is_some()),
            ];
            for (key, _) in unused.into_iter().filter(|(_, written)| *written) {
                self.defect(
                    path.key(key),
                    "a tcp probe asks for no page".to_owned(),
                    "nothing would enforce this key",
                    "probe = { kind = \"http\", path = \"/healthz\" }",
                );
            }
        }
        if !(MIN_PROBE_INTERVAL..=MAX_PROBE_INTERVAL).contains(&spec.interval) {
            self.defect(
                path.key("interval"),
                format!("{} is not between {MIN_PROBE_INTERVAL} and {MAX_PROBE_INTERVAL}", spec.interval),
                "probes would be a load, or failures would go unnoticed",
                "interval = \"100ms\"",
            );
        }
        let default = ["200-399".to_owned()];
        let written = spec.statuses.as_deref().unwrap_or(&default);
        let mut statuses = Vec::with_capacity(written.len());
        for (index, text) in written.iter().enumerate() {
            match parse_statuses(text) {
                Some(range) => statuses.push(range),
                None => self.defect(
                    path.key("statuses").index(index),
                    format!("{text:?} is no status and no range of them"),
                    "no answer could match it",
                    "statuses = [\"200-299\", \"404\"]",
                ),
            }
        }
        Probe {
            kind: spec.kind,
            path: spec.path.clone().unwrap_or_else(|| "/".to_owned()),
            host: spec.host.clone(),
            statuses,
            interval: spec.interval,
        }
    }

    fn origin_tls(&mut self, spec: &OriginTlsSpec, path: &KeyPath) -> OriginTls {
        if let Some(name) = &spec.server_name
            && !is_dns_name(name)
            && name.parse::<IpAddr>().is_err()
        {
            self.defect(
                path.key("server_name"),
                format!("{name:?} is neither a DNS name nor an address"),
                "no certificate could match it",
                "server_name = \"origin.example.com\"",
            );
        }
        OriginTls { server_name: spec.server_name.clone(), ca_file: spec.ca_file.clone() }
    }

    fn policies(&mut self, specs: &'a [PolicySpec]) -> BTreeMap<&'a str, &'a PolicySpec> {
        let root = KeyPath::of("policies");
        self.unique(specs.iter().map(|spec| &spec.name), &root, "policy", "routes could mean either");
        for (index, spec) in specs.iter().enumerate() {
            let path = root.index(index);
            let keys = [
                ("order", spec.order.is_some(), Steering::ActivePassive),
                ("failback", spec.failback.is_some(), Steering::ActivePassive),
                ("countries", !spec.countries.is_empty(), Steering::Geo),
                ("continents", !spec.continents.is_empty(), Steering::Geo),
            ];
            for (key, _, wanted) in
                keys.into_iter().filter(|(_, written, wanted)| *written && *wanted != spec.steering)
            {
                self.defect(
                    path.key(key),
                    format!("steering is {:?}, which has no {key}", spec.steering.as_str()),
                    "nothing would enforce this key",
                    &format!("steering = {:?}", wanted.as_str()),
                );
            }
            if spec.steering == Steering::ActivePassive && spec.order.is_none() {
                self.defect(
                    path.clone(),
                    "active-passive steering needs an order".to_owned(),
                    "no region would be the active one",
                    "order = [\"eu-central\", \"us-east\"]",
                );
            }
            let order = path.key("order");
            let listed = spec.order.as_deref().unwrap_or_default();
            for (index, name) in listed.iter().enumerate() {
                self.region(name, &order.index(index), "it could never be chosen");
                if listed[..index].contains(name) {
                    self.defect(
                        order.index(index),
                        format!("{:?} stands here twice", name.0),
                        "its second place would never be reached",
                        "order = [\"eu-central\", \"us-east\"]",
                    );
                }
            }
            let countries = spec.countries.iter().map(|(code, names)| ("countries", code.to_string(), names));
            let continents = spec
                .continents
                .iter()
                .map(|(code, names)| ("continents", format!("{code:?}").to_uppercase(), names));
            for (key, code, names) in countries.chain(continents) {
                let path = path.key(key).key(&code);
                for (index, name) in names.iter().enumerate() {
                    self.region(name, &path.index(index), "no client could be sent there");
                }
            }
        }
        specs.iter().map(|spec| (spec.name.0.as_str(), spec)).collect()
    }

    fn routes(&mut self, specs: &'a [RouteSpec], policies: &BTreeMap<&'a str, &'a PolicySpec>) {
        let root = KeyPath::of("routes");
        self.at_least_one(specs.is_empty(), &root, "route", "[[routes]]");
        self.unique(
            specs.iter().map(|spec| &spec.name),
            &root,
            "route",
            "logs and metrics could mean either",
        );
        self.fits(RouteId::new(specs.len()).is_some(), &root, "routes");
        let pools: BTreeMap<String, PoolId> = (0..)
            .map_while(PoolId::new)
            .zip(&self.table.pools)
            .map(|(id, pool)| (pool.name.clone(), id))
            .collect();
        let mut hosts: Vec<Vec<String>> = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let path = root.index(index);
            hosts.push(self.hosts(spec, &path));
            self.path_prefix(spec, &path);
            let policy = self.policy_of(spec, policies, &path);
            let pool = pools.get(&spec.pool.0).copied();
            if pool.is_none() {
                self.unknown(
                    "pool",
                    &spec.pool,
                    pools.keys().map(String::as_str),
                    &path.key("pool"),
                    NOWHERE,
                );
            }
            let lane = pool.map(|pool| self.lane(pool, spec, policy, &path)).unwrap_or_default();
            self.table.routes.push(Route {
                name: spec.name.0.clone(),
                hosts: hosts[index].clone(),
                path_prefix: spec.path_prefix.clone(),
                lane,
            });
        }
        let claims: Vec<Claim<'_>> = (0..)
            .map_while(RouteId::new)
            .zip(specs.iter().zip(&hosts))
            .flat_map(|(route, (spec, hosts))| {
                hosts.iter().map(move |host| Claim { host, path: &spec.path_prefix, route })
            })
            .collect();
        let (router, clashes) = Router::of(&claims);
        for clash in clashes {
            let (first, second) = (clash.first.index(), clash.second.index());
            self.defect(
                root.index(second),
                format!("route {:?} serves the same host and path_prefix", specs[first].name.0),
                "this route would never be reached",
                "path_prefix = \"/api\"",
            );
        }
        self.table.router = router;
    }

    fn hosts(&mut self, spec: &RouteSpec, path: &KeyPath) -> Vec<String> {
        let root = path.key("hosts");
        self.at_least_one(spec.hosts.is_empty(), &root, "host", "hosts = [\"www.example.com\"]");
        let mut hosts = Vec::with_capacity(spec.hosts.len());
        for (index, written) in spec.hosts.iter().enumerate() {
            let host = written.to_ascii_lowercase();
            let is_address = written.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
            if !is_dns_name(&host) && !is_address {
                let problem = if written.contains('*') {
                    format!("{written:?} is a pattern; hosts are matched exactly")
                } else if written.contains(':') {
                    format!("{written:?} has a port; hosts are matched without one")
                } else {
                    format!("{written:?} is not a host name")
                };
                self.defect(
                    root.index(index),
                    problem,
                    "no request could match it",
                    "hosts = [\"www.example.com\"]",
                );
            }
            if hosts.contains(&host) {
                self.defect(
                    root.index(index),
                    format!("{written:?} stands here twice"),
                    "the second has no effect",
                    "hosts = [\"www.example.com\", \"example.com\"]",
                );
            } else {
                hosts.push(host);
            }
        }
        hosts
    }

    fn path_prefix(&mut self, spec: &RouteSpec, path: &KeyPath) {
        let prefix = &spec.path_prefix;
        let printable = prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        if !prefix.starts_with('/') || !printable || prefix.contains("//") {
            self.defect(
                path.key("path_prefix"),
                format!("{prefix:?} is not the beginning of a path"),
                "no request could match it",
                "path_prefix = \"/api\"",
            );
        }
    }

    fn policy_of(
        &mut self,
        spec: &'a RouteSpec,
        policies: &BTreeMap<&'a str, &'a PolicySpec>,
        path: &KeyPath,
    ) -> Option<&'a PolicySpec> {
        if spec.policy.is_some() && spec.steering.is_some() {
            self.defect(
                path.key("steering"),
                "the route names a policy too, and a policy has its own steering".to_owned(),
                "either could be meant",
                "policy = \"near\"",
            );
        }
        if spec.steering == Some(Steering::ActivePassive) && spec.policy.is_none() {
            self.defect(
                path.key("steering"),
                "active-passive steering needs an order, and only a policy has one".to_owned(),
                "no region would be the active one",
                "policy = \"eu-first\"",
            );
        }
        let name = spec.policy.as_ref()?;
        let policy = policies.get(name.0.as_str()).copied();
        if policy.is_none() {
            let known = policies.keys().copied();
            self.unknown("policy", name, known, &path.key("policy"), "no region could be chosen for it");
        }
        policy
    }

    fn lane(
        &mut self,
        pool: PoolId,
        spec: &'a RouteSpec,
        policy: Option<&'a PolicySpec>,
        path: &KeyPath,
    ) -> LaneId {
        let steering = policy.map_or(spec.steering.unwrap_or_default(), |policy| policy.steering);
        let key = (pool, policy.map(|policy| policy.name.0.as_str()), steering as u8, &*spec.jurisdictions);
        if let Some(lane) = self.lanes.get(&key) {
            return *lane;
        }
        let order: Option<Vec<RegionId>> = (steering == Steering::ActivePassive)
            .then(|| self.ids(policy.and_then(|policy| policy.order.as_deref()).unwrap_or_default()));
        let (mut candidates, mut excluded) = (Vec::new(), Vec::new());
        for placement in self.table.placements_of(pool) {
            let placed = self.table.placement(placement);
            let region = self.table.region(placed.region);
            let permitted = spec.jurisdictions.is_empty()
                || region.jurisdiction.as_ref().is_some_and(|at| spec.jurisdictions.contains(at));
            let listed = order.as_ref().is_none_or(|order| order.contains(&placed.region));
            match (permitted, listed) {
                (false, _) => excluded.push((placement, Exclusion::Jurisdiction)),
                (_, false) => excluded.push((placement, Exclusion::NotListed)),
                _ => candidates.push(Candidate {
                    placement,
                    region: placed.region,
                    hash: region.hash,
                    bias_ms: region.bias_ms,
                    max_in_flight: placed.max_in_flight.unwrap_or(u32::MAX),
                }),
            }
        }
        match &order {
            Some(order) => candidates
                .sort_by_key(|candidate| order.iter().position(|region| *region == candidate.region)),
            None => candidates.sort_by_key(|candidate| candidate.region),
        }
        if candidates.is_empty() && self.defects.is_empty() {
            let (key, problem) = if spec.jurisdictions.is_empty() {
                ("policy", format!("pool {:?} has no placement in the policy's order", spec.pool.0))
            } else {
                let wanted = spec.jurisdictions.join(", ");
                ("jurisdictions", format!("pool {:?} has no placement in {wanted}", spec.pool.0))
            };
            self.defect(path.key(key), problem, NOWHERE, "jurisdictions = [\"EU\"]");
        }
        let preferred = |names: &Vec<Name>| self.ids(names);
        let lane = Lane {
            pool,
            policy: policy.map(|policy| policy.name.0.clone()),
            steering,
            on_all_down: policy.map(|policy| policy.on_all_down).unwrap_or_default(),
            failback: policy.and_then(|policy| policy.failback).unwrap_or_default(),
            jurisdictions: spec.jurisdictions.clone(),
            points: candidates.iter().map(|candidate| self.table.region(candidate.region).point).collect(),
            candidates,
            excluded,
            countries: policy
                .map(|policy| {
                    policy.countries.iter().map(|(code, names)| (*code, preferred(names))).collect()
                })
                .unwrap_or_default(),
            continents: policy
                .map(|policy| {
                    policy.continents.iter().map(|(code, names)| (*code, preferred(names))).collect()
                })
                .unwrap_or_default(),
        };
        let id = LaneId::new(self.table.lanes.len()).unwrap_or_default();
        self.table.lanes.push(lane);
        self.lanes.insert(key, id);
        id
    }

    /// The regions of those names; unknown ones were reported where they stand.
    fn ids(&self, names: &[Name]) -> Vec<RegionId> {
        names.iter().filter_map(|name| self.table.region_named(&name.0)).collect()
    }

    fn region(&mut self, name: &Name, path: &KeyPath, consequence: &str) -> Option<RegionId> {
        let found = self.table.region_named(&name.0);
        if found.is_none() {
            let known: Vec<String> = self.table.regions.iter().map(|region| region.name.clone()).collect();
            self.unknown("region", name, known.iter().map(String::as_str), path, consequence);
        }
        found
    }

    fn unknown<'n>(
        &mut self,
        noun: &str,
        name: &Name,
        known: impl Iterator<Item = &'n str>,
        path: &KeyPath,
        consequence: &str,
    ) {
        let known: Vec<&str> = known.take(8).collect();
        let example = known.first().map_or_else(
            || format!("a [[{noun}s]] named {:?}", name.0),
            |first| {
                let key = path.0.iter().rev().find_map(|step| match step {
                    crate::defect::Step::Key(key) => Some(key.as_str()),
                    crate::defect::Step::Index(_) => None,
                });
                let value = if matches!(path.0.last(), Some(crate::defect::Step::Index(_))) {
                    format!("[{first:?}]")
                } else {
                    format!("{first:?}")
                };
                format!("{} = {value}", key.unwrap_or(noun))
            },
        );
        let named =
            if known.is_empty() { String::new() } else { format!(" (there are {})", known.join(", ")) };
        self.defect(path.clone(), format!("no {noun} is named {:?}{named}", name.0), consequence, &example);
    }

    fn unique<'n>(
        &mut self,
        names: impl Iterator<Item = &'n Name>,
        path: &KeyPath,
        noun: &str,
        consequence: &str,
    ) {
        let mut seen = BTreeMap::new();
        for (index, name) in names.enumerate() {
            if !name.is_valid() {
                self.defect(
                    path.index(index).key("name"),
                    format!("{:?} is not a name: 1 to 63 of a-z, 0-9, `-`, `_` and `.`, a letter or digit at both ends", name.0),
                    "it could not stand in a metric, a header or a command",
                    "name = \"eu-central\"",
                );
            }
            if let Some(first) = seen.insert(name, index) {
                self.defect(
                    path.index(index).key("name"),
                    format!("another {noun} ({}) is named {:?} too", path.index(first), name.0),
                    consequence,
                    &format!("name = \"{}-2\"", name.0),
                );
            }
        }
    }

    fn weight(&mut self, weight: u8, path: &KeyPath) {
        if weight > 100 {
            self.defect(
                path.key("weight"),
                format!("{weight} is more than 100"),
                "a region cannot keep more than all of its traffic; use bias_ms to attract more",
                "weight = 50",
            );
        }
    }

    fn at_least_one(&mut self, missing: bool, path: &KeyPath, noun: &str, example: &str) {
        if missing {
            self.defect(path.clone(), format!("there is no {noun}"), "no request could be served", example);
        }
    }

    fn fits(&mut self, fits: bool, path: &KeyPath, noun: &str) {
        if !fits {
            self.defect(
                path.clone(),
                format!("there are more {noun} than a table can number"),
                "some could not be addressed",
                "two tables on two edges",
            );
        }
    }

    fn defect(&mut self, path: KeyPath, problem: String, consequence: &str, example: &str) {
        let (consequence, example) = (consequence.to_owned(), example.to_owned());
        self.defects.push(Defect { path, problem, consequence, example });
    }
}

fn parse_address(address: &str) -> Result<(OriginHost, u16), &'static str> {
    let (host, port) = address.rsplit_once(':').ok_or("has no port")?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or("has no valid port after its last colon")?;
    if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let ip = v6.parse().map_err(|_| "has no IPv6 address in its brackets")?;
        return Ok((OriginHost::Ip(IpAddr::V6(ip)), port));
    }
    if host.contains(':') {
        return Err("has an IPv6 address without brackets");
    }
    if let Ok(ip) = host.parse() {
        return Ok((OriginHost::Ip(IpAddr::V4(ip)), port));
    }
    let name = host.to_ascii_lowercase();
    if is_dns_name(&name) && !name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        Ok((OriginHost::Name(name), port))
    } else {
        Err("has neither an address nor a DNS name before its port")
    }
}

/// LDH labels (and `_`, which service names use), 63 bytes each, 253 together, in lower case.
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn parse_statuses(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.parse().ok().filter(|status| (100..600).contains(status));
    let (low, high) = (status(low)?, status(high)?);
    (low <= high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert!(matches!(parse_address("10.0.0.1:80"), Ok((OriginHost::Ip(_), 80))));
        assert!(matches!(parse_address("[2001:db8::1]:8080"), Ok((OriginHost::Ip(_), 8080))));
        assert_eq!(
            parse_address("Origin.Example.COM:443"),
            Ok((OriginHost::Name("origin.example.com".into()), 443))
        );
        for bad in [
            "10.0.0.1",
            "10.0.0.1:0",
            "10.0.0.1:99999",
            "::1:80",
            "[::1",
            "[x]:80",
            "a b:80",
            ":80",
            "10.0.0.999:80",
            "-a:80",
        ] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn statuses() {
        assert_eq!(parse_statuses("204"), Some((204, 204)));
        assert_eq!(parse_statuses("200-299"), Some((200, 299)));
        for bad in ["", "99", "600", "299-200", "2xx", "200-"] {
            assert_eq!(parse_statuses(bad), None, "{bad}");
        }
    }
}
