//! The certificate that an operator has proved to be his own, as the admin API wants it: its names and its end.

use control::access::{Authorities, ClientNames};
use jiff::Timestamp;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The one that he has shown, if he has. rustls has verified it by these authorities.
pub(crate) fn operator_names(session: &ServerConnection, by: Authorities) -> Option<ClientNames> {
    names(session.peer_certificates()?.first()?, by)
}

/// What cannot be read has no names, so nobody is meant by it.
fn names(der: &CertificateDer<'_>, authorities: Authorities) -> Option<ClientNames> {
    let (_, leaf) = X509Certificate::from_der(der).ok()?;
    let not_after = Timestamp::from_second(leaf.validity().not_after.timestamp()).ok()?;
    let alternative = leaf.subject_alternative_name().ok()?;
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let mut names: Vec<String> = alternative
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        let common = leaf.subject().iter_common_name();
        names.extend(common.filter_map(|name| name.as_str().ok()).map(str::to_owned));
    }
    Some(ClientNames { names, not_after, authorities })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn shown(change: impl FnOnce(&mut CertificateParams)) -> Vec<String> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "ann");
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        names(certificate.der(), Authorities::default()).unwrap().names
    }

    #[test]
    fn a_common_name_counts_only_where_there_is_no_other() {
        let dns = SanType::DnsName("ops.example".try_into().unwrap());
        let uri = SanType::URI("spiffe://example/ops".try_into().unwrap());
        let mail = SanType::Rfc822Name("ann@example.com".try_into().unwrap());
        assert_eq!(shown(|_| ()), ["ann"]);
        assert_eq!(shown(|params| params.subject_alt_names = vec![mail.clone()]), ["ann"]);
        let both = shown(|params| params.subject_alt_names = vec![mail, dns, uri]);
        assert_eq!(both, ["ops.example", "spiffe://example/ops"]);
    }
}
