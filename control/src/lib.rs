//! The control plane of nearside.
pub mod document;
