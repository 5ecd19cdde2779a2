//! nearside: a geo-aware load-balancing edge proxy. This crate is the data plane and the binary.
//!
//! # A request, in the order of the folders
//! - `accept`: a client arrives; sockets, TLS, limits.
//! - `request`: its request is made safe.
//! - `locate`: who is he, and where?
//! - `worker`: the decision is taken (by `steer`), and becomes a connection.
//! - `forward`: attempts, and the answer's way back. `connect`: new connections to origins.
//! - `observe`: numbers and the log.
//!
//! Beside the path: `probe` asks origins all the time, [`edge`] starts and stops it all, [`config`] is what this edge was
//! told, `reference` the pages about it, `cli` what a person types, `demo` the world on one machine. The proxy only ever reads snapshots; publishing them is
//! the business of `control`.

mod accept;
mod cli;
pub mod config;
mod connect;
mod demo;
pub mod edge;
mod forward;
mod locate;
mod observe;
mod probe;
mod reference;
pub mod relay;
mod request;
mod tls;
mod worker;

pub use cli::main;
