//! `nearside health`: what is seen of every placement, and saying otherwise.

use std::process::ExitCode;

use clap::Args;
use control::admin::{Layer, Regions};
use control::layers::Placement;
use steer::Span;
use steer::effective::Forced;

use super::ago::ago;
use super::conditions::ConditionArgs;
use super::look::{LookArgs, look};
use super::overriding::{ChangeArgs, TargetArgs};
use super::sheet::columns;

#[derive(Args, Debug)]
pub(super) struct HealthArgs {
    /// The region; without one, all are shown
    region: Option<String>,
    /// up or down, whatever probes say; without it, the region is shown
    #[arg(value_parser = parse_forced, group = "forces", requires = "reason", conflicts_with = "watch")]
    health: Option<Forced>,
    /// End what was said: what probes say counts again
    #[arg(long, group = "forces", requires_all = ["region", "reason"], conflicts_with = "watch")]
    clear: bool,
    /// Only this pool's presence there
    #[arg(long)]
    pool: Option<String>,
    /// Why; shown to whoever looks later
    #[arg(long, requires = "forces")]
    reason: Option<String>,
    /// End it after this time, such as 30m or 2h
    #[arg(long, value_name = "TIME", requires = "forces")]
    expires_in: Option<Span>,
    #[command(flatten)]
    conditions: ConditionArgs,
    #[command(flatten)]
    look: LookArgs,
}

pub(super) fn health(args: &HealthArgs) -> ExitCode {
    // Clap has seen to it that whoever says something says where and why.
    match (&args.region, &args.reason) {
        (Some(region), Some(reason)) => {
            let target = TargetArgs::new(region.clone(), args.pool.clone());
            let (conditions, admin) = (args.conditions.clone(), args.look.admin.clone());
            let change = ChangeArgs::new(reason.clone(), args.expires_in, conditions, admin);
            change.force_health(&target, args.health)
        }
        _ => look(&args.look, "/v1/regions", |regions| table(regions, args)),
    }
}

fn table(regions: &Regions, args: &HealthArgs) -> String {
    let placements = regions.regions.iter().flat_map(|region| &region.placements).filter(|placement| {
        args.region.as_ref().is_none_or(|region| *region == placement.region)
            && args.pool.as_ref().is_none_or(|pool| *pool == placement.pool)
    });
    let rows: Vec<Vec<String>> = placements.map(row).collect();
    if rows.is_empty() {
        return "The table has no such region or pool.".to_owned();
    }
    columns(&["REGION", "POOL", "SEEN", "FOR", "COUNTS", "LAST ERROR"], rows)
}

fn row(placement: &Placement) -> Vec<String> {
    let observed = &placement.observed;
    let is_forced = placement.effective.health_by != Layer::Observed;
    vec![
        placement.region.clone(),
        placement.pool.clone(),
        observed.health.clone(),
        observed.for_ms.map_or_else(|| "-".to_owned(), ago),
        format!("{}{}", placement.effective.health, if is_forced { " (forced)" } else { "" }),
        observed
            .last_error
            .as_ref()
            .map_or_else(String::new, |error| format!("{}, {} ago", error.what, ago(error.ago_ms))),
    ]
}

fn parse_forced(text: &str) -> Result<Forced, String> {
    let found = [Forced::Up, Forced::Down].into_iter().find(|health| health.as_str() == text);
    found.ok_or_else(|| "a health is up or down".to_owned())
}
