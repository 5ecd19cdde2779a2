//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// An authority that nobody else trusts.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The chain, leaf first.
    pub chain: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Were it named as what it issues, openssl would take each of those for self-signed.
        params.distinguished_name.push(DnType::CommonName, "the test's authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// A certificate for names or addresses.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        Certificate { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes the authority's own certificate to a file of a folder.
    #[must_use]
    pub fn file(&self, folder: &Path) -> PathBuf {
        let file = folder.join("ca.pem");
        std::fs::write(&file, self.issuer.pem()).unwrap();
        file
    }

    /// A client's configuration that trusts this authority.
    #[must_use]
    pub fn client(&self, alpn: &[&str], versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificate {
    /// Writes chain and key to files of a folder.
    #[must_use]
    pub fn files(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let files = (folder.join("edge.pem"), folder.join("edge.key"));
        std::fs::write(&files.0, &self.chain).unwrap();
        std::fs::write(&files.1, &self.key).unwrap();
        files
    }

    /// A server's configuration with this certificate.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server_of(&[])
    }

    /// As [`Certificate::server`], offering protocols.
    #[must_use]
    pub fn server_of(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}
