//! One request, from its head to its end.
//!
//! ```text
//! admit ─► locate ─► choose ─┬─► attempt ─┬─► answer ─► relay ─► record
//!                            │      ▲     │
//!                            │      └── may it move? ┘  (not sent, or safe to repeat; at most three attempts)
//!                            └─► the route's own answer
//! ```
//! [`serve`] tells it in this order. A later attempt decides again under the snapshot of its own moment, so that it never
//! goes where a request may no longer go.

mod answer;
mod attempt;
mod body;
mod conn;
mod gate;
mod opening;
mod origin;
mod outbound;
mod record;
mod relay;
mod replay;
mod upgrade;

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use steer::matching::RequestHead;
use tokio::time::{Instant, timeout_at};

use answer::{deliver, direct, give_up, refuse};
use attempt::{Sendable, Times};
pub(crate) use body::Body;
pub(crate) use opening::connect;
pub(crate) use origin::Origin;
use outbound::Outbound;
use record::{Details, Record};
use relay::Patience;
use replay::Inbound;

use crate::accept::Connection;
use crate::locate::Located;
use crate::observe::{self, AttemptLine, KINDS, OUTCOMES, Reason, Traced};
use crate::request::{self, Forwarding, HeaderFields, Refused, grpc_timeout, is_grpc};
use crate::worker::{Asked, Chosen, Target, Tried, Worker};

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
    let expects = request::expects_continue(&parts);
    let body = Inbound::new(body, worker.settings.limits.replay_bytes, expects);
    let trace =
        observe::join(worker.spans.as_ref(), &mut parts.headers, connection.is_trusted, || worker.draw());
    let is_told = worker.log.is_some()
        || worker.settings.headers.any()
        || trace.is_some_and(|trace| trace.recorded.is_some());
    let log = is_told.then(|| details(&parts, &located, &body, trace));
    let mut record = Record::new(connection.clone(), started, log);
    record.is_grpc = is_grpc(&parts.headers);
    let admitted = match request::admit(&parts) {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    if let Some(log) = record.details() {
        admitted.authority.host().clone_into(&mut log.host);
    }
    let forwarding = Forwarding {
        peer: &connection.peer_field,
        trusted: connection.is_trusted,
        is_tls: connection.tls_version.is_some(),
        authority: &admitted.authority,
        port: &connection.port_field,
    };
    request::to_origin(&mut parts, &forwarding, admitted.wants_upgrade, || worker.new_id());
    if let Some(log) = record.details() {
        request::request_id(&parts.headers).clone_into(&mut log.id);
    }
    let asked = Asked {
        head: RequestHead {
            host: admitted.authority.host(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            method: parts.method.as_str(),
            fields: &HeaderFields(&parts.headers),
        },
        headers: &parts.headers,
        client: &located.client,
    };
    let upgrade = admitted.wants_upgrade.then_some(upgrade);
    let target = match worker.choose(&asked) {
        Ok(Chosen::Origin(target)) => target,
        Ok(Chosen::Direct(route)) => return Ok(direct(record, &route, &asked.head, &forwarding)),
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    Ok(run(&worker, &asked, target, &parts, body, record, upgrade).await)
}

/// Makes attempts until one is answered or none is left.
async fn run(
    worker: &Rc<Worker>,
    asked: &Asked<'_>,
    mut target: Target,
    head: &Parts,
    body: Inbound,
    mut record: Record,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    describe(&mut record, &target);
    let limits = &worker.settings.limits;
    let patience = Patience {
        idle: target.route.idle.unwrap_or(limits.stream_idle_timeout),
        deadline: deadline(&target, &record, head),
    };
    let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut tried = Tried::default();
    let mut number: u32 = 1;
    loop {
        let first_byte = target.route.route.forward().and_then(|forward| forward.timeouts.first_byte);
        let times = Times {
            path: target.times,
            first_byte: first_byte.map_or(limits.first_byte_timeout, Into::into),
            max_idle: limits.origin_idle_timeout,
        };
        let outbound = Outbound {
            head,
            body: &body,
            is_safe,
            is_upgrade: upgrade.is_some(),
            worker,
            target: &target,
            number,
            traceparent: record.begin_attempt(),
        };
        let began = worker.clock.now();
        let outcome = {
            // Pinned once, or both ways of waiting would have room for it.
            let mut attempt = pin!(attempt::attempt(worker, &target.origin, times, &outbound));
            match patience.deadline {
                Some(deadline) => timeout_at(deadline, attempt.as_mut()).await.ok(),
                None => Some(attempt.await),
            }
        };
        let code = match &outcome {
            Some(Ok(_)) => 0,
            Some(Err(failed)) => failed.how.outcome(),
            None => attempt::How::Timeout.outcome(),
        };
        count(worker, &mut record, &target.origin, number, code, began);
        let failed = match outcome {
            Some(Ok(answer)) => {
                body.release();
                let reason = match () {
                    () if number > 1 => Reason::FailedOver,
                    () if target.spilled => Reason::Spilled,
                    () => Reason::None,
                };
                return deliver(worker, answer, record, reason, &target, patience, upgrade);
            }
            Some(Err(failed)) => failed,
            None => return refuse(record, &Refused::DEADLINE),
        };
        tried.add(&target.origin);
        number += 1;
        let may_move = outbound.may_repeat(failed.progress);
        let mut next = may_move.then(|| worker.next_target(asked, &target.origin, &tried, number)).flatten();
        if next.is_none() && may_move && failed.how == attempt::How::ConnectTimeout {
            // A full queue drops whoever knocks, and the kernel knocks again only after a second. With nobody else left to
            // ask, nothing is lost by knocking again at once.
            tried = Tried::default();
            next = worker.next_target(asked, &target.origin, &tried, number);
        }
        match next {
            Some(next) => target = next,
            None => return refuse(record, &give_up(failed, is_safe, number > steer::attempt::MAX_ATTEMPTS)),
        }
        describe(&mut record, &target);
    }
}

/// When a request must be over: as its route says, or earlier if a gRPC call says so.
fn deadline(target: &Target, record: &Record, head: &Parts) -> Option<Instant> {
    let called_for = if record.is_grpc { grpc_timeout(&head.headers) } else { None };
    let total = target.route.total.into_iter().chain(called_for).min()?;
    Instant::now().checked_add(total)
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
        log.decision = Some(target.decision);
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
