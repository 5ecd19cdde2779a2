//! One PEM file, read once: what is looked at twice cannot have changed in between.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Problem;

/// A file's bytes, and the key that names it.
#[derive(Clone, Debug)]
pub(super) struct Pem {
    pub(super) file: PathBuf,
    pub(super) bytes: Vec<u8>,
    key: String,
}

impl Pem {
    pub(super) fn read(file: &Path, key: &str) -> Result<Self, Problem> {
        let pem = |bytes| Self { file: file.to_owned(), bytes, key: key.to_owned() };
        std::fs::read(file)
            .map(pem)
            .map_err(|error| pem(Vec::new()).problem(&format!("cannot be read: {error}")))
    }

    /// The certificates in it, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Problem> {
        let read = CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        let certificates = read.map_err(|error| self.problem(&format!("is no PEM file: {error}")))?;
        if certificates.is_empty() {
            return Err(self.problem("holds no certificate"));
        }
        Ok(certificates)
    }

    /// The first private key in it.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, Problem> {
        PrivateKeyDer::from_pem_slice(&self.bytes)
            .map_err(|error| self.problem(&format!("holds no private key: {error}")))
    }

    /// The certificates in it as authorities to trust.
    pub(super) fn authorities(&self) -> Result<RootCertStore, Problem> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| self.problem(&format!("holds no authority: {error}")))?;
        }
        Ok(roots)
    }

    /// What is wrong with it: `clause` goes on after its name.
    pub(super) fn problem(&self, clause: &str) -> Problem {
        Problem { key: self.key.clone(), text: format!("{} {clause}", self.file.display()) }
    }
}
