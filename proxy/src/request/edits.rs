//! A route's header rules, ready to be applied.

use http::{HeaderMap, HeaderName, HeaderValue};
use steer::route::HeaderRules;

/// What is changed of a header.
#[derive(Debug, Default)]
pub(crate) struct HeaderEdits {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

const CHECKED: &str = "a compiled rule has sound names and values";

impl HeaderEdits {
    pub(crate) fn of(rules: &HeaderRules) -> Self {
        let name = |name: &String| HeaderName::from_bytes(name.as_bytes()).expect(CHECKED);
        let field = |(field, value): &(String, String)| {
            (name(field), HeaderValue::from_bytes(value.as_bytes()).expect(CHECKED))
        };
        Self {
            remove: rules.remove.iter().map(name).collect(),
            set: rules.set.iter().map(field).collect(),
            add: rules.add.iter().map(field).collect(),
        }
    }

    /// Removes, then sets, then adds.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let edits = HeaderEdits::of(&HeaderRules {
            remove: vec!["x-gone".to_owned(), "vary".to_owned()],
            set: vec![pair("x-env", "prod")],
            add: vec![pair("vary", "x-canary")],
        });
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-gone", "1"), ("x-env", "a"), ("x-env", "b"), ("vary", "accept"), ("etag", "e")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        edits.apply(&mut headers);
        let mut fields: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        fields.sort();
        assert_eq!(fields, ["etag: e", "vary: x-canary", "x-env: prod"]);
    }
}
