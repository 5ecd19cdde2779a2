//! What it costs to publish a large table: reading its text, compiling it, asking the guard, and making it current.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use control::clock::Clock;
use control::document;
use control::effect::refused;
use control::overlay::{OverridePatch, Target};
use control::publisher::{Draft, Publisher, Step};
use control::version::{About, Version};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use steer::client::Pop;
use steer::{Span, Spec, Table};

const REGIONS: usize = 300;
const ORIGINS: usize = 3_000;
const ROUTES: usize = 10_000;

/// The text of a table: pools of ten regions each, routes over a hundredth as many hosts.
fn text() -> String {
    let (mut text, each) = (String::new(), ORIGINS / REGIONS);
    for region in 0..REGIONS {
        let (latitude, longitude) = ((region * 37) % 140, (region * 83) % 340);
        let _ = writeln!(
            text,
            "[[regions]]\nname = \"region-{region}\"\nlatitude = {}.5\nlongitude = {}.5",
            latitude as i64 - 70,
            longitude as i64 - 170
        );
    }
    let _ = writeln!(text, "[[pools]]\nname = \"web\"");
    for region in 0..REGIONS {
        let origins: Vec<String> = (0..each)
            .map(|origin| format!("\"10.{}.{}.{origin}:8080\"", region / 250, region % 250))
            .collect();
        let _ = writeln!(
            text,
            "[[pools.placements]]\nregion = \"region-{region}\"\norigins = [{}]",
            origins.join(", ")
        );
    }
    for route in 0..ROUTES {
        let (host, path) = (route / 100, route % 100);
        let _ = writeln!(
            text,
            "[[routes]]\nname = \"route-{route}\"\nhosts = [\"host-{host}.example.com\"]\npath_prefix = \"/service-{path}\"\n\
             pool = \"web\""
        );
    }
    text
}

fn draft(text: &str) -> Draft {
    let (source, author, reason) = ("bench".to_owned(), "bench".to_owned(), "bench".to_owned());
    Draft { text: text.to_owned(), source, author, reason }
}

/// Expires at a moment of its own.
fn weight(region: usize) -> OverridePatch {
    OverridePatch {
        target: Target::Region(format!("region-{region}")),
        weight: Some(Some(90)),
        state: None,
        health: None,
        over: None,
        expires_in: Some(Span::from_secs(600 + 10 * region as u64)),
        author: "bench".to_owned(),
        reason: "bench".to_owned(),
    }
}

fn publish(criterion: &mut Criterion) {
    let text = text();
    let none = |_: &str| None;
    let read = |text: &str| document::read("bench", text, &none, |spec: Spec| Ok(spec));
    let spec = read(&text).expect("the bench's table is valid");
    let start = Publisher::start(draft(&text), Pop::default(), 2, Clock::start(), Arc::new(|_| Vec::new()));
    let publisher = start.expect("the bench's table is valid");
    let mut about = publisher.snapshot().version.about.clone();
    let name = format!("{REGIONS} regions {ORIGINS} origins {ROUTES} routes");
    let mut group = criterion.benchmark_group("publish");
    group.sample_size(20);
    group.bench_function(format!("read {name}"), |bencher| {
        bencher.iter(|| read(black_box(&text)).expect("the bench's table is valid"));
    });
    group.bench_function(format!("compile {name}"), |bencher| {
        bencher.iter(|| Table::compile(black_box(&spec)).expect("the bench's spec is valid"));
    });
    group.bench_function(format!("read and compile {name}"), |bencher| {
        bencher.iter(|| publisher.compiled(draft(&text), 2).expect("the bench's table is valid"));
    });
    // One moment, and then as many as it looks at.
    for expiring in [0, 32] {
        for region in 0..expiring {
            publisher.patch(weight(region)).expect("the bench's override is valid");
        }
        let before = publisher.snapshot();
        let table = Table::compile(&spec).expect("the bench's spec is valid");
        let next = Version { about: about.clone(), text: text.clone(), table: Arc::new(table) };
        let after = publisher.stepped(&before, &Step::Table(Arc::new(next)));
        group.bench_function(format!("guard {name}, {expiring} overrides that expire"), |bencher| {
            bencher.iter(|| refused(black_box(&before), black_box(&after)));
        });
    }
    // Another table each time, as a publish brings one: the same one again would let nothing old go. Compiling it is
    // not measured and takes longer, hence the short time.
    group.measurement_time(Duration::from_secs(1));
    group.bench_function(format!("make current {name}"), |bencher| {
        let next = || {
            about = About { version: about.version + 1, ..about.clone() };
            let table = Table::compile(&spec).expect("the bench's spec is valid");
            Arc::new(Version { about: about.clone(), text: text.clone(), table: Arc::new(table) })
        };
        let adopt = |version| publisher.adopt(black_box(&[Step::Table(version)]));
        bencher.iter_batched(next, adopt, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
