//! The answer that a client gets: an origin's, the route's own, or a refusal.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use steer::attempt::Nature;
use steer::decide;
use steer::matching::RequestHead;
use steer::route::Action;

use super::attempt::{Answer, Failed, How, Lease};
use super::body::Body;
use super::end::Cause;
use super::record::Record;
use super::relay::{Patience, Relay};
use super::upgrade;
use crate::observe::Reason;
use crate::request::{self, Forwarding, Refused};
use crate::worker::{Direct, Target, Worker};

/// The answer to a request that no attempt could get answered: 502 where an answer was bad, 503 where there was nowhere to
/// go, 504 where it was too late.
pub(super) fn give_up(worker: &Worker, failed: &Failed, nature: Nature, cause: Cause, begun: u32) -> Refused {
    let may_have_run = failed.ending.may_have_run() && !nature.is_safe();
    let nowhere = cause == Cause::LeastBad || failed.how == How::Abandoned;
    if nowhere && !may_have_run {
        return if worker.uplink.is_suspected() {
            Refused::UPLINK
        } else {
            Refused::no_candidate(decide::Cause::Unhealthy)
        };
    }
    // Several were asked, none of them has done it, and none has answered: that is nowhere to go.
    let unanswered = begun > 1 && !may_have_run && matches!(failed.how, How::Reset | How::Unprocessed);
    let status = match failed.how {
        _ if unanswered => StatusCode::SERVICE_UNAVAILABLE,
        How::Timeout | How::ConnectTimeout | How::Abandoned => StatusCode::GATEWAY_TIMEOUT,
        How::Connect => StatusCode::SERVICE_UNAVAILABLE,
        How::Reset | How::Protocol | How::Unprocessed | How::GatewayError => StatusCode::BAD_GATEWAY,
        How::Client => StatusCode::BAD_REQUEST,
        How::NoUpgrade => StatusCode::NOT_IMPLEMENTED,
    };
    let (reason, text) = match failed.how {
        How::Client => (Reason::ClientGone, "the request ended early"),
        How::NoUpgrade => (failed.how.reason(), "this is served over HTTP/2 alone, without upgrades"),
        _ if may_have_run => (Reason::Uncertain, "no answer came, and the request may have been carried out"),
        How::Connect | How::ConnectTimeout => (failed.how.reason(), "no region could be reached"),
        _ if begun > 1 => (Reason::RetriesExhausted, "no region answered"),
        How::Timeout | How::Abandoned => (failed.how.reason(), "the answer took too long"),
        How::Reset | How::Unprocessed | How::GatewayError => (failed.how.reason(), "the answer broke off"),
        How::Protocol => (failed.how.reason(), "the answer was not valid"),
    };
    Refused::new(status, reason, text)
}

/// Passes an answer on.
pub(super) fn deliver(
    worker: &Rc<Worker>,
    answer: Answer,
    mut record: Record,
    reason: Reason,
    target: &Target,
    patience: Patience,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    let Answer { mut response, lease, began_at } = answer;
    record.answer(response.status().as_u16(), reason);
    record.began_at(began_at);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(worker, response, lease, record, patience.idle, upgrade);
    }
    request::strip_response(response.headers_mut());
    record.diagnose(true, response.headers_mut());
    if let Some(cookie) = &target.cookie {
        set_cookie(response.headers_mut(), cookie, record.is_secure());
    }
    target.route.response_edits.apply(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    let (head, body) = response.into_parts();
    Response::from_parts(head, Body::Relay(Relay::new(body, lease, record, patience)))
}

/// Names the client's region and origin, unless others than he may see the answer.
fn set_cookie(headers: &mut HeaderMap, cookie: &str, is_secure: bool) {
    let shared = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        let directives = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let is_shared = |directive: &[u8]| {
            directive.eq_ignore_ascii_case(b"public")
                || directive.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"s-maxage"))
        };
        directives.into_iter().any(is_shared)
    });
    if !shared {
        let cookie = format!("{cookie}{}", if is_secure { "; Secure" } else { "" });
        headers.extend(HeaderValue::from_str(&cookie).ok().map(|cookie| (header::SET_COOKIE, cookie)));
    }
}

/// Turns both connections into a tunnel, if the client asked for one.
fn switch(
    worker: &Rc<Worker>,
    mut response: Response<Incoming>,
    lease: Lease,
    record: Record,
    idle: Duration,
    upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    let Some(client) = upgrade else {
        let text = "the origin switched protocols without being asked";
        return refuse(record, &Refused::new(StatusCode::BAD_GATEWAY, Reason::OriginProtocol, text));
    };
    let origin = hyper::upgrade::on(&mut response);
    let protocol = response.headers().get(header::UPGRADE).cloned();
    request::strip_response(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
    }
    record.name_decision(headers);
    worker.shard.upgrades.one();
    upgrade::join(client, origin, lease, record, idle);
    response.map(|_| Body::Empty)
}

/// What the route itself says.
pub(super) fn direct(
    mut record: Record,
    direct: &Direct,
    head: &RequestHead<'_>,
    forwarding: &Forwarding<'_>,
) -> Response<Body> {
    let Direct { route, series, decision } = direct;
    record.belongs_to(series.clone());
    if let Some(log) = record.details() {
        log.route = Some(route.name.clone());
        log.decision = Some(*decision);
    }
    let mut response = Response::new(Body::Empty);
    let status = match &route.route.action {
        Action::Redirect(redirect) => {
            let is_tls = forwarding.is_tls;
            let location = redirect.location(&route.route, head, forwarding.authority.as_str(), is_tls);
            let Ok(location) = HeaderValue::from_bytes(location.as_bytes()) else {
                return refuse(record, &Refused::bad("a target that cannot be redirected"));
            };
            response.headers_mut().insert(header::LOCATION, location);
            redirect.status
        }
        Action::Respond(respond) => {
            if !respond.body.is_empty() {
                let kind = HeaderValue::from_str(&respond.content_type).expect("a compiled type is a value");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                record.sent(if head.method == "HEAD" { 0 } else { respond.body.len() });
                *response.body_mut() = Body::Text(Bytes::from(respond.body.clone()));
            }
            respond.status
        }
        Action::Forward(_) => unreachable!("a route with a pool has no answer of its own"),
    };
    *response.status_mut() = StatusCode::from_u16(status).expect("a compiled status is one");
    route.response_edits.apply(response.headers_mut());
    record.answer(status, Reason::None);
    record.finish();
    response
}

/// Says no.
pub(super) fn refuse(mut record: Record, refused: &Refused) -> Response<Body> {
    let is_grpc = record.is_grpc;
    record.answer(refused.status.as_u16(), refused.reason);
    let mut response = refused.response(is_grpc);
    record.diagnose(false, response.headers_mut());
    record.finish();
    response
}
