//! A route's rules for sending a request again, compiled.
//!
//! They widen or narrow what [`crate::attempt`] allows by default; nothing here can make a request run twice that its operator
//! has not declared harmless. Left out: how much of all traffic may be repeated ([`crate::budget`]).

use crate::spec::{KeyScope, RetryScope};

/// What a route says of repeating its requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retry {
    /// The most attempts that a request makes, hedges included.
    pub attempts: u32,
    /// Statuses of origins' answers after which another origin is asked; in order.
    pub statuses: Vec<u16>,
    /// Whether PUT and DELETE, idempotent by definition (RFC 9110, 9.2.2), may be sent again after they may have run.
    pub idempotent_methods: bool,
    /// Where a request with an `Idempotency-Key` may be sent again after it may have run.
    pub idempotency_key: KeyScope,
    /// How far later attempts may go at all.
    pub scope: RetryScope,
    /// The part of a body that is kept to be sent again, in bytes; `None` is as the edge says.
    pub replay_bytes: Option<u32>,
    /// Whether a safe request without a body is sent to a second origin when the first is late.
    pub hedge: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: crate::attempt::MAX_ATTEMPTS,
            statuses: DEFAULT_STATUSES.into(),
            idempotent_methods: false,
            idempotency_key: KeyScope::Off,
            scope: RetryScope::Any,
            replay_bytes: None,
            hedge: true,
        }
    }
}

/// Bad gateway, service unavailable, gateway timeout.
pub(crate) const DEFAULT_STATUSES: [u16; 3] = [502, 503, 504];

/// How much of a pool's traffic may be sent again, per placement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budgets {
    /// Repetitions per hundred requests of the last ten seconds.
    pub retry_percent: u32,
    /// Repetitions per second that are allowed however few requests there are.
    pub retry_per_second: u32,
    /// Hedges per hundred requests of the last ten seconds.
    pub hedge_percent: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { retry_percent: 20, retry_per_second: 10, hedge_percent: 5 }
    }
}
