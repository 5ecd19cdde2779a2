//! The conditions of a change, as the API is told them; and what it would do, for people.

use control::admin::Told;
use control::share::Basis;
use http::Method;
use serde::de::DeserializeOwned;

use super::admin::{Api, Failure};
use super::{ConditionArgs, columns};

/// What became of a change.
pub(super) enum Outcome<T> {
    /// Nothing was changed, as it was asked for; what would have been.
    Told(Told, String),
    /// It is in force.
    Done(T, String),
}

impl ConditionArgs {
    /// Calls the API for a change; `path` may have a query.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        api: &Api,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Outcome<T>, Failure> {
        let said = [
            self.dry_run.then(|| "dry_run=1".to_owned()),
            self.volatile.then(|| "volatile=1".to_owned()),
            // A person wants to see what came of it.
            Some("shares=1".to_owned()),
            self.force.map(|seen| format!("force={seen}")),
        ];
        let said = said.into_iter().flatten().collect::<Vec<_>>().join("&");
        let path = match (said.is_empty(), path.contains('?')) {
            (true, _) => path.to_owned(),
            (false, true) => format!("{path}&{said}"),
            (false, false) => format!("{path}?{said}"),
        };
        if self.dry_run {
            return api.json(method, &path, body).map(|(told, text)| Outcome::Told(told, text));
        }
        api.json(method, &path, body).map(|(done, text)| Outcome::Done(done, text))
    }
}

/// What a change would do, for people.
pub(super) fn told(told: &Told) -> String {
    let percent =
        |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0));
    let rows = told
        .effect
        .shares
        .iter()
        .map(|share| vec![share.region.clone(), percent(share.before), percent(share.after)]);
    let basis = match told.effect.predicted_from {
        Basis::RecentRequests(count) => format!("{count} recent requests"),
        Basis::ClientsAtThisPop(count) => format!("{count} made-up clients at this PoP"),
    };
    let mut text = format!(
        "{}\n\nNothing was changed. Shares predicted from {basis}.",
        columns(&["REGION", "SHARE NOW", "THEN"], rows)
    );
    for violation in &told.effect.violations {
        text += &format!("\nA guard refuses it: {violation}");
    }
    if !told.effect.violations.is_empty() {
        text += &format!("\nIf that is meant: --force {}.{}", told.version, told.overlay);
    }
    text
}
