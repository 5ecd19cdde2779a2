//! Configuration texts: read, checked, and every mistake told with its position.
//!
//! ```text
//! text ─► tree with positions ─► ${VAR} ─► schema ─► typed value ─► meaning
//!          syntax errors                    structure               defects
//! ```
//! Only a syntax error stops the reading, because it may hide whatever follows; all other mistakes are collected across the
//! stages and reported together in the order of the text.
//!
//! Left out: what the texts mean. The caller brings the type and the check of meaning.

mod finding;
mod schema;
mod source;
mod tree;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use steer::{Defect, KeyPath};

pub use finding::Finding;
use schema::Schema;
use source::Source;
use tree::Tree;

/// Reads a text as `T` and checks its meaning with `check`.
///
/// `name` is what messages call it; `env` looks up variables.
///
/// # Errors
/// Every mistake that could be found, in the order of the text.
pub fn read<T: DeserializeOwned + JsonSchema, U>(
    name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    check: impl FnOnce(T) -> Result<U, Vec<Defect>>,
) -> Result<U, Vec<Finding>> {
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    let (tree, unset) = Tree::parse(text, env)
        .map_err(|errors| errors.iter().map(|error| Finding::syntax(&source, error)).collect::<Vec<_>>())?;
    let checked = Schema::of::<T>().check(tree.value.clone());
    let mut defects = unset;
    let of_unset: Vec<KeyPath> = defects.iter().map(|defect| defect.path.clone()).collect();
    let is_real = |stand_ins: &[KeyPath], defect: &Defect| {
        !stand_ins.iter().any(|stand_in| defect.path.is_within(stand_in))
    };
    defects.extend(checked.defects.into_iter().filter(|defect| is_real(&of_unset, defect)));
    let meaning = match serde_json::from_value::<T>(checked.value) {
        Ok(value) => check(value),
        // The schema is derived from the type; where a type is stricter than its schema, serde's own words must do.
        Err(error) if defects.is_empty() => Err(vec![Defect {
            path: KeyPath::default(),
            problem: error.to_string(),
            consequence: "it could not be obeyed".to_owned(),
            example: String::new(),
        }]),
        Err(_) => Err(Vec::new()),
    };
    let found = match meaning {
        Ok(value) if defects.is_empty() => return Ok(value),
        Ok(_) => Vec::new(),
        Err(found) => found,
    };
    let stand_ins = [checked.stand_ins, of_unset].concat();
    defects.extend(found.into_iter().filter(|defect| is_real(&stand_ins, defect)));
    let mut findings: Vec<Finding> =
        defects.into_iter().map(|defect| Finding::of(&source, &tree, defect)).collect();
    findings.sort_by_key(|finding| (finding.line, finding.column));
    Err(findings)
}

#[cfg(test)]
mod tests;
