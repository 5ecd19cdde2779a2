//! Where clients connect: settings of what `accept` opens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use steer::KeyPath;
use steer::spec::TlsProfile;

use super::Reader;
use super::listener_spec::{ClientCertificates, ListenerTlsSection};
use super::spec::EdgeSpec;

/// A socket that clients connect to.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// TLS; without it, plain HTTP.
    pub tls: Option<ListenerTls>,
    /// Whether clients may begin with HTTP/2 where there is no TLS.
    pub http2_prior_knowledge: bool,
    /// Proxies that tell the client's address in a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// Chains and keys, as PEM files; the first is the default. At least one.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// The versions spoken.
    pub profile: TlsProfile,
    /// The authorities of clients' certificates; without them, clients are asked for none.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one.
    pub client_required: bool,
    /// Whether HTTP/2 is offered.
    pub speaks_http2: bool,
}

impl ListenerTls {
    /// The files that it is made from.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.certificates.iter().flat_map(|(chain, key)| [chain, key]).chain(&self.client_ca)
    }
}

impl Reader {
    pub(super) fn listeners(&mut self, spec: &EdgeSpec, folder: &Path) -> Vec<Listener> {
        let root = KeyPath::of("listeners");
        if spec.listeners.is_empty() {
            self.defect(root.clone(), "there is none", "no client could connect", "[[listeners]]");
        }
        let mut listeners: Vec<Listener> = Vec::new();
        for (index, section) in spec.listeners.iter().enumerate() {
            let path = root.index(index).key("address");
            let address = self.address(&section.address, &path, "0.0.0.0:8080");
            if address.port() != 0 && listeners.iter().any(|other| other.address == address) {
                let problem = format!("{address} stands here twice");
                self.defect(path, &problem, "clients would get either", "address = \"0.0.0.0:8443\"");
            }
            let path = root.index(index);
            let tls = section.tls.as_ref().map(|tls| self.listener_tls(tls, &path.key("tls"), folder));
            let from = section.proxy_protocol.as_ref().map_or(&[][..], |section| &section.from);
            let path = path.key("proxy_protocol").key("from");
            let proxy_protocol_from = self.nets(from, &path, "from = [\"10.0.0.0/8\"]");
            let http2_prior_knowledge = section.http2_prior_knowledge;
            if http2_prior_knowledge && tls.is_some() {
                self.defect(
                    root.index(index).key("http2_prior_knowledge"),
                    "the listener has tls, which agrees on HTTP/2 by itself",
                    "nothing would enforce this key",
                    "http2_prior_knowledge = false",
                );
            }
            listeners.push(Listener { address, tls, http2_prior_knowledge, proxy_protocol_from });
        }
        listeners
    }

    fn listener_tls(&mut self, tls: &ListenerTlsSection, path: &KeyPath, folder: &Path) -> ListenerTls {
        if tls.client_certificates.is_some() && tls.client_ca_file.is_none() {
            self.defect(
                path.key("client_certificates"),
                "no client_ca_file says whose certificates count",
                "every client would be let in, or none",
                "client_ca_file = \"clients-ca.pem\"",
            );
        }
        let further = tls.certificates.iter().map(|further| (&further.certificate_file, &further.key_file));
        let all = [(&tls.certificate_file, &tls.key_file)].into_iter().chain(further);
        ListenerTls {
            certificates: all.map(|(chain, key)| (folder.join(chain), folder.join(key))).collect(),
            profile: tls.profile,
            client_ca: tls.client_ca_file.as_ref().map(|file| folder.join(file)),
            client_required: tls.client_certificates != Some(ClientCertificates::Optional),
            speaks_http2: true,
        }
    }
}
