//! How often the admin API was called, for the metrics page.

use axum::http::{Method, StatusCode};
use dashmap::DashMap;

/// Calls by verb and kind of answer. Both come from short fixed lists, so there are few.
#[derive(Debug, Default)]
pub struct Counts {
    calls: DashMap<(&'static str, &'static str), u64>,
}

impl Counts {
    pub(crate) fn add(&self, verb: &Method, status: StatusCode) {
        let verb = match *verb {
            Method::GET => "GET",
            Method::PATCH => "PATCH",
            Method::POST => "POST",
            _ => "other",
        };
        let result = match status.as_u16() {
            200..300 => "ok",
            401 => "unauthorized",
            400..500 => "refused",
            _ => "failed",
        };
        *self.calls.entry((verb, result)).or_default() += 1;
    }

    /// Verb, result and number, in a stable order.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        let mut all: Vec<_> =
            self.calls.iter().map(|call| (call.key().0, call.key().1, *call.value())).collect();
        all.sort_unstable();
        all
    }
}
