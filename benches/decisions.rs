//! What it costs to write a decision down: taken at a worker's desk, beside the same decision that leaves nothing behind.
//!
//! The difference is copying what was observed, the record of some 200 bytes, and its place in the ring. With several origins
//! the choice between them is in both.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use control::clock::Clock;
use control::decisions::{Asking, Decisions, request_hash};
use control::publisher::{Draft, Publisher};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use nearside_benches::clients;
use steer::decide::decide;
use steer::draw::Rng;
use steer::geo::{Place, Point};
use steer::ids::{LaneId, RouteId};
use steer::pick::{Belongs, OriginView, pick_in};
use steer::ranking::Ranked;
use steer::signals::{Health, Observed};
use steer::{Moment, Pop};

fn table(regions: usize, origins: usize) -> String {
    let mut text = String::new();
    for index in 0..regions {
        let (latitude, longitude) = ((index * 37) % 140, (index * 83) % 340);
        let (latitude, longitude) = (latitude as f64 - 70.0, longitude as f64 - 170.0);
        let _ = writeln!(
            text,
            "[[regions]]\nname = \"r{index}\"\nlatitude = {latitude:?}\nlongitude = {longitude:?}"
        );
    }
    text.push_str("[[routes]]\nname = \"all\"\nhosts = [\"www.example.com\"]\npool = \"web\"\n[[pools]]\nname = \"web\"\n");
    for index in 0..regions {
        let origins: Vec<String> = (0..origins)
            .map(|origin| format!("\"10.{}.{}.{origin}:80\"", index / 250, index % 250))
            .collect();
        let _ =
            writeln!(text, "[[pools.placements]]\nregion = \"r{index}\"\norigins = [{}]", origins.join(", "));
    }
    text
}

fn publisher(regions: usize, origins: usize) -> Publisher {
    let [source, author, reason] = ["bench", "bench", "bench"].map(str::to_owned);
    let draft = Draft { text: table(regions, origins), source, author, reason };
    let pop = Pop { point: Some(Point::of(Place { latitude: 50.1, longitude: 8.7 })), country: None };
    let publisher = Publisher::start(draft, pop, 1, Clock::start(), Arc::new(|_| Vec::new()));
    let publisher = publisher.expect("the bench's table is valid");
    publisher.rank(|table, pop| {
        let from = pop.point.expect("it has a place");
        let ms = |point| steer::geo::expected_rtt_ms(from.km_to(point));
        let ranked = |ms| Ranked { latency_ms: Some(ms), rise_ms: 0.0, measured: true };
        table.regions.iter().map(|region| ranked(ms(&region.point))).collect()
    });
    for placement in &publisher.snapshot().vitals.placements {
        publisher.observe(&placement.key, Observed::plain(Health::Up));
    }
    publisher
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    for (regions, origins) in [(3, 1), (12, 1), (12, 4), (50, 1), (300, 1)] {
        let publisher = publisher(regions, origins);
        let snapshot = publisher.snapshot();
        let table = snapshot.table();
        let (lane, route) = (LaneId::default(), RouteId::default());
        let clients = clients(&snapshot.ranking.pop);
        let next = RefCell::new(clients.iter().cycle());
        let client = || next.borrow_mut().next().expect("a cycle does not end");
        let size = format!("{regions} regions of {origins}");
        let mut rng = Rng::new(1);
        let now = publisher.clock().now();
        group.bench_function(BenchmarkId::new("taken", &size), |bencher| {
            bencher.iter(|| {
                let decision = decide(&snapshot.world(), lane, black_box(client()), &mut ());
                let first = decision.expect("all are up").first;
                let view = |_| OriginView { trusted: true, tried: false };
                let load = |origin: steer::ids::OriginId| {
                    let cells = snapshot.vitals.origins[origin.index()].cells(0);
                    cells.ewma().load(now, 10.0, cells.in_flight())
                };
                black_box(pick_in(table, first, Belongs::Anywhere, view, load, &mut rng))
            });
        });
        let decisions = Decisions::new(1, 64 << 20, publisher.clock().wall());
        let mut desk = decisions.desk(0).expect("it is the first");
        let id = [7; 32];
        group.bench_function(BenchmarkId::new("taken and written down", &size), |bencher| {
            bencher.iter(|| {
                let request = request_hash(black_box(&id));
                let at = Moment::from_nanos(now.as_nanos());
                let client = black_box(client());
                let asking = Asking { at, request, route, lane, client, belongs: Belongs::Anywhere };
                black_box(desk.decide(&snapshot, &asking, None, &mut rng))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
