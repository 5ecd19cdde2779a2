//! On which conditions a change is made: what every call that changes something may say beside the change itself. [`super`]
//! lists them.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::json;
use steer::Span;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::extract::{Asked, Queried, field};
use super::problem::Problem;
use super::reading::Fields;
use crate::changes::{NotSeen, Seen};
use crate::reason::{reason_problem, source_problem};
use crate::trial::{Guard, MAX_WATCH, MIN_WATCH, Watch};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest key, in characters; all of them are ASCII.
const MAX_KEY_CHARACTERS: usize = 128;

/// The conditions of a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) dry_run: bool,
    pub(super) volatile: bool,
    /// Whether the answer shall tell what part of the traffic is predicted afterwards: that takes a thousand decisions.
    pub(super) shares: bool,
    /// What was seen when the guard was overruled.
    pub(super) force: Option<Seen>,
    /// What must be in force.
    pub(super) expects: Option<Seen>,
    pub(super) key: Option<String>,
    pub(super) reason: Option<String>,
    /// What a table was read from, as its publisher names it.
    pub(super) source: Option<String>,
    /// How it is watched.
    pub(super) watch: Option<Watch>,
}

/// What a query may say of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    dry_run: Option<String>,
    volatile: Option<String>,
    shares: Option<String>,
    force: Option<String>,
    reason: Option<String>,
    source: Option<String>,
    watch: Option<String>,
    guard: Option<String>,
}

impl Fields for Said {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("dry_run", "1 or 0"),
        ("volatile", "1 or 0"),
        ("shares", "1 or 0"),
        ("force", "a table version, or that and an overlay's number"),
        ("reason", "a text"),
        ("source", "a name"),
        ("watch", "a time"),
        ("guard", "guards"),
    ];
}

impl Queried for Said {
    const EXAMPLE: &'static str = "?dry_run=1&force=12.7&volatile=1&reason=new%20region";
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Asked(said) = Asked::<Said>::from_request_parts(parts, state).await?;
        Ok(Self {
            dry_run: flag("dry_run", said.dry_run.as_deref())?,
            volatile: flag("volatile", said.volatile.as_deref())?,
            shares: flag("shares", said.shares.as_deref())?,
            force: said.force.as_deref().map(forced).transpose()?,
            expects: expected(&parts.headers)?,
            key: key(&parts.headers)?,
            reason: said.reason,
            source: said.source.map(sound_source).transpose()?,
            watch: watch(said.watch.as_deref(), said.guard.as_deref())?,
        })
    }
}

impl Conditions {
    /// Why, where that must be in the query.
    pub(super) fn reason(&self) -> Result<String, Problem> {
        sound_reason(self.reason.as_deref().unwrap_or_default(), || Reason::EXAMPLE.into())
    }
}

/// Why somebody changes something, if it is a reason; else the problem has an example of a whole body or query.
pub(super) fn sound_reason(
    reason: &str,
    example: impl FnOnce() -> serde_json::Value,
) -> Result<String, Problem> {
    match reason_problem(reason) {
        Some(detail) => Err(Problem::field("missing-reason", "reason", detail, example())),
        None => Ok(reason.to_owned()),
    }
}

fn sound_source(source: String) -> Result<String, Problem> {
    match source_problem(&source) {
        Some(detail) => Err(Problem::field("bad-query", "source", detail, json!("?source=table.toml"))),
        None => Ok(source),
    }
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, Problem> {
    match value {
        None | Some("0" | "false") => Ok(false),
        Some("" | "1" | "true") => Ok(true),
        Some(other) => {
            let detail = format!("{other:?} is neither yes nor no");
            Err(Problem::field("bad-query", name, detail, json!(format!("?{name}=1"))))
        }
    }
}

fn forced(text: &str) -> Result<Seen, Problem> {
    text.parse()
        .map_err(|not: NotSeen| Problem::field("bad-query", "force", not.to_string(), json!("?force=12.7")))
}

/// How long a change is watched, and what it may not do meanwhile.
fn watch(lasts: Option<&str>, guards: Option<&str>) -> Result<Option<Watch>, Problem> {
    let example = || json!("?watch=60s&guard=error_rate=1%25");
    let Some(lasts) = lasts else {
        let detail = "a guard needs to know how long it watches; a drill's stands in the body";
        return guards.map_or(Ok(None), |_| Err(Problem::field("bad-watch", "watch", detail, example())));
    };
    let bounds = format!("a change is watched for {MIN_WATCH} to {MAX_WATCH}");
    let lasts = lasts.parse::<Span>().map_err(|error| error.to_string());
    let lasts = lasts.and_then(|lasts| match (MIN_WATCH..=MAX_WATCH).contains(&lasts) {
        true => Ok(lasts),
        false => Err(bounds),
    });
    let lasts = lasts.map_err(|detail| Problem::field("bad-watch", "watch", detail, example()))?;
    let guards =
        guards.map_or_else(|| Ok(Guard::USUAL.to_vec()), |guards| sound_guards(guards, example()))?;
    Ok(Some(Watch { lasts, guards }))
}

/// Guards, if they are.
pub(super) fn sound_guards(guards: &str, example: serde_json::Value) -> Result<Vec<Guard>, Problem> {
    Guard::list(guards).map_err(|error| Problem::field("bad-watch", "guard", error.to_string(), example))
}

/// `"12"` or `"12.7"`, as answers are tagged. Several, or any at all, are no condition that a careful writer means.
fn expected(headers: &HeaderMap) -> Result<Option<Seen>, Problem> {
    let read = |tag: &str| {
        let tag = tag.trim();
        tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag).parse().ok()
    };
    field(headers, IF_MATCH, read, || {
        let detail = "it is what the change is meant for, as in an answer's ETag: the table's version, or that and the overlay's \
                      number";
        Problem::field("bad-condition", "If-Match", detail, json!("If-Match: \"12.7\""))
    })
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let read = |key: &str| {
        let key = key.trim().trim_matches('"');
        (1..=MAX_KEY_CHARACTERS).contains(&key.len()).then(|| key.to_owned())
    };
    field(headers, IDEMPOTENCY_KEY, read, || {
        let detail = format!("a key has 1 to {MAX_KEY_CHARACTERS} visible characters, and there is one");
        Problem::field("bad-key", "Idempotency-Key", detail, json!("Idempotency-Key: 6f1c2f9e"))
    })
}

