//! Who is let in: tokens from files that are read again when they change, certificates by their names.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::browser::Browsers;
use super::caller::{Caller, How, Role, Scope};
use super::certificate::{self, Client, ClientNames, Peer};
use super::difference::TokenChanges;
use super::failures::{Failures, Verdict};
use super::file::{Look, Looked};
use super::secret::{Token, digest, long_enough};
use super::token::{LOCAL, TokenEntry, Tokens};
use crate::clock::Clock;

/// Who may come in.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The file of the token of `local`; made if it does not exist.
    pub token_file: PathBuf,
    /// The file of all other tokens; there need not be any.
    pub tokens_file: PathBuf,
    /// Callers by certificate, the first that fits counts.
    pub clients: Vec<Client>,
    /// What browsers are served.
    pub browsers: Browsers,
}

/// Lets callers in, and strangers not.
#[derive(Debug)]
pub struct Access {
    clock: Clock,
    clients: Vec<Client>,
    browsers: Browsers,
    kept: Mutex<Kept>,
    failures: Mutex<Failures>,
    reloaded: AtomicU64,
    refused: AtomicU64,
}

/// What the files said when they were last in order.
#[derive(Debug)]
struct Kept {
    local_file: Looked,
    local: Option<[u8; 32]>,
    /// Whether the file as it stands is refused.
    is_local_refused: bool,
    tokens_file: Looked,
    /// `None` before the file was ever in order.
    tokens: Option<Tokens>,
    are_tokens_refused: bool,
    /// As they were when it was last told what has changed.
    told: Vec<TokenEntry>,
    /// Of the text last read, and whether it was good.
    seen: ([u8; 32], bool),
}

/// Somebody who is not known. What he is told leaks nothing: only who has shown a token that was once right, or a certificate
/// of the right authority, is told more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stranger {
    /// He has shown nothing.
    Nothing,
    /// What he has shown opens nothing.
    Unknown,
    /// His token was right and its time is over.
    Expired {
        /// Its name.
        name: String,
        /// When that was.
        at: Timestamp,
    },
    /// The right authority has issued his certificate, and no client has its name.
    Unnamed(Vec<String>),
    /// His certificate has ended since he connected.
    CertificateExpired(Timestamp),
    /// Other authorities count than when he connected; a new connection asks those.
    AuthoritiesReplaced,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str(
                "this call needs a token: send it as \"Authorization: Bearer <token>\"; nearside token add makes one",
            ),
            Self::Unknown => f.write_str("this token opens nothing: it is not known, or was removed"),
            Self::Expired { name, at } => write!(f, "the token {name:?} expired at {at}"),
            Self::Unnamed(names) if names.is_empty() => {
                f.write_str("the certificate has neither a DNS name nor a URI nor a common name")
            }
            Self::Unnamed(names) => {
                write!(f, "no [[admin.clients]] has a name of this certificate: {}", names.join(", "))
            }
            Self::CertificateExpired(at) => write!(f, "the certificate expired at {at}"),
            Self::AuthoritiesReplaced => f.write_str(
                "the authorities of certificates were replaced since this connection was made: connect again",
            ),
        }
    }
}

