//! What has changed in the file of tokens: who may do what since, for the audit. Secrets and hashes are not told.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Role;
use super::token::TokenEntry;

/// What has changed in the file of tokens.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct TokenChanges {
    /// Tokens that open the API since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<TokenTold>,
    /// Those that open nothing any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<TokenTold>,
    /// Those with another role, scope, expiry or secret, as they are since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<TokenTold>,
}

/// What is told of a token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct TokenTold {
    /// Whose it is.
    pub name: String,
    /// What may be done with it.
    #[schema(value_type = String, examples("operator"))]
    pub role: Role,
    /// The regions that may be changed with it; not there if all may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// When it ends; not there if it ends when it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl TokenChanges {
    /// From one reading to the next; `None` if nothing has changed.
    pub(super) fn between(before: &[TokenEntry], after: &[TokenEntry]) -> Option<Self> {
        let mut changes = Self::default();
        for entry in after {
            match before.iter().find(|other| other.name == entry.name) {
                None => changes.added.push(TokenTold::of(entry)),
                Some(other) if other != entry => changes.changed.push(TokenTold::of(entry)),
                Some(_) => {}
            }
        }
        let is_gone = |entry: &&TokenEntry| !after.iter().any(|other| other.name == entry.name);
        changes.removed = before.iter().filter(is_gone).map(TokenTold::of).collect();
        (changes != Self::default()).then_some(changes)
    }
}

impl TokenTold {
    fn of(entry: &TokenEntry) -> Self {
        let TokenEntry { name, role, regions, expires_at, .. } = entry.clone();
        Self { name, role, regions, expires_at }
    }
}

impl fmt::Display for TokenChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let told = told.into_iter().flat_map(|(what, tokens)| tokens.iter().map(move |token| (what, token)));
        for (index, (what, token)) in told.enumerate() {
            write!(f, "{}{what} {token}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for TokenTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, regions, .. } = self;
        match regions {
            None => write!(f, "{name} ({role})"),
            Some(regions) => write!(f, "{name} ({role} of {})", regions.join(" and ")),
        }
    }
}
