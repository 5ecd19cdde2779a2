//! Names that operators give: regions, pools, policies, routes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A name: lower-case letters, digits, `-`, `_` and `.`, 1 to 63 characters, a letter or digit at both ends.
///
/// Names become metric labels, log fields, header values and URL segments; this alphabet needs no quoting in any of them.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Name(pub String);

impl Name {
    /// Whether the name keeps to its alphabet and length.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let bytes = self.0.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        bytes.len() <= 63 && bytes.iter().all(inner) && end(bytes.first()) && end(bytes.last())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$",
            "x-wanted": "a name of 1 to 63 lower-case letters, digits, `-`, `_` or `.`",
            "examples": ["eu-central"],
            // A bad name still tells which region or pool is meant.
            "x-keep": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quoting_anywhere() {
        for good in ["a", "eu-central", "eu_1.b", "0"] {
            assert!(Name::from(good).is_valid(), "{good}");
        }
        for bad in ["", "-a", "a-", "EU", "a b", "a/b", "ü", &"a".repeat(64)] {
            assert!(!Name::from(bad).is_valid(), "{bad}");
        }
    }
}
