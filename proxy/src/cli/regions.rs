//! `nearside regions`: every region, configured, overridden and observed; and one with all that is placed there.

use std::process::ExitCode;

use clap::Args;
use control::admin::{Layer, Region, Regions};

use super::call::quoted;
use super::look::{LookArgs, look};
use super::overrides::notes;
use super::placements::layers;
use super::preview::basis;
use super::sheet::{columns, folded};

const HEADER: [&str; 7] = ["REGION", "STATE", "WEIGHT", "L MS", "SHARE", "HEALTH", "OVERRIDE"];

#[derive(Args, Debug)]
pub(super) struct RegionsArgs {
    /// The region, with its placements in their layers; without one, all are listed
    name: Option<String>,
    #[command(flatten)]
    look: LookArgs,
}

pub(super) fn regions(args: &RegionsArgs) -> ExitCode {
    match &args.name {
        Some(name) => look(&args.look, &format!("/v1/regions/{}", quoted(name)), one),
        None => look(&args.look, "/v1/regions", list),
    }
}

fn list(regions: &Regions) -> String {
    let table = columns(&HEADER, regions.regions.iter().map(row));
    let source = format!(
        "* overridden. Shares predicted from {}. Table {}, overlay {}, ranking {}.",
        basis(regions.predicted_from),
        regions.version,
        regions.overlay,
        regions.ranking
    );
    format!("{table}\n\n{}", folded(&source, 0))
}

fn one(region: &Region) -> String {
    format!("{}\n\n* overridden\n\n{}", columns(&HEADER, [row(region)]), layers(&region.placements))
}

fn row(region: &Region) -> Vec<String> {
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
        notes(&region.overridden),
    ]
}

/// The health that an operator forced on a placement of the region.
fn forced<'a>(region: &'a Region, pool: &str) -> Option<&'a str> {
    let placement = region.placements.iter().find(|placement| placement.pool == pool)?;
    let effective = &placement.effective;
    (effective.health_by != Layer::Observed).then_some(effective.health.as_str())
}

fn marked(text: &str, by: Layer) -> String {
    if by.is_override() { format!("{text} *") } else { text.to_owned() }
}
