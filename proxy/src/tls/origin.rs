//! TLS towards the origins of a pool, and towards a collector of spans.

use std::path::Path;
use std::sync::Arc;

use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use steer::spec::TlsProfile;
use steer::table::OriginTlsConfig;

use super::certificate::Certificate;
use super::pem::Pem;
use super::{Problem, provider, versions};

/// The configuration towards origins whose trust is rooted in `ca_file`, or in the system's authorities. Files are relative
/// to `folder`.
///
/// # Errors
/// What is wrong with the files, in words.
pub(crate) fn origin_config(folder: &Path, spec: &OriginTlsConfig) -> Result<Arc<ClientConfig>, Problem> {
    let roots = match &spec.ca_file {
        Some(file) => Pem::read(&folder.join(file), "ca_file")?.authorities()?,
        None => system_authorities(),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(spec.profile))
        .expect("aws-lc speaks TLS 1.3 and 1.2")
        .with_root_certificates(roots);
    let config = match &spec.certificate {
        Some((chain, key)) => {
            let chain = Pem::read(&folder.join(chain), "certificate_file")?;
            let certificate = Certificate::of(&chain, &Pem::read(&folder.join(key), "key_file")?)?;
            if let Some(warning) = certificate.out_of_date() {
                tracing::warn!("{warning}; origins will refuse this edge");
            }
            let shown = SingleCertAndKey::from(Arc::unwrap_or_clone(certificate.key));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The configuration towards a collector of spans, whose trust is rooted in `ca_file` or in the system's authorities.
///
/// # Errors
/// What is wrong with the file, in words.
pub(crate) fn collector_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let authorities = |file| Pem::read(file, "ca_file").and_then(|pem| pem.authorities());
    let roots = match ca_file {
        Some(file) => authorities(file).map_err(|problem: Problem| problem.text)?,
        None => system_authorities(),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(TlsProfile::Modern))
        .expect("aws-lc speaks TLS 1.3");
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

pub(super) fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        // An image with nothing but the binary has no authorities of its own: Mozilla's are built in.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
