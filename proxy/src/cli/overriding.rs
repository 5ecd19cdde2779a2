//! `nearside weight`, `state`, `drain`, `undrain`, and forcing `health`: overriding what is said or seen of a region, or of one
//! pool's presence in it.

use std::process::ExitCode;

use clap::Args;
use control::admin::{Carried, Fate, Layer, Region};
use control::layers::Placement;
use control::overlay::{Change, Overrides};
use control::trial::Trial;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::{Value, json};
use steer::Span;
use steer::effective::Forced;
use steer::spec::State;

use super::AdminArgs;
use super::call::{Call, quoted};
use super::conditions::ConditionArgs;
use super::trial::WatchArgs;
use super::word::one_of;

const STATES: [State; 4] = [State::Active, State::Standby, State::Drain, State::Off];

/// What is overridden.
#[derive(Args, Clone, Debug)]
pub(super) struct TargetArgs {
    /// The region
    region: String,
    /// Only this pool's presence there
    #[arg(long)]
    pool: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct WeightArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// 0 to 100; leave it out with --clear
    #[arg(required_unless_present = "clear", value_parser = clap::value_parser!(u8).range(0..=100))]
    weight: Option<u8>,
    /// End the override: the table's weight counts again
    #[arg(long, conflicts_with_all = ["weight", "over"])]
    clear: bool,
    /// Get there in a steady ramp of this length, such as 5m
    #[arg(long, value_name = "TIME")]
    over: Option<Span>,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(super) struct StateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Leave it out with --clear
    #[arg(required_unless_present = "clear", value_parser = one_of(&STATES, State::as_str))]
    state: Option<State>,
    /// End the override: the table's state counts again
    #[arg(long, conflicts_with_all = ["state", "over"])]
    clear: bool,
    /// For drain and off: take the traffic away in a steady ramp of this length, such as 5m
    #[arg(long, value_name = "TIME")]
    over: Option<Span>,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Take the traffic away in a steady ramp of this length, such as 5m
    #[arg(long, value_name = "TIME")]
    over: Option<Span>,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(super) struct UndrainArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Why something is overridden, for how long, and on which conditions.
#[derive(Args, Clone, Debug)]
pub(super) struct ChangeArgs {
    /// Why; shown to whoever looks later
    #[arg(long)]
    reason: String,
    /// End the override after this time, such as 30m or 2h
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    #[command(flatten)]
    conditions: ConditionArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn weight(args: &WeightArgs) -> ExitCode {
    args.change.carry_out(&args.target, ("weight", &json!(args.weight)), args.over, &args.watch)
}

pub(super) fn state(args: &StateArgs) -> ExitCode {
    args.change.carry_out(&args.target, ("state", &json!(args.state)), args.over, &args.watch)
}

pub(super) fn drain(args: &DrainArgs) -> ExitCode {
    args.change.carry_out(&args.target, ("state", &json!(State::Drain)), args.over, &args.watch)
}

/// Whatever state is overridden: the table's counts again.
pub(super) fn undrain(args: &UndrainArgs) -> ExitCode {
    args.change.carry_out(&args.target, ("state", &Value::Null), None, &args.watch)
}

impl TargetArgs {
    pub(super) const fn new(region: String, pool: Option<String>) -> Self {
        Self { region, pool }
    }

    fn path(&self) -> String {
        let region = quoted(&self.region);
        match &self.pool {
            None => format!("/v1/regions/{region}"),
            Some(pool) => format!("/v1/placements/{}/{region}", quoted(pool)),
        }
    }
}

impl ChangeArgs {
    pub(super) const fn new(
        reason: String,
        expires_in: Option<Span>,
        conditions: ConditionArgs,
        admin: AdminArgs,
    ) -> Self {
        Self { reason, expires_in, conditions, admin }
    }

    /// Forces a health; none is what is seen. It is not watched: there, `--watch` means to look again.
    pub(super) fn force_health(&self, target: &TargetArgs, health: Option<Forced>) -> ExitCode {
        self.carry_out(target, ("health", &json!(health)), None, &WatchArgs::default())
    }

    fn carry_out(
        &self,
        target: &TargetArgs,
        (key, value): (&str, &Value),
        over: Option<Span>,
        watch: &WatchArgs,
    ) -> ExitCode {
        let mut body = json!({ key: value, "reason": self.reason });
        if let Some(over) = over {
            body["over"] = json!(over);
        }
        if let Some(span) = self.expires_in {
            body["expires_in"] = json!(span);
        }
        // A person wants to see what came of it.
        let path = target.path() + "?shares=1" + &watch.query();
        let call = Call::change(Method::PATCH, path, body.to_string().into_bytes());
        watch.carry_out(&self.conditions, &self.admin, call, told)
    }
}

/// What was changed, as it is now; and how it is watched.
fn told(Carried { shown, fate: Fate { note, watch, .. } }: Carried<Value>) -> (String, Option<Trial>) {
    let shown =
        match (Region::deserialize(&shown), Placement::deserialize(&shown), Change::deserialize(&shown)) {
            (Ok(region), ..) => {
                let forced = match region.effective.health {
                    Some(health) => format!(", health {} (forced)", health.as_str()),
                    None => String::new(),
                };
                format!(
                    "{}: weight {}, state {}{forced}, predicted share {:.1} %{}",
                    region.name,
                    region.effective.weight,
                    region.effective.state.as_str(),
                    region.predicted_share.unwrap_or(0.0) * 100.0,
                    on_the_way(&region.overridden),
                )
            }
            (_, Ok(placement), _) => {
                let effective = &placement.effective;
                let is_forced = effective.health_by != Layer::Observed;
                format!(
                    "{}/{}: weight {}, state {}, health {}{}{}",
                    placement.pool,
                    placement.region,
                    effective.weight,
                    effective.state.as_str(),
                    effective.health,
                    if is_forced { " (forced)" } else { "" },
                    on_the_way(&placement.overridden),
                )
            }
            (.., Ok(change)) => format!("{}: the table does not have it", change.target),
            _ => "done".to_owned(),
        };
    (format!("{shown}; in force, {note}"), watch)
}

/// Where a weight is going, and until when.
fn on_the_way(overridden: &Overrides) -> String {
    let now = Timestamp::now();
    let weight = overridden.weight.as_ref().and_then(|weight| weight.ramp.as_ref());
    let drain = overridden.state.as_ref().and_then(|state| state.ramp.as_ref());
    let ramps = weight.into_iter().chain(drain).filter(|ramp| ramp.ends_at > now);
    ramps.map(|ramp| format!(", on its way to weight {} until {:.0}", ramp.to, ramp.ends_at)).collect()
}
