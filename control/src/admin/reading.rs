//! What a body or a query says, read into what is meant; and a mistake in it, told in the operator's words: which field, what was sent,
//! what it takes. serde knows all of that, and tells it in the words of whoever wrote the code.
//!
//! Left out: whether a value makes sense, which is asked where it is used.

use std::error::Error;
use std::iter::successors;

use axum::extract::Query;
use axum::http::Uri;
use serde::de::DeserializeOwned;
use serde::de::value::Error as NotInQuery;
use serde_json::{Map, Value};
use serde_path_to_error::{Error as At, Path, Segment};

use crate::typo::meant;

/// The most that is repeated of what was sent, in characters.
const MAX_SHOWN_CHARACTERS: usize = 60;

/// What a reason takes.
pub(super) const REASON: &str = "a text of 1 to 1000 characters";
/// What a length of time takes.
pub(super) const SPAN: &str = "a time such as \"10m\": a whole number, and ms, s, m or h";

/// What has fields that somebody outside writes.
pub(super) trait Fields: DeserializeOwned {
    /// Each field, and what it takes.
    const FIELDS: &'static [(&'static str, &'static str)];
}

/// What is wrong, and with which field.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Mistake {
    pub(super) field: String,
    pub(super) detail: String,
}

impl Mistake {
    fn of(field: &str, detail: impl Into<String>) -> Self {
        Self { field: field.to_owned(), detail: detail.into() }
    }
}

