//! `nearside regions`: every region, configured, overridden and observed; and one with all that is placed there.

use std::process::ExitCode;

use clap::Args;
use control::admin::{Layer, Region, Regions};
use control::overlay::Overridden;
use jiff::Timestamp;

use super::call::quoted;
use super::drill;
use super::look::{LookArgs, look};
use super::overrides::notes;
use super::placements::layers;
use super::preview::basis;
use super::sheet::{columns, folded};
use super::terminal;

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
    let drilled: String = regions.regions.iter().filter_map(drilled).collect();
    let source = format!(
        "* overridden. Shares predicted from {}. Table {}, overlay {}, ranking {}.",
        basis(regions.predicted_from),
        regions.version,
        regions.overlay,
        regions.ranking
    );
    format!("{table}\n\n{drilled}{}", folded(&source, 0))
}

fn one(region: &Region) -> String {
    let drilled = drilled(region).unwrap_or_default();
    let table = columns(&HEADER, [row(region)]);
    format!("{table}\n\n{drilled}* overridden\n\n{}", layers(&region.placements))
}

/// The drill of a region, in a line: what its state and health do not say.
fn drilled(region: &Region) -> Option<String> {
    let drill = region.drill.as_ref()?;
    let told = format!("Drill: {}, by {}: {}", drill::told(drill), drill.author, drill.reason);
    Some(folded(&terminal::one_line(&told), 2) + "\n")
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
        state(region),
        weight(region),
        format!("{latency}{}", if observed.measured { "" } else { " (prior)" }),
        format!("{:.1} %", region.predicted_share.unwrap_or(0.0) * 100.0),
        health.join(", "),
        notes(&region.overridden),
    ]
}

/// The state that counts; with the one that a ramp leads to, and whether a drill runs.
fn state(region: &Region) -> String {
    let effective = &region.effective;
    let shown = match under_way(region.overridden.state.as_ref(), effective.state) {
        Some((to, ends_at)) => on_its_way(effective.state.as_str(), to.as_str(), ends_at),
        None => marked(effective.state.as_str(), effective.state_by),
    };
    if region.drill.is_some() { format!("{shown}, drill") } else { shown }
}

/// The weight that counts; with the one that its own ramp leads to.
fn weight(region: &Region) -> String {
    let effective = &region.effective;
    let now = effective.weight.to_string();
    let is_drained = under_way(region.overridden.state.as_ref(), effective.state).is_some();
    match under_way(region.overridden.weight.as_ref(), effective.weight) {
        Some((to, ends_at)) if !is_drained => on_its_way(&now, &to.to_string(), ends_at),
        _ => marked(&now, effective.weight_by),
    }
}

/// Where a ramp leads that has not come there, and when it does.
fn under_way<T: Copy + PartialEq>(over: Option<&Overridden<T>>, counts: T) -> Option<(T, Timestamp)> {
    let over = over.filter(|over| over.value != counts)?;
    over.ramp.as_ref().map(|ramp| (over.value, ramp.ends_at))
}

/// The time of the day alone: no ramp takes longer than one.
fn on_its_way(from: &str, to: &str, ends_at: Timestamp) -> String {
    format!("{from} → {to} by {} *", ends_at.strftime("%H:%M:%SZ"))
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
