//! How often the admin API was called, for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::{Method, StatusCode};
use dashmap::DashMap;

use crate::access::Role;

/// Calls by the caller's role, verb and kind of answer. All come from short fixed lists, so there are few.
#[derive(Debug, Default)]
pub struct Counts {
    calls: DashMap<(&'static str, &'static str, &'static str), u64>,
    handshakes_failed: AtomicU64,
}

impl Counts {
    pub(crate) fn add(&self, role: Option<Role>, verb: &Method, status: StatusCode) {
        let verb = match *verb {
            Method::GET => "GET",
            Method::PATCH => "PATCH",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        let result = match status.as_u16() {
            200..300 => "ok",
            401 => "unauthorized",
            403 => "forbidden",
            429 => "limited",
            400..500 => "refused",
            _ => "failed",
        };
        *self.calls.entry((role.map_or("none", Role::as_str), verb, result)).or_default() += 1;
    }

    /// Counts somebody who could not be spoken to in TLS.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Relaxed);
    }

    /// Handshakes that have failed.
    #[must_use]
    pub fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Relaxed)
    }

    /// Role, verb, result and number, in a stable order.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
        let row = |(role, verb, result): &(_, _, _), count| (*role, *verb, *result, count);
        let mut all: Vec<_> = self.calls.iter().map(|call| row(call.key(), *call.value())).collect();
        all.sort_unstable();
        all
    }
}
