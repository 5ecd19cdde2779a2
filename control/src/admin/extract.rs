//! The body of a call, read in a way that names what is wrong with it.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;

/// A body within the bound of its path.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

impl<S: Sync + Send> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|refused| Problem::new(refused.status(), "bad-body", refused.body_text()))
    }
}

impl Body {
    /// What it says, as JSON; a mistake is told with an example of what is right.
    pub(super) fn read<T: DeserializeOwned>(&self, example: impl FnOnce() -> Value) -> Result<T, Problem> {
        serde_json::from_slice(&self.0)
            .map_err(|error| Problem::field("bad-body", "body", error.to_string(), example()))
    }
}
