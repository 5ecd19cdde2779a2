//! What a request must carry to match a route, beyond its host and path: method, header fields, query parameters.
//!
//! The request is seen through [`RequestHead`], which borrows everything, so that this crate needs no HTTP library and a match
//! copies nothing.

use regex::bytes::Regex;

/// What routes look at.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// The host, in any case, without a port.
    pub host: &'a str,
    /// The path as sent, without its query.
    pub path: &'a str,
    /// The query as sent, without its question mark.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The header.
    pub fields: &'a dyn Fields,
}

/// A header, as far as routes look at it.
pub trait Fields {
    /// Whether any value of the field of this name (lower case) passes the test.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// No fields.
impl Fields for () {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

/// Names and values, the names in any case.
impl Fields for Vec<(String, String)> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter().any(|(known, value)| known.eq_ignore_ascii_case(name) && test(value.as_bytes()))
    }
}

impl<'a> RequestHead<'a> {
    /// A GET with no more than a host and a path.
    #[must_use]
    pub const fn get(host: &'a str, path: &'a str) -> Self {
        Self { host, path, query: None, method: "GET", fields: &() }
    }
}

impl std::fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.path)
    }
}

/// Everything that a request must carry to match a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// One of these methods; empty is any.
    pub methods: Vec<String>,
    /// All of these fields, their names in lower case.
    pub headers: Vec<Condition>,
    /// All of these query parameters.
    pub query: Vec<Condition>,
}

/// One thing that a request must carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Its name.
    pub name: String,
    /// What it must say.
    pub test: Test,
}

/// What a field or parameter must say.
#[derive(Clone, Debug)]
pub enum Test {
    /// Anything: it is there.
    Present,
    /// It is not there.
    Absent,
    /// Exactly this.
    Is(String),
    /// What matches this, from beginning to end.
    Matches(Pattern),
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, Self::Present) | (Self::Absent, Self::Absent) => true,
            (Self::Is(a), Self::Is(b)) => a == b,
            (Self::Matches(a), Self::Matches(b)) => a == b,
            _ => false,
        }
    }
}

/// A regular expression that must match a whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

/// A compiled pattern takes no more memory than this, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

impl Pattern {
    /// Compiles a pattern. Classes such as `\d` and `\w` mean ASCII.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub fn new(written: &str) -> Result<Self, String> {
        let anchored = format!("^(?:{written})$");
        let regex = regex::bytes::RegexBuilder::new(&anchored)
            .unicode(false)
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .build();
        // The last line of its words says what is wrong; those before draw where, in a text that nobody wrote.
        let last_line = |error: regex::Error| {
            let words = error.to_string();
            words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        };
        Ok(Self { written: written.to_owned(), regex: regex.map_err(last_line)? })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The template with `$1` and `${name}` replaced by what the groups matched in a text that matches.
    #[must_use]
    pub fn expand(&self, text: &str, template: &str) -> String {
        let mut expanded = Vec::with_capacity(template.len() + text.len());
        if let Some(captures) = self.regex.captures(text.as_bytes()) {
            captures.expand(template.as_bytes(), &mut expanded);
        }
        // Groups end at bytes, and a path that was not ASCII could be cut inside a character.
        String::from_utf8(expanded).unwrap_or_else(|_| text.to_owned())
    }

    /// How many groups it has, the whole apart.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }
}

impl Conditions {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.headers.is_empty() && self.query.is_empty()
    }

    /// How exact they are; the greater is tried first.
    pub(crate) fn rank(&self) -> (bool, usize, usize) {
        (!self.methods.is_empty(), self.headers.len(), self.query.len())
    }

    /// Whether a request meets them all.
    #[must_use]
    pub fn are_met_by(&self, head: &RequestHead<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| method == head.method))
            && self.headers.iter().all(|field| field.is_met(|test| head.fields.any(&field.name, test)))
            && self
                .query
                .iter()
                .all(|parameter| parameter.is_met(|test| any_parameter(head.query, &parameter.name, test)))
    }
}

impl Condition {
    fn is_met(&self, any: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        match &self.test {
            Test::Present => any(&mut |_| true),
            Test::Absent => !any(&mut |_| true),
            Test::Is(value) => any(&mut |found| found == value.as_bytes()),
            Test::Matches(pattern) => any(&mut |found| pattern.matches(found)),
        }
    }
}

fn any_parameter(query: Option<&str>, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    query.into_iter().flat_map(|query| query.split('&')).any(|parameter| {
        let (known, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        known == name && test(value.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(name: &str, test: Test) -> Condition {
        Condition { name: name.to_owned(), test }
    }

    #[test]
    fn every_condition_counts() {
        let conditions = Conditions {
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
            headers: vec![
                condition("x-canary", Test::Is("1".to_owned())),
                condition("x-internal", Test::Absent),
            ],
            query: vec![condition("beta", Test::Matches(Pattern::new("yes|true").unwrap()))],
        };
        let met = |method, fields: &[(&str, &str)], query| {
            let fields: Vec<(String, String)> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let head = RequestHead { query, method, fields: &fields, ..RequestHead::get("h", "/") };
            conditions.are_met_by(&head)
        };
        let canary = [("X-Canary", "0"), ("x-canary", "1")];
        assert!(met("HEAD", &canary, Some("a=b&beta=true")));
        assert!(!met("POST", &canary, Some("beta=true")));
        assert!(!met("GET", &canary, Some("beta=truer")), "a pattern matches the whole value");
        assert!(!met("GET", &canary, Some("betas=true")));
        assert!(!met("GET", &canary, None));
        assert!(!met("GET", &canary[..1], Some("beta=yes")));
        assert!(!met("GET", &[canary[1], ("x-internal", "")], Some("beta=yes")));
        assert!(Conditions::default().are_met_by(&RequestHead::get("h", "/")));
    }

    #[test]
    fn a_bad_pattern_is_named_on_one_line() {
        let problem = Pattern::new("(").unwrap_err();
        assert_eq!(problem, "unclosed group");
        assert!(Pattern::new("a{100000000}").is_err(), "a pattern cannot use up the memory");
    }

    #[test]
    fn groups_are_filled_in() {
        let pattern = Pattern::new("/u/(?P<id>[0-9]+)/(.*)").unwrap();
        assert_eq!(pattern.groups(), 2);
        assert_eq!(pattern.expand("/u/7/x/y", "/p/${id}/$2"), "/p/7/x/y");
    }
}
