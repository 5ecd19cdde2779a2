//! The ways out of this process that requests are told by: the access log's writer and the exporter of spans.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::access_log::LogSink;
use super::log_writer::LogWriter;
use super::series::Tally;
use super::spans::{ExportCounts, SpanExporter, SpanSink};
use crate::config::Settings;

/// How long the last lines of the access log may take to be written, and the last spans to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Both, as far as they are on.
#[derive(Debug, Default)]
pub(crate) struct Outlets {
    log: Option<LogWriter>,
    spans: Option<SpanExporter>,
}

impl Outlets {
    /// Starts what the settings turn on; or which of them could not be started, and why.
    pub(crate) fn start(settings: &Settings) -> Result<Self, (String, io::Error)> {
        let named = |name: &str| {
            let name = name.to_owned();
            move |error| (name, error)
        };
        let log = LogWriter::start(&settings.access_log).map_err(named("access log"))?;
        let spans = settings.tracing.as_ref().map(|tracing| SpanExporter::start(tracing, &settings.name));
        Ok(Self { log, spans: spans.transpose().map_err(named("tracing"))? })
    }

    /// A worker's ends.
    pub(crate) fn sinks(&self) -> (Option<LogSink>, Option<SpanSink>) {
        (self.log.as_ref().map(LogWriter::sink), self.spans.as_ref().map(SpanExporter::sink))
    }

    /// What was lost behind the workers.
    pub(crate) fn counts(&self) -> OutletCounts {
        OutletCounts {
            log_lost: self.log.as_ref().map(LogWriter::lost).unwrap_or_default(),
            spans: self.spans.as_ref().map(SpanExporter::counts).unwrap_or_default(),
        }
    }

    /// Opens the access log's file anew.
    pub(crate) fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// Lets the last words out. The workers must be gone.
    pub(crate) fn finish(&mut self) {
        if let Some(log) = self.log.take() {
            log.finish(LAST_WORDS);
        }
        if let Some(spans) = self.spans.take() {
            spans.finish(LAST_WORDS);
        }
    }
}

/// Counters of what happens behind the workers.
#[derive(Clone, Debug)]
pub(crate) struct OutletCounts {
    /// Lines that could not be written.
    pub(crate) log_lost: Arc<Tally>,
    pub(crate) spans: Arc<ExportCounts>,
}
