//! What the compiler refuses, and how it says so.

use steer::retry::{Budgets, Retry};
use steer::spec::{
    ConditionSpec, Failback, HeaderRulesSpec, KeyScope, OriginTlsSpec, PlacementSpec, ProbeKind, Protocol,
    RedirectSpec, RespondSpec, RetryBudgetSpec, RetryScope, RetrySpec, RewriteSpec, RouteSpec, Scheme, State,
    Steering, TimeoutsSpec,
};
use steer::{Span, Spec, Table};

use crate::world::{REGIONS, spec};

fn defects(change: impl FnOnce(&mut Spec)) -> Vec<String> {
    let mut spec = spec(&REGIONS[..3], Steering::Nearest);
    change(&mut spec);
    Table::compile(&spec).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Spec), at: &str, saying: &str) {
    let defects = defects(change);
    assert_eq!(defects.len(), 1, "{defects:#?}");
    assert!(defects[0].starts_with(&format!("{at}: ")), "{}", defects[0]);
    assert!(defects[0].contains(saying), "{}", defects[0]);
}

#[test]
fn a_good_spec_compiles() {
    assert_eq!(defects(|_| {}), [""; 0]);
}

#[test]
fn every_mistake_has_its_place() {
    refused(|spec| spec.regions.push(spec.regions[0].clone()), "regions[3].name", "named \"virginia\" too");
    refused(|spec| spec.regions[1].latitude = 95.0, "regions[1].latitude", "no place on Earth");
    refused(|spec| spec.regions[1].weight = 101, "regions[1].weight", "more than 100");
    refused(|spec| spec.regions[1].bias_ms = f64::NAN, "regions[1].bias_ms", "not between");
    refused(
        |spec| spec.pools[0].placements[2].region = "mars".into(),
        "pools[0].placements[2].region",
        "\"mars\"",
    );
    refused(
        |spec| spec.pools[0].placements[2].region = "iowa".into(),
        "pools[0].placements[2].region",
        "placed in \"iowa\" already",
    );
    refused(
        |spec| spec.pools[0].placements[0].origins = vec!["10.0.0.1".into()],
        "pools[0].placements[0].origins[0]",
        "has no port",
    );
    refused(
        |spec| spec.pools[0].placements[0].origins.clear(),
        "pools[0].placements[0].origins",
        "no origin",
    );
    refused(
        |spec| spec.pools[0].placements[0].max_in_flight = Some(0),
        "pools[0].placements[0].max_in_flight",
        "no request in",
    );
    refused(
        |spec| {
            spec.pools[0].placements.truncate(1);
            spec.pools[0].tls = Some(OriginTlsSpec::default());
        },
        "pools[0].placements[0].origins[0]",
        "no name is given to verify",
    );
    refused(
        |spec| spec.pools[0].probe.interval = Span::from_millis(1),
        "pools[0].probe.interval",
        "not between",
    );
    refused(
        |spec| spec.pools[0].probe.statuses = Some(vec!["2xx".into()]),
        "pools[0].probe.statuses[0]",
        "no status",
    );
    refused(
        |spec| {
            spec.pools[0].probe.kind = ProbeKind::Tcp;
            spec.pools[0].probe.path = Some("/".into());
        },
        "pools[0].probe.path",
        "asks for no page",
    );
    refused(|spec| spec.policies[0].order = Some(vec!["iowa".into()]), "policies[0].order", "has no order");
    refused(
        |spec| spec.policies[0].failback = Some(Failback::Manual),
        "policies[0].failback",
        "has no failback",
    );
    refused(|spec| spec.policies[0].steering = Steering::ActivePassive, "policies[0]", "needs an order");
    refused(
        |spec| spec.routes[0].pool = Some("wob".into()),
        "routes[0].pool",
        "no pool is named \"wob\" (there are web)",
    );
    refused(|spec| spec.routes[0].policy = Some("q".into()), "routes[0].policy", "no policy is named");
    refused(|spec| spec.routes[0].steering = Some(Steering::Geo), "routes[0].steering", "names a policy too");
    refused(|spec| spec.routes[0].hosts = vec!["a.*.test".into()], "routes[0].hosts[0]", "is no wildcard");
    refused(|spec| spec.routes[0].hosts = vec!["a.test:80".into()], "routes[0].hosts[0]", "has a port");
    refused(
        |spec| spec.routes[0].path_prefix = Some("api".into()),
        "routes[0].path_prefix",
        "beginning of a path",
    );
    refused(
        |spec| spec.routes[0].jurisdictions = vec!["EU".into()],
        "routes[0].jurisdictions",
        "no placement in EU",
    );
    refused(
        |spec| {
            let mut twin = spec.routes[0].clone();
            twin.name = "twin".into();
            spec.routes.push(twin);
        },
        "routes[1]",
        "serves the same host, path and conditions",
    );
}

