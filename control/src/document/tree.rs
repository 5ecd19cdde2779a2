//! TOML to a tree that knows where each key stands.
//!
//! The parser recovers after a syntax error, so that several can be named at once. `${VAR}` and `${VAR:-default}` are
//! replaced here, in string values of the parsed tree: a variable can never add a key, close a quote or hide a line.

use std::collections::BTreeMap;

use serde_json::Value;
use steer::{Defect, KeyPath};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The values of a document and where they stand.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) value: Value,
    /// Byte offsets: of the key for whatever has one, else of the value.
    starts: BTreeMap<KeyPath, usize>,
}

/// A syntax error.
#[derive(Clone, Debug)]
pub(crate) struct SyntaxError {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

impl Tree {
    /// Parses a text, replacing variables by what `env` knows.
    pub(crate) fn parse(
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Defect>), Vec<SyntaxError>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let error = |error: &toml::de::Error| SyntaxError {
                offset: error.span().map_or(0, |span| span.start),
                message: error.message().replace('\n', ", "),
            };
            return Err(errors.iter().map(error).collect());
        }
        let mut walk = Walk { starts: BTreeMap::new(), defects: Vec::new(), env };
        let value = walk.table(root.get_ref(), &KeyPath::default());
        Ok((Self { value, starts: walk.starts }, walk.defects))
    }

    /// Where a key stands, or an entry of a list; for one that is missing, whatever lies nearest above it.
    pub(crate) fn offset(&self, path: &KeyPath) -> usize {
        let depths = (0..=path.0.len()).rev();
        let mut starts = depths.filter_map(|depth| self.starts.get(&KeyPath(path.0[..depth].to_vec())));
        starts.next().copied().unwrap_or(0)
    }
}

struct Walk<'a> {
    starts: BTreeMap<KeyPath, usize>,
    defects: Vec<Defect>,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &KeyPath) -> Value {
        let entry = |(key, value): (&Spanned<_>, &Spanned<_>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let path = path.key(name);
            (name.to_string(), self.value(value, &path, key.span().start))
        };
        Value::Object(table.iter().map(entry).collect())
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &KeyPath, start: usize) -> Value {
        self.starts.insert(path.clone(), start);
        match value.get_ref() {
            DeValue::String(text) => Value::String(self.substitute(text, path)),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                parsed.map_or_else(|_| number.as_str().to_owned().into(), Value::from)
            }
            DeValue::Float(number) => {
                // JSON has no infinities; what it cannot say is left as text and refused as the wrong type.
                let parsed = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                parsed.map_or_else(|| number.as_str().to_owned().into(), Value::Number)
            }
            DeValue::Datetime(time) => serde_json::json!({ "date-time": time.to_string() }),
            DeValue::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.value(item, &path.index(index), item.span().start)).collect()
            }
            DeValue::Table(table) => self.table(table, path),
        }
    }

    fn substitute(&mut self, text: &str, path: &KeyPath) -> String {
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            done.push_str(before);
            let Some((inside, behind)) = after.split_once('}') else {
                self.refuse(
                    path,
                    format!("{text:?} has a \"${{\" without its \"}}\""),
                    "\"${HOSTNAME:-fra1}\"",
                );
                return text.to_owned();
            };
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            let is_set = (self.env)(name).filter(|value| !value.is_empty() || default.is_none());
            match is_set.or_else(|| default.map(str::to_owned)) {
                Some(value) => done.push_str(&value),
                None => self.refuse(
                    path,
                    format!("the environment variable {name:?} is not set and has no default here"),
                    &format!("\"${{{name}:-a default}}\""),
                ),
            }
            rest = behind;
        }
        done.push_str(rest);
        done
    }

    fn refuse(&mut self, path: &KeyPath, problem: String, example: &str) {
        let consequence = "the value would be only a part of what was meant".to_owned();
        self.defects.push(Defect { path: path.clone(), problem, consequence, example: example.to_owned() });
    }
}
