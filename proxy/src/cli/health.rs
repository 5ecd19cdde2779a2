//! `nearside health`: what this edge sees, of every placement and of itself, and saying otherwise.

use std::process::ExitCode;

use clap::Args;
use control::admin::{Health, Layer, PlacementHealth};
use steer::Span;
use steer::effective::Forced;

use super::ago::{ago, last_error};
use super::conditions::ConditionArgs;
use super::look::{LookArgs, look};
use super::overriding::{ChangeArgs, TargetArgs};
use super::sheet::{columns, folded};
use super::terminal;
use super::word::one_of;

#[derive(Args, Debug)]
pub(super) struct HealthArgs {
    /// The region; without one, all are shown
    region: Option<String>,
    /// What counts, whatever probes say; without it, the region is shown
    #[arg(value_parser = one_of(&[Forced::Up, Forced::Down], Forced::as_str))]
    #[arg(group = "forces", requires = "reason", conflicts_with = "watch")]
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
        _ => look(&args.look, "/v1/health", |health| table(health, args)),
    }
}

fn table(health: &Health, args: &HealthArgs) -> String {
    let placements = health.placements.iter().filter(|placement| {
        args.region.as_ref().is_none_or(|region| *region == placement.region)
            && args.pool.as_ref().is_none_or(|pool| *pool == placement.pool)
    });
    let rows: Vec<Vec<String>> = placements.map(row).collect();
    if rows.is_empty() {
        return "The table has no such placement.".to_owned();
    }
    let table = columns(&["REGION", "POOL", "SEEN", "FOR", "COUNTS", "LAST ERROR"], rows);
    format!("{table}\n\n{}", folded(&terminal::one_line(&itself(health)), 0))
}

fn row(placement: &PlacementHealth) -> Vec<String> {
    let is_forced = placement.health_by != Layer::Observed;
    vec![
        placement.region.clone(),
        placement.pool.clone(),
        placement.observed.clone(),
        placement.for_ms.map_or_else(|| "-".to_owned(), ago),
        format!("{}{}", placement.health, if is_forced { " (forced)" } else { "" }),
        last_error(placement.last_error.as_ref()),
    ]
}

/// How the edge itself is.
fn itself(health: &Health) -> String {
    let closed: Vec<&str> =
        health.gates.iter().filter(|gate| !gate.open).map(|gate| gate.name.as_str()).collect();
    let ready = match health.ready {
        true => "This edge is ready.".to_owned(),
        false => format!("This edge is not ready, for want of: {}.", closed.join(", ")),
    };
    let kept = match health.changes_kept {
        Some(false) => " Changes are not being kept: a restart forgets them.",
        Some(true) | None => "",
    };
    let silence = health.uplink.silent_for_ms.map_or_else(String::new, |ms| format!(" for {}", ago(ms)));
    match health.uplink.suspected {
        true => format!("{ready} Nothing at all has answered it{silence}, so nobody's health changes.{kept}"),
        false => ready + kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::admin::Uplink;

    #[test]
    fn whoever_looks_at_health_learns_that_changes_are_not_kept() {
        let told = |changes_kept| {
            itself(&Health {
                version: 1,
                ready: true,
                gates: Vec::new(),
                changes_kept,
                uplink: Uplink { suspected: false, silent_for_ms: None },
                counts: std::collections::BTreeMap::new(),
                placements: Vec::new(),
            })
        };
        assert_eq!(
            told(Some(false)),
            "This edge is ready. Changes are not being kept: a restart forgets them."
        );
        assert_eq!(
            (told(Some(true)), told(None)),
            ("This edge is ready.".into(), "This edge is ready.".into())
        );
    }
}
