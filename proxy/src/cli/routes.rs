//! `nearside routes`: which requests lead where, and where each route may go.

use std::process::ExitCode;

use control::admin::{Carries, Does, Must, Paths, Route, RouteSummary, Routes};

use super::listed::ListedArgs;
use super::pages::below;
use super::placements::layers;
use super::sheet::{columns, facts};

pub(super) fn routes(args: &ListedArgs) -> ExitCode {
    args.show("/v1/routes", list, one)
}

fn list(Routes { version, total, routes, next }: &Routes) -> String {
    let rows = routes.iter().map(|route| {
        vec![route.name.clone(), does(route), steering(route), path(&route.path), route.hosts.join(", ")]
    });
    let table = columns(&["ROUTE", "DOES", "STEERING", "PATH", "HOSTS"], rows);
    let told = format!("{} of {total}. Table {version}.", routes.len());
    format!("{table}\n\n{}", below(&told, next.as_deref()))
}

fn one(route: &Route) -> String {
    let Route { summary, methods, conditions, jurisdictions, on_all_down, placements, excluded } = route;
    let conditions: Vec<String> = conditions.iter().map(carries).collect();
    let excluded: Vec<String> =
        excluded.iter().map(|excluded| format!("{} ({})", excluded.region, excluded.why)).collect();
    let facts = facts([
        ("route", summary.name.clone()),
        ("hosts", summary.hosts.join(", ")),
        ("path", path(&summary.path)),
        ("methods", if methods.is_empty() { "any".to_owned() } else { methods.join(", ") }),
        ("carries", conditions.join("; ")),
        ("does", does(summary)),
        ("steering", steering(summary)),
        ("only in", jurisdictions.join(", ")),
        ("never to", excluded.join(", ")),
        ("all down", on_all_down.map_or_else(String::new, |does| does.as_str().to_owned())),
    ]);
    match placements.is_empty() {
        true => facts,
        false => format!("{facts}\n\n{}", layers(placements)),
    }
}

fn does(route: &RouteSummary) -> String {
    match (&route.does, &route.pool) {
        (Does::Forward, Some(pool)) => format!("pool {pool}"),
        (Does::Forward, None) => "forward".to_owned(),
        (Does::Redirect(status), _) => format!("redirect {status}"),
        (Does::Respond(status), _) => format!("answer {status}"),
    }
}

/// How a region is chosen, and by which policy; nothing where nobody is asked.
fn steering(route: &RouteSummary) -> String {
    match (route.steering, &route.policy) {
        (None, _) => String::new(),
        (Some(steering), None) => steering.as_str().to_owned(),
        (Some(steering), Some(policy)) => format!("{} ({policy})", steering.as_str()),
    }
}

fn path(path: &Paths) -> String {
    match path {
        Paths::Prefix(path) => format!("prefix {path}"),
        Paths::Exact(path) => format!("exact {path}"),
        Paths::Matches(pattern) => format!("matches {pattern}"),
    }
}

fn carries(Carries { part, name, must }: &Carries) -> String {
    match must {
        Must::BePresent => format!("{part} {name}"),
        Must::BeAbsent => format!("no {part} {name}"),
        Must::Be(value) => format!("{part} {name} is {value:?}"),
        Must::Match(pattern) => format!("{part} {name} matches {pattern:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_route_is_told_with_what_it_does_and_what_it_wants() {
        let route: Route = serde_json::from_value(json!({
            "name": "old", "hosts": ["a.test", "*.b.test"], "path": {"matches": "/x.*"}, "does": {"redirect": 301},
            "pool": null, "steering": null, "policy": null, "methods": [], "jurisdictions": [], "on_all_down": null,
            "conditions": [
                {"part": "header", "name": "x-canary", "must": {"be": "1"}},
                {"part": "query", "name": "debug", "must": "be-absent"},
            ],
            "placements": [], "excluded": [],
        }))
        .expect("as the API writes it");
        assert_eq!(
            one(&route),
            "route    old\nhosts    a.test, *.b.test\npath     matches /x.*\nmethods  any\n\
             carries  header x-canary is \"1\"; no query debug\ndoes     redirect 301"
        );
    }
}
