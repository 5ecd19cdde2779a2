//! What worlds differ in: their regions and origins, their clients, and what is done wrong in them.

use steer::spec::{KeyScope, PlacementSpec, RetrySpec, Spec, Steering};
use steer::{Span, Table};

/// Name and round trip in ms. The first is everybody's nearest, and the one that most faults hit.
pub(super) const REGIONS: [(&str, f64); 3] = [("near", 5.0), ("middle", 30.0), ("far", 80.0)];
/// The region that faults hit.
pub(super) const HIT: usize = 0;
/// Something that is switched off or done wrong, to see that the laws notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flaw {
    /// No second attempt beside a late one, whether its placement is doubted or not.
    OneAttemptAtATime,
    /// A second attempt that waits in a doubted placement is waited for.
    SecondStays,
    /// A request leaves an attempt wherever it may go from there, and as if it had been sent.
    LeavesBlindly,
    /// What was asked in an outage of the uplink counts as lost once that is over.
    OutageIsForgotten,
    /// A gateway's error counts as service, which contradicts lost probes.
    ErrorsAreService,
    NoAccrual,
    /// POSTs are repeated as if they were GETs.
    PostsAreSafe,
    /// Repetitions are not counted.
    NoBudget,
}

/// What differs between worlds.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) flaw: Option<Flaw>,
    pub(super) per_second: f64,
    pub(super) networks: u32,
    pub(super) origins: [usize; REGIONS.len()],
    /// How many of the regions there are.
    pub(super) regions: std::ops::Range<usize>,
    /// Whether references are configured, and answer.
    pub(super) references: Option<bool>,
    /// 503s say when to come back.
    pub(super) retry_after: bool,
    pub(super) ramp_delay: Span,
    /// The share of probes that is lost, and the share of those that take the next one along.
    pub(super) loss: f64,
    pub(super) bursts: f64,
    /// Pauses of the prober's thread an hour.
    pub(super) pauses_an_hour: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flaw: None,
            per_second: 500.0,
            networks: 400,
            origins: [1; REGIONS.len()],
            regions: 0..REGIONS.len(),
            references: None,
            retry_after: false,
            ramp_delay: Span::ZERO,
            loss: 0.0,
            bursts: 0.0,
            pauses_an_hour: 0.0,
        }
    }
}

/// One pool in all regions, one route; keys of requests are known within a region.
pub(super) fn table(options: &Options) -> Table {
    let regions: Vec<(&str, f64, f64)> =
        options.regions.clone().map(|region| (REGIONS[region].0, 0.0, region as f64)).collect();
    let mut spec: Spec = crate::world::spec(&regions, Steering::Latency);
    spec.pools[0].probe.interval = Span::from_millis(50);
    for (placement, region) in spec.pools[0].placements.iter_mut().zip(options.regions.clone()) {
        let origins = (0..options.origins[region]).map(|origin| format!("10.0.{region}.{origin}:80"));
        *placement = PlacementSpec { origins: origins.collect(), ..placement.clone() };
    }
    spec.routes[0].retry = Some(RetrySpec { idempotency_key: KeyScope::Region, ..RetrySpec::default() });
    Table::compile(&spec).unwrap_or_else(|defects| panic!("{defects:?}"))
}
