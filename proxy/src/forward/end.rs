//! How the attempts of a request ended, for whoever answers its client.

use std::rc::Rc;

use super::attempt::{Answer, Failed};
use crate::worker::Target;

/// How the attempts ended.
#[expect(
    clippy::large_enum_variant,
    reason = "most requests end so; a box would cost each of them an allocation"
)]
pub(super) enum End {
    /// One was answered.
    Answered { target: Rc<Target>, answer: Answer, kind: usize },
    /// None was, and none may follow.
    Failed { target: Rc<Target>, failed: Failed, cause: Cause },
    /// The request has taken too long.
    Deadline,
}

/// Why no attempt may follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    /// What failed cannot be repeated.
    Final,
    /// There is nobody else to ask, or the request may not ask more often.
    UsedUp,
    /// Nothing was usable, and the least bad did not answer.
    LeastBad,
}
