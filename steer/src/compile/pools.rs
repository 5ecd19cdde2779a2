//! Pools: their placements, origins, probes and TLS.

use std::net::IpAddr;

use super::{Compiler, is_dns_name};
use crate::defect::KeyPath;
use crate::draw::name_hash;
use crate::ids::{OriginId, PlacementId, PoolId};
use crate::moment::Span;
use crate::spec::{OriginTlsSpec, PlacementSpec, PoolSpec, ProbeKind, ProbeSpec, Protocol};
use crate::table::{Origin, OriginHost, OriginTls, OriginTlsConfig, Placement, Pool, Probe};

const MIN_PROBE_INTERVAL: Span = Span::from_millis(10);
const MAX_PROBE_INTERVAL: Span = Span::from_secs(3600);

impl Compiler<'_> {
    pub(super) fn pools(&mut self, specs: &[PoolSpec]) {
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
            let probe = self.probe(&spec.probe, spec.protocol, spec.tls.is_some(), &path.key("probe"));
            let tls = spec.tls.as_ref().map(|tls| self.origin_tls(tls, &path.key("tls")));
            let budgets = self.budgets(&spec.retry_budget, &path.key("retry_budget"));
            self.table.pools.push(Pool {
                name: spec.name.0.clone(),
                probe,
                tls,
                protocol: spec.protocol,
                budgets,
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
                    let (address, hash) = (address.clone(), name_hash(address));
                    self.table.origins.push(Origin { placement: id, address, hash, host, port });
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

    fn probe(&mut self, spec: &ProbeSpec, protocol: Protocol, is_encrypted: bool, path: &KeyPath) -> Probe {
        let (http, grpc, tcp) = (ProbeKind::Http, ProbeKind::Grpc, ProbeKind::Tcp);
        let keys = [
            ("path", spec.path.is_some(), &[http][..]),
            ("statuses", spec.statuses.is_some(), &[http]),
            ("host", spec.host.is_some(), &[http, grpc]),
            ("service", spec.service.is_some(), &[grpc]),
        ];
        for (key, _, _) in
            keys.into_iter().filter(|(_, written, kinds)| *written && !kinds.contains(&spec.kind))
        {
            let problem = match spec.kind {
                kind if kind == tcp => "a tcp probe asks for no page".to_owned(),
                kind if kind == grpc => format!("a grpc probe has no {key}"),
                _ => format!("an http probe has no {key}"),
            };
            let example = "probe = { kind = \"http\", path = \"/healthz\" }";
            self.defect(path.key(key), problem, "nothing would enforce this key", example);
        }
        let speaks_http2 = match protocol {
            Protocol::Auto => is_encrypted,
            Protocol::Http1 => false,
            Protocol::Http2 => true,
        };
        if spec.kind == grpc && !speaks_http2 {
            self.defect(
                path.key("kind"),
                "a grpc probe needs a pool that speaks HTTP/2".to_owned(),
                "no origin would ever be healthy",
                "protocol = \"http2\"",
            );
        }
        let service = spec.service.as_deref().unwrap_or_default();
        if service.len() > 127 {
            let problem = format!("{} bytes are no name of a service", service.len());
            self.defect(
                path.key("service"),
                problem,
                "it could not be asked about",
                "service = \"shop.v1.Orders\"",
            );
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
            path: match spec.kind {
                ProbeKind::Grpc => service.to_owned(),
                _ => spec.path.clone().unwrap_or_else(|| "/".to_owned()),
            },
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
        for (there, missing) in [
            (&spec.certificate_file, ("key_file", &spec.key_file)),
            (&spec.key_file, ("certificate_file", &spec.certificate_file)),
        ] {
            let (key, file) = missing;
            if there.is_some() && file.is_none() {
                self.defect(
                    path.key(key),
                    "it is missing: a certificate and its key go together".to_owned(),
                    "origins could not be shown who this edge is",
                    "tls = { certificate_file = \"edge-client.pem\", key_file = \"edge-client.key\" }",
                );
            }
        }
        OriginTls {
            server_name: spec.server_name.clone(),
            config: OriginTlsConfig {
                ca_file: spec.ca_file.clone(),
                certificate: spec.certificate_file.clone().zip(spec.key_file.clone()),
                profile: spec.profile,
            },
        }
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
