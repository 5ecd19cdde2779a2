//! What a route does with a request: redirect, answer, rewrite, change headers, limit times.

use super::matching::is_field_name;
use super::{Compiler, is_dns_name};
use crate::defect::KeyPath;
use crate::moment::Span;
use crate::route::{HeaderRules, NewPath, Redirect, Respond, Timeouts};
use crate::spec::{HeaderRulesSpec, RedirectSpec, RespondSpec, RouteSpec};

const NOTHING: &str = "nothing would enforce this key";

/// Fields that only speak of one connection, frame a message, or say where it goes and has been. No rule may write or remove
/// them.
const UNTOUCHED: [&str; 11] = [
    "cdn-loop",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Compiler<'_> {
    /// Refuses what only a route with a pool can obey.
    pub(super) fn only_of_pools(&mut self, spec: &RouteSpec, path: &KeyPath) {
        let keys = [
            ("policy", spec.policy.is_some()),
            ("steering", spec.steering.is_some()),
            ("jurisdictions", !spec.jurisdictions.is_empty()),
            ("affinity", spec.affinity.is_some()),
            ("rewrite", spec.rewrite.is_some()),
            ("request_headers", spec.request_headers.is_some()),
            ("timeouts", spec.timeouts.is_some()),
            ("retry", spec.retry.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, is_given)| *is_given) {
            let problem = format!("the route has no pool, so {key} means nothing");
            self.defect(path.key(key), problem, NOTHING, "pool = \"web\"");
        }
    }

    pub(super) fn redirect(&mut self, spec: &RedirectSpec, route: &RouteSpec, path: &KeyPath) -> Redirect {
        if !matches!(spec.status, 301 | 302 | 303 | 307 | 308) {
            let problem = format!("{} is no redirect", spec.status);
            self.defect(path.key("status"), problem, "clients would not go on", "status = 308");
        }
        if spec.host.as_ref().is_some_and(|host| !is_dns_name(&host.to_ascii_lowercase())) {
            let problem = format!("{:?} is not a host name", spec.host.as_deref().unwrap_or_default());
            self.defect(
                path.key("host"),
                problem,
                "clients could not go there",
                "host = \"www.example.com\"",
            );
        }
        let new = self.new_path(spec.prefix.as_ref(), spec.path.as_ref(), route, path);
        let stays =
            spec.scheme.is_none() && spec.host.is_none() && spec.port.is_none() && new == NewPath::Same;
        if stays && spec.keep_query {
            self.defect(
                path.clone(),
                "it sends clients to where they are".to_owned(),
                "they would go round in circles",
                "redirect = { scheme = \"https\" }",
            );
        }
        Redirect {
            status: spec.status,
            scheme: spec.scheme,
            host: spec.host.as_ref().map(|host| host.to_ascii_lowercase()),
            port: spec.port,
            path: new,
            keep_query: spec.keep_query,
        }
    }

    pub(super) fn respond(&mut self, spec: &RespondSpec, path: &KeyPath) -> Respond {
        if !(200..=599).contains(&spec.status) {
            let problem = format!("{} is not a status between 200 and 599", spec.status);
            self.defect(path.key("status"), problem, "clients would not understand it", "status = 503");
        }
        if matches!(spec.status, 204 | 205 | 304) && !spec.body.is_empty() {
            let problem = format!("an answer {} has no body", spec.status);
            self.defect(
                path.key("body"),
                problem,
                "clients would take it for the next answer",
                "status = 200",
            );
        }
        if spec.body.len() > 65_536 {
            let problem = format!("{} bytes are more than 65536", spec.body.len());
            self.defect(path.key("body"), problem, "every answer would carry them", "a pool that serves it");
        }
        if !is_field_value(&spec.content_type) {
            let problem = format!("{:?} is not a media type", spec.content_type);
            let example = "content_type = \"application/json\"";
            self.defect(path.key("content_type"), problem, "clients could not read the body", example);
        }
        Respond { status: spec.status, body: spec.body.clone(), content_type: spec.content_type.clone() }
    }

    /// The new path and the new host.
    pub(super) fn rewrite(&mut self, route: &RouteSpec, path: &KeyPath) -> (NewPath, Option<String>) {
        let Some(spec) = &route.rewrite else { return (NewPath::Same, None) };
        if let Some(host) = &spec.host {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
            let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
            if !(is_dns_name(&name.to_ascii_lowercase()) || is_address) || port.parse::<u16>().is_err() {
                let problem = format!("{host:?} is not a host");
                let example = "host = \"internal.example.com\"";
                self.defect(path.key("host"), problem, "origins would refuse every request", example);
            }
        }
        let new = self.new_path(spec.prefix.as_ref(), spec.path.as_ref(), route, path);
        if spec.prefix.is_none() && spec.path.is_none() && spec.host.is_none() {
            self.defect(
                path.clone(),
                "it changes nothing".to_owned(),
                NOTHING,
                "rewrite = { prefix = \"/\" }",
            );
        }
        (new, spec.host.clone())
    }

    fn new_path(
        &mut self,
        prefix: Option<&String>,
        whole: Option<&String>,
        route: &RouteSpec,
        path: &KeyPath,
    ) -> NewPath {
        for (key, written) in [("prefix", prefix), ("path", whole)] {
            let is_path = |text: &str| text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
            if written.is_some_and(|text| !is_path(text)) {
                let problem = format!("{:?} is not a path", written.map_or("", String::as_str));
                self.defect(path.key(key), problem, "no one could answer it", &format!("{key} = \"/v2\""));
            }
        }
        let by_prefix = route.path.is_none() && route.path_regex.is_none();
        match (prefix, whole) {
            (Some(_), Some(_)) => {
                let problem = "prefix and path cannot both replace it".to_owned();
                self.defect(path.clone(), problem, "either could be meant", "prefix = \"/v2\"");
                NewPath::Same
            }
            (Some(_), None) if !by_prefix => {
                let problem = "the route has no path_prefix that this could replace".to_owned();
                self.defect(path.key("prefix"), problem, NOTHING, "path = \"/v2\"");
                NewPath::Same
            }
            (Some(prefix), None) => NewPath::Prefix(prefix.clone()),
            (None, Some(whole)) => NewPath::Whole(whole.clone()),
            (None, None) => NewPath::Same,
        }
    }

    pub(super) fn header_rules(&mut self, spec: Option<&HeaderRulesSpec>, path: &KeyPath) -> HeaderRules {
        let Some(spec) = spec else { return HeaderRules::default() };
        let mut rules = HeaderRules::default();
        for (index, name) in spec.remove.iter().enumerate() {
            rules.remove.extend(self.field_name(name, &path.key("remove").index(index)));
        }
        for (key, written, compiled) in
            [("set", &spec.set, &mut rules.set), ("add", &spec.add, &mut rules.add)]
        {
            for (name, value) in written {
                let path = path.key(key).key(name);
                if !is_field_value(value) {
                    let problem = format!("{value:?} is not the value of a header field");
                    let consequence = "it could break the message that carries it";
                    self.defect(
                        path.clone(),
                        problem,
                        consequence,
                        &format!("{key} = {{ x-env = \"prod\" }}"),
                    );
                }
                compiled.extend(self.field_name(name, &path).map(|name| (name, value.clone())));
            }
        }
        if rules == HeaderRules::default() && self.defects.is_empty() {
            self.defect(path.clone(), "it changes nothing".to_owned(), NOTHING, "set = { x-env = \"prod\" }");
        }
        rules
    }

    fn field_name(&mut self, written: &str, path: &KeyPath) -> Option<String> {
        let name = written.to_ascii_lowercase();
        if !is_field_name(&name) {
            let problem = format!("{written:?} is not the name of a header field");
            self.defect(path.clone(), problem, "no message could carry it", "\"x-env\"");
            return None;
        }
        if UNTOUCHED.contains(&name.as_str()) || name.starts_with("x-nearside-") {
            let problem =
                format!("{name} is not for rules: it frames the message, tells its way or is nearside's own");
            let example =
                if name == "host" { "rewrite = { host = \"internal.example.com\" }" } else { "\"x-env\"" };
            self.defect(path.clone(), problem, "messages could be misread", example);
            return None;
        }
        Some(name)
    }

    pub(super) fn timeouts(&mut self, route: &RouteSpec, path: &KeyPath) -> Timeouts {
        let Some(spec) = &route.timeouts else { return Timeouts::default() };
        for (key, span) in [
            ("connect", spec.connect),
            ("first_byte", spec.first_byte),
            ("idle", spec.idle),
            ("total", spec.total),
        ] {
            let bounds = Span::from_millis(1)..=Span::from_secs(24 * 3600);
            if let Some(span) = span.filter(|span| !bounds.contains(span)) {
                let problem = format!("{span} is not between 1ms and 24h");
                let consequence = "every request would fail, or none ever";
                self.defect(path.key(key), problem, consequence, &format!("{key} = \"5s\""));
            }
        }
        let crate::spec::TimeoutsSpec { connect, first_byte, idle, total } = *spec;
        Timeouts { connect, first_byte, idle, total }
    }
}

/// Visible characters, blanks between them (RFC 9110, 5.5), ASCII alone.
fn is_field_value(value: &str) -> bool {
    value.len() <= 4096
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && value.trim_matches([' ', '\t']) == value
}
