//! Who is calling the admin API, and what they may do.
//!
//! ```text
//! browser     is this a page that somebody else's site has opened? Then it is refused, whoever is logged in
//! credential  token or certificate ─► caller (name, role, scope) ─► what may he do?
//! failures    those who are nobody: counted per address, answered more and more slowly, never in others' way
//! ```
//! A caller is known by a token, or by a client certificate that TLS has verified and that `[[admin.clients]]` names. What
//! an answer may depend on is decided here; handlers only ask [`Caller::may`].
//!
//! # Tokens
//! A token is 256 bits of randomness. The file holds its SHA-256 alone, so whoever reads the file can open nothing with it. Slow
//! hashes (bcrypt, Argon2) make it dear to *guess* a secret that a person chose; 2^256 possibilities cannot be guessed at any
//! price, and a slow hash would let strangers buy much of our time with little of theirs. What is presented is hashed and
//! compared with all tokens in constant time.
//!
//! # Failures
//! See [`failures`]: a valid token always gets in, whatever others behind the same address did.
//!
//! Left out: what calls do (`admin`), and reading certificates (the proxy, which has the TLS). No sessions, no cookies:
//! nothing that a browser would send along by itself, except for client certificates, and for those `browser` stands guard.

mod browser;
mod caller;
mod certificate;
mod difference;
mod edit;
pub mod failures;
mod file;
mod gate;
mod network;
mod secret;
mod token;

pub use browser::{Browsers, Refusal};
pub(crate) use browser::{CORS_EXPOSED, CORS_HEADERS, CORS_METHODS, is_preflight};
pub use caller::{Action, Caller, Denied, How, Role, Scope};
pub use certificate::{Authorities, Client, ClientNames, Peer};
pub use difference::{TokenChanges, TokenTold};
pub use edit::{EditError, Editor, read as read_tokens};
pub use gate::{Access, Rules, Stranger};
pub use network::Network;
pub use secret::{Token, first_token_problem};
use token::name_problem;
pub use token::{LOCAL, RESERVED, TokenEntry, Tokens, scope_problem};