/// What a body says, which is a JSON object.
pub(super) fn body<T: Fields>(text: &[u8]) -> Result<T, Mistake> {
    // serde takes a list for an object without names.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(Mistake::of("body", "it is not a JSON object"));
    }
    let not_json = |error: &serde_json::Error| Mistake::of("body", format!("it is not JSON: {error}"));
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error: At<serde_json::Error>| {
        let sent = |field: &str| serde_json::from_slice::<Map<String, Value>>(text).ok()?.remove(field);
        // Of a word it says that there is no JSON where something else stands.
        let is_json = error.inner().is_data() || serde_json::from_slice::<Map<String, Value>>(text).is_ok();
        match is_json {
            true => mistake::<T>("body", error.path(), &error.inner().to_string(), sent),
            false => not_json(error.inner()),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(read)
}

/// What a query says.
pub(super) fn query<T: Fields>(uri: &Uri) -> Result<T, Mistake> {
    let read = Query::<T>::try_from_uri(uri).map_err(|refused| {
        let mut causes = successors(refused.source(), |&cause| cause.source());
        let Some(error) = causes.find_map(|cause| cause.downcast_ref::<At<NotInQuery>>()) else {
            return Mistake::of("query", refused.body_text());
        };
        let sent = |field: &str| {
            let Query(all) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
            all.into_iter().find(|(name, _)| name == field).map(|(_, sent)| sent.into())
        };
        mistake::<T>("query", error.path(), &error.inner().to_string(), sent)
    });
    read.map(|Query(read)| read)
}

/// What serde did not take, where, and in its own words; `sent` is what stands in a field.
fn mistake<T: Fields>(
    whole: &str,
    at: &Path,
    words: &str,
    sent: impl FnOnce(&str) -> Option<Value>,
) -> Mistake {
    let known = |name: &str| T::FIELDS.iter().find(|(field, _)| *field == name);
    if let Some(Segment::Map { key }) = at.iter().next() {
        return match known(key) {
            Some((field, takes)) => {
                let sent =
                    sent(field).map_or_else(String::new, |sent| format!("{} was sent; ", shown(&sent)));
                Mistake::of(field, format!("{sent}it takes {takes}"))
            }
            None => unknown::<T>(&beginning(key)),
        };
    }
    // A field that is missing, or there twice, is named by its words alone.
    match words.split('`').nth(1).and_then(known) {
        Some((field, takes)) if words.starts_with("missing") => {
            Mistake::of(field, format!("it is missing; it takes {takes}"))
        }
        Some((field, _)) => Mistake::of(field, "it is there twice"),
        None => Mistake::of(whole, words),
    }
}

fn unknown<T: Fields>(name: &str) -> Mistake {
    let names = || T::FIELDS.iter().map(|(field, _)| *field);
    let detail = match meant(name, names()) {
        Some(meant) => format!("there is no {name:?} here; did you mean {meant:?}?"),
        None => format!("there is no {name:?} here; there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Mistake::of(name, detail)
}

/// What was sent, as far as it fits in a line.
fn shown(sent: &Value) -> String {
    match sent {
        Value::String(text) => format!("{:?}", beginning(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => sent.to_string(),
    }
}

fn beginning(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde::Deserialize;
    use steer::spec::State;

    use super::super::{audit, conditions, drill, explain, log_level, origins, overrides, pages, tables};
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[serde(rename = "for")]
        _lasts: u8,
        #[serde(default)]
        _after: Option<u64>,
        #[serde(default)]
        _state: Option<State>,
    }

    impl Fields for Wanted {
        const FIELDS: &'static [(&'static str, &'static str)] =
            &[("for", "a whole number from 0 to 255"), ("_after", "a whole number"), ("_state", "a state")];
    }

    fn told<T: fmt::Debug>(read: Result<T, Mistake>) -> (String, String) {
        let Mistake { field, detail } = read.unwrap_err();
        (field, detail)
    }

    #[test]
    fn a_mistake_is_told_by_field_in_plain_words() {
        let takes = "it takes a whole number from 0 to 255";
        let long = format!(r#"{{"for": "{}"}}"#, "ü".repeat(70));
        let shown = format!("\"{}…\" was sent; {takes}", "ü".repeat(60));
        for (text, field, detail) in [
            (r#"{"for": -1}"#, "for", format!("-1 was sent; {takes}")),
            (r#"{"for": 50.5}"#, "for", format!("50.5 was sent; {takes}")),
            (r#"{"for": "5\u202e0"}"#, "for", format!(r#""5\u{{202e}}0" was sent; {takes}"#)),
            (r#"{"for": [1]}"#, "for", format!("a list was sent; {takes}")),
            (r#"{"for": {"for": 1}}"#, "for", format!("an object was sent; {takes}")),
            (r#"{"for": null}"#, "for", format!("null was sent; {takes}")),
            (&long, "for", shown),
            // Without its end nobody knows what was sent.
            (r#"{"for": "x""#, "for", takes.to_owned()),
            (r#"{"_after": 1}"#, "for", format!("it is missing; {takes}")),
            (r#"{"for": 1, "for": 2}"#, "for", "it is there twice".to_owned()),
            (r#"{"for": 1, "_state": 3}"#, "_state", "3 was sent; it takes a state".to_owned()),
            (r#"{"for": 1, "_state": ["drain"]}"#, "_state", "a list was sent; it takes a state".to_owned()),
            (r#"{"fro": 1}"#, "fro", r#"there is no "fro" here; did you mean "for"?"#.to_owned()),
            (
                r#"{"nonsense": 1}"#,
                "nonsense",
                r#"there is no "nonsense" here; there are for, _after, _state"#.to_owned(),
            ),
            ("[]", "body", "it is not a JSON object".to_owned()),
        ] {
            assert_eq!(told(body::<Wanted>(text.as_bytes())), (field.to_owned(), detail), "{text}");
        }
        for text in ["{", r#"{"for": 1} 2"#, r#"{"for": 1e999}"#] {
            let (field, detail) = told(body::<Wanted>(text.as_bytes()));
            assert!(field == "body" && detail.starts_with("it is not JSON: "), "{text}: {field}: {detail}");
        }
    }

    #[test]
    fn so_is_one_in_a_query() {
        for (text, field, detail) in [
            ("/?for=x%20y", "for", r#""x y" was sent; it takes a whole number from 0 to 255"#),
            ("/?for=1&_after=-1", "_after", r#""-1" was sent; it takes a whole number"#),
            ("/?for=1&for=1", "for", "it is there twice"),
            ("/", "for", "it is missing; it takes a whole number from 0 to 255"),
            ("/?for=1&_aftr=2", "_aftr", r#"there is no "_aftr" here; did you mean "_after"?"#),
        ] {
            let read = query::<Wanted>(&text.parse().unwrap());
            assert_eq!(told(read), (field.to_owned(), detail.to_owned()), "{text}");
        }
    }

    /// The names that serde knows, in its order.
    fn check<T: Fields>() {
        let words = serde_json::from_str::<T>(r#"{"?": 0}"#).err().unwrap().to_string();
        let known: Vec<&str> =
            words.split_once(", expected ").unwrap().1.split('`').skip(1).step_by(2).collect();
        assert_eq!(T::FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), known);
    }

    #[test]
    fn the_fields_are_those_that_are_read() {
        check::<overrides::Patch>();
        check::<drill::Wanted>();
        check::<log_level::Wanted>();
        check::<conditions::Said>();
        check::<conditions::Reason>();
        check::<tables::Against>();
        check::<pages::Paged>();
        check::<origins::Wanted>();
        check::<audit::Wanted>();
        check::<explain::Asked>();
    }
}
