//! The certificate that a client has proved to be its own, and how origins are told of it.
//!
//! Origins get it in `Client-Cert` (RFC 9440), and for those that want no more than to compare, its subject and fingerprint.
//! They believe these fields, so whatever a client or another proxy wrote there is taken out, trusted hop or not: such
//! proxies may well pass on what they do not know.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::ServerConnection;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::subject::rfc4514;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const X_NEARSIDE_CLIENT_SUBJECT: HeaderName = HeaderName::from_static("x-nearside-client-subject");
const X_NEARSIDE_CLIENT_SHA256: HeaderName = HeaderName::from_static("x-nearside-client-sha256");

/// A verified client certificate as header fields.
#[derive(Clone, Debug)]
pub(crate) struct ClientCertificate {
    certificate: HeaderValue,
    subject: HeaderValue,
    sha256: HeaderValue,
}

impl ClientCertificate {
    /// The one that a client has shown, if it has. rustls has verified it.
    pub(crate) fn of(session: &ServerConnection) -> Option<Arc<Self>> {
        let der = session.peer_certificates()?.first()?;
        let subject = X509Certificate::from_der(der)
            .map_or_else(|_| String::new(), |(_, leaf)| rfc4514(leaf.subject()));
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(der) {
            let _ = write!(sha256, "{byte:02x}");
        }
        let value = |text: String| HeaderValue::try_from(text).ok();
        Some(Arc::new(Self {
            certificate: value(format!(":{}:", BASE64_STANDARD.encode(der)))?,
            subject: value(subject)?,
            sha256: value(sha256)?,
        }))
    }
}

/// Takes out what a client wrote of its certificate, and says what was verified.
pub(crate) fn pass_on(headers: &mut HeaderMap, certificate: Option<&Arc<ClientCertificate>>) {
    headers.remove(CLIENT_CERT);
    headers.remove(CLIENT_CERT_CHAIN);
    if let Some(certificate) = certificate {
        headers.insert(CLIENT_CERT, certificate.certificate.clone());
        headers.insert(X_NEARSIDE_CLIENT_SUBJECT, certificate.subject.clone());
        headers.insert(X_NEARSIDE_CLIENT_SHA256, certificate.sha256.clone());
    }
}
