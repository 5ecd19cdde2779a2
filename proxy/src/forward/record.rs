//! What is told about a request when it is over: once, whatever its end.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::{Method, Uri, Version};
use steer::geo::Country;
use steer::{Moment, Span};

use super::replay::Inbound;
use crate::accept::Connection;
use crate::observe::{AttemptLine, DecisionId, Line, Reason, RequestSeries};

/// A request from its arrival to its end. Whoever drops it without a word says that the client went away.
pub(crate) struct Record {
    connection: Rc<Connection>,
    series: Option<Arc<RequestSeries>>,
    started: Moment,
    status: u16,
    reason: Reason,
    bytes_out: u64,
    is_over: bool,
    /// What only the log wants; `None` while it is off.
    log: Option<Box<Details>>,
}

/// What only the log wants.
pub(crate) struct Details {
    pub(crate) id: String,
    pub(crate) client_ip: IpAddr,
    /// The client's key in decisions.
    pub(crate) key: u64,
    pub(crate) country: Option<Country>,
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) route: Option<Rc<str>>,
    pub(crate) policy: Option<Rc<str>>,
    pub(crate) region: Option<Rc<str>>,
    pub(crate) natural_region: Option<Rc<str>>,
    pub(crate) origin: Option<Rc<str>>,
    pub(crate) attempts: Vec<AttemptLine>,
    /// What the last attempt was decided by.
    pub(crate) decision: Option<DecisionId>,
    pub(crate) ttfb_ms: Option<f64>,
    pub(crate) body: Option<Inbound>,
    pub(crate) aborted_by: Option<&'static str>,
}

impl Record {
    pub(crate) fn new(connection: Rc<Connection>, started: Moment, log: Option<Box<Details>>) -> Self {
        connection.began();
        Self {
            connection,
            series: None,
            started,
            status: 0,
            reason: Reason::None,
            bytes_out: 0,
            is_over: false,
            log,
        }
    }

    /// Which numbers it goes to.
    pub(crate) fn belongs_to(&mut self, series: Arc<RequestSeries>) {
        self.series = Some(series);
    }

    /// The status that the client is answered with.
    pub(crate) fn answer(&mut self, status: u16, reason: Reason) {
        self.status = status;
        self.reason = reason;
    }

    /// What the log wants, if there is a log.
    pub(crate) fn details(&mut self) -> Option<&mut Details> {
        self.log.as_deref_mut()
    }

    /// The answer's head came at `at`.
    pub(crate) fn began_at(&mut self, at: Moment) {
        let ttfb_ms = at.since(self.started).as_millis_f64();
        if let Some(log) = &mut self.log {
            log.ttfb_ms = Some(ttfb_ms);
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// It ended early.
    pub(crate) fn fail(&mut self, reason: Reason, by: &'static str) {
        self.reason = reason;
        if let Some(log) = &mut self.log {
            log.aborted_by = Some(by);
        }
        self.close();
    }

    /// It ended well. When.
    pub(crate) fn finish(mut self) -> Moment {
        self.close()
    }

    fn close(&mut self) -> Moment {
        let now = self.connection.worker.clock.now();
        if self.is_over {
            return now;
        }
        self.is_over = true;
        self.connection.ended(now);
        let span = now.since(self.started);
        match &self.series {
            Some(series) => series.add(self.status, self.reason, span),
            None => self.connection.worker.series_of_nothing().add(self.status, self.reason, span),
        }
        if let Some(details) = &self.log {
            self.write_line(details, span);
        }
        now
    }

    fn write_line(&self, details: &Details, span: Span) {
        let Some(log) = &self.connection.worker.log else { return };
        if !log.keeps(&details.id, self.status, self.reason) {
            return;
        }
        let path = details.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let key = (!log.masks()).then_some(details.key);
        log.write(&Line {
            ts: self.connection.worker.clock.wall(),
            id: &details.id,
            decision: details.decision.map(|decision| DecisionId { key, ..decision }),
            pop: &self.connection.worker.settings.name,
            client_ip: log.shown(details.client_ip),
            country: details.country,
            method: details.method.as_str(),
            host: &details.host,
            path,
            proto: proto(details.version),
            tls: self.connection.tls_version,
            sni: self.connection.sni.as_deref(),
            status: self.status,
            reason: self.reason.code(),
            bytes_in: details.body.as_ref().map_or(0, Inbound::bytes),
            bytes_out: self.bytes_out,
            dur_ms: millis(span.as_millis_f64()),
            ttfb_ms: details.ttfb_ms.map(millis),
            route: details.route.as_deref(),
            policy: details.policy.as_deref(),
            region: details.region.as_deref(),
            natural_region: details.natural_region.as_deref(),
            origin: details.origin.as_deref(),
            attempts: &details.attempts,
            retry: details.attempts.len().saturating_sub(1),
            table: details.decision.map_or(0, |decision| decision.table),
            aborted_by: details.aborted_by,
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_over {
            self.fail(Reason::ClientGone, "client");
        }
    }
}

/// To a microsecond, which is as much as anybody can read.
pub(super) fn millis(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

fn proto(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
