//! The configuration of this edge: from what was written to what the code works with.
//!
//! [`EdgeSpec`] is what an operator writes, [`Settings`] what it means: addresses parsed, paths resolved against the file's
//! folder. Reading names every mistake at once; what needs the machine to tell (a port in use, a broken certificate) comes
//! at start-up.

mod admin_spec;
mod listener_spec;
mod listening;
mod observing;
mod operators;
mod spec;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use control::document::{self, Finding};
use ipnet::IpNet;
use steer::geo::{Country, Place};
use steer::{Defect, KeyPath, Span};

pub use listening::{Listener, ListenerTls};
pub use observing::{AccessLog, AccessLogTarget, DiagnosticHeaders, Tracing};
pub use operators::AdminListener;
pub use spec::{EdgeSpec, OnAllSilent, ParentDecision};

/// What this edge was told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The PoP's name.
    pub name: String,
    /// The PoP's place as configured.
    pub place: Option<Place>,
    /// The PoP's address, to find its place by.
    pub public_address: Option<IpAddr>,
    /// Threads that serve clients.
    pub workers: usize,
    /// The table's file.
    pub table_file: PathBuf,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// The file of the key that affinity cookies are signed with.
    pub affinity_key_file: PathBuf,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_hops: Vec<IpNet>,
    /// GeoIP files, in order.
    pub databases: Vec<PathBuf>,
    /// Prefixes whose place the operator knows.
    pub prefixes: Vec<Prefix>,
    /// Bounds.
    pub limits: Limits,
    /// Where operators connect.
    pub admin: AdminListener,
    /// Where load balancers and Prometheus connect.
    pub health: SocketAddr,
    /// Addresses that are asked while no origin answers.
    pub references: Vec<SocketAddr>,
    /// Whether clients should still be sent here when nothing answers and there are no references.
    pub on_all_silent: OnAllSilent,
    /// What the access log holds, and where it goes.
    pub access_log: AccessLog,
    /// What answers tell of their way.
    pub headers: DiagnosticHeaders,
    /// Where spans go; `None` if they are not recorded.
    pub tracing: Option<Tracing>,
}

/// A prefix whose place is known.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// The prefix.
    pub net: IpNet,
    /// The country of its clients.
    pub country: Option<Country>,
    /// Where they are.
    pub place: Option<Place>,
}

/// Bounds; `spec::LimitsSection` says what each means.
#[expect(missing_docs, reason = "each is documented where operators read it")]
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections: usize,
    pub header_timeout: Duration,
    pub header_bytes: usize,
    pub headers: usize,
    pub idle_timeout: Duration,
    pub stream_idle_timeout: Duration,
    pub http2_streams: u32,
    pub http2_resets: usize,
    pub first_byte_timeout: Duration,
    pub replay_bytes: usize,
    /// See `limits.replay_total_bytes`.
    pub replay_total_bytes: usize,
    pub origin_idle_timeout: Span,
    pub warm_connections: usize,
    /// See `limits.decision_bytes`.
    pub decision_bytes: usize,
    pub readiness_grace: Duration,
    pub drain_timeout: Duration,
}

impl Default for Limits {
    /// What an empty `[limits]` means.
    fn default() -> Self {
        Reader { defects: Vec::new() }.limits(&spec::LimitsSection::default())
    }
}

/// Reads a file and what it means. Warnings are about what is allowed and probably not meant.
///
/// # Errors
/// Every mistake that could be found.
pub fn read(file: &Path) -> Result<(EdgeSpec, Settings), Vec<Finding>> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| {
        let example = "nearside run -c config/nearside.toml";
        vec![Finding::of_file(&name, format!("cannot be read: {error}"), "there is nothing to run", example)]
    })?;
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let env = |variable: &str| std::env::var(variable).ok();
    document::read(&name, &text, &env, |spec: EdgeSpec| {
        let settings = Settings::of(&spec, folder)?;
        Ok((spec, settings))
    })
}

impl Settings {
    /// What a spec means, with paths relative to `folder`.
    ///
    /// # Errors
    /// Every defect.
    pub fn of(spec: &EdgeSpec, folder: &Path) -> Result<Self, Vec<Defect>> {
        let mut reader = Reader { defects: Vec::new() };
        let settings = reader.settings(spec, folder);
        if reader.defects.is_empty() { Ok(settings) } else { Err(reader.defects) }
    }

