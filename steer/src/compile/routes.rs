//! Routes: hosts, paths, and the lanes that alike ones share.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Compiler, is_dns_name};
use crate::defect::KeyPath;
use crate::ids::{LaneId, PoolId, RegionId, RouteId};
use crate::router::{Claim, Router};
use crate::spec::{Name, PolicySpec, RouteSpec, Steering};
use crate::table::{Candidate, Exclusion, Lane, Route};

const NOWHERE: &str = "requests for it would have nowhere to go";

impl<'a> Compiler<'a> {
    pub(super) fn routes(&mut self, specs: &'a [RouteSpec], policies: &BTreeMap<&'a str, &'a PolicySpec>) {
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
}
