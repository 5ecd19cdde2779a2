//! `/v1/routes`: which requests lead where. There may be ten thousand, so they are told a part at a time.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use steer::ids::PlacementId;
use steer::matching::{Condition, Test};
use steer::route::{Action, PathRule, Route as Compiled};
use steer::spec::{OnAllDown, Steering};
use steer::table::{Exclusion, Table};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Asked, At};
use super::in_force::{Tagged, tagged};
use super::kinds::problems;
use super::pages::Paged;
use super::problem::Problem;
use crate::described;
use crate::layers::{self, Placement};

/// A part of the routes.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Routes {
    /// The table's version.
    pub version: u64,
    /// How many there are altogether.
    pub total: usize,
    /// In the table's order.
    pub routes: Vec<RouteSummary>,
    /// What to ask for the next part with, as `after`; `None` behind the last.
    pub next: Option<String>,
}

/// A route in a line.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct RouteSummary {
    /// Its name.
    pub name: String,
    /// The hosts that it serves; `*.example.com` for all below, `*` for all.
    pub hosts: Vec<String>,
    /// The paths that it serves.
    pub path: Paths,
    /// What it does with a request.
    pub does: Does,
    /// The pool that answers; `None` where nobody is asked.
    pub pool: Option<String>,
    /// How a region is chosen; `None` where nobody is asked.
    #[schema(value_type = Option<described::Steering>)]
    pub steering: Option<Steering>,
    /// The policy that it names.
    pub policy: Option<String>,
}

/// The paths that a route serves.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Paths {
    /// This one and everything below it.
    Prefix(String),
    /// This one.
    Exact(String),
    /// Those that match this regular expression as a whole.
    Matches(String),
}

/// What a route does with a request.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It goes to an origin.
    Forward,
    /// The client is sent elsewhere, with this status.
    Redirect(u16),
    /// The edge answers, with this status.
    Respond(u16),
}

/// A route.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Route {
    /// In a line.
    #[serde(flatten)]
    pub summary: RouteSummary,
    /// The methods that it serves; none is all.
    pub methods: Vec<String>,
    /// What a request must carry besides.
    pub conditions: Vec<Carries>,
    /// The jurisdictions that may serve; none is any.
    pub jurisdictions: Vec<String>,
    /// What happens when no region is usable; `None` where nobody is asked.
    #[schema(value_type = Option<described::OnAllDown>)]
    pub on_all_down: Option<OnAllDown>,
    /// Where it may go, in the order that breaks ties, each in its layers.
    pub placements: Vec<Placement>,
    /// Where it may never go.
    pub excluded: Vec<Excluded>,
}

/// Something that a request must carry.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Carries {
    /// `header` or `query`.
    pub part: String,
    /// The name of the field or parameter.
    pub name: String,
    /// What it must say.
    pub must: Must,
}

/// What a field or parameter must say.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Must {
    /// Anything: it is there.
    BePresent,
    /// It is not there.
    BeAbsent,
    /// Exactly this.
    Be(String),
    /// What matches this regular expression as a whole.
    Match(String),
}

/// A region where a route may never go.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Excluded {
    /// The region.
    pub region: String,
    /// `jurisdiction`: its jurisdiction is not one of the route's. `not-listed`: the order of the policy does not have it.
    pub why: String,
}

problems!(
    /// Of the list.
    Listing = ANY, "bad-query"
);
problems!(
    /// Of one.
    Showing = ANY, "bad-path", "unknown-route"
);

/// The routes, a part at a time
#[utoipa::path(get, path = "/v1/routes", tag = "routes", operation_id = "listRoutes", params(Paged),
    responses((status = 200, description = "A part of the routes.", body = Routes,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Listing))]
