//! One call of the admin API, before it is made.

use std::time::Duration;

use control::changes::Seen;
use http::Method;

/// How long an answer may take, the way to the edge included.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where a whole table is read, compiled and written.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// What is asked of the API, and how long for.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// What has to be in force.
    pub(super) expects: Option<Seen>,
    /// By which it is known if it comes again; whoever has one may be sent twice.
    pub(super) key: Option<String>,
    pub(super) patience: Duration,
}

impl Call {
    /// A question.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::change(Method::GET, path, Vec::new())
    }

    /// Something that changes what is in force.
    pub(super) fn change(method: Method, path: impl Into<String>, body: Vec<u8>) -> Self {
        Self { method, path: path.into(), body, expects: None, key: None, patience: PATIENCE }
    }

    /// With the patience that tables need.
    pub(super) fn patiently(self) -> Self {
        Self { patience: LONG_PATIENCE, ..self }
    }

    /// With one more condition or wish, such as `dry_run=1`.
    pub(super) fn and(mut self, said: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(said);
        self
    }

    /// With a name of its own, drawn anew. What is sent twice under it is made once.
    pub(super) fn named(self) -> Self {
        let mut random = [0; 16];
        // Without randomness it has no name, and is sent once.
        let key = getrandom::fill(&mut random).ok().map(|()| hex(&random));
        Self { key, ..self }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text as part of a query.
pub(super) fn quoted(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_added_to_the_query() {
        let call = Call::get("/v1/tables").and("dry_run=1").and("force=3");
        assert_eq!(call.path, "/v1/tables?dry_run=1&force=3");
        assert_eq!(quoted("eu/west & more"), "eu%2Fwest%20%26%20more");
    }

    #[test]
    fn every_name_is_another() {
        let name = || Call::get("/").named().key;
        assert!(name().is_some_and(|key| key.len() == 32) && name() != name());
    }
}
