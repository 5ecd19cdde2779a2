//! Where operators connect, and who they are: settings of the admin API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use control::access::{Browsers, Client, RESERVED, Rules, Scope, scope_problem};
use http::Uri;
use steer::KeyPath;
use steer::spec::TlsProfile;

use super::Reader;
use super::admin_spec::{AdminClientSection, AdminSection};
use super::listening::ListenerTls;

/// The admin API's listener.
#[derive(Clone, Debug)]
pub struct AdminListener {
    /// Address and port; of loopback, unless there is TLS.
    pub address: SocketAddr,
    /// TLS; without it, plain HTTP.
    pub tls: Option<ListenerTls>,
    /// The file of the first token.
    pub token_file: PathBuf,
    /// The file of all other tokens.
    pub tokens_file: PathBuf,
    /// The folder of what operators changed; `None` if nothing is kept.
    pub state_dir: Option<PathBuf>,
    /// Callers by certificate.
    pub clients: Vec<Client>,
    /// Pages and names that are served.
    pub browsers: Browsers,
}

impl AdminListener {
    /// On loopback, with files in a folder.
    #[must_use]
    pub fn local(address: SocketAddr, folder: &Path) -> Self {
        let AdminSection { token_file, tokens_file, state_dir, .. } = AdminSection::default();
        Self {
            address,
            tls: None,
            token_file: folder.join(token_file),
            tokens_file: folder.join(tokens_file),
            state_dir: Some(folder.join(state_dir)),
            clients: Vec::new(),
            browsers: Browsers::default(),
        }
    }

    /// Who is let in.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            token_file: self.token_file.clone(),
            tokens_file: self.tokens_file.clone(),
            clients: self.clients.clone(),
            browsers: self.browsers.clone(),
        }
    }

    /// The files that it is made from.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let tls = self.tls.iter().flat_map(ListenerTls::files);
        tls.chain([&self.token_file, &self.tokens_file])
    }
}

impl Reader {
    pub(super) fn operators(&mut self, section: &AdminSection, folder: &Path) -> AdminListener {
        let root = KeyPath::of("admin");
        let defects = self.defects.len();
        let address = self.address(&section.listen, &root.key("listen"), "127.0.0.1:9180");
        let is_address = self.defects.len() == defects;
        if is_address && section.tls.is_none() && !address.ip().is_loopback() {
            self.defect(
                root.key("listen"),
                &format!("{address} can be reached from other machines, and there is no admin.tls"),
                "whoever listens in would learn the tokens",
                "listen = \"127.0.0.1:9180\", or: tls = { certificate_file = \"admin.pem\", key_file = \"admin.key\" }",
            );
        }
        let tls = section.tls.as_ref().map(|tls| ListenerTls {
            certificates: vec![(folder.join(&tls.certificate_file), folder.join(&tls.key_file))],
            profile: TlsProfile::Modern,
            client_ca: tls.client_ca_file.as_ref().map(|file| folder.join(file)),
            client_required: false,
            speaks_http2: false,
        });
        let has_ca = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if has_ca && section.clients.is_empty() {
            self.defect(
                root.key("tls").key("client_ca_file"),
                "no [[admin.clients]] says what its certificates' owners may do",
                "nobody could do anything with them",
                "clients = [{ name = \"ops.example\", role = \"operator\" }]",
            );
        }
        if !has_ca && !section.clients.is_empty() {
            self.defect(
                root.key("clients"),
                "no admin.tls.client_ca_file says whose certificates count",
                "nobody could show one",
                "tls = { certificate_file = \"admin.pem\", key_file = \"admin.key\", client_ca_file = \"operators-ca.pem\" }",
            );
        }
        AdminListener {
            address,
            tls,
            token_file: folder.join(&section.token_file),
            tokens_file: folder.join(&section.tokens_file),
            state_dir: Some(&section.state_dir).filter(|name| !name.is_empty()).map(|name| folder.join(name)),
            clients: self.clients(&section.clients, &root.key("clients")),
            browsers: Browsers {
                origins: self.origins(&section.browser_origins, &root.key("browser_origins")),
                hosts: self.hosts(&section.hosts, &root.key("hosts")),
            },
        }
    }

    fn clients(&mut self, written: &[AdminClientSection], path: &KeyPath) -> Vec<Client> {
        let mut clients: Vec<Client> = Vec::new();
        for (index, section) in written.iter().enumerate() {
            let path = path.index(index);
            let example = "name = \"ops.example\"";
            if RESERVED.contains(&section.name.as_str()) {
                let problem = format!("{:?} is the name of somebody else in the history", section.name);
                self.defect(path.key("name"), &problem, "nobody could tell who made a change", example);
            }
            if clients.iter().any(|other| other.name.eq_ignore_ascii_case(&section.name)) {
                let problem = format!("{:?} stands here twice", section.name);
                self.defect(path.key("name"), &problem, "the second would never count", example);
            }
            if let Some(problem) = scope_problem(section.role, section.regions.as_deref()) {
                let example = "role = \"operator\", regions = [\"eu-west\"]";
                self.defect(path.key("regions"), problem, "nothing would enforce it", example);
            }
            let scope = Scope::of(section.regions.as_deref());
            clients.push(Client { name: section.name.clone(), role: section.role, scope });
        }
        clients
    }

    /// Browsers write an origin in one way, and it is compared as it is.
    fn origins(&mut self, written: &[String], path: &KeyPath) -> Vec<String> {
        for (index, origin) in written.iter().enumerate() {
            if !is_origin(origin) {
                self.defect(
                    path.index(index),
                    &format!("{origin:?} is no origin as browsers write it: a scheme, a host in lower case, and a port only if it is not the usual one"),
                    "no page would ever match",
                    "browser_origins = [\"https://ops.example\"]",
                );
            }
        }
        written.to_vec()
    }

    fn hosts(&mut self, written: &[String], path: &KeyPath) -> Vec<String> {
        for (index, host) in written.iter().enumerate() {
            let is_label = |label: &str| {
                let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                !label.is_empty() && label.bytes().all(is_inner)
            };
            if !host.split('.').all(is_label) {
                let problem = format!("{host:?} is no DNS name: no port, no star, no scheme");
                self.defect(
                    path.index(index),
                    &problem,
                    "no request would match it",
                    "hosts = [\"edge1.ops.example\"]",
                );
            }
        }
        written.iter().map(|host| host.to_ascii_lowercase()).collect()
    }
}

fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let is_written_so =
        text == format!("{scheme}://{authority}") && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let host = authority.host();
    is_written_so
        && !host.is_empty()
        && !host.contains('*')
        && !text.contains('@')
        && authority.port_u16() != Some(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for good in ["https://ops.example", "http://localhost:3000", "https://[::1]:8443", "https://10.0.0.1"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "",
            "ops.example",
            "https://ops.example/",
            "https://ops.example/path",
            "https://Ops.example",
            "https://ops.example:443",
            "http://ops.example:80",
            "https://*.example",
            "https://a@ops.example",
            "ftp://ops.example",
            "https://",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
