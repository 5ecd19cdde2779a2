//! TLS of a listener: made from files, and made anew when they change.
//!
//! Connections take the configuration of the moment they arrive; those that are open keep theirs, but an operator's is told
//! when the authorities of his certificate are replaced. Files that are wrong change nothing. Sessions are resumed by
//! stateless tickets: one set of keys per listener, which rotate every six hours, shared by all workers and kept across
//! reloads, so that new certificates cost returning clients nothing. The keys are changed when the authority or duty of client certificates changes: a ticket must not spare a client that test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use control::access::Authorities;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use super::certificate::Certificate;
use super::names::ByName;
use super::pem::Pem;
use super::{Problem, provider, versions};
use crate::config;

/// What clients may choose from, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

type Fingerprint = [u8; 32];

/// TLS of one listener.
pub(crate) struct ListenerTls {
    /// The listener's address as configured.
    name: String,
    settings: config::ListenerTls,
    current: ArcSwap<Made>,
    /// The files as last read, good or bad.
    seen: Mutex<Option<Fingerprint>>,
}

/// What the files of one moment made.
struct Made {
    config: Arc<ServerConfig>,
    certificates: Vec<Certificate>,
    /// Of what decides which clients are let in.
    client_auth: Fingerprint,
    /// Those that decide, for as long as that is the same.
    authorities: Authorities,
}

/// The files of a listener, read once.
struct Files {
    /// Chain and key.
    pairs: Vec<(Pem, Pem)>,
    client_ca: Option<Pem>,
}

impl ListenerTls {
    /// Reads the files.
    pub(crate) fn open(name: String, settings: config::ListenerTls) -> Result<Self, Problem> {
        let files = Files::read(&settings)?;
        let seen = Mutex::new(Some(files.fingerprint()));
        let current = ArcSwap::from_pointee(Made::from(&files, &settings, None)?);
        Ok(Self { name, settings, current, seen })
    }

    /// What takes the next client in.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().config.clone())
    }

    /// The same for an operator, and the authorities that his certificate is verified by.
    pub(crate) fn operators_acceptor(&self) -> (TlsAcceptor, Authorities) {
        let current = self.current.load();
        (TlsAcceptor::from(current.config.clone()), current.authorities.clone())
    }

    /// Certificates that are out of date, in words.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.current.load().certificates.iter().filter_map(Certificate::out_of_date).collect()
    }

    /// Reads the files again; `None` if they are as they were when last looked at.
    fn reload(&self, even_unchanged: bool) -> Option<Result<(), Problem>> {
        let files = Files::read(&self.settings);
        let fingerprint = files.as_ref().ok().map(Files::fingerprint);
        let before =
            std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), fingerprint);
        if before == fingerprint && !even_unchanged {
            return None;
        }
        let current = self.current.load();
        let made = files.and_then(|files| Made::from(&files, &self.settings, Some(&current)));
        Some(made.map(|made| {
            let is_by_others = made.authorities != current.authorities;
            self.current.store(Arc::new(made));
            if is_by_others {
                current.authorities.replace();
            }
        }))
    }
}

