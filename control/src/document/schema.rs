//! Structural mistakes: unknown keys, wrong types, values out of range, missing keys; all of them at once.
//!
//! The schema comes from the types that serde reads, so the two cannot disagree. Serde alone would stop at its first error;
//! here every mistake is named, and then the wrong values are replaced by stand-ins, so that what the rest of the document
//! means can still be checked. A mistake of meaning that is found inside a stand-in is none and is dropped.
//!
//! Three keywords do more than usual: `examples` shows a valid value, `x-wanted` says in words what a pattern means, and
//! `x-keep` says that a text which breaks its pattern may stand for the further checks.

use jsonschema::Validator;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use schemars::JsonSchema;
use serde_json::{Map, Value};
use steer::defect::Step;
use steer::{Defect, KeyPath};

use crate::typo::meant;

/// The schema of a type, ready to validate with.
#[derive(Debug)]
pub(crate) struct Schema {
    root: Value,
    validator: Validator,
}

/// What is wrong with a document, and a copy in which stand-ins replace what is wrong.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) value: Value,
    pub(crate) defects: Vec<Defect>,
    /// Where the copy holds stand-ins.
    pub(crate) stand_ins: Vec<KeyPath>,
}

/// Repairs beget repairs only when a stand-in is itself not valid; this many rounds are plenty.
const MAX_ROUNDS: usize = 8;

