//! The laws of the decision core.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic and read the sources")]

mod cities;
mod compile;
mod faults;
mod laws;
mod operated;
mod purity;
mod trials;
mod world;