    /// What is allowed and probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.place.is_none() && self.public_address.is_none() {
            warnings.push(
                "edge.place and edge.public_address are not set: clients are steered almost by their own distance \
                 alone (a = 0.1), and latencies are unknown until measured; for example: place = { latitude = 50.11, \
                 longitude = 8.68 }"
                    .to_owned(),
            );
        }
        let (total, workers) = (self.limits.replay_total_bytes, self.workers);
        if total / workers < self.limits.replay_bytes {
            warnings.push(format!(
                "limits.replay_total_bytes: {total} bytes among {workers} workers are less than replay_bytes each: \
                 longer bodies cannot be sent again; for example: replay_total_bytes = {}",
                self.limits.replay_bytes.saturating_mul(workers).saturating_mul(16),
            ));
        }
        warnings
    }
}

struct Reader {
    defects: Vec<Defect>,
}

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

impl Reader {
    fn settings(&mut self, spec: &EdgeSpec, folder: &Path) -> Settings {
        let edge = KeyPath::of("edge");
        if !spec.edge.name.is_valid() {
            self.defect(
                edge.key("name"),
                "it is not a name",
                "logs could not tell this PoP",
                "name = \"fra1\"",
            );
        }
        if spec.edge.place.is_some_and(|place| !place.is_on_earth()) {
            let example = "place = { latitude = 50.11, longitude = 8.68 }";
            self.defect(edge.key("place"), "it is no place on Earth", "no distance could be told", example);
        }
        let public_address = spec.edge.public_address.as_ref().and_then(|text| {
            let example = "public_address = \"203.0.113.7\"";
            self.parse(text, &edge.key("public_address"), "an IP address", example)
        });
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Settings {
            name: spec.edge.name.0.clone(),
            place: spec.edge.place,
            public_address,
            workers: spec.edge.workers.map_or(cores, usize::from).max(1),
            table_file: folder.join(&spec.edge.table),
            listeners: self.listeners(spec, folder),
            affinity_key_file: folder.join(&spec.affinity.key_file),
            trusted_hops: self.trusted_hops(spec),
            databases: spec.geo.databases.iter().map(|file| folder.join(file)).collect(),
            prefixes: self.prefixes(spec),
            limits: self.limits(&spec.limits),
            admin: self.operators(&spec.admin, folder),
            health: self.address(&spec.health.listen, &KeyPath::of("health").key("listen"), "127.0.0.1:9190"),
            references: self.references(&spec.health),
            on_all_silent: spec.health.readyz_on_all_down.unwrap_or_default(),
            access_log: AccessLog::of(&spec.access_log, folder),
            headers: DiagnosticHeaders {
                server_timing: spec.headers.server_timing,
                proxy_status: spec.headers.proxy_status,
                decision: spec.headers.decision,
            },
            tracing: spec.tracing.as_ref().and_then(|section| self.tracing(section, folder)),
        }
    }

    fn references(&mut self, health: &spec::HealthSection) -> Vec<SocketAddr> {
        let section = KeyPath::of("health");
        if !health.references.is_empty() && health.readyz_on_all_down.is_some() {
            self.defect(
                section.key("readyz_on_all_down"),
                "health.references decide already whether it is this PoP",
                "it would never count",
                "references = [\"1.1.1.1:443\", \"9.9.9.9:443\"]",
            );
        }
        let written = health.references.iter().enumerate();
        let read = |(index, text): (usize, &String)| {
            let example = "references = [\"1.1.1.1:443\", \"9.9.9.9:443\"]";
            let path = section.key("references").index(index);
            self.parse(text, &path, "an address and a port", example)
        };
        written.filter_map(read).collect()
    }

    fn trusted_hops(&mut self, spec: &EdgeSpec) -> Vec<IpNet> {
        let root = KeyPath::of("client_address").key("trusted_hops");
        self.nets(&spec.client_address.trusted_hops, &root, "trusted_hops = [\"10.0.0.0/8\"]")
    }

    pub(super) fn nets(&mut self, written: &[String], path: &KeyPath, example: &str) -> Vec<IpNet> {
        let nets = written.iter().enumerate();
        nets.filter_map(|(index, text)| self.net(text, &path.index(index), example)).collect()
    }

