//! `/v1/explain`: where would this request go, and why? Or: why did that one go where it went?

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::extract::{Asked as Query, Queried};
use super::kinds::problems;
use super::problem::Problem;
use super::reading::Fields;
use super::{Admin, Shared};
use crate::decisions::{DecisionId, NotADecision, NotHeld};
use crate::explain::{Explanation, Question, Unexplained, explain as explain_decision, recall};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The client's address.
    #[serde(default)]
    ip: Option<String>,
    /// The method; GET unless it says otherwise.
    #[serde(default)]
    method: Option<String>,
    /// The host; the first one of the first route unless it says otherwise.
    #[serde(default)]
    host: Option<String>,
    /// The path, with its query; `/` unless it says otherwise.
    #[serde(default)]
    path: Option<String>,
    /// Header fields, a line each: `name: value`.
    #[serde(default)]
    headers: Option<String>,
    /// The region that the client's affinity cookie names.
    #[serde(default)]
    kept_in: Option<String>,
    /// The name of a decision of the past, instead of all of these.
    #[serde(default)]
    decision: Option<String>,
    /// The id of a request of the past, instead of all of these: the last decision of it is explained.
    #[serde(default)]
    request: Option<String>,
}

const BY_ADDRESS: &str = "/v1/explain?ip=81.2.69.142&host=www.example.com&path=/";
const BY_DECISION: &str = "/v1/explain?decision=tnevmh0.0.4f2";

impl Fields for Asked {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ip", "an address"),
        ("method", "a method"),
        ("host", "a host"),
        ("path", "a path"),
        ("headers", "header fields"),
        ("kept_in", "the name of a region"),
        ("decision", "the name of a decision"),
        ("request", "the id of a request"),
    ];
}

impl Queried for Asked {
    const EXAMPLE: &'static str = BY_ADDRESS;
}

problems!(
    /// Of explaining.
    Explaining = ANY,
    "bad-query",
    "bad-address",
    "bad-header",
    "bad-decision",
    "unknown-decision",
    "unknown-request",
    "decision-gone"
);

/// Where a request would go, and why not elsewhere; or why one of the past went where it went
///
/// It is asked by `ip` and what else is known of a request; or by `decision` alone; or by `request` alone.
#[utoipa::path(get, path = "/v1/explain", tag = "explain", operation_id = "explain", params(Asked),
    responses((status = 200, description = "The decision, told.", body = Explanation), Explaining))]
pub(super) async fn explain(
    State(admin): Shared,
    Query(asked): Query<Asked>,
) -> Result<Json<Explanation>, Problem> {
    let about_now = [&asked.ip, &asked.method, &asked.host, &asked.path, &asked.headers, &asked.kept_in];
    let is_about_now = about_now.iter().any(|key| key.is_some());
    match (&asked.decision, &asked.request) {
        (None, None) => now(&admin, asked).map(Json),
        (Some(id), None) if !is_about_now => {
            let id: DecisionId = id.parse().map_err(|NotADecision| {
                let problem = format!("{id:?} is not the name of a decision");
                Problem::field("bad-decision", "decision", problem, BY_DECISION.into())
            })?;
            past(&admin, id).map(Json)
        }
        (None, Some(id)) if !is_about_now => of_request(admin.clone(), id.clone()).await.map(Json),
        _ => {
            let problem = "a decision and a request of the past are asked for alone: neither with each other nor with ip, \
                           method, host, path, headers or kept_in";
            let field = if asked.decision.is_some() { "decision" } else { "request" };
            Err(Problem::field("bad-query", field, problem, BY_DECISION.into()))
        }
    }
}