impl Schema {
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let mut root = schemars::schema_for!(T).to_value();
        drop_null(&mut root);
        let validator = jsonschema::validator_for(&root).expect("a derived schema is a valid schema");
        Self { root, validator }
    }

    pub(crate) fn check(&self, mut value: Value) -> Checked {
        let mut defects = Vec::new();
        let mut stand_ins = Vec::new();
        for round in 0..MAX_ROUNDS {
            let mistakes: Vec<Mistake> =
                self.validator.iter_errors(&value).flat_map(|error| self.mistakes(&error)).collect();
            if mistakes.iter().all(|mistake| round > 0 && matches!(mistake.repair, Repair::Keep)) {
                break;
            }
            for mistake in mistakes {
                repair(&mut value, &mistake);
                stand_ins.push(mistake.defect.path.clone());
                // Later rounds find only what the repairs of earlier ones left; the reader knows of those already.
                if round == 0 {
                    defects.push(mistake.defect);
                }
            }
        }
        Checked { value, defects, stand_ins }
    }

    fn mistakes(&self, error: &jsonschema::ValidationError<'_>) -> Vec<Mistake> {
        let at = KeyPath(
            error
                .instance_path()
                .segments()
                .map(|segment| match segment {
                    LocationSegment::Property(key) => Step::Key(key.into_owned()),
                    LocationSegment::Index(index) => Step::Index(index),
                })
                .collect(),
        );
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                unexpected.iter().map(|key| self.unknown(&at, key)).collect()
            }
            ValidationErrorKind::Required { property } => {
                vec![self.missing(&at, property.as_str().unwrap_or_default())]
            }
            ValidationErrorKind::PropertyNames { error } => {
                let key = error.instance().as_str().unwrap_or_default();
                vec![self.bad_key(&at, key, error.kind())]
            }
            kind => vec![self.bad_value(at, error.instance(), kind)],
        }
    }

    fn unknown(&self, at: &KeyPath, key: &str) -> Mistake {
        let known: Vec<&str> = self
            .find(at)
            .and_then(|schema| self.target(schema).get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let meant = meant(key, known.iter().copied());
        let problem = match meant {
            Some(meant) => format!("there is no key {key:?} here; did you mean {meant:?}?"),
            None => format!("there is no key {key:?} here; the keys are {}", known.join(", ")),
        };
        let example_for = meant.or_else(|| known.first().copied()).unwrap_or(key);
        Mistake {
            defect: Defect {
                path: at.key(key),
                problem,
                consequence: "nothing would enforce it, so it is refused instead of ignored".to_owned(),
                example: self.example(&at.key(example_for)),
            },
            repair: Repair::Remove,
        }
    }

    fn missing(&self, at: &KeyPath, key: &str) -> Mistake {
        let path = at.key(key);
        Mistake {
            repair: Repair::Put(self.stand_in(&path)),
            defect: Defect {
                problem: format!("the key {key:?} is missing"),
                consequence: "it has no default that would be right for everybody".to_owned(),
                example: self.example(&path),
                path,
            },
        }
    }

    fn bad_key(&self, at: &KeyPath, key: &str, kind: &ValidationErrorKind) -> Mistake {
        let wanted = match kind {
            ValidationErrorKind::Enum { options } => one_of(options),
            _ => "two capital letters".to_owned(),
        };
        Mistake {
            defect: Defect {
                path: at.key(key),
                problem: format!("{key:?} cannot be a key here: {wanted} is expected"),
                consequence: "no request could match it".to_owned(),
                example: self.example(at),
            },
            repair: Repair::Remove,
        }
    }

    fn bad_value(&self, path: KeyPath, value: &Value, kind: &ValidationErrorKind) -> Mistake {
        let schema = self.find(&path);
        let wanted = schema.and_then(|schema| schema.get("x-wanted")).and_then(Value::as_str);
        let problem = match kind {
            ValidationErrorKind::Type { kind } => {
                format!(
                    "{} is expected, this is {}",
                    wanted.map_or_else(|| types(kind), str::to_owned),
                    describe(value)
                )
            }
            ValidationErrorKind::Enum { options } => format!("{value} is not {}", one_of(options)),
            ValidationErrorKind::Constant { expected_value } => format!("{value} is not {expected_value}"),
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
                match schema.and_then(constants) {
                    Some(options) => format!("{value} is not {}", one_of(&options)),
                    None => format!("{value} has none of the forms that are possible here"),
                }
            }
            ValidationErrorKind::Maximum { limit } => format!("{value} is more than {limit}"),
            ValidationErrorKind::Minimum { limit } => format!("{value} is less than {limit}"),
            ValidationErrorKind::MinLength { limit: 1 } => "it is empty".to_owned(),
            ValidationErrorKind::MinItems { limit } => format!("there are fewer than {limit} entries"),
            ValidationErrorKind::MaxItems { limit } => format!("there are more than {limit} entries"),
            ValidationErrorKind::MaxLength { limit } => format!("it is longer than {limit} characters"),
            ValidationErrorKind::Pattern { pattern } => match wanted {
                Some(wanted) => format!("{value} is not {wanted}"),
                None => format!("{value} does not match {pattern}"),
            },
            other => format!("{value} breaks the rule {:?}", other.keyword()),
        };
        let may_stand = value.is_string() && schema.is_some_and(|schema| schema.get("x-keep").is_some());
        Mistake {
            repair: if may_stand { Repair::Keep } else { Repair::Put(self.stand_in(&path)) },
            defect: Defect {
                problem,
                consequence: "it could not be obeyed".to_owned(),
                example: self.example(&path),
                path,
            },
        }
    }

    /// A line that would be right: the last key of the path with its example value.
    fn example(&self, path: &KeyPath) -> String {
        let key_depth = path.0.iter().rposition(|step| matches!(step, Step::Key(_)));
        let Some(depth) = key_depth else { return String::new() };
        let Step::Key(key) = &path.0[depth] else { return String::new() };
        let of_key = KeyPath(path.0[..=depth].to_vec());
        let value = self.stand_in(&of_key);
        match &value {
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                format!("[[{}]]", header(&of_key))
            }
            _ => format!("{key} = {}", toml_text(&value)),
        }
    }

    /// A value that is valid at `path`: its example, its default, or the least its type allows.
    fn stand_in(&self, path: &KeyPath) -> Value {
        self.find(path).map_or(Value::Null, |schema| self.least(schema, 0))
    }

    fn least(&self, schema: &Value, depth: usize) -> Value {
        let schema = self.resolve(schema);
        let example = schema.get("examples").and_then(|examples| examples.get(0));
        if let Some(value) = example.or_else(|| schema.get("default")) {
            return value.clone();
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") if depth < 8 => {
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                let least = |key: &Value| {
                    let key = key.as_str()?;
                    Some((key.to_owned(), self.least(schema.get("properties")?.get(key)?, depth + 1)))
                };
                Value::Object(required.filter_map(least).collect::<Map<_, _>>())
            }
            Some("array") if depth < 8 => Value::Array(
                schema.get("items").map(|items| self.least(items, depth + 1)).into_iter().collect(),
            ),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
            Some("boolean") => false.into(),
            _ => "".into(),
        }
    }

    /// The schema of the value at `path`.
    fn find(&self, path: &KeyPath) -> Option<&Value> {
        let found = path.0.iter().try_fold(&self.root, |schema, step| {
            let schema = self.target(schema);
            match step {
                Step::Key(key) => {
                    let named = schema.get("properties").and_then(|properties| properties.get(key));
                    named.or_else(|| schema.get("additionalProperties").filter(|schema| schema.is_object()))
                }
                Step::Index(_) => schema.get("items"),
            }
        });
        found.map(|schema| self.resolve(schema))
    }

    /// What a schema says of its value: an example beside a reference is all that is looked for here.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if schema.get("examples").is_some() { schema } else { self.target(schema) }
    }

    /// The schema behind references, which has the keys.
    fn target<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        reference.and_then(|pointer| self.root.pointer(pointer)).map_or(schema, |target| self.target(target))
    }
}

