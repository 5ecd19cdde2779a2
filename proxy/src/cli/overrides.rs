//! `nearside overrides`: all that operators have overridden, by whom, why and until when.

use std::process::ExitCode;

use control::admin::OverrideList;
use control::overlay::{Change, Overridden, Overrides};
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
    let rows = list.overrides.iter().flat_map(|listed| {
        let target = format!("{}{}", listed.target, if listed.applies { "" } else { " ~" });
        rows(&target, &listed.overrides).map(Vec::from)
    });
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

/// What is overridden of a target, a sentence for each value.
pub(super) fn sentences(Change { target, overrides }: &Change) -> Vec<String> {
    let rows = rows(&target.to_string(), overrides);
    rows.map(|[target, what, by, _, until, reason]| {
        format!("{target}: {what}, by {by} until {until}: {reason}")
    })
    .collect()
}

fn rows(target: &str, overrides: &Overrides) -> impl Iterator<Item = [String; 6]> + use<> {
    let Overrides { weight, state, health } = overrides;
    let rows = [
        weight.as_ref().map(|over| row(target, format!("weight {}", over.value), over)),
        state.as_ref().map(|over| row(target, format!("state {}", over.value.as_str()), over)),
        health.as_ref().map(|over| row(target, format!("health {}", over.value.as_str()), over)),
    ];
    rows.into_iter().flatten()
}

fn row<T>(target: &str, what: String, over: &Overridden<T>) -> [String; 6] {
    let what = match &over.ramp {
        Some(ramp) => format!("{what}, from weight {} over {}", ramp.from, ramp.over),
        None => what,
    };
    [
        target.to_owned(),
        what,
        over.author.clone(),
        format!("{:.0}", over.since),
        over.expires_at.map_or_else(|| "cleared".to_owned(), |at| format!("{at:.0}")),
        over.reason.clone(),
    ]
}
