//! `nearside regions`, `weight` and `state`.

use std::process::ExitCode;

use control::admin::{Carried, Layer, Region, Regions};
use control::share::Basis;
use http::Method;
use serde_json::{Value, json};

use super::admin::{Api, quoted};
use super::conditions::{Outcome, told};
use super::{AdminArgs, ChangeArgs, Output, StateArgs, WeightArgs, columns, say};

pub(super) fn list(args: &AdminArgs) -> ExitCode {
    let api = match Api::of(args) {
        Ok(api) => api,
        Err(code) => return code,
    };
    match api.json::<Regions>(Method::GET, "/v1/regions", Vec::new()) {
        Ok((_, text)) if args.output == Output::Json => say(&text),
        Ok((regions, _)) => say(&table(&regions)),
        Err(failure) => return failure.report(),
    }
    ExitCode::SUCCESS
}

pub(super) fn weight(args: &WeightArgs) -> ExitCode {
    change(&args.region, "weight", &json!(args.weight), &args.change)
}

pub(super) fn state(args: &StateArgs) -> ExitCode {
    change(&args.region, "state", &json!(args.state), &args.change)
}

fn change(region: &str, key: &str, value: &Value, change: &ChangeArgs) -> ExitCode {
    let api = match Api::of(&change.admin) {
        Ok(api) => api,
        Err(code) => return code,
    };
    let mut body = json!({ key: value, "reason": change.reason });
    if let Some(span) = change.expires_in {
        body["expires_in"] = json!(span.to_string());
    }
    let path = format!("/v1/regions/{}", quoted(region));
    let outcome = change.conditions.call(&api, Method::PATCH, &path, body.to_string().into_bytes());
    match outcome {
        Ok(Outcome::<Carried<Value>>::Told(_, text) | Outcome::Done(_, text)) if is_json(&change.admin) => {
            say(&text);
        }
        Ok(Outcome::Told(effect, _)) => say(&told(&effect)),
        Ok(Outcome::Done(Carried { shown, note, .. }, _)) => {
            let Ok(region) = serde_json::from_value::<Region>(shown) else {
                say(&format!("{region}: the table does not have it; {note}"));
                return ExitCode::SUCCESS;
            };
            let shown = format!(
                "{}: weight {}, state {}, predicted share {:.1} %; in force, {note}",
                region.name,
                region.effective.weight,
                region.effective.state.as_str(),
                region.predicted_share.unwrap_or(0.0) * 100.0
            );
            say(&shown);
        }
        Err(failure) => return failure.report(),
    }
    ExitCode::SUCCESS
}

fn is_json(args: &AdminArgs) -> bool {
    args.output == Output::Json
}

fn table(regions: &Regions) -> String {
    let rows = regions.regions.iter().map(|region| {
        let observed = &region.observed;
        let latency = observed.latency_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let health: Vec<String> = observed
            .placements
            .iter()
            .map(|placement| match forced(region, &placement.pool) {
                Some(health) => format!("{} {health} * (seen {})", placement.pool, placement.health),
                None => match placement.ramp.filter(|ramp| *ramp > 0.0) {
                    Some(ramp) => format!("{} {} {:.0} %", placement.pool, placement.health, ramp * 100.0),
                    None => format!("{} {}", placement.pool, placement.health),
                },
            })
            .collect();
        vec![
            region.name.clone(),
            marked(region.effective.state.as_str(), region.effective.state_by),
            marked(&region.effective.weight.to_string(), region.effective.weight_by),
            format!("{latency}{}", if observed.measured { "" } else { " (prior)" }),
            format!("{:.1} %", region.predicted_share.unwrap_or(0.0) * 100.0),
            health.join(", "),
            notes(region),
        ]
    });
    let table = columns(&["REGION", "STATE", "WEIGHT", "L MS", "SHARE", "HEALTH", "OVERRIDE"], rows);
    let basis = match regions.predicted_from {
        Basis::RecentRequests(count) => format!("{count} recent requests"),
        Basis::ClientsAtThisPop(count) => {
            format!("{count} made-up clients at this PoP, as nobody has asked yet")
        }
    };
    format!(
        "{table}\n\n* overridden. Shares predicted from {basis}. Table {}, overlay {}, ranking {}.",
        regions.version, regions.overlay, regions.ranking
    )
}

/// The health that an operator forced on a placement of the region.
fn forced<'a>(region: &'a Region, pool: &str) -> Option<&'a str> {
    let placement = region.placements.iter().find(|placement| placement.pool == pool)?;
    let effective = &placement.effective;
    (effective.health_by != Layer::Observed).then_some(effective.health.as_str())
}

fn marked(text: &str, by: Layer) -> String {
    match by {
        Layer::Table | Layer::RegionTable | Layer::Observed => text.to_owned(),
        Layer::Override | Layer::RegionOverride => format!("{text} *"),
    }
}

fn notes(region: &Region) -> String {
    let weight = region.overridden.weight.as_ref().map(|over| (&over.reason, over.expires_at));
    let state = region.overridden.state.as_ref().map(|over| (&over.reason, over.expires_at));
    let note = |(reason, expires): (&String, Option<jiff::Timestamp>)| match expires {
        Some(at) => format!("{reason} (until {at:.0})"),
        None => reason.clone(),
    };
    let notes: Vec<String> = [weight, state].into_iter().flatten().map(note).collect();
    notes.join("; ")
}
