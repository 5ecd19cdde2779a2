//! The access log: one JSON line per request, never in the way of one.
//!
//! A worker writes its lines into a buffer of its own and hands the buffer over when it is large or old enough. A thread
//! writes the buffers out ([`super::log_writer`]). If the disk or the pipe cannot keep up, whole buffers are dropped and their
//! lines counted; no request ever waits for a log.
//!
//! Sampling goes by the request's id, so that all PoPs that a request passes through keep it or none does. What went wrong
//! is always kept.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use control::decisions::DecisionId;
use jiff::Timestamp;
use serde::Serialize;
use steer::Moment;
use steer::draw::{bytes_hash, unit};
use steer::geo::Country;

use super::reason::Reason;
use super::series::Shard;
use super::spans::{SpanId, TraceId};

/// A buffer of this size is handed over.
const FLUSH_BYTES: usize = 32 << 10;

/// One line.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    #[serde(serialize_with = "micros")]
    pub(crate) ts: Timestamp,
    pub(crate) id: &'a str,
    #[serde(serialize_with = "as_text")]
    pub(crate) trace: Option<TraceId>,
    #[serde(serialize_with = "as_text")]
    pub(crate) decision: Option<DecisionId>,
    #[serde(serialize_with = "as_text")]
    pub(crate) inputs: Option<Inputs>,
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
    pub(crate) kind: &'static str,
    pub(crate) outcome: &'static str,
    #[serde(serialize_with = "as_text")]
    pub(crate) decision: Option<DecisionId>,
    /// When it began, from the head of the request.
    pub(crate) at_ms: f64,
    pub(crate) ms: f64,
    /// For its span.
    #[serde(skip)]
    pub(crate) span: Option<SpanId>,
    #[serde(skip)]
    pub(crate) began: Moment,
    #[serde(skip)]
    pub(crate) ended: Moment,
}

/// What a request was decided by: the decision's name, and the numbers of its inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecidedBy {
    /// `None` where no region had to be chosen.
    pub(crate) id: Option<DecisionId>,
    pub(crate) table: u64,
    pub(crate) overlay: u64,
    pub(crate) ranking: u64,
}

/// The inputs of a decision as `nearside explain` names them: table, overlay, ranking and the client's key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs {
    pub(crate) by: DecidedBy,
    /// `None` where the client's address is masked, since it could be found from its key.
    pub(crate) key: Option<u64>,
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecidedBy { table, overlay, ranking, .. } = self.by;
        write!(f, "{table}.{overlay}.{ranking}")?;
        self.key.map_or(Ok(()), |key| write!(f, ".{key:016x}"))
    }
}

fn as_text<S: serde::Serializer>(
    value: &Option<impl fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// RFC 3339, to the microsecond.
fn micros<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.6}"))
}

/// A worker's end of the log.
#[derive(Debug)]
pub(crate) struct Log {
    sink: LogSink,
    buffer: RefCell<Vec<u8>>,
    lines: Cell<u64>,
    shard: Arc<Shard>,
}

/// Where workers' logs lead, and what they keep.
#[derive(Clone, Debug)]
pub(crate) struct LogSink {
    pub(super) sender: SyncSender<Vec<u8>>,
    pub(super) sample: f64,
    pub(super) mask: bool,
}

impl LogSink {
    /// A worker's end.
    pub(crate) fn log(self, shard: Arc<Shard>) -> Log {
        Log { sink: self, buffer: RefCell::new(Vec::new()), lines: Cell::new(0), shard }
    }
}

impl Log {
    /// Whether a request gets a line.
    pub(crate) fn keeps(&self, id: &str, status: u16, reason: Reason) -> bool {
        let is_ordinary = reason == Reason::None && status < 500;
        // The draw lies strictly between 0 and 1: 0 keeps none, 1 keeps all.
        !is_ordinary || unit(bytes_hash(id.as_bytes())) < self.sink.sample
    }

    /// Whether clients' addresses are masked.
    pub(crate) const fn masks(&self) -> bool {
        self.sink.mask
    }

    /// A client's address as it may be written.
    pub(crate) fn shown(&self, address: IpAddr) -> IpAddr {
        if self.sink.mask { masked(address) } else { address }
    }

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
        match self.sink.sender.try_send(std::mem::replace(&mut *buffer, Vec::with_capacity(capacity))) {
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

/// The network of an address: /24 of IPv4, /48 of IPv6.
fn masked(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 80)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_addresses_are_networks() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0"),
            ("::ffff:203.0.113.77", "203.0.113.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ] {
            assert_eq!(masked(address.parse().unwrap()).to_string(), network);
        }
    }

    #[test]
    fn samples_are_shares_and_what_went_wrong_is_kept() {
        let (sender, _receiver) = std::sync::mpsc::sync_channel(1);
        let log = |sample| LogSink { sender: sender.clone(), sample, mask: false }.log(Arc::default());
        let kept = |sample: f64| {
            let log = log(sample);
            (0..10_000).filter(|n| log.keeps(&format!("request-{n}"), 404, Reason::None)).count()
        };
        assert_eq!((kept(0.0), kept(1.0)), (0, 10_000));
        assert!((900..1100).contains(&kept(0.1)), "{}", kept(0.1));
        assert!(log(0.0).keeps("x", 500, Reason::None) && log(0.0).keeps("x", 200, Reason::FailedOver));
    }
}
