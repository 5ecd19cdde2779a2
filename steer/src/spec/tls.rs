//! `tls` of a pool: how its origins are verified, and how this edge shows itself to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS towards the origins of a pool.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OriginTlsSpec {
    /// The name asked for and verified. Default: the origin's host name; required where an origin is an address whose
    /// certificate names a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("examples" = ["origin.example.com"]))]
    pub server_name: Option<String>,
    /// A PEM file of the authorities to trust, instead of the system's; relative to the directory of the table file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096), extend("examples" = ["origin-ca.pem"]))]
    pub ca_file: Option<String>,
    /// A PEM file of the certificate chain, leaf first, that this edge shows to origins that ask who it is (mutual TLS);
    /// relative to the directory of the table file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096), extend("examples" = ["edge-client.pem"]))]
    pub certificate_file: Option<String>,
    /// The PEM file of its private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096), extend("examples" = ["edge-client.key"]))]
    pub key_file: Option<String>,
    /// The versions spoken: `modern` is TLS 1.3 alone, `compatible` 1.2 too.
    #[serde(default = "modern")]
    pub profile: TlsProfile,
}

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["modern"]))]
pub enum TlsProfile {
    /// TLS 1.3 alone.
    Modern,
    /// TLS 1.3 and 1.2.
    Compatible,
}

const fn modern() -> TlsProfile {
    TlsProfile::Modern
}

impl Default for OriginTlsSpec {
    fn default() -> Self {
        Self { server_name: None, ca_file: None, certificate_file: None, key_file: None, profile: modern() }
    }
}
