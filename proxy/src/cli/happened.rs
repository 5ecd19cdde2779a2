//! An event in a line: what has happened, where, and when.
//!
//! Read loosely: an edge of another version may tell what this one does not know.

use control::overlay::Target;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::changed::changed;

/// An event of that name, and what it says.
pub(super) fn happened(name: &str, data: &Value) -> String {
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    let what = match name {
        "change" => {
            change(&data["change"]).map(|what| format!("{what}, by {}: {}", text("author"), text("reason")))
        }
        "health" => Some(format!(
            "{}/{}: {}, was {}: {}",
            text("pool"),
            text("region"),
            text("to"),
            text("from"),
            text("cause")
        )),
        "ended" => ended(&data["ended"]).map(|what| what + &left_alone(&data["left_alone"])),
        "uplink" => Some(match data["suspected"] == true {
            true => "nothing at all answers: this PoP's own way out is suspected".to_owned(),
            false => "this PoP's own way out is not suspected any more".to_owned(),
        }),
        "missed" => Some(match data["missed"].as_u64() {
            Some(count) => format!("{count} events are not held any more"),
            None => "the edge was started anew, and what came before is not held any more".to_owned(),
        }),
        "end" => Some(match text("why") {
            "stopping" => "this edge is stopping".to_owned(),
            "access" => "whoever listens here may not any more".to_owned(),
            other => other.to_owned(),
        }),
        _ => None,
    };
    let what = what.unwrap_or_else(|| data.to_string());
    // In whole seconds, as everywhere.
    let time =
        text("time").parse::<Timestamp>().map_or_else(|_| String::new(), |time| format!("{time:.0}  "));
    format!("{time}{name}  {what}")
}

/// `{"table": {…}}`, or another kind with what it was.
fn change(made: &Value) -> Option<String> {
    let (kind, what) = made.as_object()?.iter().next()?;
    changed(kind, what)
}

fn ended(ended: &Value) -> Option<String> {
    match (ended["drill"].as_str(), Target::deserialize(&ended["override"])) {
        (Some(region), _) => Some(format!("the drill of {region} is over")),
        (_, Ok(target)) => Some(format!("an override of {target} has expired")),
        _ => (ended == "log-level").then(|| "the log is as usual again".to_owned()),
    }
}

/// Routes that nothing serves since, if there are any.
fn left_alone(routes: &Value) -> String {
    let routes: Vec<&str> = routes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match routes.is_empty() {
        true => String::new(),
        false => format!("; without a usable region since: {}", routes.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_happens_is_told_in_a_line() {
        let time = "2026-03-01T03:00:00.25Z";
        for (name, data, told) in [
            (
                "health",
                json!({"time": time, "pool": "app", "region": "eu", "from": "up", "to": "down", "cause": "probes fail"}),
                "2026-03-01T03:00:00Z  health  app/eu: down, was up: probes fail",
            ),
            (
                "ended",
                json!({"time": time, "ended": {"override": {"region": "eu"}}}),
                "2026-03-01T03:00:00Z  ended  an override of eu has expired",
            ),
            (
                "ended",
                json!({"time": time, "ended": {"override": {"region": "eu"}}, "left_alone": ["web", "api"]}),
                "2026-03-01T03:00:00Z  ended  an override of eu has expired; without a usable region since: web, api",
            ),
            (
                "ended",
                json!({"time": time, "ended": "log-level"}),
                "2026-03-01T03:00:00Z  ended  the log is as usual again",
            ),
            ("missed", json!({"missed": 3}), "missed  3 events are not held any more"),
            ("end", json!({"why": "stopping"}), "end  this edge is stopping"),
        ] {
            assert_eq!(happened(name, &data), told);
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_told_as_it_came() {
        assert_eq!(happened("moon", &json!({"phase": "full"})), "moon  {\"phase\":\"full\"}");
        let change = json!({"change": {"teleport": {}}, "author": "ann", "reason": "x"});
        assert!(happened("change", &change).contains("teleport"));
    }
}
