//! Which certificate a client gets: by the name it asks for, and by what it can verify.
//!
//! A certificate for the very name is better than one for `*.` and the rest of it, and that is better than the first one
//! of the listener, which also serves clients that name nobody. Among certificates for the same name, such as an ECDSA and
//! an RSA one, the first that the client can verify is taken.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

type Keys = Vec<Arc<CertifiedKey>>;

/// The certificates of a listener by the names they are for.
#[derive(Debug, Default)]
pub(super) struct ByName {
    exact: HashMap<String, Keys>,
    /// By what stands behind `*.`.
    wildcards: HashMap<String, Keys>,
    /// In the order of the configuration.
    all: Keys,
}

impl ByName {
    pub(super) fn of(certificates: &[Certificate]) -> Self {
        let mut by_name = Self::default();
        for certificate in certificates {
            by_name.all.push(certificate.key.clone());
            for name in &certificate.names {
                let keys = match name.strip_prefix("*.") {
                    Some(rest) => by_name.wildcards.entry(rest.to_owned()),
                    None => by_name.exact.entry(name.clone()),
                };
                keys.or_default().push(certificate.key.clone());
            }
        }
        by_name
    }

    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let first = |keys: &Keys| keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned();
        let named = name.and_then(|name| {
            let wildcard = || self.wildcards.get(name.split_once('.')?.1).and_then(first);
            self.exact.get(name).and_then(first).or_else(wildcard)
        });
        // If none fits, the first one makes rustls tell the client why.
        named.or_else(|| first(&self.all)).or_else(|| self.all.first().cloned())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        match hello.server_name() {
            Some(name) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                self.find(Some(&name.to_ascii_lowercase()), schemes)
            }
            name => self.find(name, schemes),
        }
    }
}
