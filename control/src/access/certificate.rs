//! Callers by certificate: which verified names mean whom.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use jiff::Timestamp;

use super::caller::{Caller, How, Role, Scope};

/// Who is at the other end of a connection, as the listener knows it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address that connects.
    pub address: IpAddr,
    /// What it has proved by TLS, if it has shown a certificate.
    pub certificate: Option<ClientNames>,
}

/// What a verified client certificate says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientNames {
    /// DNS names and URIs of its subjectAltName; the common names of its subject only where there are none of those, since
    /// authorities check the former with more care.
    pub names: Vec<String>,
    /// Its end. A connection, or a resumed session, may outlive it.
    pub not_after: Timestamp,
    /// Those that it was verified by. A connection may outlive them, too.
    pub authorities: Authorities,
}

/// The authorities of client certificates, until others are put in their place, which is the only way to take a certificate
/// back. All connections that were let in by the same ones share this.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    are_replaced: Arc<AtomicBool>,
}

impl Authorities {
    /// Others count from now on.
    pub fn replace(&self) {
        self.are_replaced.store(true, Relaxed);
    }

    pub(super) fn are_replaced(&self) -> bool {
        self.are_replaced.load(Relaxed)
    }
}

/// Those of another reading are others.
impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.are_replaced, &other.are_replaced)
    }
}

impl Eq for Authorities {}

/// Whom a name in a certificate means.
#[derive(Clone, Debug)]
pub struct Client {
    /// The DNS name, URI or common name.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
}

/// The caller that a certificate means: the first client in the order of the configuration whose name is in it.
pub(super) fn caller(clients: &[Client], shown: &ClientNames) -> Option<Caller> {
    let is_in = |client: &&Client| shown.names.iter().any(|name| is_same(name, &client.name));
    clients.iter().find(is_in).map(|client| Caller {
        name: client.name.clone(),
        role: client.role,
        scope: client.scope.clone(),
        how: How::Certificate(shown.clone()),
    })
}

/// DNS names have no case; the others have.
fn is_same(shown: &str, wanted: &str) -> bool {
    let is_dns = !wanted.is_empty()
        && wanted.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    shown == wanted || (is_dns && shown.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str, role: Role) -> Client {
        Client { name: name.to_owned(), role, scope: Scope::Everywhere }
    }

    #[test]
    fn the_first_client_that_a_certificate_names_is_meant() {
        let clients = [
            client("ops.example", Role::Operator),
            client("spiffe://example/ci", Role::Admin),
            client("*.example", Role::Admin),
        ];
        let found = |names: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            caller(&clients, &ClientNames { names, ..ClientNames::default() }).map(|caller| caller.role)
        };
        assert_eq!(found(&["OPS.example"]), Some(Role::Operator));
        assert_eq!(found(&["spiffe://example/ci", "ops.example"]), Some(Role::Operator));
        assert_eq!(found(&["spiffe://example/ci"]), Some(Role::Admin));
        assert_eq!(found(&["spiffe://example/CI"]), None, "URIs have a case");
        assert_eq!(found(&["other.example"]), None, "a star is a character and nothing more");
        assert_eq!(found(&["ops.example.evil.test", "xops.example", ""]), None);
        assert_eq!(found(&[]), None);
    }
}
