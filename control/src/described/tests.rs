use jsonschema::Validator;
use serde::Serialize;
use serde_json::{Value, json};
use steer::guard;
use steer::spec;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::*;

/// Judges by a description, with all that it refers to.
fn validator<T: ToSchema>() -> Validator {
    let mut components: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut components);
    let mut schema = serde_json::to_value(T::schema()).unwrap();
    let found = components.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap()));
    schema["components"] = json!({"schemas": found.collect::<serde_json::Map<String, Value>>()});
    jsonschema::validator_for(&schema).unwrap()
}

fn all<T: ToSchema, S: Serialize>(real: &[S]) {
    let validator = validator::<T>();
    for real in real {
        let written = serde_json::to_value(real).unwrap();
        assert!(validator.is_valid(&written), "{written} is not described by {}", T::name());
    }
    for wrong in [json!("no such thing!"), json!(7), json!({}), json!(null)] {
        assert!(!validator.is_valid(&wrong), "{wrong} is described by {}", T::name());
    }
}

#[test]
fn what_is_described_is_what_is_written() {
    use spec::State as S;
    all::<State, _>(&[S::Active, S::Standby, S::Drain, S::Off]);
    all::<Forced, _>(&[steer::effective::Forced::Up, steer::effective::Forced::Down]);
    use spec::Steering as By;
    all::<Steering, _>(&[By::Nearest, By::Latency, By::Geo, By::Weighted, By::ActivePassive]);
    all::<OnAllDown, _>(&[spec::OnAllDown::TryLeastBad, spec::OnAllDown::FailFast]);
    all::<Protocol, _>(&[spec::Protocol::Auto, spec::Protocol::Http1, spec::Protocol::Http2]);
    all::<ProbeKind, _>(&[spec::ProbeKind::Http, spec::ProbeKind::Grpc, spec::ProbeKind::Tcp]);
    let spans = ["250ms", "10s", "5m", "2h"].map(|span| span.parse::<steer::Span>().unwrap());
    all::<Span, _>(&spans);
    all::<Country, _>(&["DE", "XX"].map(|code| code.parse::<steer::geo::Country>().unwrap()));
    all::<Place, _>(&[steer::geo::Place { latitude: 50.11, longitude: 8.68 }]);
    all::<Name, _>(&["app", "eu-west.1", "0"].map(spec::Name::from));
    let unusable = guard::Unusable { region: "eu".to_owned(), why: "off".to_owned() };
    all::<Unusable, _>(std::slice::from_ref(&unusable));
    all::<Violation, _>(&[
        guard::Violation::NothingUsable {
            pool: "app".to_owned(),
            routes: vec!["app".to_owned()],
            more_routes: 0,
            before: vec!["eu".to_owned()],
            after: vec![unusable],
        },
        guard::Violation::MoreThanHalf {
            pool: "app".to_owned(),
            routes: vec!["all".to_owned()],
            more_routes: 0,
            before: 200.0,
            after: 50.0,
        },
        guard::Violation::NoRoom { pool: "app".to_owned(), region: "eu".to_owned(), before: 7, after: 3 },
    ]);
}