impl Files {
    fn read(settings: &config::ListenerTls) -> Result<Self, Problem> {
        let pair = |(index, (chain, key)): (usize, &(PathBuf, PathBuf))| {
            // The first stands beside the list of further ones.
            let place =
                index.checked_sub(1).map_or_else(String::new, |index| format!("certificates[{index}]."));
            Ok((
                Pem::read(chain, &format!("{place}certificate_file"))?,
                Pem::read(key, &format!("{place}key_file"))?,
            ))
        };
        Ok(Self {
            pairs: settings.certificates.iter().enumerate().map(pair).collect::<Result<_, _>>()?,
            client_ca: match &settings.client_ca {
                Some(file) => Some(Pem::read(file, "client_ca_file")?),
                None => None,
            },
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut sum = Sha256::new();
        let pems = self.pairs.iter().flat_map(|(chain, key)| [chain, key]).chain(&self.client_ca);
        for pem in pems {
            sum.update(pem.bytes.len().to_le_bytes());
            sum.update(&pem.bytes);
        }
        sum.finalize().into()
    }
}

impl Made {
    fn from(files: &Files, settings: &config::ListenerTls, before: Option<&Self>) -> Result<Self, Problem> {
        let pairs = files.pairs.iter();
        let certificates: Vec<_> =
            pairs.clone().map(|(chain, key)| Certificate::of(chain, key)).collect::<Result<_, _>>()?;
        for ((chain, _), certificate) in pairs.zip(&certificates).skip(1) {
            if certificate.names.is_empty() {
                return Err(
                    chain.problem("is for no DNS name (subjectAltName), so no client would ever get it")
                );
            }
        }
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(settings.profile))
            .expect("aws-lc speaks TLS 1.3 and 1.2");
        let builder = match &files.client_ca {
            Some(pem) => {
                let roots = Arc::new(pem.authorities()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier =
                    if settings.client_required { verifier } else { verifier.allow_unauthenticated() };
                let verifier =
                    verifier.build().map_err(|error| pem.problem(&format!("cannot be used: {error}")))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let client_auth = {
            let mut sum = Sha256::new();
            sum.update([u8::from(settings.client_required), u8::from(files.client_ca.is_some())]);
            sum.update(files.client_ca.as_ref().map_or(&[][..], |pem| &pem.bytes));
            sum.finalize().into()
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName::of(&certificates)));
        let offered = &ALPN[usize::from(!settings.speaks_http2)..];
        config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let (ticketer, authorities) = match before.filter(|before| before.client_auth == client_auth) {
            Some(before) => (before.config.ticketer.clone(), before.authorities.clone()),
            None => (new_ticketer(&files.pairs[0].0)?, Authorities::default()),
        };
        config.ticketer = ticketer;
        Ok(Self { config: Arc::new(config), certificates, client_auth, authorities })
    }
}

fn new_ticketer(pem: &Pem) -> Result<Arc<dyn ProducesTickets>, Problem> {
    rustls::crypto::aws_lc_rs::Ticketer::new()
        .map_err(|error| pem.problem(&format!("cannot be served: no key for session tickets: {error}")))
}

/// TLS of all listeners.
#[derive(Default)]
pub(crate) struct TlsListeners {
    listeners: Vec<Arc<ListenerTls>>,
    ok: AtomicU64,
    refused: AtomicU64,
}

impl TlsListeners {
    pub(crate) fn of(listeners: Vec<Arc<ListenerTls>>) -> Self {
        Self { listeners, ..Self::default() }
    }

    /// Reads the files again, and logs what came of it; those that have not changed only if told to.
    pub(crate) fn reload(&self, even_unchanged: bool) {
        for tls in &self.listeners {
            let listener = &tls.name;
            match tls.reload(even_unchanged) {
                None => continue,
                Some(Ok(())) => {
                    self.ok.fetch_add(1, Relaxed);
                    tracing::info!(%listener, "certificates reloaded");
                }
                Some(Err(problem)) => {
                    self.refused.fetch_add(1, Relaxed);
                    tracing::error!(%listener, %problem, "the certificates are refused; those in force stay");
                }
            }
            tls.warnings().iter().for_each(|warning| tracing::warn!(%listener, "{warning}"));
        }
    }

    /// Readings of a listener's changed files that were taken over, and that were not.
    pub(crate) fn reloads(&self) -> (u64, u64) {
        (self.ok.load(Relaxed), self.refused.load(Relaxed))
    }

    /// Listener, file and end (Unix seconds) of each certificate in force.
    pub(crate) fn ends(&self) -> Vec<(String, String, i64)> {
        let of = |tls: &Arc<ListenerTls>| {
            let made = tls.current.load();
            let row = |one: &Certificate| (tls.name.clone(), one.file.display().to_string(), one.not_after);
            made.certificates.iter().map(row).collect::<Vec<_>>()
        };
        self.listeners.iter().flat_map(of).collect()
    }
}
