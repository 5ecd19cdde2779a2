//! One request, from its head to its end.
//!
//! ```text
//! admit ─► locate ─► choose ─┬─► attempts ─► answer ─► relay ─► record
//!                            └─► the route's own answer
//! ```
//! [`serve`] tells it in this order.

mod answer;
mod attempt;
mod attempts;
mod body;
mod conn;
mod discard;
mod end;
mod gate;
mod linger;
mod opening;
mod origin;
mod outbound;
mod placement;
mod race;
mod record;
mod relay;
mod replay;
mod silence;
mod upgrade;
mod wait;

use std::convert::Infallible;
use std::rc::Rc;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use steer::attempt::Nature;
use steer::matching::RequestHead;
use tokio::time::Instant;

use answer::{deliver, direct, give_up, refuse};
use attempt::Failed;
use attempts::{HEDGE, RETRY, Sent};
pub(crate) use body::Body;
use end::End;
use linger::linger;
pub(crate) use opening::connect;
pub(crate) use origin::Origin;
pub(crate) use placement::Placement;
use record::{Details, Record};
use relay::Patience;
use replay::Inbound;
pub(crate) use replay::ReplayRoom;

use crate::accept::Connection;
use crate::locate::Located;
use crate::observe::{self, Reason, Traced};
use crate::request::{self, Forwarding, HeaderFields, Refused, Travel, grpc_timeout, is_grpc};
use crate::worker::{Asked, Chosen, Declined, Target, Worker};

/// By which origins may recognise a request that they have seen (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Serves a request.
pub(crate) async fn serve(
    connection: Rc<Connection>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let worker = connection.worker.clone();
    let started = worker.clock.now();
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let is_alone = parts.version < http::Version::HTTP_2;
    let located = connection.locate(&parts.headers);
    let expects = request::expects_continue(&parts);
    let body = Inbound::new(body, &worker.replay_room, expects, is_alone);
    let trace =
        observe::join(worker.spans.as_ref(), &mut parts.headers, connection.is_trusted, || worker.draw());
    let is_told = worker.log.is_some()
        || worker.settings.headers.any()
        || trace.is_some_and(|trace| trace.recorded.is_some());
    let log = is_told.then(|| details(&parts, &located, &body, trace));
    let mut record = Record::new(connection.clone(), started, log);
    record.is_grpc = is_grpc(&parts.headers);
    let admitted = match request::admit(&parts, &worker.cdn_loop) {
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
        pop: &worker.pop_header,
        cdn_loop: &worker.cdn_loop,
    };
    let travel = Travel::read(&parts.headers, connection.is_trusted);
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
        at: started,
    };
    let upgrade = admitted.wants_upgrade.then_some(upgrade);
    let target = match worker.choose(&asked) {
        Ok(Chosen::Origin(target)) => target,
        Ok(Chosen::Direct(route)) => return Ok(direct(record, &route, &asked.head, &forwarding)),
        Err(Declined { refused, decision }) => {
            linger(&body);
            if let Some(log) = record.details() {
                log.decision = decision;
            }
            return Ok(refuse(record, &refused));
        }
    };
    Ok(run(&worker, &asked, target, (&parts, travel), body, record, upgrade).await)
}

/// Makes attempts, and answers.
async fn run(
    worker: &Rc<Worker>,
    asked: &Asked<'_>,
    target: Target,
    (head, travel): (&Parts, Travel),
    body: Inbound,
    mut record: Record,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    describe(&mut record, &target);
    let limits = &worker.settings.limits;
    let retry = target.route.retry();
    body.keep(retry.replay_bytes.map_or(limits.replay_bytes, |bytes| bytes as usize));
    let sent = Sent {
        worker,
        asked,
        head,
        body: &body,
        nature: Nature::of(head.method.as_str(), head.headers.contains_key(IDEMPOTENCY_KEY)),
        is_upgrade: upgrade.is_some(),
        travel,
        is_grpc: record.is_grpc,
        deadline: deadline(&target, &record, head, travel),
    };
    if !sent.nature.is_safe() && worker.uplink.is_suspected() {
        // It would be written to nobody, and then may have run.
        linger(&body);
        return refuse(record, &Refused::UPLINK);
    }
    let (end, begun) = sent.run(target, &mut record).await;
    let (nature, deadline) = (sent.nature, sent.deadline);
    let (target, answer, reason) = match end {
        End::Answered { target, answer, kind } => {
            let reason = match kind {
                RETRY => Reason::FailedOver,
                HEDGE => Reason::HedgeWon,
                _ if target.drilled => Reason::Drilled,
                _ if target.spilled => Reason::Spilled,
                _ => Reason::None,
            };
            (target, answer, reason)
        }
        // Better the origin's own word than ours.
        End::Failed { target, failed: Failed { answer: Some(answer), .. }, .. } => {
            (target, *answer, if begun > 1 { Reason::RetriesExhausted } else { Reason::None })
        }
        End::Failed { failed, cause, .. } => {
            linger(&body);
            return refuse(record, &give_up(worker, &failed, nature, cause, begun));
        }
        End::Deadline => {
            linger(&body);
            // One that may have run and must not run twice is told that it took too long, not that it may come again.
            let is_clear = nature.is_safe() && worker.uplink.is_suspected();
            return refuse(record, if is_clear { &Refused::UPLINK } else { &Refused::DEADLINE });
        }
    };
    body.release();
    let patience = Patience { idle: target.route.idle.unwrap_or(limits.stream_idle_timeout), deadline };
    deliver(worker, answer, record, reason, &target, patience, upgrade)
}

/// When a request must be over: as its route says, or earlier if a gRPC call or a trusted hop says so.
fn deadline(target: &Target, record: &Record, head: &Parts, travel: Travel) -> Option<Instant> {
    let called_for = if record.is_grpc { grpc_timeout(&head.headers) } else { None };
    let total = target.route.total.into_iter().chain(called_for).chain(travel.deadline).min()?;
    Instant::now().checked_add(total)
}

fn details(parts: &Parts, located: &Located, body: &Inbound, trace: Option<Traced>) -> Box<Details> {
    Box::new(Details {
        id: String::new(),
        trace,
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
