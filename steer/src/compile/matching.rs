//! What a request must be to match a route: its path, method, header and query.

use super::Compiler;
use crate::defect::KeyPath;
use crate::matching::{Condition, Conditions, Pattern, Test};
use crate::route::PathRule;
use crate::spec::{ConditionSpec, RouteSpec};

const UNMATCHED: &str = "no request could match it";

impl Compiler<'_> {
    pub(super) fn path_rule(&mut self, spec: &RouteSpec, path: &KeyPath) -> PathRule {
        let given = [
            ("path", spec.path.is_some()),
            ("path_regex", spec.path_regex.is_some()),
            ("path_prefix", spec.path_prefix.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            self.defect(
                path.key(second),
                format!("the route has {first} too"),
                "either could be meant",
                "a route for each",
            );
        }
        if let Some(exact) = &spec.path {
            self.is_path(exact, "path", path);
            return PathRule::Exact(exact.clone());
        }
        if let Some(written) = &spec.path_regex {
            return match self.pattern(written, &path.key("path_regex"), "path_regex = \"/users/[0-9]+\"") {
                Some(pattern) => PathRule::Matches(pattern),
                None => PathRule::Exact(written.clone()),
            };
        }
        let prefix = spec.path_prefix.as_deref().unwrap_or("/");
        self.is_path(prefix, "path_prefix", path);
        PathRule::Prefix(prefix.to_owned())
    }

    fn is_path(&mut self, written: &str, key: &str, path: &KeyPath) {
        let printable = written.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        if !written.starts_with('/') || !printable || written.contains("//") {
            let noun = if key == "path" { "a path" } else { "the beginning of a path" };
            let example = format!("{key} = \"/api\"");
            self.defect(path.key(key), format!("{written:?} is not {noun}"), UNMATCHED, &example);
        }
    }

    pub(super) fn conditions(&mut self, spec: &RouteSpec, path: &KeyPath) -> Conditions {
        for (index, method) in spec.methods.iter().enumerate() {
            let path = path.key("methods").index(index);
            let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
            if !is_method {
                let problem = format!("{method:?} is not a method; methods are written in capitals");
                self.defect(path, problem, UNMATCHED, "methods = [\"GET\", \"HEAD\"]");
            } else if matches!(method.as_str(), "CONNECT" | "TRACE") {
                let problem = format!("{method} is never served");
                self.defect(path, problem, UNMATCHED, "methods = [\"GET\", \"HEAD\"]");
            } else if spec.methods[..index].contains(method) {
                let problem = format!("{method:?} stands here twice");
                self.defect(path, problem, "the second has no effect", "methods = [\"GET\", \"HEAD\"]");
            }
        }
        let mut methods = spec.methods.clone();
        methods.sort_unstable();
        let headers = path.key("headers");
        let header = |(index, written): (usize, &ConditionSpec)| {
            let name = written.name.to_ascii_lowercase();
            let path = headers.index(index);
            if !is_field_name(&name) {
                let problem = format!("{:?} is not the name of a header field", written.name);
                self.defect(path.key("name"), problem, UNMATCHED, "name = \"x-canary\"");
            }
            Condition { name, test: self.test(written, &path) }
        };
        let headers = spec.headers.iter().enumerate().map(header).collect();
        let query = path.key("query");
        let parameter = |(index, written): (usize, &ConditionSpec)| Condition {
            name: written.name.clone(),
            test: self.test(written, &query.index(index)),
        };
        let query = spec.query.iter().enumerate().map(parameter).collect();
        Conditions { methods, headers, query }
    }

    fn test(&mut self, written: &ConditionSpec, path: &KeyPath) -> Test {
        let says_what = written.value.is_some() || written.regex.is_some();
        if (written.value.is_some() && written.regex.is_some()) || (says_what && !written.present) {
            self.defect(
                path.clone(),
                "of value, regex and present = false only one can hold".to_owned(),
                UNMATCHED,
                "{ name = \"x-canary\", value = \"1\" }",
            );
        }
        match (&written.value, &written.regex) {
            (Some(value), _) => Test::Is(value.clone()),
            (None, Some(regex)) => {
                let pattern = self.pattern(regex, &path.key("regex"), "regex = \"yes|true\"");
                pattern.map_or(Test::Present, Test::Matches)
            }
            (None, None) if written.present => Test::Present,
            (None, None) => Test::Absent,
        }
    }

    fn pattern(&mut self, written: &str, path: &KeyPath, example: &str) -> Option<Pattern> {
        match Pattern::new(written) {
            Ok(pattern) => Some(pattern),
            Err(problem) => {
                let problem = format!("{written:?} is not a regular expression: {problem}");
                self.defect(path.clone(), problem, UNMATCHED, example);
                None
            }
        }
    }
}

/// A token in lower case (RFC 9110, 5.6.2).
pub(super) fn is_field_name(name: &str) -> bool {
    let is_token =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(is_token)
}
