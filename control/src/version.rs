//! A published table: its number, fingerprint, author and reason.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use steer::Table;
use utoipa::ToSchema;

/// A table that was made current, with the text it came from.
#[derive(Debug)]
pub struct Version {
    /// What is told about it.
    pub about: About,
    /// What the operator wrote.
    pub text: String,
    /// What it means.
    pub table: Arc<Table>,
}

impl Version {
    /// The same table, told of otherwise.
    #[must_use]
    pub fn under(&self, about: About) -> Self {
        Self { about, text: self.text.clone(), table: self.table.clone() }
    }
}

/// What is told about a version.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = TableVersion)]
pub struct About {
    /// Counts up from 1 while this edge runs.
    pub version: u64,
    /// The first 12 hex digits of the text's SHA-256.
    pub fingerprint: String,
    /// Where it came from: a file's path, `api` or `demo`.
    pub source: String,
    /// Who published it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When.
    pub published_at: Timestamp,
}

/// The first 12 hex digits of a text's SHA-256.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
