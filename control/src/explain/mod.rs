//! A decision, told to a person: what was known of the client, every region's terms, the choice, and why not the others.
//!
//! The decision is taken by the same function as for a request, with a recorder that listens. What is told here is only
//! translated from its record. A decision of the past is taken again with what is written down of it ([`recall`]).

mod past;
mod telling;
mod words;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steer::geo::Country;
use steer::matching::RequestHead;
use steer::route::{Action, Route};
use steer::router::NoRoute;
use steer::spec::{State, Steering};
use steer::{Client, Table};
use utoipa::ToSchema;

use crate::described;
use crate::drill::Drill;
use crate::layers::DecidedBy;
use crate::overlay::Change;
pub use past::{Compared, Now, OriginChoice, PastDecision, Recorded, Unexplained, recall};
use telling::{Told, tell};

use crate::snapshot::Snapshot;

/// Finds a client's place. The proxy does it for requests; control asks for explanations.
pub trait Locate: Send + Sync {
    /// The client behind an address, and how his place was found.
    fn locate(&self, address: IpAddr) -> (Client, Whereabouts);

    /// The databases that are asked, in this order.
    fn databases(&self) -> Vec<GeoDatabase> {
        Vec::new()
    }
}

/// A database of places.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct GeoDatabase {
    /// The file's name.
    pub file: String,
    /// When its data was made.
    pub built_at: Timestamp,
}

/// A client's place and how it was found.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Whereabouts {
    /// ISO 3166-1 alpha-2 code.
    #[schema(value_type = Option<described::Country>)]
    pub country: Option<Country>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// How far off the coordinates may be.
    pub accuracy_km: Option<f64>,
    /// Whether the coordinates are only the centre of the country's population.
    pub country_only: bool,
    /// What told: `prefix 10.0.0.0/8`, a database's file name, `built-in`, or `unknown`.
    pub source: String,
}

/// What is to be explained.
#[derive(Clone, Debug)]
pub struct Question {
    /// The client's address.
    pub address: IpAddr,
    /// The host asked for; `None` is the first host of the first route.
    pub host: Option<String>,
    /// The path asked for.
    pub path: String,
    /// The method asked with.
    pub method: String,
    /// The header fields sent, names in any case.
    pub headers: Vec<(String, String)>,
    /// The region that the client's affinity cookie names, for routes that have one.
    pub kept_in: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// The client. Not told of a decision of the past: only his key is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// His place.
    pub place: Whereabouts,
    /// The request. Not told of a decision of the past: only its route is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// What the decision was taken with.
    pub inputs: Inputs,
    /// The route that matched; `None` if none did.
    pub route: Option<String>,
    /// How the route steers, and by which policy.
    #[schema(value_type = Option<described::Steering>)]
    pub steering: Option<Steering>,
    /// The policy that the route names.
    pub policy: Option<String>,
    /// Every region, the chosen one first, then by rank; those that may not serve last.
    pub regions: Vec<Candidate>,
    /// Where the request goes; `None` if nowhere.
    pub choice: Option<String>,
    /// The ladder of regions to try, best first.
    pub ladder: Vec<String>,
    /// Where the key goes when everything is well.
    pub natural_region: Option<String>,
    /// How much farther than the fastest usable region the choice is from this PoP.
    pub detour_ms: Option<f64>,
    /// What it comes to, in a sentence.
    pub summary: String,
    /// Of a decision of the past: which it is, what was written down of it, and what would become of the request now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<PastDecision>,
}

/// A request to decide.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = ExplainedRequest)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// The path.
    pub path: String,
}

/// What a decision was taken with.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Inputs {
    /// The table's version.
    pub version: u64,
    /// The overlay's number.
    pub overlay: u64,
    /// The ranking's number.
    pub ranking: u64,
    /// The drill that runs, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
    /// The client's key.
    pub key: u64,
}

/// A region and what became of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Candidate {
    /// The region.
    pub region: String,
    /// Its health for the route's pool: the observed one, or the one that an operator forced and what is seen.
    pub health: String,
    /// Its state, after overrides.
    #[schema(value_type = Option<described::State>)]
    pub state: Option<State>,
    /// Its weight for the pool, after overrides, in percent.
    pub weight: Option<f64>,
    /// Which layer decided weight, state and health; `None` where the pool is not placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<DecidedBy>,
    /// All that operators have changed of the region, and of the pool's presence there: by whom, why and until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<Change>,
    /// Distance from the client.
    pub km: Option<f64>,
    /// The parts of its cost.
    pub terms: Option<Cost>,
    /// Whether it is chosen.
    pub chosen: bool,
    /// Why it is, or why not.
    pub why: String,
}

