//! TLS of the command line towards an edge's admin API: whom it trusts, and who it says it is.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use steer::spec::TlsProfile;

use super::certificate::Certificate;
use super::origin::system_authorities;
use super::pem::Pem;
use super::{Problem, provider, versions};

/// Whom to trust.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// The system's authorities.
    System,
    /// The authorities in a file.
    Authorities(&'a Path),
    /// Whoever has the first certificate of a file, and its key, whatever its names are: on the edge's own machine, its
    /// configuration says which certificate it shows, and the command line calls it by its address.
    Exactly(&'a Path),
}

/// The configuration of a client that shows a certificate and its key, if there are.
///
/// # Errors
/// What is wrong with the files, in words.
pub(crate) fn config_towards_edge(
    trust: Trust<'_>,
    certificate: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, String> {
    let words = |problem: Problem| problem.text;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(TlsProfile::Modern))
        .expect("aws-lc speaks TLS 1.3");
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system_authorities()),
        Trust::Authorities(file) => builder.with_root_certificates(
            Pem::read(file, "--ca").and_then(|pem| pem.authorities()).map_err(words)?,
        ),
        Trust::Exactly(file) => {
            let mut chain =
                Pem::read(file, "certificate_file").and_then(|pem| pem.certificates()).map_err(words)?;
            let signatures =
                WebPkiServerVerifier::builder_with_provider(system_authorities().into(), provider());
            let signatures = signatures.build().map_err(|error| error.to_string())?;
            let pinned = Pinned { leaf: chain.swap_remove(0), signatures };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        }
    };
    let Some((chain, key)) = certificate else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let shown = Pem::read(chain, "--cert")
        .and_then(|chain| Certificate::of(&chain, &Pem::read(key, "--key")?))
        .map_err(words)?;
    let shown = SingleCertAndKey::from(Arc::unwrap_or_clone(shown.key));
    Ok(Arc::new(builder.with_client_cert_resolver(Arc::new(shown))))
}

/// Trusts one certificate, whose key the other side must have.
#[derive(Debug)]
struct Pinned {
    leaf: CertificateDer<'static>,
    signatures: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.leaf {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls12_signature(message, shown, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}
