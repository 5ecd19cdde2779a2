//! Routes: their hosts, the router of all of them, and where each leads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Compiler, NOWHERE, is_dns_name};
use crate::defect::KeyPath;
use crate::ids::{PoolId, RouteId};
use crate::route::{Action, Forward, Route};
use crate::router::{Claim, Router};
use crate::spec::{PolicySpec, RouteSpec, Steering};

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
        for (index, spec) in specs.iter().enumerate() {
            let path = root.index(index);
            let route = Route {
                name: spec.name.0.clone(),
                hosts: self.hosts(spec, &path),
                path: self.path_rule(spec, &path),
                conditions: self.conditions(spec, &path),
                action: self.action(spec, policies, &pools, &path),
                response_headers: self
                    .header_rules(spec.response_headers.as_ref(), &path.key("response_headers")),
            };
            self.table.routes.push(route);
        }
        let claims: Vec<Claim<'_>> = (0..)
            .map_while(RouteId::new)
            .zip(&self.table.routes)
            .flat_map(|(route, compiled)| {
                let Route { hosts, path, conditions, .. } = compiled;
                hosts.iter().map(move |host| Claim { host, path, conditions, route })
            })
            .collect();
        let (router, clashes) = Router::of(&claims);
        for clash in clashes {
            let (first, second) = (clash.first.index(), clash.second.index());
            self.defect(
                root.index(second),
                format!("route {:?} serves the same host, path and conditions", specs[first].name.0),
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
            let name = host.strip_prefix("*.").unwrap_or(&host);
            if !is_dns_name(name) && !is_address && host != "*" {
                let problem = if written.contains('*') {
                    format!("{written:?} is no wildcard: only `*` alone and a leading `*.` are")
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

    /// What a route does.
    fn action(
        &mut self,
        spec: &'a RouteSpec,
        policies: &BTreeMap<&'a str, &'a PolicySpec>,
        pools: &BTreeMap<String, PoolId>,
        path: &KeyPath,
    ) -> Action {
        let given = [
            ("pool", spec.pool.is_some()),
            ("redirect", spec.redirect.is_some()),
            ("respond", spec.respond.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key);
        match (given.next(), given.next()) {
            (None, _) => self.defect(
                path.clone(),
                "the route has no pool, and neither redirects nor responds".to_owned(),
                NOWHERE,
                "pool = \"web\"",
            ),
            (Some(first), Some(second)) => self.defect(
                path.key(second),
                format!("the route has {first} too"),
                "either could be meant",
                "a route for each",
            ),
            _ => {}
        }
        if spec.pool.is_none() && (spec.redirect.is_some() || spec.respond.is_some()) {
            self.only_of_pools(spec, path);
        }
        if let Some(redirect) = &spec.redirect {
            return Action::Redirect(self.redirect(redirect, spec, &path.key("redirect")));
        }
        if let Some(respond) = &spec.respond {
            return Action::Respond(self.respond(respond, &path.key("respond")));
        }
        let policy = self.policy_of(spec, policies, path);
        let Some(name) = &spec.pool else { return Action::Forward(Forward::default()) };
        let pool = pools.get(&name.0).copied();
        if pool.is_none() {
            let known = pools.keys().map(String::as_str);
            self.unknown("pool", name, known, &path.key("pool"), NOWHERE);
        }
        let lane = pool.map(|pool| self.lane(pool, spec, policy, path)).unwrap_or_default();
        let headers = path.key("request_headers");
        let (new_path, host) = self.rewrite(spec, &path.key("rewrite"));
        Action::Forward(Forward {
            lane,
            path: new_path,
            host,
            retry: self.retry(spec, &path.key("retry")),
            affinity: self.affinity(spec, &path.key("affinity")),
            headers: self.header_rules(spec.request_headers.as_ref(), &headers),
            timeouts: self.timeouts(spec, &path.key("timeouts")),
        })
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
}
