//! TLS on both sides, with rustls and aws-lc: configurations from files, and what is wrong with the files.
//!
//! ```text
//! pem ─► certificate ─┬─► names ─► listener      which certificate a client gets, and files that change
//!                     └─► origin                 whom this edge trusts, and who it says it is
//! client                                         who the client is, told to origins
//! operator, towards_edge                         who the operator is, told to the admin API; the command line's side
//! ```
//! Post-quantum key exchange (X25519MLKEM768) is preferred on both sides where the other knows it.
//!
//! Left out: revocation of clients (give them certificates that live for days), OCSP stapling (which authorities are ending),
//! and data before the handshake is over (0-RTT: it can be sent twice by whoever listens in).

mod certificate;
mod client;
mod listener;
mod names;
mod operator;
mod origin;
mod pem;
mod subject;
mod towards_edge;

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use steer::spec::TlsProfile;

pub(crate) use client::{ClientCertificate, pass_on};
pub(crate) use listener::{ListenerTls, TlsListeners};
pub(crate) use operator::operator_names;
pub(crate) use origin::{collector_config, origin_config};
pub(crate) use towards_edge::{Trust, config_towards_edge};

/// What is wrong with a file, and the key that names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// The key, relative to the `tls` that it stands in: `certificates[0].key_file`.
    pub(crate) key: String,
    /// A full clause.
    pub(crate) text: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tls.{}: {}", self.key, self.text)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

static COMPATIBLE: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn versions(profile: TlsProfile) -> &'static [&'static SupportedProtocolVersion] {
    match profile {
        TlsProfile::Modern => &COMPATIBLE[..1],
        TlsProfile::Compatible => &COMPATIBLE,
    }
}
