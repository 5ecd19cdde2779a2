//! The decision core of nearside: which region answers this request, and why.
//!
//! Everything here is a pure function of its arguments. There is no clock, no socket, no file, no randomness and no hash
//! order: the same table, signals, client and seed give the same decision, byte for byte, on every machine. The proxy, its
//! `explain`, tests and simulations therefore call the same functions and cannot disagree. `clippy.toml` bans the calls that
//! would break this, `tests/purity.rs` the dependencies.
//!
//! # Layout, in the order of a request
//! - [`spec`]: what an operator writes. [`table`]: its compiled, valid form; [`Table::compile`] lists every [`Defect`].
//! - [`matching`], [`router`], [`route`]: which route a request belongs to, and what that does with it.
//! - [`affinity`]: what keeps a client where it was.
//! - [`geo`], [`client`]: places, distances, and what is known of the requester.
//! - [`effective`], [`ranking`], [`signals`], [`failback`]: the other inputs, each already reduced to what a decision needs:
//!   states and weights with overrides, published latencies, observed health. [`ramp`]: a weight on its way. [`drill`]: a
//!   region that looks dead to some.
//! - [`mod@decide`]: the decision, with [`score`] (what a candidate costs) and [`plan`] (their order). [`trace`]: why. [`pick`]: the origin. [`choice`]: both, for the first attempt and for those after it. [`attempt`], [`retry`], [`budget`]: what
//!   follows a failure. [`guard`]: what a change would take away. [`trial`]: whether it has made answers worse. [`usual`]: how long answers usually take.
//! - [`health`], [`estimate`], [`ewma`]: the state machines that turn events and samples into those inputs.
//!
//! Left out: doing anything. This crate decides; the proxy performs.

pub mod affinity;
pub mod attempt;
pub mod budget;
pub mod choice;
pub mod client;
pub mod decide;
pub mod defect;
pub mod draw;
pub mod drill;
pub mod effective;
pub mod estimate;
pub mod ewma;
pub mod failback;
pub mod geo;
pub mod guard;
pub mod health;
pub mod ids;
pub mod matching;
pub mod moment;
pub mod pick;
pub mod plan;
pub mod ramp;
pub mod ranking;
pub mod retry;
pub mod route;
pub mod router;
pub mod score;
pub mod signals;
pub mod spec;
pub mod table;
pub mod trace;
pub mod trial;
pub mod usual;

mod compile;

pub use client::{Client, Pop, Spot};
pub use decide::{Decision, World, decide};
pub use defect::{Defect, KeyPath};
pub use moment::{Moment, Span};
pub use spec::Spec;
pub use table::Table;
