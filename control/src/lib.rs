//! The control plane of nearside: what operators write and change, and the one pointer through which it takes effect.
//!
//! No proxying happens here. This crate reads tables, compiles and publishes them, lays overrides over them, keeps what was
//! learnt by name, and answers the admin API; the proxy only ever reads [`snapshot::Snapshot`]s.
//!
//! # Layout
//! - [`document`]: configuration texts, with the position of every mistake.
//! - [`version`], [`overlay`], [`drill`], [`snapshot`]: what is published. [`publisher`]: the one place that publishes.
//! - [`vitals`]: what was learnt about origins and placements, kept by name.
//! - [`decisions`]: the last decisions with their inputs. [`archive`]: what was current then.
//! - [`uplink`]: whether this edge doubts its own way out.
//! - [`changes`]: how a change becomes what is in force. [`journal`]: changes on disk, before they are. [`reason`]: why.
//! - [`events`]: what happens, told while it happens. [`log_level`]: how much the log says, and for how long.
//! - [`explain`], [`share`]: questions about decisions, answered by the decision itself. [`effect`]: what a change would do.
//! - [`trial`]: changes under watch, taken back when they do harm. [`traffic`]: what requests come to.
//! - [`layers`]: what is configured, overridden and observed, and which of them decides.
//! - [`access`]: who may do what. [`admin`]: the API. [`process`]: what it asks of the process around it. [`watch`]: files that change. [`clock`]: the real time.

pub mod access;
pub mod admin;
pub mod archive;
pub mod changes;
pub mod clock;
pub mod decisions;
mod described;
pub mod document;
pub mod drill;
pub mod effect;
pub mod events;
pub mod explain;
pub mod journal;
pub mod layers;
pub mod log_level;
pub mod overlay;
pub mod process;
pub mod publisher;
pub mod reason;
pub mod share;
pub mod snapshot;
pub mod traffic;
pub mod trial;
mod typo;
pub mod uplink;
pub mod version;
pub mod vitals;
pub mod watch;
