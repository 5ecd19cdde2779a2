//! A decision of the past, told: taken again with what is written down of it, compared with what came of it then, and with
//! what would come of it now.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use steer::choice::Nowhere;
use steer::client::{Client, Pop};
use steer::ids::OriginId;
use steer::pick::Belongs;
use steer::{Moment, Table};
use utoipa::ToSchema;

use super::telling::tell;
use super::words::refused;
use super::{Explanation, Inputs, Whereabouts, rounded};
use crate::archive::{NoLonger, Past};
use crate::decisions::{DecisionId, Decisions, NotHeld, Numbers, Placed, Record, repeat};
use crate::publisher::Publisher;
use crate::snapshot::Snapshot;
use crate::version::About;

/// Which decision of the past it is, what was written down of it, and what would become of the request now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct PastDecision {
    /// Its name.
    pub id: String,
    /// When it was taken.
    pub at: Timestamp,
    /// Whether it placed the first attempt of its request; otherwise one after, or beside, another.
    pub is_first: bool,
    /// The origins that its request had tried before.
    pub tried: Vec<String>,
    /// The table of then.
    pub table: About,
    /// The origin inside the region, and why it.
    pub origin: Option<OriginChoice>,
    /// What came of it, as it was written down.
    pub recorded: Recorded,
    /// Whether taking it again gives what was written down. If not, that is a fault of nearside.
    pub agrees: bool,
    /// What taking it again gives, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Recorded>,
    /// What would become of the same request now.
    pub now: Now,
    /// The decisions of the same request, oldest first; told if it was asked for by the request's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of_request: Vec<String>,
}

/// What came of a decision.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = RecordedDecision)]
pub struct Recorded {
    /// The region; `None` if it went nowhere.
    pub region: Option<String>,
    /// The origin.
    pub origin: Option<String>,
    /// The region that headed the plan: another one only if other attempts came before.
    pub first_of_plan: Option<String>,
    /// Where the key went when everything was well.
    pub natural_region: Option<String>,
    /// The region that was full and would have come first.
    pub spilled_from: Option<String>,
    /// Whether the client was kept where he was.
    pub kept: bool,
    /// Why it went nowhere.
    pub refused: Option<String>,
}

/// The choice between the origins of a region.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct OriginChoice {
    /// The origin.
    pub origin: String,
    /// How many there were.
    pub of: usize,
    /// Why it.
    pub why: String,
    /// The two that were drawn, and what they were compared by.
    pub compared: Vec<Compared>,
    /// Those that were not trusted then.
    pub untrusted: Vec<String>,
}

/// An origin that was compared.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Compared {
    /// The origin.
    pub origin: String,
    /// The time to its first byte, times the requests it had and this one, in ms; `None` is beyond measure.
    pub load_ms: Option<f64>,
}

/// What would become of a request now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = DecisionNow)]
pub struct Now {
    /// What it would be decided by.
    pub inputs: Inputs,
    /// Where its first attempt would go; `None` if nowhere.
    pub choice: Option<String>,
    /// Whether that is elsewhere than then.
    pub elsewhere: bool,
    /// What it comes to, in a sentence.
    pub summary: String,
}

/// Why a decision cannot be explained.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unexplained {
    /// It is not held.
    NotHeld(NotHeld),
    /// It is held; what it was taken with is not.
    NoLonger {
        /// When it was taken.
        at: Timestamp,
        /// What it was taken with.
        by: Numbers,
        /// What is held.
        held: NoLonger,
        /// Since when that was current.
        since: Timestamp,
    },
    /// It does not fit what it was taken with. That is a fault of nearside.
    Unfit,
}

