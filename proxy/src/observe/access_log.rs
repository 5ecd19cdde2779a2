//! The access log: one JSON line per request, never in the way of one.
//!
//! A worker writes its lines into a buffer of its own and hands the buffer over when it is large or old enough. A thread
//! writes the buffers out. If the disk or the pipe cannot keep up, whole buffers are dropped and their lines counted; no
//! request ever waits for a log.
//!
//! Left out: sampling, masking, reopening.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use jiff::Timestamp;
use serde::Serialize;
use steer::geo::Country;

use super::series::Shard;
use crate::config::AccessLogTarget;

/// A buffer of this size is handed over.
const FLUSH_BYTES: usize = 32 << 10;
/// Buffers that wait for the writer; more are dropped.
const QUEUE: usize = 64;

/// One line.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(serialize_with = "micros")]
    pub(crate) ts: Timestamp,
    pub(crate) id: &'a str,
    pub(crate) pop: &'a str,
    pub(crate) client_ip: IpAddr,
    pub(crate) country: Option<Country>,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) proto: &'a str,
    pub(crate) tls: Option<&'a str>,
    pub(crate) sni: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) reason: &'a str,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) dur_ms: f64,
    pub(crate) ttfb_ms: Option<f64>,
    pub(crate) route: Option<&'a str>,
    pub(crate) policy: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) natural_region: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) attempts: &'a [AttemptLine],
    pub(crate) retry: usize,
    pub(crate) table: u64,
    pub(crate) aborted_by: Option<&'a str>,
}

/// One attempt of a line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AttemptLine {
    pub(crate) region: Rc<str>,
    pub(crate) origin: Rc<str>,
    pub(crate) outcome: &'static str,
    pub(crate) ms: f64,
}

/// RFC 3339, to the microsecond.
fn micros<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.6}"))
}

/// A worker's end of the log.
#[derive(Debug)]
pub(crate) struct Log {
    sender: SyncSender<Vec<u8>>,
    buffer: RefCell<Vec<u8>>,
    lines: Cell<u64>,
    shard: Arc<Shard>,
}

/// Where workers' logs lead.
#[derive(Clone, Debug)]
pub(crate) struct LogSink(SyncSender<Vec<u8>>);

impl LogSink {
    /// Starts the writer. `None` if the log is off.
    pub(crate) fn open(target: &AccessLogTarget) -> io::Result<Option<Self>> {
        let output: Box<dyn Write + Send> = match target {
            AccessLogTarget::Off => return Ok(None),
            AccessLogTarget::Stdout => Box::new(io::stdout()),
            AccessLogTarget::File(file) => Box::new(OpenOptions::new().create(true).append(true).open(file)?),
        };
        let (sender, receiver) = sync_channel(QUEUE);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_out(output, &receiver))?;
        Ok(Some(Self(sender)))
    }

    /// A worker's end.
    pub(crate) fn log(&self, shard: Arc<Shard>) -> Log {
        Log { sender: self.0.clone(), buffer: RefCell::new(Vec::new()), lines: Cell::new(0), shard }
    }
}

fn write_out(mut output: Box<dyn Write + Send>, buffers: &Receiver<Vec<u8>>) {
    let mut is_failing = false;
    for buffer in buffers {
        let written = output.write_all(&buffer).and_then(|()| output.flush());
        match written {
            Ok(()) => is_failing = false,
            // Said once, or a full disk would fill the other log too.
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(%error, "the access log cannot be written; its lines are lost until it can");
            }
            Err(_) => {}
        }
    }
}

impl Log {
    pub(crate) fn write(&self, line: &Line<'_>) {
        let mut buffer = self.buffer.borrow_mut();
        let start = buffer.len();
        if serde_json::to_writer(&mut *buffer, line).is_err() {
            buffer.truncate(start);
            return;
        }
        buffer.push(b'\n');
        self.lines.set(self.lines.get() + 1);
        if buffer.len() >= FLUSH_BYTES {
            drop(buffer);
            self.flush();
        }
    }

    /// Hands over what was written since the last time.
    pub(crate) fn flush(&self) {
        let mut buffer = self.buffer.borrow_mut();
        if buffer.is_empty() {
            return;
        }
        let lines = self.lines.take();
        let capacity = buffer.capacity().min(2 * FLUSH_BYTES);
        match self.sender.try_send(std::mem::replace(&mut *buffer, Vec::with_capacity(capacity))) {
            Ok(()) => self.shard.log_lines.add(lines),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.shard.log_dropped.add(lines),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}
