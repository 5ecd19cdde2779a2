//! The types of problems that the API answers with: in one list, so that its document can name them.
//!
//! A call says which of them it may meet with `problems!`; what every call, or every change, may meet is here.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// The media type of problems.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Name, status and meaning. Some have two statuses.
const KINDS: &[(&str, u16, &str)] = &[
    ("bad-host", 400, "the request does not say whom it is meant for"),
    ("bad-path", 400, "a part of the path is no text"),
    ("bad-query", 400, "the query says something that this call does not know, or in another form"),
    ("bad-body", 400, "the body is not what this call reads"),
    ("bad-value", 400, "a value makes no sense"),
    ("bad-condition", 400, "If-Match names no version of a table, or this call knows no conditions"),
    ("bad-key", 400, "the Idempotency-Key is empty, too long, or there are two; or this call knows none"),
    ("bad-address", 400, "it is no IP address"),
    ("bad-header", 400, "it is no header field"),
    ("bad-decision", 400, "it is not the name of a decision"),
    ("bad-drill", 400, "the drill makes no sense"),
    ("bad-watch", 400, "it cannot be watched so"),
    ("bad-event", 400, "Last-Event-ID names no event"),
    ("missing-reason", 400, "nobody says why, or in a way that others cannot read"),
    ("unauthorized", 401, "no token, or one that opens nothing"),
    ("expired-token", 401, "the time of the token is over"),
    ("expired-certificate", 401, "the time of the client certificate is over"),
    (
        "unknown-certificate",
        401,
        "no client has a name of the certificate, or other authorities count by now",
    ),
    ("foreign-origin", 403, "a page that is not listed sends this"),
    ("needs-role", 403, "the caller's role is too small"),
    ("out-of-scope", 403, "the region is not one of those that the caller may change"),
    ("unknown-path", 404, "nothing has this path"),
    ("unknown-region", 404, "no region has this name"),
    ("unknown-placement", 404, "the pool is not placed in this region"),
    ("unknown-pool", 404, "no pool has this name"),
    ("unknown-route", 404, "no route has this name"),
    ("unknown-version", 404, "no such version of the table is held"),
    ("unknown-watch", 404, "no such watch is remembered"),
    ("unknown-decision", 404, "no such decision was taken"),
    ("unknown-request", 404, "no decision of such a request is held"),
    ("no-audit", 404, "this edge keeps no changes"),
    ("unknown-method", 405, "this path does not know that method"),
    ("guarded", 409, "it would take away more than is taken away unawares"),
    ("too-many-overrides", 409, "as much is overridden as may be"),
    ("watched", 409, "another change is under watch"),
    ("watch-over", 409, "the watch is over, or what was before is being put in force again"),
    ("drilled", 409, "a drill runs already"),
    ("no-drill", 409, "no such drill runs"),
    ("no-log", 409, "this process has no log of its own"),
    ("decision-gone", 410, "the decision, or what it was taken with, is no longer held"),
    ("moved", 412, "another version of the table is in force than the one that was named"),
    ("body-too-large", 413, "the body has more bytes than this call reads"),
    ("foreign-host", 421, "the request is meant for somebody else"),
    ("bad-table", 422, "the table has mistakes; each is among the findings"),
    ("key-reused", 422, "the Idempotency-Key came before, with another change"),
    ("too-many-failures", 429, "too many calls from this address without a valid token"),
    ("panic", 500, "a fault of nearside"),
    ("confused", 500, "a fault of nearside"),
    ("no-peer", 500, "a fault of nearside"),
    ("broken-audit", 500, "what is kept was damaged"),
    ("decision-unfit", 500, "a fault of nearside"),
    ("no-audit", 503, "where changes are kept cannot be opened yet"),
    ("not-kept", 503, "the change could not be kept, so it was not made"),
    ("busy", 503, "too many changes at once"),
    ("stopping", 503, "this edge takes no changes any more"),
    ("too-many-listeners", 503, "as many listen to events as may"),
    ("not-kept", 507, "there is no space to keep the change, so it was not made"),
];

/// What every call may meet.
pub(super) const ANY: &[&str] = &[
    "bad-host",
    "unauthorized",
    "expired-token",
    "expired-certificate",
    "unknown-certificate",
    "foreign-origin",
    "foreign-host",
    "too-many-failures",
];

/// What every change may meet besides.
pub(super) const CHANGE: &[&str] = &[
    "bad-query",
    "bad-condition",
    "bad-key",
    "bad-watch",
    "watched",
    "missing-reason",
    "needs-role",
    "moved",
    "key-reused",
    "not-kept",
    "busy",
    "stopping",
];

/// Whether there is such a type, with that status.
pub(super) fn is_known(kind: &str, status: u16) -> bool {
    KINDS.iter().any(|(name, of, _)| *name == kind && *of == status)
}

/// How the document describes answers with these types.
pub(super) fn responses(groups: &[&[&str]]) -> BTreeMap<String, RefOr<Response>> {
    let is_named = |name: &str| groups.iter().any(|group| group.contains(&name));
    let mut by_status: BTreeMap<u16, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, status, meaning) in KINDS.iter().filter(|(name, ..)| is_named(name)) {
        by_status.entry(*status).or_default().push((*name, *meaning));
    }
    by_status.into_iter().map(|(status, kinds)| (status.to_string(), response(&kinds).into())).collect()
}

fn response(kinds: &[(&str, &str)]) -> Response {
    let told: Vec<String> = kinds.iter().map(|(name, meaning)| format!("`{name}`: {meaning}")).collect();
    let names: Vec<_> = kinds.iter().map(|(name, _)| json!(urn(name))).collect();
    let one_of_them = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("type", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(one_of_them);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(told.join("; ")).content(PROBLEM_JSON, content).build()
}

/// A type as it is written.
pub(super) fn urn(kind: &str) -> String {
    format!("urn:nearside:problem:{kind}")
}

/// Makes a type that stands in the document for the problems of a call.
macro_rules! problems {
    ($(#[$doc:meta])* $name:ident = $($group:ident)|+ $(, $kind:literal)*) => {
        $(#[$doc])*
        pub(super) enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::admin::kinds::responses(&[$($crate::admin::kinds::$group,)+ &[$($kind),*]])
            }
        }
    };
}
pub(super) use problems;

problems!(
    /// Of looking at what is always there.
    Looking = ANY
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_described() {
        for name in ANY.iter().chain(CHANGE) {
            assert!(KINDS.iter().any(|(known, ..)| known == name), "{name}");
        }
        let mut sorted = KINDS.to_vec();
        sorted.sort_by_key(|(_, status, _)| *status);
        assert_eq!(sorted, KINDS, "by status");
        let not_kept = responses(&[&["not-kept", "busy"]]);
        assert_eq!(not_kept.keys().collect::<Vec<_>>(), ["503", "507"]);
    }
}
