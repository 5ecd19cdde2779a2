//! The thread that sends spans to their collector, in batches.
//!
//! It alone waits for the collector. While that is slow or away, the queue fills and workers drop what does not fit; a batch
//! is tried a few times and then given up, so that memory stays bounded and the newest spans get their turn.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::collector::{Collector, NotTaken};
use super::{RequestSpan, SpanSink, otlp};
use crate::config::Tracing;
use crate::observe::series::Tally;
use crate::tls;

/// Requests that wait to be sent; more are dropped.
const QUEUE: usize = 4096;
/// Requests that are sent at once.
const BATCH: usize = 512;
/// How long a request waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// The pauses between the tries of a batch.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Counters of the exporter, in spans.
#[derive(Debug, Default)]
pub(crate) struct ExportCounts {
    /// Taken by the collector.
    pub(crate) exported: Tally,
    /// Given up after several tries.
    pub(crate) failed: Tally,
    /// Refused by the collector.
    pub(crate) rejected: Tally,
}

/// The running exporter.
#[derive(Debug)]
pub(crate) struct SpanExporter {
    sink: SpanSink,
    counts: Arc<ExportCounts>,
    /// Closes when the exporter has ended.
    ended: Receiver<()>,
}

impl SpanExporter {
    /// Starts the exporter.
    pub(crate) fn start(tracing: &Tracing, pop: &str) -> io::Result<Self> {
        let roots = || tls::collector_config(tracing.ca_file.as_deref());
        let collector = Collector::new(&tracing.endpoint, roots).map_err(io::Error::other)?;
        let (sender, requests) = mpsc::channel(QUEUE);
        let (running, ended) = channel();
        let counts = Arc::new(ExportCounts::default());
        let mut export = Export {
            collector,
            name: tracing.endpoint.to_string(),
            resource: otlp::resource(pop),
            counts: counts.clone(),
            is_failing: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("spans".to_owned()).spawn(move || {
            runtime.block_on(export.run(requests));
            drop(running);
        })?;
        let sink = SpanSink { sender, sample: tracing.sample, parents: tracing.parent_decision };
        Ok(Self { sink, counts, ended })
    }

    /// What workers hand their requests to.
    pub(crate) fn sink(&self) -> SpanSink {
        self.sink.clone()
    }

    pub(crate) fn counts(&self) -> Arc<ExportCounts> {
        self.counts.clone()
    }

    /// Waits until all that was handed over is sent or given up, or `patience` is used up. The workers must be gone.
    pub(crate) fn finish(self, patience: Duration) {
        let Self { sink, ended, .. } = self;
        drop(sink);
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the collector takes no more; the last spans are lost");
        }
    }
}

struct Export {
    collector: Collector,
    name: String,
    resource: Resource,
    counts: Arc<ExportCounts>,
    is_failing: bool,
}

impl Export {
    async fn run(&mut self, mut requests: mpsc::Receiver<Box<RequestSpan>>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = requests.recv().await {
            batch.push(first);
            let until = Instant::now() + GATHER;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                match timeout_at(until, requests.recv_many(&mut batch, room)).await {
                    Ok(1..) => {}
                    // Nobody is left to wait for, or the time is over.
                    Ok(0) | Err(_) => break,
                }
            }
            self.export(&batch).await;
            batch.clear();
        }
    }

    async fn export(&mut self, batch: &[Box<RequestSpan>]) {
        let (message, spans) = otlp::message(&self.resource, batch);
        let message = Bytes::from(message.encode_to_vec());
        let mut pauses = PAUSES.iter();
        loop {
            let why = match self.collector.send(message.clone()).await {
                Ok(answer) => return self.taken(spans, answer),
                Err(why) => why,
            };
            match (&why, pauses.next()) {
                (NotTaken::ForNow(_), Some(pause)) => sleep(*pause).await,
                (NotTaken::ForNow(_), None) => {
                    self.counts.failed.add(spans);
                    return self.complain(&why);
                }
                (NotTaken::Refused(_), _) => {
                    self.counts.rejected.add(spans);
                    return self.complain(&why);
                }
            }
        }
    }

    fn taken(&mut self, spans: u64, answer: Bytes) {
        self.is_failing = false;
        // Success may be partial. An answer that cannot be read says nothing of the kind.
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        let rejected = u64::try_from(rejected).unwrap_or(0).min(spans);
        self.counts.rejected.add(rejected);
        self.counts.exported.add(spans - rejected);
    }

    /// Said once, until it works again.
    fn complain(&mut self, why: &NotTaken) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(endpoint = %self.name, %why, "spans cannot be sent; they are lost until they can");
        }
    }
}
