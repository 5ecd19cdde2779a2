//! The page of configuration keys, from the schemas of the types that read them.
//!
//! What a key does and what follows from it is its doc comment; type, bounds, default and example come from the schema that
//! also finds mistakes. Keys of a section come in the alphabet's order.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde_json::Value;
use steer::Spec;

use super::made_by;
use crate::config::EdgeSpec;

const OPENING: &str = "
# Configuration

Two files in [TOML](https://toml.io): `nearside.toml` describes one edge, and the table that it names describes the world.
[config/](../config) has both with every key, [config/scenarios](../config/scenarios) whole tables for common cases.

`nearside check` names every mistake with line and column, what follows from it, and a valid example. `nearside check --print`
shows what is in force. Unknown keys are refused. `${NAME}` and `${NAME:-default}` in a string are filled in from the environment.
Times are written as a whole number and a unit: `250ms`, `10s`, `5m`, `2h`. Files are relative to the file that names them.

The table is watched and published when it changes; `nearside.toml` is read at the start.
";

/// The page as Markdown.
pub(crate) fn page() -> String {
    let mut page = made_by("configuration") + OPENING;
    file::<EdgeSpec>(&mut page, "nearside.toml: this edge");
    file::<Spec>(&mut page, "table.toml: the world");
    page
}

fn file<T: JsonSchema>(page: &mut String, title: &str) {
    let root = schemars::schema_for!(T).to_value();
    let _ = write!(page, "\n# {title}\n\n{}\n", description(&root));
    Writer { root: &root, page }.object(&root, "");
}

struct Writer<'a> {
    root: &'a Value,
    page: &'a mut String,
}

/// What a key holds.
enum Shape<'a> {
    /// A section of keys, or a list of them.
    Section { keys: &'a Value, is_list: bool },
    /// A value.
    Value(&'a Value),
}

impl<'a> Writer<'a> {
    /// The keys of an object, and then its sections.
    fn object(&mut self, schema: &'a Value, path: &str) {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut sections = Vec::new();
        for (key, property) in properties {
            match self.shape(property) {
                Shape::Section { keys, is_list } => sections.push((key, property, keys, is_list)),
                Shape::Value(value) => self.key(key, property, value, required.contains(&key.as_str())),
            }
        }
        for (key, property, keys, is_list) in sections {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let header = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
            let need = if required.contains(&key.as_str()) { "Required. " } else { "" };
            // What the key is for may say more than what its type is, or less.
            let about = [description(property), description(keys)];
            let about = about.iter().max_by_key(|about| about.len()).map_or("", String::as_str);
            let _ = write!(self.page, "\n## `{header}`\n\n{need}{about}\n\n");
            self.object(keys, &path);
        }
    }

    fn key(&mut self, key: &str, property: &Value, value: &Value, is_required: bool) {
        let default = match (&property["default"], is_required) {
            (_, true) => "required".to_owned(),
            (Value::Null, _) => "optional".to_owned(),
            (default, _) => format!("default `{}`", toml(default)),
        };
        let mut facts = vec![kind(value), default];
        let example = [property, value].iter().find_map(|schema| schema["examples"].get(0));
        if let Some(example) = example.filter(|example| **example != property["default"] && !is_time(value)) {
            facts.push(format!("for example `{key} = {}`", toml(example)));
        }
        let _ = writeln!(self.page, "- **`{key}`**: {}.\n  {}", facts.join("; "), description(property));
        for (word, meaning) in words(value) {
            let _ = writeln!(self.page, "  - `{word}`: {meaning}");
        }
    }

    /// What a property holds, past references and past what says that it may be absent.
    fn shape(&self, property: &'a Value) -> Shape<'a> {
        let target = self.target(property);
        let items = target.get("items").map(|items| self.target(items));
        match items {
            Some(items) if items.get("properties").is_some() => Shape::Section { keys: items, is_list: true },
            _ if target.get("properties").is_some() && !is_inline(target) => {
                Shape::Section { keys: target, is_list: false }
            }
            _ => Shape::Value(target),
        }
    }

    fn target(&self, schema: &'a Value) -> &'a Value {
        let options = schema.get("anyOf").and_then(Value::as_array);
        let option = options.and_then(|options| options.iter().find(|option| option["type"] != "null"));
        if let Some(option) = option {
            return self.target(option);
        }
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| self.target(&self.root["$defs"][name]))
    }
}

/// Coordinates are written as one value.
fn is_inline(schema: &Value) -> bool {
    schema["properties"].get("latitude").is_some() && schema["properties"].get("name").is_none()
}

fn is_time(schema: &Value) -> bool {
    schema["x-wanted"].as_str().is_some_and(|wanted| wanted.starts_with("a length of time"))
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// The type of a value, with its bounds.
fn kind(schema: &Value) -> String {
    if is_inline(schema) {
        return "a place, `{ latitude = 50.11, longitude = 8.68 }` in degrees".to_owned();
    }
    if !words(schema).is_empty() {
        return "one of the words below".to_owned();
    }
    if is_time(schema) {
        return "a time".to_owned();
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    };
    let bounds = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, _) | (_, Value::Null) => String::new(),
        (least, most) => format!(", {least} to {most}"),
    };
    let wanted = schema["x-wanted"].as_str();
    match types.unwrap_or_default() {
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => format!("a whole number{bounds}"),
        "number" => format!("a number{bounds}"),
        "array" if schema["items"]["type"] == "integer" => "a list of numbers".to_owned(),
        "array" => "a list of texts".to_owned(),
        "object" => "a table of lists".to_owned(),
        _ => wanted.map_or_else(|| "a text".to_owned(), str::to_owned),
    }
}

/// The words that a key may be, with their meanings.
fn words(schema: &Value) -> Vec<(String, String)> {
    let of = |option: &Value| Some((option["const"].as_str()?.to_owned(), description(option)));
    schema["oneOf"].as_array().into_iter().flatten().filter_map(of).collect()
}

/// A value as TOML writes it.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs: Vec<String> =
                table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
