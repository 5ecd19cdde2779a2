//! A compiled route: what it does with a request that matched it.
//!
//! Rewriting and redirecting are text in, text out; whoever calls this puts the result on the wire.

use crate::affinity::Affinity;
use crate::ids::LaneId;
use crate::matching::{Conditions, Pattern, RequestHead};
use crate::moment::Span;
use crate::retry::Retry;
use crate::spec::Scheme;

/// The rule that leads requests somewhere.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The hosts it serves, in lower case; `*.example.com` for all below, `*` for all.
    pub hosts: Vec<String>,
    /// The paths it serves.
    pub path: PathRule,
    /// What else a request must carry.
    pub conditions: Conditions,
    /// What it does.
    pub action: Action,
    /// What is changed of answers.
    pub response_headers: HeaderRules,
}

/// Which paths a route serves.
#[derive(Clone, Debug, PartialEq)]
pub enum PathRule {
    /// This one and everything below it.
    Prefix(String),
    /// This one.
    Exact(String),
    /// Those that match.
    Matches(Pattern),
}

/// What a route does with a request.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per route, and nearly all of them forward")]
pub enum Action {
    /// It goes to an origin.
    Forward(Forward),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The edge answers.
    Respond(Respond),
}

/// How requests go to origins.
#[derive(Clone, Debug, Default)]
pub struct Forward {
    /// How they find a region.
    pub lane: LaneId,
    /// What becomes of their path.
    pub path: NewPath,
    /// The `Host` that origins see; `None` is the client's.
    pub host: Option<String>,
    /// When and where they may be sent again.
    pub retry: Retry,
    /// What is changed of their header.
    pub headers: HeaderRules,
    /// What keeps clients where they were.
    pub affinity: Option<Affinity>,
    /// How long they may take; `None` is as the edge says.
    pub timeouts: Timeouts,
}

/// What becomes of a path.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum NewPath {
    /// It stays.
    #[default]
    Same,
    /// Its prefix of the route is replaced by this one.
    Prefix(String),
    /// It is replaced by this; groups of the route's pattern are filled in.
    Whole(String),
}

/// Where clients are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The scheme; `None` is the request's.
    pub scheme: Option<Scheme>,
    /// The host; `None` is the request's.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The path.
    pub path: NewPath,
    /// Whether the query goes along.
    pub keep_query: bool,
}

/// An answer of the edge's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The text.
    pub body: String,
    /// Its media type.
    pub content_type: String,
}

/// What is changed of a header; names are in lower case, and names and values are checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderRules {
    /// Removed first.
    pub remove: Vec<String>,
    /// Then set.
    pub set: Vec<(String, String)>,
    /// Then added.
    pub add: Vec<(String, String)>,
}

/// How long requests may take; `None` is as the edge says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timeouts {
    /// To connect.
    pub connect: Option<Span>,
    /// To begin the answer.
    pub first_byte: Option<Span>,
    /// For the next byte of the answer.
    pub idle: Option<Span>,
    /// For everything.
    pub total: Option<Span>,
}

impl Route {
    /// What its requests are forwarded with, if they are.
    #[must_use]
    pub const fn forward(&self) -> Option<&Forward> {
        match &self.action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        }
    }

    /// The path that takes the place of one that matched this route, if it changes.
    #[must_use]
    pub fn new_path(&self, new: &NewPath, path: &str) -> Option<String> {
        match (new, &self.path) {
            (NewPath::Same, _) => None,
            (NewPath::Whole(template), PathRule::Matches(pattern)) => Some(pattern.expand(path, template)),
            (NewPath::Whole(whole), _) => Some(whole.clone()),
            (NewPath::Prefix(new), PathRule::Prefix(old)) => {
                let rest = path.strip_prefix(old.strip_suffix('/').unwrap_or(old)).unwrap_or(path);
                let new = new.strip_suffix('/').unwrap_or(new);
                Some(if new.is_empty() && rest.is_empty() { "/".to_owned() } else { format!("{new}{rest}") })
            }
            (NewPath::Prefix(_), _) => None,
        }
    }
}

impl Redirect {
    /// The address to go on with. `authority` is the request's host with its port, `is_tls` how it came.
    #[must_use]
    pub fn location(&self, route: &Route, head: &RequestHead<'_>, authority: &str, is_tls: bool) -> String {
        let scheme = match self.scheme {
            Some(Scheme::Http) => "http",
            Some(Scheme::Https) => "https",
            None if is_tls => "https",
            None => "http",
        };
        let keeps_port = self.scheme.is_none() && self.host.is_none() && self.port.is_none();
        let mut location = format!("{scheme}://");
        location.push_str(match &self.host {
            Some(host) => host,
            None if keeps_port => authority,
            None => head.host,
        });
        if let Some(port) = self.port {
            location.push_str(&format!(":{port}"));
        }
        match route.new_path(&self.path, head.path) {
            Some(path) => location.push_str(&path),
            None => location.push_str(head.path),
        }
        if let Some(query) = head.query.filter(|_| self.keep_query) {
            location.push('?');
            location.push_str(query);
        }
        location
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: PathRule) -> Route {
        Route {
            name: String::new(),
            hosts: Vec::new(),
            path,
            conditions: Conditions::default(),
            action: Action::Forward(Forward::default()),
            response_headers: HeaderRules::default(),
        }
    }

    #[test]
    fn prefixes_are_replaced_at_whole_segments() {
        let new = |old: &str, new: &str, path: &str| {
            route(PathRule::Prefix(old.to_owned())).new_path(&NewPath::Prefix(new.to_owned()), path).unwrap()
        };
        assert_eq!(new("/api", "/", "/api"), "/");
        assert_eq!(new("/api", "/", "/api/x"), "/x");
        assert_eq!(new("/api/", "/v2/", "/api/x/"), "/v2/x/");
        assert_eq!(new("/api", "/v2", "/api"), "/v2");
        assert_eq!(new("/", "/app", "/x"), "/app/x");
        assert_eq!(new("/", "/app", "/"), "/app/");
    }

    #[test]
    fn a_redirect_changes_what_it_names() {
        let plain = Redirect {
            status: 308,
            scheme: None,
            host: None,
            port: None,
            path: NewPath::Same,
            keep_query: true,
        };
        let by_prefix = route(PathRule::Prefix("/old".to_owned()));
        let head = RequestHead { query: Some("q=1"), ..RequestHead::get("a.test", "/old/x") };
        let to = |redirect: Redirect| redirect.location(&by_prefix, &head, "a.test:8080", false);
        assert_eq!(to(Redirect { scheme: Some(Scheme::Https), ..plain.clone() }), "https://a.test/old/x?q=1");
        assert_eq!(
            to(Redirect { path: NewPath::Prefix("/new".to_owned()), ..plain.clone() }),
            "http://a.test:8080/new/x?q=1"
        );
        let elsewhere =
            Redirect { host: Some("b.test".to_owned()), port: Some(81), keep_query: false, ..plain };
        assert_eq!(to(elsewhere), "http://b.test:81/old/x");
        let pattern = route(PathRule::Matches(Pattern::new("/u/([0-9]+)").unwrap()));
        let whole = NewPath::Whole("/users/$1".to_owned());
        assert_eq!(pattern.new_path(&whole, "/u/7").as_deref(), Some("/users/7"));
    }
}
