//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion};

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
        self.issue_with(names, |_| ())
    }

    /// As [`Authority::issue`], with something else about it.
    #[must_use]
    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
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
        let mut config = self.trusting(versions).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// As [`Authority::client`], over HTTP/1.1, by a client who shows a certificate.
    #[must_use]
    pub fn client_with(&self, certificate: &Certificate) -> Arc<ClientConfig> {
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config =
            self.trusting(&both).with_client_auth_cert(certificate.certificates(), certificate.private_key());
        Arc::new(config.unwrap())
    }

    /// A server's configuration with a certificate, that lets in only clients of this authority.
    #[must_use]
    pub fn server_for_own(&self, certificate: &Certificate) -> Arc<ServerConfig> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider()).build();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.unwrap())
            .with_single_cert(certificate.certificates(), certificate.private_key());
        Arc::new(config.unwrap())
    }

    fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
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
        self.files_named(folder, "edge")
    }

    /// As [`Certificate::files`], `name.pem` and `name.key`, replaced as a deployment does it.
    #[must_use]
    pub fn files_named(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let save = |ending: &str, text: &str| {
            let (new, file) = (folder.join("new"), folder.join(format!("{name}.{ending}")));
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &file).unwrap();
            file
        };
        (save("pem", &self.chain), save("key", &self.key))
    }

    /// The chain, leaf first.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect::<Result<_, _>>().unwrap()
    }

    /// The private key.
    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// A server's configuration with this certificate.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server_with(&[&rustls::version::TLS13, &rustls::version::TLS12], &[])
    }

    /// As [`Certificate::server`], offering protocols.
    #[must_use]
    pub fn server_of(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        self.server_with(&[&rustls::version::TLS13, &rustls::version::TLS12], alpn)
    }

    /// As [`Certificate::server`], speaking only these versions.
    #[must_use]
    pub fn server_speaking(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        self.server_with(versions, &[])
    }

    fn server_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.certificates(), self.private_key())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
