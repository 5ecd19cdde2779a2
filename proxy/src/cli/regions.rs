//! `nearside regions`: every region, configured, overridden and observed.

use std::process::ExitCode;

use control::admin::{Layer, Region, Regions};

use super::look::{LookArgs, look};
use super::preview::basis;
use super::sheet::{columns, folded};

pub(super) fn list(args: &LookArgs) -> ExitCode {
    look(args, "/v1/regions", table)
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
    let source = format!(
        "* overridden. Shares predicted from {}. Table {}, overlay {}, ranking {}.",
        basis(regions.predicted_from),
        regions.version,
        regions.overlay,
        regions.ranking
    );
    format!("{table}\n\n{}", folded(&source, 0))
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
    let health = region.overridden.health.as_ref().map(|over| (&over.reason, over.expires_at));
    let note = |(reason, expires): (&String, Option<jiff::Timestamp>)| match expires {
        Some(at) => format!("{reason} (until {at:.0})"),
        None => reason.clone(),
    };
    let notes: Vec<String> = [weight, state, health].into_iter().flatten().map(note).collect();
    notes.join("; ")
}
