//! `nearside overrides`: all that operators have overridden, by whom, why and until when.

use std::process::ExitCode;

use control::admin::OverrideList;
use control::overlay::{Listed, Overridden, Overrides};
use jiff::Timestamp;

use super::look::{LookArgs, look};
use super::sheet::{columns, folded};

pub(super) fn overrides(args: &LookArgs) -> ExitCode {
    look(args, "/v1/overrides", table)
}

fn table(list: &OverrideList) -> String {
    if list.overrides.is_empty() {
        return "Nothing is overridden.".to_owned();
    }
    let rows = list.overrides.iter().flat_map(rows);
    let mut text = columns(&["WHERE", "OVERRIDE", "BY", "SINCE", "UNTIL", "REASON"], rows);
    if list.overrides.iter().any(|listed| !listed.applies) {
        text += &format!(
            "\n\n{}",
            folded("~ the table does not have it; the override counts if one does again", 2)
        );
    }
    text
}

/// Why something is overridden, and until when.
pub(super) fn notes(overrides: &Overrides) -> String {
    let weight = overrides.weight.as_ref().map(|over| (&over.reason, over.expires_at));
    let state = overrides.state.as_ref().map(|over| (&over.reason, over.expires_at));
    let health = overrides.health.as_ref().map(|over| (&over.reason, over.expires_at));
    let note = |(reason, expires): (&String, Option<Timestamp>)| match expires {
        Some(at) => format!("{reason} (until {at:.0})"),
        None => reason.clone(),
    };
    let notes: Vec<String> = [weight, state, health].into_iter().flatten().map(note).collect();
    notes.join("; ")
}

fn rows(listed: &Listed) -> Vec<Vec<String>> {
    let target = format!("{}{}", listed.target, if listed.applies { "" } else { " ~" });
    let Overrides { weight, state, health } = &listed.overrides;
    let rows = [
        weight.as_ref().map(|over| row(&target, format!("weight {}", over.value), over)),
        state.as_ref().map(|over| row(&target, format!("state {}", over.value.as_str()), over)),
        health.as_ref().map(|over| row(&target, format!("health {}", over.value.as_str()), over)),
    ];
    rows.into_iter().flatten().collect()
}

fn row<T>(target: &str, what: String, over: &Overridden<T>) -> Vec<String> {
    let what = match &over.ramp {
        Some(ramp) => format!("{what}, from weight {} over {}", ramp.from, ramp.over),
        None => what,
    };
    vec![
        target.to_owned(),
        what,
        over.author.clone(),
        format!("{:.0}", over.since),
        over.expires_at.map_or_else(|| "cleared".to_owned(), |at| format!("{at:.0}")),
        over.reason.clone(),
    ]
}