/// Explains a decision of the past.
///
/// # Errors
/// [`Unexplained`], and why.
pub fn recall(
    publisher: &Publisher,
    decisions: &Decisions,
    id: DecisionId,
) -> Result<Explanation, Unexplained> {
    let record = decisions.find(id).map_err(Unexplained::NotHeld)?;
    let at = wall(publisher, record.at);
    let past = publisher.past(record.by.snapshot).map_err(|held| {
        let since = wall(publisher, held.since);
        Unexplained::NoLonger { at, by: record.by, held, since }
    })?;
    let table = past.table();
    let repeated = repeat(&past, &record, &mut ()).ok_or(Unexplained::Unfit)?;
    let recorded = record.outcome.as_ref().map_err(|nowhere| *nowhere);
    let fits = |placed: &Placed| is_of(placed, table);
    if !recorded.is_ok_and(fits) && recorded.is_ok() {
        return Err(Unexplained::Unfit);
    }
    let signals = crate::decisions::Recorded::of(&record, table).ok_or(Unexplained::Unfit)?;
    let mut told = Explanation {
        address: None,
        place: whereabouts(&record.client),
        request: None,
        inputs: Inputs {
            version: record.by.table,
            overlay: record.by.overlay,
            ranking: record.by.ranking,
            key: record.client.key,
            drill: past.drill.as_deref().cloned(),
        },
        route: Some(table.route(record.route).name.clone()),
        steering: None,
        policy: None,
        regions: Vec::new(),
        choice: None,
        ladder: Vec::new(),
        natural_region: None,
        detour_ms: None,
        summary: String::new(),
        past: None,
    };
    told.take(tell(&past.world(&signals), &past.overlay, record.lane, &record.client));
    let written = outcome(table, recorded);
    let again = outcome(table, repeated.as_ref().map_err(|nowhere| *nowhere));
    if record.onward.is_some() {
        told.goes_on(&again);
    }
    let agrees = repeated == record.outcome && told.choice == written.region;
    let origin = repeated.as_ref().ok().and_then(|placed| origin_choice(&record, table, placed));
    let address = |origin: &OriginId| table.origin(*origin).address.clone();
    told.past = Some(PastDecision {
        id: id.to_string(),
        at,
        is_first: record.onward.is_none(),
        tried: record.seen.tried.iter().map(address).collect(),
        table: past.version.about.clone(),
        origin,
        now: now(&publisher.snapshot(), &past, &record, written.region.as_deref()),
        recorded: written,
        agrees,
        repeated: (!agrees).then_some(again),
        of_request: Vec::new(),
    });
    Ok(told)
}

impl Explanation {
    /// A later attempt: of the plan it takes what the attempts before have left.
    fn goes_on(&mut self, outcome: &Recorded) {
        let first = self.choice.take();
        self.choice.clone_from(&outcome.region);
        self.summary = match (&self.choice, &outcome.refused) {
            (Some(choice), _) => format!("{choice}, after what was tried before"),
            (None, Some(refused)) => refused.clone(),
            (None, None) => "nowhere".to_owned(),
        };
        if self.choice == first {
            return;
        }
        for candidate in &mut self.regions {
            if first.as_deref() == Some(&candidate.region) {
                "it heads the plan; this request was there or left it".clone_into(&mut candidate.why);
            }
            candidate.chosen = self.choice.as_deref() == Some(&candidate.region);
            if candidate.chosen {
                "chosen: the next of the plan that was left".clone_into(&mut candidate.why);
            }
        }
    }
}

/// The wall clock's time of a moment.
fn wall(publisher: &Publisher, moment: Moment) -> Timestamp {
    let clock = publisher.clock();
    let ago = SignedDuration::try_from(std::time::Duration::from(clock.now().since(moment)));
    let now = clock.wall();
    ago.ok().and_then(|ago| now.checked_sub(ago).ok()).unwrap_or(now)
}

fn is_of(placed: &Placed, table: &Table) -> bool {
    let decision = &placed.choice.decision;
    let all = [Some(placed.choice.placement), Some(decision.first), decision.natural, decision.spilled_from];
    all.into_iter().flatten().all(|placement| placement.index() < table.placements.len())
        && placed.origin.is_none_or(|origin| origin.index() < table.origins.len())
}

fn whereabouts(client: &Client) -> Whereabouts {
    let Some(spot) = &client.spot else {
        return Whereabouts { source: "unknown".to_owned(), ..Whereabouts::default() };
    };
    let place = spot.point.map(|point| point.place());
    Whereabouts {
        country: spot.country,
        latitude: place.map(|place| rounded(place.latitude)),
        longitude: place.map(|place| rounded(place.longitude)),
        accuracy_km: Some(spot.accuracy_km),
        country_only: spot.country_only,
        source: "as it was found then".to_owned(),
    }
}

