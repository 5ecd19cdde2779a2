//! What this edge tells of its requests: settings of what `observe` writes.

use std::path::{Path, PathBuf};

use super::spec::AccessLogSection;

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