struct Mistake {
    defect: Defect,
    repair: Repair,
}

enum Repair {
    Keep,
    Remove,
    Put(Value),
}

fn repair(value: &mut Value, mistake: &Mistake) {
    let Some((last, parents)) = mistake.defect.path.0.split_last() else { return };
    let parent = parents.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    });
    match (parent, last, &mistake.repair) {
        (Some(Value::Object(parent)), Step::Key(key), Repair::Remove) => {
            parent.remove(key);
        }
        (Some(Value::Object(parent)), Step::Key(key), Repair::Put(stand_in)) => {
            parent.insert(key.clone(), stand_in.clone());
        }
        (Some(Value::Array(parent)), Step::Index(index), Repair::Put(stand_in)) => {
            if let Some(entry) = parent.get_mut(*index) {
                *entry = stand_in.clone();
            }
        }
        _ => {}
    }
}

/// TOML has no null: an optional key is simply absent, so `null` only clutters types and choices.
fn drop_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = object.get_mut("anyOf") {
                options.retain(|option| option.get("type") != Some(&Value::from("null")));
                if let [only] = &options[..] {
                    let only = only.clone();
                    object.remove("anyOf");
                    if let Value::Object(only) = only {
                        object.extend(only);
                    }
                }
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            object.values_mut().for_each(drop_null);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_null),
        _ => {}
    }
}

/// The constants of a choice, if it is one of constants alone (an enum with documented variants).
fn constants(schema: &Value) -> Option<Value> {
    let options = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let of = |option: &Value| {
        option.get("const").map(|only| vec![only.clone()]).or_else(|| option.get("enum")?.as_array().cloned())
    };
    let lists: Option<Vec<Vec<Value>>> = options.iter().map(of).collect();
    lists.map(|lists| Value::Array(lists.concat()))
}

fn one_of(options: &Value) -> String {
    let names: Vec<String> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
    format!("one of {}", names.join(", "))
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => noun(kind.as_str()).to_owned(),
        TypeKind::Multiple(kinds) => {
            kinds.iter().map(|kind| noun(kind.as_str())).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn noun(kind: &str) -> &str {
    match kind {
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => format!("the string {value}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

fn header(path: &KeyPath) -> String {
    let keys = path.0.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

fn toml_text(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let pairs: Vec<String> =
                object.iter().map(|(key, value)| format!("{key} = {}", toml_text(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
