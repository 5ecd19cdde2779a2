//! `[[listeners]]`, as their author writes them: where clients connect, and by which certificates.
//!
//! Each doc comment below is shown to operators. A key that nothing enforces has no place here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steer::spec::TlsProfile;

/// A socket that clients connect to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSection {
    /// Address and port. `[::]` listens on IPv4 too.
    #[schemars(extend("examples" = ["0.0.0.0:8080"]))]
    pub address: String,
    /// Present: TLS, with HTTP/2 and HTTP/1.1 by ALPN. Absent: plain HTTP/1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"certificate_file": "edge.pem", "key_file": "edge.key"}]))]
    pub tls: Option<ListenerTlsSection>,
    /// Whether clients may begin with HTTP/2 without TLS and without asking (h2c by prior knowledge), as gRPC clients inside a
    /// network do. HTTP/1.1 is served beside it. Not together with `tls`, which agrees on HTTP/2 by itself.
    #[serde(default)]
    #[schemars(extend("examples" = [true]))]
    pub http2_prior_knowledge: bool,
    /// Present: proxies in front of this listener tell who the client is (PROXY protocol, versions 1 and 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"from": ["10.0.0.0/8"]}]))]
    pub proxy_protocol: Option<ProxyProtocolSection>,
}

/// Who must send PROXY headers.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocolSection {
    /// Prefixes of the proxies. Each of their connections must begin with a PROXY header, whose word for the client's address
    /// and for the port counts; without one it is closed. Connections from elsewhere are clients' own.
    #[schemars(length(min = 1), extend("examples" = [["10.0.0.0/8"]]))]
    pub from: Vec<String>,
}

/// TLS of a listener. Its files are watched, and taken over when they change and are sound.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTlsSection {
    /// PEM file of the certificate chain, leaf first, relative to this file. It is for the DNS names that it holds, and for
    /// clients that ask for a name of no certificate, or for none.
    #[schemars(length(min = 1), extend("examples" = ["edge.pem"]))]
    pub certificate_file: String,
    /// PEM file of its private key, relative to this file.
    #[schemars(length(min = 1), extend("examples" = ["edge.key"]))]
    pub key_file: String,
    /// Further certificates. A client gets the one for the very name it asks for, or else one for `*.` and the rest of it.
    /// Of several for the same name (ECDSA and RSA), the first that it can verify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [[{"certificate_file": "shop.pem", "key_file": "shop.key"}]]))]
    pub certificates: Vec<CertificateSection>,
    /// The versions spoken: `modern` is TLS 1.3 alone, `compatible` 1.2 too.
    #[serde(default = "compatible")]
    pub profile: TlsProfile,
    /// PEM file of the authorities that clients' certificates must come from. Absent: clients are not asked for any.
    /// Origins are told of a verified one in `Client-Cert` (RFC 9440), `X-Nearside-Client-Subject` and
    /// `X-Nearside-Client-Sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = ["clients-ca.pem"]))]
    pub client_ca_file: Option<String>,
    /// Whether clients must show a certificate (with `client_ca_file` only). One that cannot be verified is never let in.
    /// Default `required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
}

/// A further certificate of a listener.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSection {
    /// PEM file of the certificate chain, leaf first, relative to this file.
    #[schemars(length(min = 1), extend("examples" = ["shop.pem"]))]
    pub certificate_file: String,
    /// PEM file of its private key, relative to this file.
    #[schemars(length(min = 1), extend("examples" = ["shop.key"]))]
    pub key_file: String,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, extend("examples" = ["required"]))]
pub enum ClientCertificates {
    /// Without one, there is no connection.
    Required,
    /// Without one, origins are told of none.
    Optional,
}

const fn compatible() -> TlsProfile {
    TlsProfile::Compatible
}