/// Refuses the fields of conditions where a call knows none: who sends them would believe that they count. `call` is one that
/// is right.
pub(super) fn refuse_fields(headers: &HeaderMap, call: &str) -> Result<(), Problem> {
    let known = [
        ("bad-condition", "If-Match", headers.contains_key(IF_MATCH)),
        ("bad-key", "Idempotency-Key", headers.contains_key(IDEMPOTENCY_KEY)),
    ];
    let sent = known.into_iter().find(|(.., is_sent)| *is_sent);
    sent.map_or(Ok(()), |(kind, field, _)| {
        Err(Problem::field(kind, field, "this call knows no such condition: leave it out", json!(call)))
    })
}

/// What the document says of them.
impl IntoParams for Conditions {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = |pattern: &str| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        let flag = || {
            let words = ["1", "true", "0", "false"].map(|word| json!(word));
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
        };
        let query = |name: &str, told: &str, schema: ObjectBuilder| {
            let told = ParameterBuilder::new().name(name).description(Some(told)).schema(Some(schema));
            told.parameter_in(ParameterIn::Query).required(Required::False).build()
        };
        let field = |name: &str, told: &str, schema: ObjectBuilder| {
            let told = ParameterBuilder::new().name(name).description(Some(told)).schema(Some(schema));
            told.parameter_in(ParameterIn::Header).required(Required::False).build()
        };
        vec![
            query("dry_run", "Tell what it would do, and do nothing.", flag()),
            query(
                "force",
                "Do it although a guard refuses, while this version of the table is in force, and this overlay if one is named; \
                 an overlay's number may come again after a restart.",
                text(r"^[0-9]{1,19}(\.[0-9]{1,19})?$"),
            ),
            query("shares", "Tell what part of the traffic is predicted for the region afterwards.", flag()),
            query(
                "watch",
                "Take it back if it does harm in this time, 5s to 1h: tables and overrides. A drill is always watched.",
                text("^[0-9]{1,9}(ms|s|m|h)$"),
            ),
            query(
                "guard",
                "What harm is, several with commas: `error_rate`, `no_route` or `p99`; a bound, or `+` so much more than before.",
                text(r"^[a-z0-9_]+=\+?[0-9.]+[a-z%]+(,[a-z0-9_]+=\+?[0-9.]+[a-z%]+)*$"),
            ),
            query("volatile", "Do it although it cannot be kept: a restart forgets it.", flag()),
            field(
                "If-Match",
                "Only while this version of the table is in force, under the overrides of this overlay if one is named; its \
                 number may come again after a restart.",
                text(r#"^"[0-9]{1,19}(\.[0-9]{1,19})?"$"#),
            ),
            field(
                "Idempotency-Key",
                "If a call with this key came before, it is answered as then.",
                text("^[!#-~]{1,128}$"),
            ),
        ]
    }
}

/// Why, where that is said in the query. Most calls read it with the other conditions; here it is for the document, and for those
/// that know no other.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Reason {
    /// Why; others read it later.
    #[serde(default)]
    #[param(required = true, min_length = 1, max_length = 1000, example = "new region")]
    pub(super) reason: String,
}

impl Fields for Reason {
    const FIELDS: &'static [(&'static str, &'static str)] = &[("reason", "a text")];
}

impl Queried for Reason {
    const EXAMPLE: &'static str = "?reason=seen%20enough";
}
