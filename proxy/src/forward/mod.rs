//! One request, from its head to its end.
//!
//! ```text
//! admit ─► locate ─► decide ─► attempt ─┬─► answer ─► relay ─► record
//!                      ▲                │
//!                      └── may it move? ┘  (not sent, or safe to repeat; at most three attempts)
//! ```
//! [`serve`] tells it in this order. A later attempt decides again under the snapshot of its own moment, so that it never
//! goes where a request may no longer go.

mod attempt;
mod body;
mod connect;
mod origin;
mod record;
mod relay;
mod replay;
mod upgrade;

use std::convert::Infallible;
use std::rc::Rc;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use steer::attempt::Progress;

use attempt::{Answer, Failed, How, Lease, Sendable, Times};
pub(crate) use body::Body;
pub(crate) use connect::{PathTimes, connect, connect_to};
pub(crate) use origin::{Origin, Transport};
use record::{Details, Record};
use relay::Relay;
use replay::{Inbound, ToOrigin};

use crate::accept::Connection;
use crate::locate::Located;
use crate::observe::{self, AttemptLine, DecisionId, KINDS, OUTCOMES, Reason, Traced};
use crate::request::{self, Forwarding, Refused};
use crate::worker::{Asked, Target, Tried, Worker};

/// Serves a request.
pub(crate) async fn serve(
    connection: Rc<Connection>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let worker = connection.worker.clone();
    let started = worker.clock.now();
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let located = connection.locate(&parts.headers);
    let body = Inbound::new(body, worker.settings.limits.replay_bytes);
    let trace =
        observe::join(worker.spans.as_ref(), &mut parts.headers, connection.is_trusted, || worker.draw());
    let is_told = worker.log.is_some()
        || worker.settings.headers.any()
        || trace.is_some_and(|trace| trace.recorded.is_some());
    let log = is_told.then(|| details(&parts, &located, &body, trace));
    let mut record = Record::new(connection.clone(), started, log);
    let admitted = match request::admit(&parts) {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    if let Some(log) = record.details() {
        admitted.authority.host().clone_into(&mut log.host);
    }
    let path = parts.uri.path().to_owned();
    let forwarding = Forwarding {
        peer: connection.peer,
        trusted: connection.is_trusted,
        is_tls: connection.tls_version.is_some(),
        authority: &admitted.authority,
        port: connection.port,
    };
    request::to_origin(&mut parts, &forwarding, admitted.wants_upgrade, || worker.new_id());
    if let Some(log) = record.details() {
        request::request_id(&parts.headers).clone_into(&mut log.id);
    }
    let asked = Asked { host: admitted.authority.host(), path: &path, client: &located.client };
    let upgrade = admitted.wants_upgrade.then_some(upgrade);
    Ok(run(&worker, &asked, parts, body, record, upgrade).await)
}

/// Makes attempts until one is answered or none is left.
async fn run(
    worker: &Rc<Worker>,
    asked: &Asked<'_>,
    head: Parts,
    body: Inbound,
    mut record: Record,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    let mut target = match worker.first_target(asked) {
        Ok(target) => target,
        Err(refused) => return refuse(record, &refused),
    };
    describe(&mut record, &target);
    let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut tried = Tried::default();
    let mut number: u32 = 1;
    loop {
        let times = Times {
            path: target.times,
            first_byte: worker.settings.limits.first_byte_timeout,
            max_idle: worker.settings.limits.origin_idle_timeout,
        };
        let traceparent = record.begin_attempt();
        let outbound = Outbound {
            head: &head,
            body: &body,
            is_safe,
            worker,
            origin: &target.origin,
            number,
            traceparent,
        };
        let began = worker.clock.now();
        let outcome = attempt::attempt(worker, &target.origin, times, &outbound).await;
        let code = outcome.as_ref().map_or_else(|failed| failed.how.outcome(), |_| 0);
        count(worker, &mut record, &target.origin, number, code, began);
        let failed = match outcome {
            Ok(answer) => {
                body.release();
                let reason = match () {
                    () if number > 1 => Reason::FailedOver,
                    () if target.spilled => Reason::Spilled,
                    () => Reason::None,
                };
                return deliver(worker, answer, record, reason, upgrade);
            }
            Err(failed) => failed,
        };
        tried.add(&target.origin);
        number += 1;
        let may_move = outbound.may_repeat(failed.progress);
        let next = may_move.then(|| worker.next_target(asked, &target.origin, &tried, number)).flatten();
        match next {
            Some(next) => target = next,
            None => return refuse(record, &give_up(failed, is_safe, number > steer::attempt::MAX_ATTEMPTS)),
        }
        describe(&mut record, &target);
    }
}

/// The request of one attempt.
struct Outbound<'a> {
    head: &'a Parts,
    body: &'a Inbound,
    is_safe: bool,
    worker: &'a Worker,
    origin: &'a Origin,
    number: u32,
    /// What the origin is told of the attempt's trace.
    traceparent: Option<HeaderValue>,
}

