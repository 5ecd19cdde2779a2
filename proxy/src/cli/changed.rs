//! A change in a few words, wherever it is told: in the audit, and while it happens.
//!
//! Read loosely: an edge of another version may know changes that this one does not.

use control::access::TokenChanges;
use control::drill::Drill;
use control::log_level::LevelSet;
use control::overlay::{Change, Overridden, Overrides};
use control::trial::Trial;
use control::version::About;
use serde::Deserialize;
use serde_json::Value;

/// What a change of that kind did; `None` where this version does not know it.
pub(super) fn changed(kind: &str, what: &Value) -> Option<String> {
    match kind {
        "table" => read(what).map(|about: About| format!("table {} from {}", about.version, about.source)),
        "file-read" => Some("the table's file was read".to_owned()),
        "override" => read(what).map(|change: Change| overridden(&change)),
        "drill" => read(what).map(|drill: Drill| {
            format!("drill of {}: {} % until {:.0}", drill.region, drill.percent, drill.ends_at)
        }),
        "drill-end" => read(what).map(|drill: Drill| format!("the drill of {} ended", drill.region)),
        "watch" => read(what).map(|trial: Trial| format!("watch of {}: {}", trial.of, trial.state)),
        "tokens" => read(what).map(|tokens: TokenChanges| format!("tokens: {tokens}")),
        "set-aside" => {
            what["lines"].as_u64().map(|lines| format!("{lines} lines of the journal were set aside"))
        }
        "log-level" => read(what)
            .map(|set: LevelSet| format!("log level {} until {:.0}", set.level.as_str(), set.expires_at)),
        _ => None,
    }
}

fn read<T: for<'de> Deserialize<'de>>(what: &Value) -> Option<T> {
    T::deserialize(what).ok()
}

/// All that is overridden of a target since, and not what of it was changed: that is not recorded.
fn overridden(Change { target, overrides }: &Change) -> String {
    let Overrides { weight, state, health } = overrides;
    let told = [
        weight.as_ref().map(|over| format!("weight {}{}", over.value, ramp(over))),
        state.as_ref().map(|over| format!("state {}{}", over.value.as_str(), ramp(over))),
        health.as_ref().map(|over| format!("health {}", over.value.as_str())),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    match told.is_empty() {
        true => format!("{target} now: no override"),
        false => format!("{target} now: {}", told.join(", ")),
    }
}

fn ramp<T>(over: &Overridden<T>) -> String {
    over.ramp.as_ref().map_or_else(String::new, |ramp| format!(" over {}", ramp.over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_watch_is_told_with_what_is_watched_and_how_it_stands() {
        let trial = json!({
            "number": 1, "of": {"kind": "table", "version": 2, "before": 1}, "author": "ann", "reason": "x", "guards": [],
            "lasts": "1m", "since": "2026-03-01T03:00:00Z", "ends_at": "2026-03-01T03:01:00Z", "state": "rolled_back",
            "evidence": [], "note": "",
        });
        assert_eq!(changed("watch", &trial).as_deref(), Some("watch of table version 2: rolled_back"));
        let set = json!({
            "level": "debug", "author": "ann", "reason": "x", "since": "2026-03-01T03:00:00Z", "expires_at": "2026-03-01T03:30:00Z",
        });
        assert_eq!(changed("log-level", &set).as_deref(), Some("log level debug until 2026-03-01T03:30:00Z"));
    }

    #[test]
    fn an_override_is_told_with_all_that_holds_since() {
        let weight = json!({"value": 25, "author": "ann", "reason": "x", "since": "2026-03-01T03:00:00Z", "expires_at": null});
        let told = |overrides: &Value| {
            let target = json!({"placement": {"pool": "app", "region": "eu"}});
            changed("override", &json!({"target": target, "overrides": overrides}))
        };
        assert_eq!(told(&json!({"weight": weight})).as_deref(), Some("app/eu now: weight 25"));
        assert_eq!(told(&json!({})).as_deref(), Some("app/eu now: no override"));
        assert_eq!(changed("teleport", &json!({})), None);
    }
}
