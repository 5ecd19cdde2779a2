//! The thread that writes the access log out, and opens its file anew when told to.
//!
//! It alone waits for disks and pipes. A file that was renamed by logrotate is written to until SIGUSR1 says that there is a
//! new one; if the new one cannot be opened, the old one goes on, since lines there can still be found.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::access_log::LogSink;
use super::series::Tally;
use crate::config::{AccessLog, AccessLogTarget};

/// Buffers that wait for the writer; more are dropped.
const QUEUE: usize = 64;

/// The running writer.
#[derive(Debug)]
pub(crate) struct LogWriter {
    sink: LogSink,
    reopen: Arc<AtomicBool>,
    lost: Arc<Tally>,
    /// Closes when the writer has ended.
    ended: Receiver<()>,
}

enum Output {
    Stdout(io::Stdout),
    File(PathBuf, File),
}

impl LogWriter {
    /// Starts the writer. `None` if the log is off.
    pub(crate) fn start(log: &AccessLog) -> io::Result<Option<Self>> {
        let output = match &log.to {
            AccessLogTarget::Off => return Ok(None),
            AccessLogTarget::Stdout => Output::Stdout(io::stdout()),
            AccessLogTarget::File(file) => Output::File(file.clone(), open(file)?),
        };
        let (sender, receiver) = sync_channel(QUEUE);
        let (running, ended) = channel();
        let sink = LogSink { sender, sample: log.sample, mask: log.mask_client_ip };
        let writer = Self { sink, reopen: Arc::default(), lost: Arc::default(), ended };
        let (reopen, lost) = (writer.reopen.clone(), writer.lost.clone());
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            write_out(output, &receiver, &reopen, &lost);
            drop(running);
        })?;
        Ok(Some(writer))
    }

    /// What workers write to.
    pub(crate) fn sink(&self) -> LogSink {
        self.sink.clone()
    }

    /// Lines that could not be written.
    pub(crate) fn lost(&self) -> Arc<Tally> {
        self.lost.clone()
    }

    /// Opens the file anew, before the next line is written.
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Relaxed);
        self.wake(&self.sink.sender);
    }

    /// Waits until all that was handed over is written, or `patience` is used up. The workers must be gone.
    pub(crate) fn finish(self, patience: Duration) {
        let Self { sink, ended, .. } = self;
        drop(sink);
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log takes no more; its last lines are lost");
        }
    }

    /// An empty buffer; if there is no room for it, the writer is awake.
    fn wake(&self, sender: &SyncSender<Vec<u8>>) {
        let _ = sender.try_send(Vec::new());
    }
}

fn open(file: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

fn write_out(mut output: Output, buffers: &Receiver<Vec<u8>>, reopen: &AtomicBool, lost: &Tally) {
    let mut is_failing = false;
    for buffer in buffers {
        if reopen.swap(false, Relaxed) {
            output.reopen();
        }
        match output.write(&buffer) {
            Ok(()) => is_failing = false,
            Err(error) => {
                lost.add(buffer.iter().filter(|byte| **byte == b'\n').count() as u64);
                // Said once, or a full disk would fill the other log too.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "the access log cannot be written; its lines are lost until it can");
                }
            }
        }
    }
}

impl Output {
    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.write_all(buffer).and_then(|()| stdout.flush()),
            Self::File(_, file) => file.write_all(buffer),
        }
    }

    fn reopen(&mut self) {
        let Self::File(path, file) = self else { return };
        match open(path) {
            Ok(new) => {
                *file = new;
                tracing::info!(file = %path.display(), "access log opened anew");
            }
            Err(error) => {
                tracing::warn!(%error, "the access log cannot be opened anew; the old file goes on");
            }
        }
    }
}