fn now(admin: &Admin, asked: Asked) -> Result<Explanation, Problem> {
    let Some(ip) = asked.ip else {
        let problem =
            "an explanation needs a client's address, the name of a decision, or the id of a request";
        return Err(Problem::field("bad-query", "ip", problem, BY_ADDRESS.into()));
    };
    let address: IpAddr = ip.parse().map_err(|_| {
        Problem::field("bad-address", "ip", format!("{ip:?} is not an IP address"), BY_ADDRESS.into())
    })?;
    let headers = asked.headers.unwrap_or_default();
    let fields = headers.lines().filter(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            let problem = format!("{line:?} is not a header field");
            Problem::field("bad-header", "headers", problem, "x-canary: 1".into())
        })?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    let question = Question {
        headers: fields.collect::<Result<_, Problem>>()?,
        address,
        kept_in: asked.kept_in,
        host: asked.host,
        path: asked.path.unwrap_or_else(|| "/".to_owned()),
        method: asked.method.unwrap_or_else(|| "GET".to_owned()),
    };
    let located = admin.locator.locate(address);
    Ok(explain_decision(&admin.publisher.snapshot(), &question, located))
}

fn past(admin: &Admin, id: DecisionId) -> Result<Explanation, Problem> {
    let explanation =
        recall(&admin.publisher, &admin.decisions, id).map_err(|why| unexplained(admin, &why))?;
    if explanation.past.as_ref().is_some_and(|past| !past.agrees) {
        tracing::error!(%id, "a decision was not what its inputs say: this is a fault of nearside");
    }
    Ok(explanation)
}

/// The last decision of a request. Found by a look at all of them, beside this thread, which has other things to do.
async fn of_request(admin: std::sync::Arc<Admin>, request: String) -> Result<Explanation, Problem> {
    let (decisions, id) = (admin.decisions.clone(), request.clone());
    let found = tokio::task::spawn_blocking(move || decisions.of_request(&id)).await.unwrap_or_default();
    let Some(last) = found.last() else {
        let problem = format!("no decision of a request {request:?} is held");
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-request", problem));
    };
    let mut explanation = past(&admin, *last)?;
    if let Some(past) = &mut explanation.past {
        past.of_request = found.iter().map(ToString::to_string).collect();
    }
    Ok(explanation)
}

fn unexplained(admin: &Admin, why: &Unexplained) -> Problem {
    let clock = admin.publisher.clock();
    match why {
        Unexplained::NotHeld(NotHeld::OtherStart { started_at }) => {
            let problem =
                format!("that decision was not taken by this edge since it was started, at {started_at:.3}");
            Problem::new(StatusCode::NOT_FOUND, "unknown-decision", problem)
        }
        Unexplained::NotHeld(NotHeld::Never) => {
            Problem::new(StatusCode::NOT_FOUND, "unknown-decision", "no decision of that name was taken")
        }
        Unexplained::NotHeld(NotHeld::Overwritten { oldest }) => {
            let ago = oldest.map(|oldest| clock.now().since(oldest).as_secs_f64());
            let since = ago.map_or_else(String::new, |ago| {
                format!(
                    ": what its worker still has are those of the last {ago:.1} s (limits.decision_bytes)"
                )
            });
            Problem::new(StatusCode::GONE, "decision-gone", format!("that decision is no longer held{since}"))
        }
        Unexplained::NoLonger { at, by, held, since } => {
            let (oldest, newest) = held.tables;
            let problem = if by.table < oldest {
                format!(
                    "that decision was taken at {at:.3} by the table of version {}, which is no longer held; kept are {oldest} to {newest}",
                    by.table
                )
            } else {
                format!(
                    "that decision was taken at {at:.3} by table {}, overlay {} and ranking {}; what was in force then is no longer \
                     held, kept is what was since {since:.3}",
                    by.table, by.overlay, by.ranking
                )
            };
            Problem::new(StatusCode::GONE, "decision-gone", problem)
        }
        Unexplained::Unfit => {
            tracing::error!("a decision does not fit its table: this is a fault of nearside");
            let problem =
                "what is written down of that decision does not fit its table: this is a fault of nearside";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "decision-unfit", problem)
        }
    }
}
