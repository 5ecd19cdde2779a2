//! A certificate chain and its key, with what they say of themselves.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::Error;
use rustls::InconsistentKeys::KeyMismatch;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::pem::Pem;
use super::{Problem, provider};

/// What this edge can show to the other side.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) file: PathBuf,
    pub(super) key: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case; `*.` in front means any one label.
    pub(super) names: Vec<String>,
    /// Unix seconds.
    not_before: i64,
    pub(super) not_after: i64,
}

impl Certificate {
    /// Puts a chain and its key together.
    pub(super) fn of(chain: &Pem, key: &Pem) -> Result<Self, Problem> {
        let certificates = chain.certificates()?;
        let (_, leaf) = X509Certificate::from_der(&certificates[0]).map_err(|error| {
            chain.problem(&format!("begins with something that is no certificate: {error}"))
        })?;
        let names = match leaf.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(dns_name).collect(),
            Ok(None) => Vec::new(),
            Err(error) => {
                return Err(chain.problem(&format!("names its hosts in a way nobody can read: {error}")));
            }
        };
        let validity = leaf.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let certified = CertifiedKey::from_der(certificates.clone(), key.private_key()?, &provider());
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(KeyMismatch) => {
                key.problem(&format!("is not the key of {}", chain.file.display()))
            }
            Error::InvalidCertificate(error) => {
                chain.problem(&format!("holds a certificate that is not valid: {error}"))
            }
            error => key.problem(&format!("holds a key that cannot be used: {error}")),
        })?;
        Ok(Self { file: chain.file.clone(), key: Arc::new(certified), names, not_before, not_after })
    }

    /// Whether its time has not come or is over, in words.
    pub(super) fn out_of_date(&self) -> Option<String> {
        let now = jiff::Timestamp::now().as_second();
        let file = self.file.display();
        let told = |second: i64| {
            jiff::Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string())
        };
        match () {
            () if now > self.not_after => {
                Some(format!("the certificate in {file} expired at {}", told(self.not_after)))
            }
            () if now < self.not_before => {
                Some(format!("the certificate in {file} is not valid before {}", told(self.not_before)))
            }
            () => None,
        }
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}
