//! What is told of requests: numbers for Prometheus, a line for the log, and the reasons both use.

mod access_log;
mod diagnostics;
mod log_writer;
mod metrics;
mod outlets;
pub(crate) mod process_log;
mod reason;
mod series;
mod spans;
mod traffic;

pub(crate) use access_log::{AttemptLine, DecidedBy, Inputs, Line, Log, LogSink};
pub(crate) use diagnostics::{Diagnosis, name_decision};
pub(crate) use metrics::{CATALOGUE, Sources, page, registry};
pub(crate) use outlets::Outlets;
pub(crate) use reason::Reason;
pub(crate) use series::{KINDS, OUTCOMES, RegionSeries, RequestSeries, Shard, Tally, outcome_reason};
pub(crate) use spans::{AttemptSpan, RequestSpan, SpanId, SpanSink, TRACEPARENT, Traced, join};
pub(crate) use traffic::WorkersTraffic;
