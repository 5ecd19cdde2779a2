//! A mistake in what an operator wrote, and how to say so.
//!
//! A defect names the key, the problem, what follows from it and a valid example. It knows the key's path, not its line:
//! whoever read the text adds the position (`control::document`), and a spec built in code has none.

use std::fmt;

/// A mistake at one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Defect {
    /// The key at fault, from the document's root.
    pub path: KeyPath,
    /// What is wrong, as a full clause: `"no region is named \"mars\""`.
    pub problem: String,
    /// What would follow if it were accepted, or what follows from refusing it.
    pub consequence: String,
    /// A line that would be right, as it would stand in the file.
    pub example: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}; for example: {}", self.path, self.problem, self.consequence, self.example)
    }
}

/// The way to a key from the document's root, such as `regions[2].weight`.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyPath(pub Vec<Step>);

/// One step of a [`KeyPath`].
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Into a table.
    Key(String),
    /// Into an array, from 0.
    Index(usize),
}

impl KeyPath {
    /// The path of a top-level key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self::default().key(key)
    }

    /// This path and then a key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// This path and then an array's entry.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// Whether `self` is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if depth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
