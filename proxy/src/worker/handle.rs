//! A route as a worker knows it: what it does, ready to be done, and where its requests are counted.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use steer::Table;
use steer::ids::RouteId;
use steer::route::{NewPath, Route};

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
    /// The numbers of its requests, by the region that answers.
    series: RefCell<Vec<(Rc<str>, Arc<RequestSeries>)>>,
}

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
            series: RefCell::default(),
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

    /// The numbers of its requests that a region answers; `-` where none does.
    pub(super) fn series(&self, shard: &Shard, region: &Rc<str>) -> Arc<RequestSeries> {
        let mut known = self.series.borrow_mut();
        if let Some((_, series)) = known.iter().find(|(name, _)| Rc::ptr_eq(name, region) || name == region) {
            return series.clone();
        }
        let series = shard.requests(&self.name, region);
        known.push((region.clone(), series.clone()));
        series
    }
}