/// The parts of a cost.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Cost {
    /// `a`: the say of latency measured from this PoP.
    pub a: f64,
    /// L: the published round trip from this PoP.
    pub latency_ms: Option<f64>,
    /// Whether L is measured or suggested by distance.
    pub measured: bool,
    /// E: the round trip to expect between client and region by distance.
    pub estimate_ms: Option<f64>,
    /// How far L is above its lowest of the last hour.
    pub rise_ms: f64,
    /// How much later than usual the placement's answers are, where that is proved.
    #[serde(default)]
    pub excess_ms: f64,
    /// What the operator added.
    pub bias_ms: f64,
    /// The sum that ranks; milliseconds in `nearest`, `latency` and `geo` steering. `None` is unknown.
    pub cost: Option<f64>,
}

/// Explains a decision.
#[must_use]
pub fn explain(snapshot: &Snapshot, question: &Question, located: (Client, Whereabouts)) -> Explanation {
    let (client, place) = located;
    let table = snapshot.table();
    let first_host = || table.routes.first().and_then(|route| route.hosts.first()).cloned();
    let host = question.host.clone().or_else(first_host).unwrap_or_default();
    let mut told = Explanation {
        address: Some(question.address),
        place,
        inputs: Inputs {
            version: snapshot.version.about.version,
            overlay: snapshot.overlay.number,
            ranking: snapshot.ranking.number,
            drill: snapshot.drill.as_deref().cloned(),
            key: client.key,
        },
        route: None,
        steering: None,
        policy: None,
        regions: Vec::new(),
        choice: None,
        ladder: Vec::new(),
        natural_region: None,
        detour_ms: None,
        summary: String::new(),
        request: Some(Request {
            method: question.method.clone(),
            host: host.clone(),
            path: question.path.clone(),
        }),
        past: None,
    };
    let target = question.path.split('#').next().unwrap_or("/");
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let head = RequestHead { host: &host, path, query, method: &question.method, fields: &question.headers };
    let route = match table.router.find(&head) {
        Ok(route) => table.route(route),
        Err(NoRoute::Unmet) => {
            told.summary =
                format!("refused: no route of {host:?} serves {path:?} with this method, header and query");
            return told;
        }
        Err(NoRoute::UnknownHost) => {
            told.summary = format!("refused: no route serves the host {host:?}");
            return told;
        }
        Err(NoRoute::UnknownPath) => {
            told.summary = format!("refused: no route of {host:?} serves the path {path:?}");
            return told;
        }
    };
    told.route = Some(route.name.clone());
    let lane_id = match &route.action {
        Action::Forward(forward) => forward.lane,
        Action::Redirect(redirect) => {
            told.summary = format!("redirected ({}): the route needs no region", redirect.status);
            return told;
        }
        Action::Respond(respond) => {
            told.summary = format!("answered here ({}): the route needs no region", respond.status);
            return told;
        }
    };
    let client = affine(table, route, question, &head, client);
    told.inputs.key = client.key;
    told.take(tell(&snapshot.world(), &snapshot.overlay, lane_id, &client));
    told
}

impl Explanation {
    fn take(&mut self, told: Told) {
        let Told { steering, policy, regions, choice, ladder, natural_region, detour_ms, summary } = told;
        (self.steering, self.policy) = (Some(steering), policy);
        (self.regions, self.choice, self.ladder) = (regions, choice, ladder);
        (self.natural_region, self.detour_ms, self.summary) = (natural_region, detour_ms, summary);
    }
}

/// The client as the route's affinity makes him.
fn affine(
    table: &Table,
    route: &Route,
    question: &Question,
    head: &RequestHead<'_>,
    client: Client,
) -> Client {
    let affinity = route.forward().and_then(|forward| forward.affinity.as_ref());
    let kept_in = question.kept_in.as_deref().and_then(|name| table.region_named(name));
    let kept = kept_in.and_then(|region| affinity?.kept(&client, region));
    kept.or_else(|| affinity?.client(&client, head)).unwrap_or(client)
}

/// To a hundredth, for reading.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
