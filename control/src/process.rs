//! What the admin API asks the process that it is a part of: whether clients should come, and whether it is about to end.

use std::pin::Pin;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process around the admin API.
pub trait Process: Send + Sync {
    /// What readiness depends on, each with what it says now.
    fn gates(&self) -> Vec<Gate>;

    /// Comes when this process finishes what runs and takes nothing new: answers without an end should end.
    fn ends(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// One thing that readiness depends on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Gate {
    /// As `/readyz?verbose` calls it.
    pub name: String,
    /// Whether it speaks for being ready.
    pub open: bool,
}