fn outcome(table: &Table, outcome: Result<&Placed, Nowhere>) -> Recorded {
    let region = |placement| table.region(table.placement(placement).region).name.clone();
    match outcome {
        Ok(Placed { choice, origin }) => Recorded {
            region: Some(region(choice.placement)),
            origin: origin.map(|origin| table.origin(origin).address.clone()),
            first_of_plan: Some(region(choice.decision.first)),
            natural_region: choice.decision.natural.map(region),
            spilled_from: choice.decision.spilled_from.map(region),
            kept: choice.decision.kept,
            refused: None,
        },
        Err(nowhere) => {
            let why = match nowhere {
                Nowhere::NoCandidate(cause) => refused(cause),
                Nowhere::NothingLeft => "refused: nothing was left to try",
            };
            Recorded { refused: Some(why.to_owned()), ..Recorded::default() }
        }
    }
}

fn origin_choice(record: &Record, table: &Table, placed: &Placed) -> Option<OriginChoice> {
    let picked = placed.origin?;
    let all = table.origins_of(placed.choice.placement);
    let of = all.len();
    let address = |origin: OriginId| table.origin(origin).address.clone();
    let is_own = match record.belongs {
        Belongs::Anywhere => false,
        Belongs::Key(_) => true,
        Belongs::Origin { hash, .. } => table.origin(picked).hash == hash && record.seen.loads.is_empty(),
    };
    let why = match record.belongs {
        _ if of == 1 => "it is the only one",
        Belongs::Key(_) => "the client's key belongs to it",
        Belongs::Origin { .. } if is_own => "the client was here, and may stay",
        _ => "the less loaded of two that were drawn",
    };
    let compared = |(origin, load): &(OriginId, f64)| Compared {
        origin: address(*origin),
        load_ms: Some(rounded(*load)).filter(|load| load.is_finite()),
    };
    let mut compared: Vec<Compared> = record.seen.loads.iter().map(compared).collect();
    compared.dedup();
    let untrusted = all.enumerate().filter(|(index, _)| of > 1 && !record.seen.is_trusted(*index));
    let untrusted = untrusted.map(|(_, origin)| address(origin)).collect();
    Some(OriginChoice { origin: address(picked), of, why: why.to_owned(), compared, untrusted })
}

/// What would become of the same request under the current snapshot: by its route's name, and for the same client.
fn now(snapshot: &Snapshot, past: &Past, record: &Record, region: Option<&str>) -> Now {
    let table = snapshot.table();
    let name = &past.table().route(record.route).name;
    let client = moved(&record.client, past.table(), table, &snapshot.ranking.pop);
    let inputs = Inputs {
        version: snapshot.version.about.version,
        overlay: snapshot.overlay.number,
        ranking: snapshot.ranking.number,
        key: client.key,
        drill: snapshot.drill.as_deref().cloned(),
    };
    let nowhere =
        |summary: String| Now { inputs: inputs.clone(), choice: None, elsewhere: region.is_some(), summary };
    let Some(route) = table.routes.iter().find(|route| route.name == *name) else {
        return nowhere(format!("the table has no route {name:?} any more"));
    };
    let Some(forward) = route.forward() else {
        return nowhere(format!("the route {name:?} needs no region any more"));
    };
    let told = tell(&snapshot.world(), &snapshot.overlay, forward.lane, &client);
    let elsewhere = told.choice.as_deref() != region;
    Now { inputs, choice: told.choice, elsewhere, summary: told.summary }
}

/// A client of one table as another table knows him.
fn moved(client: &Client, from: &Table, to: &Table, pop: &Pop) -> Client {
    let mut moved = client
        .spot
        .clone()
        .map_or_else(|| Client::unknown(client.key), |spot| Client::at(client.key, spot, pop));
    moved.kept = client.kept.and_then(|mut kept| {
        kept.region = to.region_named(&from.regions.get(kept.region.index())?.name)?;
        Some(kept)
    });
    moved
}
