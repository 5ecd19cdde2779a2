//! What this edge tells of its requests: settings of what `observe` writes.

use std::path::{Path, PathBuf};

use http::Uri;
use steer::KeyPath;

use super::Reader;
use super::spec::{AccessLogSection, ParentDecision, TracingSection};

/// What the access log holds, and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where it goes.
    pub to: AccessLogTarget,
    /// The share of ordinary requests that get a line, 0 to 1.
    pub sample: f64,
    /// Whether only the network of a client's address is written.
    pub mask_client_ip: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccessLogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file, to which it is appended.
    File(PathBuf),
}

impl AccessLog {
    /// None at all.
    #[must_use]
    pub const fn off() -> Self {
        Self { to: AccessLogTarget::Off, sample: 1.0, mask_client_ip: false }
    }

    pub(super) fn of(section: &AccessLogSection, folder: &Path) -> Self {
        let to = match section.to.as_str() {
            "off" => AccessLogTarget::Off,
            "stdout" => AccessLogTarget::Stdout,
            file => AccessLogTarget::File(folder.join(file)),
        };
        Self { to, sample: section.sample, mask_client_ip: section.mask_client_ip }
    }
}

/// Header fields that tell clients of an answer's way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DiagnosticHeaders {
    /// `Server-Timing`.
    pub server_timing: bool,
    /// `Proxy-Status`.
    pub proxy_status: bool,
    /// `X-Nearside-Decision`.
    pub decision: bool,
}

impl DiagnosticHeaders {
    /// Whether any is wanted.
    #[must_use]
    pub const fn any(self) -> bool {
        self.server_timing || self.proxy_status || self.decision
    }
}

/// Where spans go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// The collector, for OTLP over HTTP: a scheme, a host, perhaps a port and a path.
    pub endpoint: Uri,
    /// The authorities to trust, as a PEM file, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The share of requests that are recorded where no parent decides, 0 to 1.
    pub sample: f64,
    /// Whose decision counts before.
    pub parent_decision: ParentDecision,
}

impl Reader {
    pub(super) fn tracing(&mut self, section: &TracingSection, folder: &Path) -> Option<Tracing> {
        let is_collector = |uri: &Uri| {
            let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
            let host = uri.authority().filter(|authority| !authority.as_str().contains('@'));
            has_scheme && host.is_some_and(|host| !host.host().is_empty()) && uri.query().is_none()
        };
        let Some(endpoint) = section.endpoint.parse().ok().filter(is_collector) else {
            let problem = format!("{:?} is not the address of a collector", section.endpoint);
            let example = "endpoint = \"http://127.0.0.1:4318\"";
            self.defect(KeyPath::of("tracing").key("endpoint"), &problem, "no span would be sent", example);
            return None;
        };
        let ca_file = section.ca_file.as_ref().map(|file| folder.join(file));
        Some(Tracing { endpoint, ca_file, sample: section.sample, parent_decision: section.parent_decision })
    }
}
