//! What a call says, read in a way that names what is wrong with it.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::AsHeaderName;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;
use super::reading::{self, Fields};

/// A body within the bound of its path.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

impl<S: Sync + Send> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|refused| {
            let kind = match refused.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
                _ => "bad-body",
            };
            Problem::new(refused.status(), kind, refused.body_text())
        })
    }
}

impl Body {
    /// What it says, as JSON; a mistake is told with an example of what is right.
    pub(super) fn read<T: Fields>(&self, example: impl FnOnce() -> Value) -> Result<T, Problem> {
        reading::body(&self.0)
            .map_err(|mistake| Problem::field("bad-body", &mistake.field, mistake.detail, example()))
    }
}

/// The variable parts of a path.
#[derive(Debug)]
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Sync + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(at)| Self(at))
            .map_err(|refused| Problem::new(StatusCode::BAD_REQUEST, "bad-path", refused.body_text()))
    }
}

/// What a query may say.
pub(super) trait Queried: Fields {
    /// One that is right.
    const EXAMPLE: &'static str;
}

/// A query.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: Queried, S: Sync + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        reading::query(&parts.uri)
            .map(Self)
            .map_err(|mistake| Problem::field("bad-query", &mistake.field, mistake.detail, T::EXAMPLE.into()))
    }
}

/// What a field says that may stand in a call once; `problem` if it stands there twice, or says what `read` does not understand.
pub(super) fn field<T>(
    headers: &HeaderMap,
    name: impl AsHeaderName,
    read: impl FnOnce(&str) -> Option<T>,
    problem: impl FnOnce() -> Problem,
) -> Result<Option<T>, Problem> {
    let mut fields = headers.get_all(name).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    let read = field.to_str().ok().and_then(read).filter(|_| fields.next().is_none());
    read.map(Some).ok_or_else(problem)
}
