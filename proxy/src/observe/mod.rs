//! What is told of requests: numbers for Prometheus, a line for the log, and the reasons both use.

mod access_log;
mod metrics;
mod reason;
mod series;

pub(crate) use access_log::{AttemptLine, Line, Log, LogSink};
pub(crate) use metrics::{Sources, page, registry};
pub(crate) use reason::Reason;
pub(crate) use series::{KINDS, OUTCOMES, RegionSeries, RequestSeries, Shard, Tally};
