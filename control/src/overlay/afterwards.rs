//! What comes after an override that expires, where it takes the place of one that would have lasted longer.
//!
//! A value has one override at a time, so that nothing lies hidden below what counts. Whoever lays one that passes over one that
//! stays ends the one that stays, and may have meant to come back to it: so it is told before it is done.

use steer::Table;

use super::{Change, Overridden, Overrides};

impl Change {
    /// What counts once this has expired, a sentence for each value whose override would have lasted longer. `before` is what
    /// was overridden of the target.
    #[must_use]
    pub fn afterwards(&self, before: &Overrides, table: &Table) -> Vec<String> {
        // Of what a table does not have, overrides can only be ended.
        let Some((weight, state)) = self.target.configured(table) else { return Vec::new() };
        let after = &self.overrides;
        let weight = format!("the table's weight {weight}");
        let state = format!("the table's state {}", state.as_str());
        let told = [
            told((before.weight.as_ref(), after.weight.as_ref()), |old| format!("weight {old}"), &weight),
            told(
                (before.state.as_ref(), after.state.as_ref()),
                |old| format!("state {}", old.as_str()),
                &state,
            ),
            told(
                (before.health.as_ref(), after.health.as_ref()),
                |old| format!("health {}", old.as_str()),
                "the health that is observed",
            ),
        ];
        told.into_iter().flatten().collect()
    }
}

fn told<T: PartialEq>(
    (before, after): (Option<&Overridden<T>>, Option<&Overridden<T>>),
    words: impl Fn(&T) -> String,
    then: &str,
) -> Option<String> {
    let (before, after) = (before?, after?);
    let expires_at = after.expires_at?;
    // One that is left as it is takes nobody's place.
    let ends_sooner = before != after && before.expires_at.is_none_or(|at| at > expires_at);
    let (ends, author) = (words(&before.value), &before.author);
    ends_sooner.then(|| {
        format!(
            "afterwards, from {expires_at:.0} on, {then} counts: the {ends} by {author} ends with this change"
        )
    })
}
