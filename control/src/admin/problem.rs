//! Errors as problem documents (RFC 9457).

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::document::Finding;

/// Why a call failed, for a person and for a program.
#[derive(Debug)]
pub(crate) struct Problem(Box<Document>);

#[derive(Debug, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind: format!("urn:nearside:problem:{kind}"),
            title: status.canonical_reason().unwrap_or("error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            example: None,
            findings: Vec::new(),
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
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