#[test]
fn all_mistakes_are_named_at_once() {
    let found = defects(|spec| {
        spec.regions[0].latitude = 200.0;
        spec.regions[1].weight = 200;
        spec.pools[0].placements[0].origins = vec!["x".into(), "y".into()];
        spec.pools[0].placements[1].region = "mars".into();
        spec.policies[0].order = Some(vec!["mars".into()]);
        spec.routes[0].pool = Some("wob".into());
    });
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn an_empty_spec_names_what_is_missing() {
    let found = Table::compile(&Spec::default()).unwrap_err();
    let paths: Vec<String> = found.iter().map(|defect| defect.path.to_string()).collect();
    assert_eq!(paths, ["regions", "pools", "routes"]);
}

#[test]
fn routes_alike_share_a_lane_and_others_do_not() {
    let mut spec = spec(&REGIONS[..3], Steering::Nearest);
    for (name, jurisdictions) in [("b", vec![]), ("c", vec!["EU".to_owned()])] {
        let mut route = spec.routes[0].clone();
        route.name = name.into();
        route.path_prefix = Some(format!("/{name}"));
        route.jurisdictions = jurisdictions;
        spec.routes.push(route);
    }
    spec.regions[0].jurisdiction = Some("EU".to_owned());
    let table = Table::compile(&spec).unwrap();
    assert_eq!(table.lanes.len(), 2);
    assert_eq!(table.routes[0].forward().unwrap().lane, table.routes[1].forward().unwrap().lane);
    assert_eq!(table.lanes[1].candidates.len(), 1);
    assert_eq!(table.lanes[1].excluded.len(), 2);
}

#[test]
fn placement_and_region_combine_to_the_less_willing() {
    let mut spec = spec(&REGIONS[..2], Steering::Nearest);
    spec.regions[0].weight = 50;
    spec.pools[0].placements[0] =
        PlacementSpec { weight: 40, state: State::Drain, ..spec.pools[0].placements[0].clone() };
    spec.regions[1].state = State::Standby;
    let table = Table::compile(&spec).unwrap();
    let effective = steer::effective::Effective::of(&table, |_| Default::default());
    let [first, second] =
        [0, 1].map(|index| effective.of_placement(steer::ids::PlacementId::new(index).unwrap()));
    assert_eq!((first.state, first.dial), (State::Drain, 2000));
    assert_eq!((second.state, second.dial), (State::Standby, 10_000));
}

/// Refused with these words at this key, whatever the route is besides.
fn route_refused(change: impl FnOnce(&mut RouteSpec), path: &str, words: &str) {
    refused(|spec| change(&mut spec.routes[0]), path, words);
}

#[test]
fn a_grpc_probe_needs_http2_and_no_page() {
    let grpc = |spec: &mut Spec, protocol| {
        spec.pools[0].probe.kind = ProbeKind::Grpc;
        spec.pools[0].protocol = protocol;
    };
    refused(|spec| grpc(spec, Protocol::Auto), "pools[0].probe.kind", "speaks HTTP/2");
    refused(
        |spec| {
            grpc(spec, Protocol::Http2);
            spec.pools[0].probe.path = Some("/healthz".into());
        },
        "pools[0].probe.path",
        "a grpc probe has no path",
    );
    refused(|spec| spec.pools[0].probe.service = Some("x".into()), "pools[0].probe.service", "http probe");
    assert_eq!(defects(|spec| grpc(spec, Protocol::Http2)), [""; 0]);
}

#[test]
fn what_a_route_matches_must_make_sense() {
    let condition = |name: &str, value: Option<&str>, regex: Option<&str>, present| ConditionSpec {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        regex: regex.map(str::to_owned),
        present,
    };
    route_refused(
        |route| (route.path, route.path_regex) = (Some("/a".into()), Some("/b".into())),
        "routes[0].path_regex",
        "has path too",
    );
    route_refused(|route| route.path_regex = Some("/(".into()), "routes[0].path_regex", "unclosed group");
    route_refused(|route| route.path = Some("a".into()), "routes[0].path", "is not a path");
    route_refused(|route| route.methods = vec!["get".into()], "routes[0].methods[0]", "in capitals");
    route_refused(|route| route.methods = vec!["TRACE".into()], "routes[0].methods[0]", "never served");
    route_refused(
        |route| route.headers = vec![condition("x a", None, None, true)],
        "routes[0].headers[0].name",
        "not the name",
    );
    route_refused(
        |route| route.query = vec![condition("a", Some("1"), None, false)],
        "routes[0].query[0]",
        "only one can hold",
    );
    route_refused(
        |route| route.query = vec![condition("a", None, Some("["), true)],
        "routes[0].query[0].regex",
        "not a regular expression",
    );
    route_refused(|route| route.hosts = vec!["*a.test".into()], "routes[0].hosts[0]", "no wildcard");
}

#[test]
fn what_a_route_does_must_make_sense() {
    let rules = |name: &str, value: &str| HeaderRulesSpec {
        set: [(name.to_owned(), value.to_owned())].into(),
        ..HeaderRulesSpec::default()
    };
    let to_https = || RedirectSpec { scheme: Some(Scheme::Https), ..RedirectSpec::default() };
    route_refused(|route| route.pool = None, "routes[0]", "no pool");
    route_refused(|route| route.redirect = Some(to_https()), "routes[0].redirect", "has pool too");
    route_refused(
        |route| (route.pool, route.redirect) = (None, Some(to_https())),
        "routes[0].policy",
        "policy means nothing",
    );
    route_refused(
        |route| {
            (route.pool, route.policy) = (None, None);
            route.redirect = Some(RedirectSpec::default());
        },
        "routes[0].redirect",
        "where they are",
    );
    route_refused(
        |route| {
            (route.pool, route.policy) = (None, None);
            route.respond = Some(RespondSpec { status: 204, body: "x".into(), ..RespondSpec::default() });
        },
        "routes[0].respond.body",
        "has no body",
    );
    for name in ["Host", "content-length", "CDN-Loop", "x-nearside-region"] {
        let path = format!("routes[0].request_headers.set.{name}");
        route_refused(|route| route.request_headers = Some(rules(name, "1")), &path, "not for rules");
    }
    route_refused(
        |route| route.response_headers = Some(rules("x-a", "1\r\nx-b: 2")),
        "routes[0].response_headers.set.x-a",
        "not the value",
    );
    route_refused(
        |route| {
            let prefix = Some("/v2".to_owned());
            (route.path, route.rewrite) =
                (Some("/a".into()), Some(RewriteSpec { prefix, ..RewriteSpec::default() }));
        },
        "routes[0].rewrite.prefix",
        "no path_prefix",
    );
    route_refused(
        |route| route.rewrite = Some(RewriteSpec { host: Some("a b".into()), ..RewriteSpec::default() }),
        "routes[0].rewrite.host",
        "not a host",
    );
    route_refused(
        |route| route.timeouts = Some(TimeoutsSpec { total: Some(Span::ZERO), ..TimeoutsSpec::default() }),
        "routes[0].timeouts.total",
        "between 1ms and 24h",
    );
}

#[test]
fn what_is_sent_again_must_make_sense() {
    let refused = |spec: RetrySpec, key: &str, words: &str| {
        route_refused(|route| route.retry = Some(spec), &format!("routes[0].retry.{key}"), words);
    };
    let usual = RetrySpec::default;
    for attempts in [0, 6] {
        refused(RetrySpec { attempts, ..usual() }, "attempts", "between 1 and 5");
    }
    refused(RetrySpec { statuses: vec![503, 429], ..usual() }, "statuses[1]", "between 500 and 599");
    refused(RetrySpec { statuses: vec![503, 503], ..usual() }, "statuses[1]", "twice");
    refused(RetrySpec { statuses: (500..517).collect(), ..usual() }, "statuses", "17 statuses");
    refused(RetrySpec { replay_bytes: Some(1 << 21), ..usual() }, "replay_bytes", "more than 1048576");
    let once = || RetrySpec { attempts: 1, ..usual() };
    refused(RetrySpec { idempotent_methods: true, ..once() }, "idempotent_methods", "with one attempt");
    refused(RetrySpec { idempotency_key: KeyScope::Region, ..once() }, "idempotency_key", "with one attempt");
    refused(RetrySpec { scope: RetryScope::Region, ..once() }, "scope", "with one attempt");
    refused(RetrySpec { replay_bytes: Some(1), ..once() }, "replay_bytes", "with one attempt");
    route_refused(
        |route| {
            (route.pool, route.policy) = (None, None);
            (route.redirect, route.retry) = (
                Some(RedirectSpec { scheme: Some(Scheme::Https), ..RedirectSpec::default() }),
                Some(usual()),
            );
        },
        "routes[0].retry",
        "retry means nothing",
    );
}

#[test]
fn what_a_route_says_of_retries_is_what_its_table_says() {
    let mut spec = spec(&REGIONS[..2], Steering::Nearest);
    let compiled = |spec: &Spec| {
        let table = Table::compile(spec).unwrap();
        (table.routes[0].forward().unwrap().retry.clone(), table.pools[0].budgets)
    };
    assert_eq!(compiled(&spec), Default::default(), "by default");
    spec.routes[0].retry = Some(RetrySpec::default());
    assert_eq!(compiled(&spec), Default::default(), "written as the default");
    spec.routes[0].retry = Some(RetrySpec {
        attempts: 5,
        statuses: vec![503, 500],
        idempotent_methods: true,
        idempotency_key: KeyScope::Global,
        scope: RetryScope::Region,
        replay_bytes: Some(0),
        hedge: false,
    });
    spec.pools[0].retry_budget = RetryBudgetSpec { percent: 1, per_second: 2, hedge_percent: 3 };
    let retry = Retry {
        attempts: 5,
        statuses: vec![500, 503],
        idempotent_methods: true,
        idempotency_key: KeyScope::Global,
        scope: RetryScope::Region,
        replay_bytes: Some(0),
        hedge: false,
    };
    assert_eq!(compiled(&spec), (retry, Budgets { retry_percent: 1, retry_per_second: 2, hedge_percent: 3 }));
}

#[test]
fn budgets_are_bounded() {
    let refused = |budget: RetryBudgetSpec, key: &str| {
        let path = format!("pools[0].retry_budget.{key}");
        refused(|spec| spec.pools[0].retry_budget = budget, &path, "more than");
    };
    let usual = RetryBudgetSpec::default;
    refused(RetryBudgetSpec { percent: 101, ..usual() }, "percent");
    refused(RetryBudgetSpec { per_second: 1001, ..usual() }, "per_second");
    refused(RetryBudgetSpec { hedge_percent: 51, ..usual() }, "hedge_percent");
}
