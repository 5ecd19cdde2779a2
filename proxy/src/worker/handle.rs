//! A route as a worker knows it: what it does, ready to be done, and where its requests are counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use steer::Table;
use steer::draw::name_hash;
use steer::ids::RouteId;
use steer::retry::Retry;
use steer::route::{NewPath, Route};

use super::class::Class;
use crate::observe::{RequestSeries, Shard};
use crate::request::HeaderEdits;

/// A route as a worker knows it.
pub(crate) struct RouteHandle {
    pub(crate) name: Rc<str>,
    pub(crate) policy: Option<Rc<str>>,
    pub(crate) route: Route,
    pub(crate) request_edits: HeaderEdits,
    pub(crate) response_edits: HeaderEdits,
    /// The `Host` that origins see instead of the client's.
    pub(crate) host: Option<HeaderValue>,
    /// The timeouts that the route sets.
    pub(crate) idle: Option<Duration>,
    pub(crate) total: Option<Duration>,
    /// For whoever is told of its failures.
    pub(crate) hash: u64,
    /// What belongs to its requests at each region.
    known: RefCell<Vec<Known>>,
}

/// What belongs to a route's requests at one region.
#[derive(Clone)]
pub(super) struct Known {
    region: Rc<str>,
    /// Their numbers.
    pub(super) series: Arc<RequestSeries>,
    /// How long they usually take.
    pub(super) class: Rc<Class>,
}

/// Classes by route and region, so that they survive a publish.
pub(super) type Classes = BTreeMap<(String, String), Rc<Class>>;

impl RouteHandle {
    pub(super) fn new(table: &Table, id: RouteId) -> Self {
        let route = table.route(id).clone();
        let forward = route.forward();
        let timeouts = forward.map(|forward| forward.timeouts).unwrap_or_default();
        Self {
            name: route.name.as_str().into(),
            policy: forward.and_then(|forward| table.lane(forward.lane).policy.as_deref()).map(Into::into),
            request_edits: forward.map(|forward| HeaderEdits::of(&forward.headers)).unwrap_or_default(),
            response_edits: HeaderEdits::of(&route.response_headers),
            host: forward
                .and_then(|forward| forward.host.as_deref())
                .map(|host| HeaderValue::from_str(host).expect("a compiled host is a header value")),
            idle: timeouts.idle.map(Duration::from),
            total: timeouts.total.map(Duration::from),
            hash: name_hash(&route.name),
            known: RefCell::default(),
            route,
        }
    }

    /// The path that origins see instead of this one.
    pub(crate) fn new_path(&self, path: &str) -> Option<String> {
        match &self.route.forward()?.path {
            NewPath::Same => None,
            new => self.route.new_path(new, path),
        }
    }

    /// What belongs to its requests at a region; `-` is the region of those that none answers.
    pub(super) fn at(&self, shard: &Shard, classes: &mut Classes, region: &Rc<str>) -> Known {
        let mut known = self.known.borrow_mut();
        let is_it = |known: &&Known| Rc::ptr_eq(&known.region, region) || known.region == *region;
        if let Some(known) = known.iter().find(is_it) {
            return known.clone();
        }
        let class = classes.entry((self.name.to_string(), region.to_string())).or_default().clone();
        let new = Known { region: region.clone(), series: shard.requests(&self.name, region), class };
        known.push(new.clone());
        new
    }

    /// When its requests may be sent again.
    pub(crate) fn retry(&self) -> &Retry {
        &self.route.forward().expect("only requests that go to an origin are sent").retry
    }
}
