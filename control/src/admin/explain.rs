//! `/v1/explain`: where would this request go, and why?

use std::net::IpAddr;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::Shared;
use super::problem::Problem;
use crate::explain::{Explanation, Question, explain as explain_decision};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    ip: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    path: Option<String>,
    /// Header fields, a line each: `name: value`.
    #[serde(default)]
    headers: String,
    #[serde(default)]
    kept_in: Option<String>,
}

pub(super) async fn explain(
    State(admin): Shared,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Explanation>, Problem> {
    let example = serde_json::json!("/v1/explain?ip=81.2.69.142&host=www.example.com&path=/");
    let Query(asked) = asked
        .map_err(|refused| Problem::field("bad-query", "query", refused.body_text(), example.clone()))?;
    let address: IpAddr = asked.ip.parse().map_err(|_| {
        Problem::field("bad-address", "ip", format!("{:?} is not an IP address", asked.ip), example)
    })?;
    let fields = asked.headers.lines().filter(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            let problem = format!("{line:?} is not a header field");
            Problem::field("bad-header", "headers", problem, serde_json::json!("x-canary: 1"))
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
    Ok(Json(explain_decision(&admin.publisher.snapshot(), &question, located)))
}
