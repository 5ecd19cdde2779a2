//! Errors as problem documents (RFC 9457).

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use utoipa::ToSchema;

use super::kinds;
use crate::changes::Seen;
use crate::document::Finding;
use crate::effect::TakenAway;

/// Why a call failed, for a person and for a program.
#[derive(Debug)]
pub(crate) struct Problem(Box<Document>);

/// Why a call failed (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// What kind of problem it is, for programs.
    #[serde(rename = "type")]
    kind: String,
    /// The name of the status.
    title: String,
    /// The status.
    status: u16,
    /// What is wrong, for people.
    detail: String,
    /// The field of the call that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// One that is right.
    #[schema(value_type = Option<Value>)]
    example: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// The mistakes of a table.
    findings: Vec<Finding>,
    /// The table version that `force` would have to name.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// The overlay's number that it would have to name behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// What a guard refuses.
    violations: Vec<TakenAway>,
    #[serde(skip)]
    retry_after: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        // Else its document would not name it.
        debug_assert!(kinds::is_known(kind, status.as_u16()), "{kind} {status} is not in the list of kinds");
        Self(Box::new(Document {
            kind: kinds::urn(kind),
            title: status.canonical_reason().unwrap_or("error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            example: None,
            findings: Vec::new(),
            version: None,
            overlay: None,
            violations: Vec::new(),
            retry_after: None,
        }))
    }

    /// A field of the call is wrong.
    pub(crate) fn field(
        kind: &str,
        field: &str,
        detail: impl Into<String>,
        example: serde_json::Value,
    ) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, kind, detail);
        problem.0.field = Some(field.to_owned());
        problem.0.example = Some(example);
        problem
    }

    /// It would take away what a guard protects; `seen` is what to name if that is meant.
    pub(crate) fn with_violations(mut self, seen: Seen, violations: Vec<TakenAway>) -> Self {
        (self.0.version, self.0.overlay, self.0.violations) = (Some(seen.version), seen.overlay, violations);
        self
    }

    /// It may be tried again after so many seconds.
    pub(crate) fn retry_after(mut self, seconds: &'static str) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    pub(crate) fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.0.findings = findings;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).expect("a problem has only strings and numbers");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let kind = header::HeaderValue::from_static(kinds::PROBLEM_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.0.retry_after {
            let seconds = header::HeaderValue::from_static(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
