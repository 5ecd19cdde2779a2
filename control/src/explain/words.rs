//! The words of an explanation: what became of a region, and what it all comes to.

use std::collections::BTreeMap;

use steer::decide::{Basis, Cause, Decision};
use steer::effective::Forced;
use steer::plan::Class;
use steer::signals::{Health, Observed, RAMP_WHOLE};
use steer::spec::Steering;
use steer::table::Exclusion;
use steer::trace::{Trace, Verdict, WhyNot};

use super::rounded;

/// What counts, and what is seen if that is something else.
pub(super) fn health(observed: Observed, forced: Option<Forced>) -> String {
    let seen = seen(observed);
    forced.map_or_else(|| seen.clone(), |forced| format!("{} (forced; seen {seen})", forced.as_str()))
}

fn seen(observed: Observed) -> String {
    match observed {
        Observed { health: Health::Recovering, ramp: 0 } => "recovering".to_owned(),
        Observed { health: Health::Recovering, ramp } => {
            format!("recovering ({} %)", u32::from(ramp) * 100 / u32::from(RAMP_WHOLE))
        }
        Observed { health, .. } => health.as_str().to_owned(),
    }
}

pub(super) fn reason(
    why: &WhyNot,
    verdict: Option<Verdict>,
    steering: Steering,
    decision: Option<&Decision>,
) -> String {
    let is_drilled = verdict == Some(Verdict::Drilled);
    let class = |class: Class| match class {
        Class::Kept => "it is healthy and keeps this client",
        Class::GivenAway | Class::SuspectGivenAway => "its weight gives this client to the next region",
        Class::Suspect => "an answer of it is missing or none was heard yet: it comes after the healthy ones",
        Class::Standby | Class::StandbyGivenAway | Class::StandbySuspect => {
            "it stands by until no active region is usable"
        }
        Class::Ramping | Class::StandbyRamping => {
            "it recovers, and its share has not reached this client yet"
        }
        Class::Drilled => "a drill makes it look dead to this client",
    };
    let is_kept = decision.is_some_and(|decision| decision.kept);
    match why {
        WhyNot::Chosen if is_kept => "the client was here, and may stay".to_owned(),
        WhyNot::Outclassed(_) | WhyNot::LessPreferred | WhyNot::Costlier(_) | WhyNot::Tied if is_kept => {
            "the client is kept elsewhere".to_owned()
        }
        WhyNot::Chosen => match decision.map(|decision| decision.basis) {
            _ if is_drilled => {
                "nothing else is left, so it serves although a drill makes it look dead".to_owned()
            }
            Some(Basis::LastResort) => "none is usable; this one is out of use, but answers".to_owned(),
            Some(Basis::AllDown) => "all are down, and this one answered last: one attempt".to_owned(),
            Some(Basis::Unranked) => "no place and no latency is known: the table's order decides".to_owned(),
            _ => "chosen".to_owned(),
        },
        WhyNot::Excluded(Exclusion::Jurisdiction) => {
            "its jurisdiction is not among the route's: it may never serve it".to_owned()
        }
        WhyNot::Excluded(Exclusion::NotListed) => "the policy's order does not list it".to_owned(),
        WhyNot::Rejected(verdict) => match verdict {
            Verdict::Off => "its state is off".to_owned(),
            Verdict::Draining => "its state is drain: no new requests".to_owned(),
            Verdict::WeightZero => "its weight is 0: nothing, in failover too".to_owned(),
            Verdict::Unhealthy(health) => format!("it is {}", health.as_str()),
            Verdict::ForcedDown => "an operator forced it down".to_owned(),
            Verdict::Drilled => "a drill makes it look dead to this client".to_owned(),
            Verdict::Full => "it has as many requests as max_in_flight allows".to_owned(),
            Verdict::Usable(_) => "usable".to_owned(),
        },
        WhyNot::Outclassed(better) => class(*better).to_owned(),
        WhyNot::LessPreferred => "the policy lists others for the client's country or continent".to_owned(),
        WhyNot::Tied => "as near as the client's place can tell; the chosen one is faster".to_owned(),
        WhyNot::Costlier(more) => match steering {
            Steering::Nearest | Steering::Latency | Steering::Geo if more.is_finite() => {
                format!("{} ms more", rounded(*more))
            }
            Steering::Weighted => "the client's key falls to another region's share".to_owned(),
            Steering::ActivePassive => "it is listed later".to_owned(),
            _ => "its cost is unknown".to_owned(),
        },
    }
}

pub(super) fn summary(
    decided: &Result<&Decision, Cause>,
    choice: Option<&str>,
    natural: Option<&str>,
    trace: &Trace,
) -> String {
    match decided {
        Ok(decision) => {
            let choice = choice.unwrap_or_default();
            match (decision.basis, natural) {
                (Basis::LastResort, _) => format!("{choice}, which is out of use, because no other answers"),
                (Basis::AllDown, _) => format!("all down: one attempt at {choice}"),
                (_, Some(natural)) if natural != choice && decision.drilled => {
                    format!("{choice}, because a drill makes {natural} look dead to this client")
                }
                _ if decision.drilled => format!("{choice}, because of a drill"),
                (_, Some(natural)) if natural != choice && decision.spilled_from.is_some() => {
                    format!("{choice}, because {natural} is full")
                }
                (_, Some(natural)) if natural != choice => format!("{choice}, because {natural} is not well"),
                _ => choice.to_owned(),
            }
        }
        Err(Cause::Unhealthy) => refused(Cause::Unhealthy).to_owned() + &rejections(trace),
        Err(cause) => refused(*cause).to_owned(),
    }
}

/// What became of the regions that the route may use, where none of them can be: how many for each reason.
fn rejections(trace: &Trace) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for judged in &trace.candidates {
        let reason = match judged.verdict {
            Verdict::Draining => "drained",
            Verdict::Off => "off",
            Verdict::WeightZero => "at weight 0",
            Verdict::ForcedDown => "forced down",
            Verdict::Unhealthy(health) => health.as_str(),
            // Either would be used.
            Verdict::Usable(_) | Verdict::Drilled | Verdict::Full => continue,
        };
        *reasons.entry(reason).or_default() += 1;
    }
    let mut told = reasons.iter();
    match (told.next(), reasons.len()) {
        (None, _) => String::new(),
        (Some((reason, 1)), 1) => format!(": the only one is {reason}"),
        (Some((reason, _)), 1) => format!(": all are {reason}"),
        _ => {
            let told: Vec<String> =
                reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            format!(": {}", told.join(", "))
        }
    }
}

pub(super) const fn refused(cause: Cause) -> &'static str {
    match cause {
        Cause::Unhealthy => "refused: no region is usable",
        Cause::Full => "refused: every healthy region has as many requests as it may",
        Cause::Jurisdiction => "refused: healthy regions are left, but none in the route's jurisdictions",
    }
}
