//! The request that an attempt sends: the client's, as the route changes it and the version of HTTP wants it.

use std::cell::Cell;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, header};
use steer::Moment;
use steer::attempt::{Ending, Nature};
use tokio::time::Instant;

use super::conn::Conn;
use super::replay::{Inbound, ToOrigin};
use super::silence::Silence;
use crate::connect::{Purpose, absolute};
use crate::observe::TRACEPARENT;
use crate::request;
use crate::worker::{Blame, Target, Worker};

/// The request of one attempt, which can be made as often as it must be sent.
pub(super) struct Outbound<'a> {
    pub(super) head: &'a Parts,
    pub(super) body: &'a Inbound,
    pub(super) nature: Nature,
    pub(super) is_upgrade: bool,
    pub(super) worker: &'a Worker,
    pub(super) target: &'a Target,
    /// Whose request it is.
    pub(super) blame: Blame,
    pub(super) number: u32,
    pub(super) is_grpc: bool,
    /// When it must be over; its origin is told.
    pub(super) deadline: Option<Instant>,
    /// What the origin is told of the attempt's trace.
    pub(super) traceparent: Option<HeaderValue>,
    /// When it was last sent.
    pub(super) dispatched_at: Cell<Option<Moment>>,
    /// How long its origin may say nothing.
    pub(super) silence: &'a Silence,
}

impl Outbound<'_> {
    /// The path and query that the origin sees.
    fn path_and_query(&self) -> PathAndQuery {
        let uri = &self.head.uri;
        let same = || uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let Some(path) = self.target.route.new_path(uri.path()) else { return same() };
        let new = match uri.query() {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => PathAndQuery::try_from(path),
        };
        // A part of a sound path is sound.
        new.unwrap_or_else(|_| same())
    }

    /// The request, with its body from the beginning, as the connection's version of HTTP wants it.
    pub(super) fn build(&self, conn: &Conn) -> Request<ToOrigin> {
        let is_http2 = conn.is_http2();
        let origin = &self.target.origin;
        let (body, gate) = self.body.attempt(!is_http2, || conn.channel().unwritten());
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method.clone();
        let mut headers = self.head.headers.clone();
        self.target.route.request_edits.apply(&mut headers);
        headers.insert(request::X_NEARSIDE_REGION, origin.region_header.clone());
        if self.number != 1 {
            headers.insert(request::X_NEARSIDE_ATTEMPT, HeaderValue::from(self.number));
        }
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            request::tell_time_left(&mut headers, left, self.is_grpc);
        }
        if let Some(traceparent) = &self.traceparent {
            headers.insert(TRACEPARENT, traceparent.clone());
        }
        if let Some(host) = &self.target.route.host {
            headers.insert(header::HOST, host.clone());
        }
        let path = self.path_and_query();
        *request.uri_mut() = if is_http2 {
            // HTTP/2 knows neither: what they say is said otherwise (RFC 9113, 8.2.2 and 8.3.1).
            headers.remove(header::CONNECTION);
            let host = headers.remove(header::HOST);
            let uri = host.and_then(|host| absolute(origin.transport.scheme(), &host, path.clone()));
            uri.unwrap_or_else(|| Uri::from(path))
        } else {
            Uri::from(path)
        };
        if let Some(gate) = gate {
            headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
            *request.headers_mut() = headers;
            gate.listen(&mut request);
        } else {
            *request.headers_mut() = headers;
        }
        request
    }

    /// What it needs of a connection.
    pub(super) fn purpose(&self) -> Purpose {
        if self.is_upgrade { Purpose::Upgrade } else { Purpose::Requests }
    }

    /// Whether the same attempt may go on with another connection after the one before ended so: what cannot have run, and
    /// what is safe. Everything else goes on as another attempt, if it may.
    pub(super) fn may_renew(&self, ending: Ending) -> bool {
        self.body.is_whole() && (self.nature.is_safe() || !ending.may_have_run())
    }
}