    fn prefixes(&mut self, spec: &EdgeSpec) -> Vec<Prefix> {
        let root = KeyPath::of("geo").key("prefixes");
        let mut prefixes: Vec<Prefix> = Vec::new();
        for (index, section) in spec.geo.prefixes.iter().enumerate() {
            let path = root.index(index);
            let example = "{ prefix = \"10.1.0.0/16\", country = \"DE\" }";
            let Some(net) = self.net(&section.prefix, &path.key("prefix"), example) else { continue };
            if section.country.is_none() && section.place.is_none() {
                self.defect(
                    path.clone(),
                    "it has neither country nor place",
                    "it would say nothing",
                    example,
                );
            }
            if section.place.is_some_and(|place| !place.is_on_earth()) {
                self.defect(
                    path.key("place"),
                    "it is no place on Earth",
                    "no distance could be told",
                    example,
                );
            }
            if prefixes.iter().any(|other| other.net == net) {
                let problem = format!("{net} stands here twice");
                self.defect(path.key("prefix"), &problem, "its clients would have two places", example);
            }
            prefixes.push(Prefix { net, country: section.country, place: section.place });
        }
        prefixes
    }

    fn limits(&mut self, limits: &spec::LimitsSection) -> Limits {
        let mut bounded = |key: &str, span: Span, least: Span| {
            if span < least || span > Span::from_secs(24 * 3600) {
                self.defect(
                    KeyPath::of("limits").key(key),
                    &format!("{span} is not between {least} and 24h"),
                    "good clients would be cut off, or bad ones never",
                    &format!("{key} = \"30s\""),
                );
            }
            Duration::from(span)
        };
        let (ms, s) = (Span::from_millis(10), Span::from_secs(1));
        Limits {
            connections: limits.connections as usize,
            header_timeout: bounded("header_timeout", limits.header_timeout, ms),
            header_bytes: limits.header_bytes as usize,
            headers: limits.headers as usize,
            idle_timeout: bounded("idle_timeout", limits.idle_timeout, ms),
            stream_idle_timeout: bounded("stream_idle_timeout", limits.stream_idle_timeout, ms),
            http2_streams: limits.http2_streams,
            http2_resets: limits.http2_resets as usize,
            first_byte_timeout: bounded("first_byte_timeout", limits.first_byte_timeout, ms),
            replay_bytes: limits.replay_bytes as usize,
            replay_total_bytes: usize::try_from(limits.replay_total_bytes).unwrap_or(usize::MAX),
            origin_idle_timeout: bounded("origin_idle_timeout", limits.origin_idle_timeout, s).into(),
            warm_connections: limits.warm_connections as usize,
            decision_bytes: usize::try_from(limits.decision_bytes).unwrap_or(usize::MAX),
            readiness_grace: bounded("readiness_grace", limits.readiness_grace, Span::ZERO),
            drain_timeout: bounded("drain_timeout", limits.drain_timeout, Span::ZERO),
        }
    }

    pub(super) fn address(&mut self, text: &str, path: &KeyPath, example: &str) -> SocketAddr {
        let key = path.0.last().map_or_else(String::new, |step| match step {
            steer::defect::Step::Key(key) => key.clone(),
            steer::defect::Step::Index(_) => String::new(),
        });
        let example = format!("{key} = {example:?}");
        self.parse(text, path, "an address and a port", &example).unwrap_or(ANY)
    }

    fn net(&mut self, text: &str, path: &KeyPath, example: &str) -> Option<IpNet> {
        let net: IpNet = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => self.parse(text, path, "an IP prefix", example)?,
        };
        if net.trunc() != net {
            let problem = format!("{net} has bits behind its length; the prefix is {}", net.trunc());
            self.defect(path.clone(), &problem, "it could mean more or less than you think", example);
        }
        Some(net.trunc())
    }

    fn parse<T: std::str::FromStr>(
        &mut self,
        text: &str,
        path: &KeyPath,
        noun: &str,
        example: &str,
    ) -> Option<T> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.defect(path.clone(), &format!("{text:?} is not {noun}"), "it could not be used", example);
        }
        parsed
    }

    pub(super) fn defect(&mut self, path: KeyPath, problem: &str, consequence: &str, example: &str) {
        let (problem, consequence, example) =
            (problem.to_owned(), consequence.to_owned(), example.to_owned());
        self.defects.push(Defect { path, problem, consequence, example });
    }
}