impl Sendable for Outbound<'_> {
    fn build(&self) -> Request<ToOrigin> {
        let mut request = Request::new(self.body.attempt());
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        let mut headers = self.head.headers.clone();
        headers.insert(request::X_NEARSIDE_POP, self.worker.pop_header.clone());
        headers.insert(request::X_NEARSIDE_REGION, self.origin.region_header.clone());
        headers.insert(request::X_NEARSIDE_ATTEMPT, HeaderValue::from(self.number));
        if let Some(traceparent) = &self.traceparent {
            headers.insert(observe::TRACEPARENT, traceparent.clone());
        }
        *request.headers_mut() = headers;
        request
    }

    fn may_repeat(&self, progress: Progress) -> bool {
        progress.may_move(self.is_safe, self.body.is_whole())
    }

    fn body_progress(&self) -> u64 {
        self.body.bytes()
    }
}

/// The answer to a request that no attempt could get answered.
fn give_up(failed: Failed, is_safe: bool, used_up: bool) -> Refused {
    let status = match failed.how {
        How::Timeout | How::ConnectTimeout => StatusCode::GATEWAY_TIMEOUT,
        How::Connect => StatusCode::SERVICE_UNAVAILABLE,
        How::Reset | How::Protocol => StatusCode::BAD_GATEWAY,
        How::Client => StatusCode::BAD_REQUEST,
    };
    let may_have_run = failed.progress == Progress::Sent && !is_safe;
    let (reason, text) = match failed.how {
        How::Client => (Reason::ClientGone, "the request ended early"),
        _ if may_have_run => (Reason::Uncertain, "no answer came, and the request may have been carried out"),
        How::Connect | How::ConnectTimeout => (failed.how.reason(), "no region could be reached"),
        _ if used_up => (Reason::RetriesExhausted, "no region answered"),
        How::Timeout => (failed.how.reason(), "the answer took too long"),
        How::Reset => (failed.how.reason(), "the answer broke off"),
        How::Protocol => (failed.how.reason(), "the answer was not valid"),
    };
    Refused::new(status, reason, text)
}

/// Passes an answer on.
fn deliver(
    worker: &Rc<Worker>,
    answer: Answer,
    mut record: Record,
    reason: Reason,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    let Answer { mut response, lease, began_at } = answer;
    record.answer(response.status().as_u16(), reason);
    record.began_at(began_at);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(worker, response, lease, record, upgrade);
    }
    request::strip_response(response.headers_mut());
    record.diagnose(true, response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    let (head, body) = response.into_parts();
    Response::from_parts(head, Body::Relay(Relay::new(body, lease, record)))
}

/// Turns both connections into a tunnel, if the client asked for one.
fn switch(
    worker: &Rc<Worker>,
    mut response: Response<Incoming>,
    lease: Lease,
    record: Record,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    let Some(client) = upgrade else {
        let text = "the origin switched protocols without being asked";
        return refuse(record, &Refused::new(StatusCode::BAD_GATEWAY, Reason::OriginProtocol, text));
    };
    let origin = hyper::upgrade::on(&mut response);
    let protocol = response.headers().get(http::header::UPGRADE).cloned();
    request::strip_response(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(http::header::UPGRADE, protocol);
    }
    worker.shard.upgrades.one();
    upgrade::join(client, origin, lease, record, worker.settings.limits.stream_idle_timeout);
    response.map(|_| Body::Empty)
}

fn refuse(mut record: Record, refused: &Refused) -> Response<Body> {
    record.answer(refused.status.as_u16(), refused.reason);
    let mut response = refused.response();
    record.diagnose(false, response.headers_mut());
    record.finish();
    response
}

fn details(parts: &Parts, located: &Located, body: &Inbound, trace: Option<Traced>) -> Box<Details> {
    Box::new(Details {
        id: String::new(),
        trace,
        attempt_span: None,
        client_ip: located.address,
        key: located.client.key,
        country: located.country,
        method: parts.method.clone(),
        host: String::new(),
        uri: parts.uri.clone(),
        version: parts.version,
        route: None,
        policy: None,
        region: None,
        natural_region: None,
        origin: None,
        attempts: Vec::new(),
        decision: None,
        ttfb_ms: None,
        body: Some(body.clone()),
        aborted_by: None,
    })
}

fn describe(record: &mut Record, target: &Target) {
    record.belongs_to(target.series.clone());
    if let Some(log) = record.details() {
        log.route = Some(target.route.name.clone());
        log.policy = target.route.policy.clone();
        log.region = Some(target.origin.region.clone());
        log.natural_region = target.natural_region.clone();
        log.origin = Some(target.origin.address.clone());
        log.decision = Some(DecisionId {
            table: target.version,
            overlay: target.overlay,
            ranking: target.ranking,
            key: None,
        });
    }
}

fn count(
    worker: &Worker,
    record: &mut Record,
    origin: &Origin,
    number: u32,
    outcome: usize,
    began: steer::Moment,
) {
    let kind = usize::from(number > 1).min(KINDS.len() - 1);
    origin.series.attempts[kind][outcome].one();
    if let Some(log) = record.details() {
        let ended = worker.clock.now();
        log.attempts.push(AttemptLine {
            region: origin.region.clone(),
            origin: origin.address.clone(),
            outcome: OUTCOMES[outcome],
            ms: record::millis(ended.since(began).as_millis_f64()),
            span: log.attempt_span.take(),
            began,
            ended,
        });
    }
}