impl Access {
    /// Reads the files. One that is broken, or that others than its owner can read, keeps nobody from serving clients: what it
    /// holds opens nothing until it is mended, and the log and [`Access::refused`] say so.
    #[must_use]
    pub fn open(rules: Rules, clock: Clock) -> Self {
        let Rules { token_file, tokens_file, clients, browsers } = rules;
        if let Err(error) = Token::create(&token_file) {
            let file = token_file.display();
            tracing::error!(%file, %error, "the admin token cannot be made");
        }
        let kept = Kept {
            local_file: Looked::new(token_file),
            local: None,
            is_local_refused: false,
            tokens_file: Looked::new(tokens_file),
            tokens: None,
            are_tokens_refused: false,
            told: Vec::new(),
            seen: (digest(""), true),
        };
        let access = Self {
            clock,
            clients,
            browsers,
            kept: Mutex::new(kept),
            failures: Mutex::default(),
            reloaded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        access.lock().look(true, &access);
        {
            let mut kept = access.lock();
            kept.told = kept.tokens.as_ref().map(|tokens| tokens.entries.clone()).unwrap_or_default();
        }
        access.reloaded.store(0, Relaxed);
        access
    }

    /// What browsers are served.
    #[must_use]
    pub const fn browsers(&self) -> &Browsers {
        &self.browsers
    }

    /// Reads the files again; those that have not changed only if told to.
    pub fn reload(&self, even_unchanged: bool) {
        self.lock().look(even_unchanged, self);
    }

    /// What has changed in the file of tokens since that was last told, or since the start, and the tokens as they are; `None` if
    /// nothing has.
    #[must_use]
    pub fn token_changes(&self) -> Option<(TokenChanges, Vec<TokenEntry>)> {
        let kept = self.lock();
        let now = &kept.tokens.as_ref()?.entries;
        Some((TokenChanges::between(&kept.told, now)?, now.clone()))
    }

    /// Changes up to these tokens are told, where they are kept.
    pub fn tokens_are_told(&self, tokens: Vec<TokenEntry>) {
        self.lock().told = tokens;
    }

    /// Readings of the changed file of tokens that were taken over, and that were not.
    #[must_use]
    pub fn reloads(&self) -> (u64, u64) {
        (self.reloaded.load(Relaxed), self.refused.load(Relaxed))
    }

    /// The keys of the files of tokens, and whether each is refused as it stands.
    #[must_use]
    pub fn refused(&self) -> [(&'static str, bool); 2] {
        let kept = self.lock();
        [("token_file", kept.is_local_refused), ("tokens_file", kept.are_tokens_refused)]
    }

    /// Who calls. A token counts before a certificate: whoever sends one means it.
    ///
    /// # Errors
    /// That nobody knows him.
    pub fn who(&self, peer: &Peer, headers: &HeaderMap) -> Result<Caller, Stranger> {
        let mut written = headers.get_all(AUTHORIZATION).iter();
        if let Some(first) = written.next() {
            let token = first.to_str().ok().and_then(bearer).filter(|_| written.next().is_none());
            return self.by_token(&digest(token.ok_or(Stranger::Unknown)?));
        }
        self.by_certificate(peer.certificate.as_ref().ok_or(Stranger::Nothing)?)
    }

    /// Whether what that caller has shown would still let him in, with the same name, role and scope: for answers that have no
    /// end, such as streams of events, to be asked every second. A name alone lets nobody in: another token may have it by now.
    #[must_use]
    pub fn still_knows(&self, caller: &Caller) -> bool {
        let again = match &caller.how {
            How::Token(shown) => self.by_token(shown),
            How::Certificate(shown) => self.by_certificate(shown),
        };
        again.is_ok_and(|again| again == *caller)
    }

    /// Counts a stranger, tells the log, and says how he is answered.
    pub fn failed(&self, address: IpAddr, stranger: &Stranger) -> Verdict {
        let verdict =
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).fail(address, self.clock.now());
        match verdict {
            Verdict::Plain => tracing::warn!(%address, why = %stranger, "a call of the admin API by nobody"),
            Verdict::Wait { after, is_first: true } => tracing::warn!(
                %address, why = %stranger, wait = %after,
                "too many calls of the admin API by nobody; until the wait is over they are answered 429 and not logged"
            ),
            Verdict::Wait { .. } => {}
        }
        verdict
    }

    fn by_certificate(&self, shown: &ClientNames) -> Result<Caller, Stranger> {
        if shown.not_after <= self.clock.wall() {
            return Err(Stranger::CertificateExpired(shown.not_after));
        }
        if shown.authorities.are_replaced() {
            return Err(Stranger::AuthoritiesReplaced);
        }
        certificate::caller(&self.clients, shown).ok_or_else(|| Stranger::Unnamed(shown.names.clone()))
    }

    /// Who has shown a token with this hash.
    fn by_token(&self, shown: &[u8; 32]) -> Result<Caller, Stranger> {
        let mut kept = self.lock();
        // Two looks at the files' times: what was added opens at once, what was removed opens nothing, and that even where the system
        // tells nobody that a file has changed.
        kept.look(false, self);
        let entry = kept.tokens.as_ref().and_then(|tokens| tokens.find(shown));
        let is_local = kept.local.is_some_and(|local| local.ct_eq(shown).into());
        if is_local {
            let (name, how) = (LOCAL.to_owned(), How::Token(*shown));
            return Ok(Caller { name, role: Role::Admin, scope: Scope::Everywhere, how });
        }
        let entry = entry.ok_or(Stranger::Unknown)?;
        match entry.expires_at {
            Some(at) if entry.is_expired(self.clock.wall()) => {
                Err(Stranger::Expired { name: entry.name.clone(), at })
            }
            _ => Ok(entry.caller(*shown)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token in an `Authorization` field.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Kept {
    /// Looks at the files. What is broken changes nothing and is told; what is gone opens nothing any more.
    fn look(&mut self, even_unchanged: bool, access: &Access) {
        self.look_at_local(even_unchanged, access.clock.wall());
        let refused_before = self.are_tokens_refused;
        self.look_at_tokens(even_unchanged, access);
        if refused_before && !self.are_tokens_refused {
            tracing::info!(file = %self.tokens_file.file().display(), "the tokens are in order again");
        }
    }

    fn look_at_local(&mut self, even_unchanged: bool, now: Timestamp) {
        let file = self.local_file.file().display().to_string();
        let look = self.local_file.look(even_unchanged, now);
        self.is_local_refused = match &look {
            Look::Same => self.is_local_refused,
            Look::Absent => false,
            Look::Unreadable(_) => true,
            Look::Text(text) => long_enough(text).is_err(),
        };
        let problem = match look {
            Look::Same => return,
            Look::Absent => {
                self.local = None;
                return tracing::warn!(%file, "the admin token's file is gone; its token opens nothing until it is back");
            }
            Look::Unreadable(problem) => problem,
            Look::Text(text) => match long_enough(&text) {
                Ok(token) => {
                    self.local = Some(digest(token));
                    return;
                }
                Err(problem) => problem,
            },
        };
        let instead =
            if self.local.is_some() { "the former token stays in force" } else { "no token counts instead" };
        tracing::error!(%file, %problem, "the admin token's file is refused; {instead}");
    }

    fn look_at_tokens(&mut self, even_unchanged: bool, access: &Access) {
        let file = self.tokens_file.file().to_owned();
        let shown = file.display();
        let instead = if self.tokens.is_some() {
            "the former ones stay in force"
        } else {
            "none of them opens anything"
        };
        let text = match self.tokens_file.look(even_unchanged, access.clock.wall()) {
            Look::Same => return,
            Look::Text(text) => text,
            Look::Absent => String::new(),
            Look::Unreadable(problem) => {
                self.are_tokens_refused = true;
                access.refused.fetch_add(1, Relaxed);
                return tracing::error!(file = %shown, %problem, "the tokens are refused; {instead}");
            }
        };
        let seen = digest(&text);
        if seen == self.seen.0 && !even_unchanged && self.tokens.is_some() {
            self.are_tokens_refused = !self.seen.1;
            return;
        }
        let read = Tokens::parse(&file, &text);
        self.seen = (seen, read.is_ok());
        self.are_tokens_refused = read.is_err();
        match read {
            Ok(tokens) => {
                access.reloaded.fetch_add(1, Relaxed);
                let has_changed = self.tokens.as_ref().is_none_or(|before| before.entries != tokens.entries);
                if has_changed {
                    tracing::info!(file = %shown, tokens = tokens.entries.len(), "tokens reloaded");
                }
                self.tokens = Some(tokens);
            }
            Err(findings) => {
                access.refused.fetch_add(1, Relaxed);
                findings.iter().for_each(|finding| tracing::error!("{finding}"));
                tracing::error!(file = %shown, "the tokens are refused; {instead}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