pub(super) async fn list(
    State(admin): Shared,
    Asked(wanted): Asked<Paged>,
) -> Result<Tagged<Routes>, Problem> {
    let snapshot = admin.publisher.snapshot();
    let table = snapshot.table();
    let part = wanted.part(table.routes.len(), |index| table.routes[index].name.clone())?;
    let routes = Routes {
        version: snapshot.version.about.version,
        total: table.routes.len(),
        routes: table.routes[part.range].iter().map(|route| summary(table, route)).collect(),
        next: part.next,
    };
    Ok(tagged(&snapshot, routes))
}

/// One route, and where it may go
#[utoipa::path(get, path = "/v1/routes/{route}", tag = "routes", operation_id = "showRoute",
    params(("route" = inline(described::Name), Path, description = "The route's name.")),
    responses((status = 200, description = "The route.", body = Route,
        headers(("ETag" = String, description = "What is in force, as If-Match takes it."))), Showing))]
pub(super) async fn show(State(admin): Shared, At(name): At<String>) -> Result<Tagged<Route>, Problem> {
    let snapshot = admin.publisher.snapshot();
    let table = snapshot.table();
    let route = table.routes.iter().find(|route| route.name == name).ok_or_else(|| {
        let known: Vec<&str> = table.routes.iter().map(|route| route.name.as_str()).take(20).collect();
        let detail = format!("no route is named {name:?}; there are {}", known.join(", "));
        Problem::new(StatusCode::NOT_FOUND, "unknown-route", detail)
    })?;
    let now = admin.publisher.clock().now();
    let lane = route.forward().map(|forward| table.lane(forward.lane));
    let candidates = lane.iter().flat_map(|lane| &lane.candidates);
    let excluded = lane.iter().flat_map(|lane| &lane.excluded);
    let fields = route.conditions.headers.iter().map(|condition| carries("header", condition));
    let parameters = route.conditions.query.iter().map(|condition| carries("query", condition));
    let shown = Route {
        summary: summary(table, route),
        methods: route.conditions.methods.clone(),
        conditions: fields.chain(parameters).collect(),
        jurisdictions: lane.map(|lane| lane.jurisdictions.clone()).unwrap_or_default(),
        on_all_down: lane.map(|lane| lane.on_all_down),
        placements: candidates.map(|it| layers::of_placement(&snapshot, it.placement, now)).collect(),
        excluded: excluded.map(|(placement, why)| excluded_there(table, *placement, *why)).collect(),
    };
    Ok(tagged(&snapshot, shown))
}

fn summary(table: &Table, route: &Compiled) -> RouteSummary {
    let lane = route.forward().map(|forward| table.lane(forward.lane));
    RouteSummary {
        name: route.name.clone(),
        hosts: route.hosts.clone(),
        path: match &route.path {
            PathRule::Prefix(path) => Paths::Prefix(path.clone()),
            PathRule::Exact(path) => Paths::Exact(path.clone()),
            PathRule::Matches(pattern) => Paths::Matches(pattern.as_str().to_owned()),
        },
        does: match &route.action {
            Action::Forward(_) => Does::Forward,
            Action::Redirect(redirect) => Does::Redirect(redirect.status),
            Action::Respond(respond) => Does::Respond(respond.status),
        },
        pool: lane.map(|lane| table.pool(lane.pool).name.clone()),
        steering: lane.map(|lane| lane.steering),
        policy: lane.and_then(|lane| lane.policy.clone()),
    }
}

fn carries(part: &str, condition: &Condition) -> Carries {
    Carries {
        part: part.to_owned(),
        name: condition.name.clone(),
        must: match &condition.test {
            Test::Present => Must::BePresent,
            Test::Absent => Must::BeAbsent,
            Test::Is(value) => Must::Be(value.clone()),
            Test::Matches(pattern) => Must::Match(pattern.as_str().to_owned()),
        },
    }
}

fn excluded_there(table: &Table, placement: PlacementId, why: Exclusion) -> Excluded {
    let why = match why {
        Exclusion::Jurisdiction => "jurisdiction",
        Exclusion::NotListed => "not-listed",
    };
    Excluded { region: table.region(table.placement(placement).region).name.clone(), why: why.to_owned() }
}
