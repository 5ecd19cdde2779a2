//! What one decision costs: route match, filters, ranking, dial and plan; locating the client is not in it.
//!
//! The bound is 300 ns with 12 regions and 100 routes. The other sizes show how it grows.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use nearside_benches::{AllUp, clients, ranking, spec};
use steer::effective::{Effective, Override};
use steer::matching::RequestHead;
use steer::{Client, Table, World, decide};

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for (regions, routes) in [(3, 10), (12, 100), (50, 1_000), (300, 10_000)] {
        let table = Table::compile(&spec(regions, routes)).expect("the bench's spec is valid");
        let (ranking, signals) = (ranking(&table), AllUp::of(&table));
        for (weights, weight) in [("full", None), ("half", Some(50))] {
            let effective = Effective::of(&table, |_| Override { weight, ..Override::default() });
            let world = World {
                table: &table,
                effective: &effective,
                ranking: &ranking,
                incumbents: &[],
                drill: None,
                signals: &signals,
            };
            let requests: Vec<(String, String, Client)> = clients(&ranking.pop)
                .into_iter()
                .enumerate()
                .map(|(index, client)| {
                    let route = index * routes / 64;
                    let host = format!("host-{}.example.com", route / 100);
                    (host, format!("/service-{}/users/17?q=1", route % 100), client)
                })
                .collect();
            let mut next = 0;
            let id = BenchmarkId::new(format!("{regions} regions {routes} routes"), weights);
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    next = (next + 1) % requests.len();
                    let (host, path, client) = &requests[next];
                    let head = RequestHead::get(black_box(host), black_box(path));
                    let route = table.router.find(&head).expect("every request has a route");
                    let forward = table.route(route).forward().expect("every route has a pool");
                    black_box(decide(&world, forward.lane, black_box(client), &mut ()).map(|it| it.first))
                });
            });
        }
    }
    group.finish();
}

fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(20);
    for (regions, routes) in [(12, 100), (300, 10_000)] {
        let spec = spec(regions, routes);
        group.bench_function(format!("{regions} regions {routes} routes"), |bencher| {
            bencher.iter(|| Table::compile(black_box(&spec)).expect("the bench's spec is valid"));
        });
    }
    group.finish();
}

criterion_group!(benches, decisions, compile);
criterion_main!(benches);
