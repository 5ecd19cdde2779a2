//! A mistake with its position, as people and programs read it.

use std::fmt;

use serde::{Deserialize, Serialize};
use steer::Defect;
use utoipa::ToSchema;

use super::source::Source;
use super::tree::{SyntaxError, Tree};

/// A mistake at a place in a text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    /// The file, or what else the text is called.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The key at fault; empty for a syntax error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What follows from it.
    pub consequence: String,
    /// A line that would be right.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub example: String,
}

impl Finding {
    pub(super) fn of(source: &Source, tree: &Tree, defect: Defect) -> Self {
        let position = source.position(tree.offset(&defect.path));
        Self {
            file: source.name.clone(),
            line: position.line,
            column: position.column,
            key: defect.path.to_string(),
            problem: defect.problem,
            consequence: defect.consequence,
            example: defect.example,
        }
    }

    pub(super) fn syntax(source: &Source, error: &SyntaxError) -> Self {
        let position = source.position(error.offset);
        Self {
            file: source.name.clone(),
            line: position.line,
            column: position.column,
            key: String::new(),
            problem: format!("this is not TOML: {}", error.message),
            consequence: "nothing behind it can be trusted, and it may hide further mistakes".to_owned(),
            example: "key = \"value\"".to_owned(),
        }
    }

    /// A mistake that has no place in a text, such as a file that cannot be read.
    #[must_use]
    pub fn of_file(file: &str, problem: String, consequence: &str, example: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
            key: String::new(),
            problem,
            consequence: consequence.to_owned(),
            example: example.to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n    so:      {}", self.problem, self.consequence)?;
        if !self.example.is_empty() {
            write!(f, "\n    example: {}", self.example)?;
        }
        Ok(())
    }
}
