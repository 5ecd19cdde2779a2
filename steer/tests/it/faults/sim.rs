//! One edge, its clients and its origins in virtual time: the parts, and what happens next.
//!
//! Decisions, health, budgets, estimates and rankings are the ones of `steer`. What the proxy adds (the loop of a request, the
//! rounds of the prober, who tells whom) is modelled after it; what that leaves out are processors, threads and sockets.

use steer::client::Client;
use steer::decide::World;
use steer::effective::Effective;
use steer::health::OriginHealth;
use steer::ids::{LaneId, OriginId, PlacementId};
use steer::ranking::{Ranked, Ranking};
use steer::retry::{Budgets, Retry};
use steer::signals::{Observed, Signals};
use steer::{Moment, Pop, Span, Table};

use super::attempts::{Attempt, Ended};
use super::clients::{Clients, Due};
use super::dice::Dice;
use super::network::{Behaviour, Network, Way};
use super::options::{Flaw, Options, REGIONS, table};
use super::prober::{Failure, Prober};
use super::questions::Step;
use super::queue::Queue;
use super::record::Record;
use super::requests::Request;
use super::workers::Worker;

/// Between what one thread does and another notices.
const HAND_OVER: Span = Span::from_nanos(100_000);
const WORKERS: u32 = 2;

/// What may happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Arrival(Due),
    /// A new connection of an attempt was made, or not.
    Connected {
        attempt: usize,
        stamp: u32,
        how: Ended,
    },
    /// What an attempt asked for has come back.
    Answered {
        attempt: usize,
        stamp: u32,
        how: Ended,
    },
    /// A request looks up.
    Alarm {
        request: usize,
        stamp: u32,
    },
    /// Workers notice that the health of a placement has changed.
    Trouble,
    /// Workers notice that an origin's unused connections are closed.
    Closed {
        origin: usize,
    },
    /// The prober is told of a failed attempt.
    Failed(Failure),
    /// An answer broke off.
    BrokeOff {
        attempt: usize,
    },
    Round {
        origin: usize,
        stamp: u32,
    },
    Burst {
        origin: usize,
        number: usize,
    },
    WarmOpened {
        origin: usize,
        number: Option<u64>,
    },
    Probe {
        question: u64,
        step: Step,
    },
    ProbeDue {
        question: u64,
        due: Moment,
    },
    ProbeForgotten {
        question: u64,
    },
    Look,
    HealthTick,
    Ranking,
    References,
    ReferenceHeard,
}

/// What workers see of health.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) observed: Vec<Observed>,
    pub(super) origins: Vec<OriginHealth>,
    pub(super) last_success: Vec<Option<Moment>>,
}

impl Signals for Board {
    fn observed(&self, placement: PlacementId) -> Observed {
        self.observed[placement.index()]
    }

    fn in_flight(&self, _: PlacementId) -> u32 {
        0
    }

    fn last_success(&self, placement: PlacementId) -> Option<Moment> {
        self.last_success[placement.index()]
    }
}

pub(super) struct Sim {
    pub(super) now: Moment,
    pub(super) options: Options,
    pub(super) queue: Queue,
    pub(super) table: Table,
    effective: Effective,
    pub(super) ranking: Ranking,
    pub(super) board: Board,
    pub(super) network: Network,
    clients: Clients,
    pub(super) edge_dice: Dice,
    pub(super) retry: Retry,
    pub(super) budgets: Budgets,
    pub(super) workers: Vec<Worker>,
    pub(super) requests: Vec<Request>,
    pub(super) attempts: Vec<Attempt>,
    /// Late requests, which want to know of changes of health.
    pub(super) listening: Vec<usize>,
    pub(super) prober: Prober,
    pub(super) record: Record,
}

impl Sim {
    /// A world whose origins behave as `timeline` says of each region and origin, until `end`.
    pub(super) fn new(
        seed: u64,
        options: Options,
        end: Moment,
        timeline: impl Fn(usize, usize) -> Vec<(Moment, Behaviour)>,
    ) -> Self {
        let table = table(&options);
        let effective = Effective::of(&table, |_| steer::effective::Override::default());
        let mut ways = Vec::new();
        for region in options.regions.clone() {
            for origin in 0..options.origins[region] {
                let mut timeline = timeline(region, origin);
                timeline.insert(0, (Moment::default(), Behaviour::Well));
                ways.push(Way {
                    rtt_ms: REGIONS[region].1,
                    timeline,
                    loss: options.loss,
                    bursts: options.bursts,
                    losing: false,
                });
            }
        }
        let (origins, placements) = (table.origins.len(), table.placements.len());
        let mut sim = Self {
            now: Moment::from_millis(1),
            queue: Queue::default(),
            ranking: Ranking {
                number: 0,
                pop: Pop::default(),
                regions: vec![Ranked::default(); table.regions.len()],
                excesses: Vec::new(),
            },
            board: Board {
                observed: vec![Observed::UNKNOWN; placements],
                origins: vec![OriginHealth::Unknown; origins],
                last_success: vec![None; placements],
            },
            clients: Clients::new(seed, options.networks, options.per_second, end),
            edge_dice: Dice::new(seed, "edge"),
            retry: table.routes[0].forward().unwrap().retry.clone(),
            budgets: table.pools[0].budgets,
            workers: (0..WORKERS).map(|index| Worker::new(index, origins, placements)).collect(),
            requests: Vec::new(),
            attempts: Vec::new(),
            listening: Vec::new(),
            prober: Prober::new(&table, &options, seed),
            record: Record::default(),
            network: Network::new(ways, options.retry_after, seed),
            table,
            effective,
            options,
        };
        sim.set_going();
        sim
    }

    fn set_going(&mut self) {
        for origin in 0..self.network.ways.len() {
            let half = Span::from_millis_f64(self.network.half_ms(origin));
            let refusals = self.network.ways[origin].timeline.clone();
            for (at, _) in refusals.iter().filter(|(_, behaviour)| *behaviour == Behaviour::Refusing) {
                self.queue.push(*at + half, Event::Closed { origin });
            }
            self.queue.push(self.now, Event::Round { origin, stamp: 0 });
        }
        for event in [Event::Look, Event::HealthTick, Event::Ranking, Event::References] {
            self.queue.push(self.now, event);
        }
        self.expect_client();
    }

    fn expect_client(&mut self) {
        if let Some(due) = self.clients.next(self.now) {
            self.queue.push(due.at, Event::Arrival(due));
        }
    }

    /// Lets time pass.
    pub(super) fn run_until(&mut self, end: Moment) {
        while let Some((at, event)) = self.queue.pop() {
            if at > end {
                self.queue.push(at, event);
                break;
            }
            if event.is_the_probers() && self.postpone(at, &event) {
                let at = self.prober.pause_ends(&event);
                self.queue.push(at, event);
                continue;
            }
            self.now = at;
            self.happens(event);
        }
        self.now = end;
    }

    fn postpone(&mut self, at: Moment, event: &Event) -> bool {
        self.prober.is_paused(at) && self.prober.pause_ends(event) > at
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrival(due) => {
                self.arrived(due);
                self.expect_client();
            }
            Event::Connected { attempt, stamp, how } => self.connected(attempt, stamp, how),
            Event::Answered { attempt, stamp, how } => self.answered(attempt, stamp, how),
            Event::Alarm { request, stamp } => self.alarm(request, stamp),
            Event::Trouble => self.trouble(),
            Event::Closed { origin } => self.workers.iter_mut().for_each(|worker| worker.forget_idle(origin)),
            Event::BrokeOff { attempt } => self.broke_off(attempt),
            Event::Failed(failure) => self.keeper_failed(&failure),
            Event::Round { origin, stamp } => self.round(origin, stamp),
            Event::Burst { origin, number } => self.burst(origin, number),
            Event::WarmOpened { origin, number } => self.prober.asked[origin].opened_warm(number),
            Event::Probe { question, step } => self.probe_step(question, step),
            Event::ProbeDue { question, due } => self.probe_due(question, due),
            Event::ProbeForgotten { question } => self.probe_forgotten(question),
            Event::Look => self.look(),
            Event::HealthTick => self.health_tick(),
            Event::Ranking => self.ranking_tick(),
            Event::References => self.ask_references(),
            Event::ReferenceHeard => self.heard_at(self.now),
        }
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.options.flaw == Some(flaw)
    }

    pub(super) fn after(&mut self, span: Span, event: Event) {
        self.queue.push(self.now + span, event);
    }

    /// Tells another thread.
    pub(super) fn hand_over(&mut self, event: Event) {
        self.after(HAND_OVER, event);
    }

    pub(super) fn placement_of(&self, origin: usize) -> usize {
        self.table.origins[origin].placement.index()
    }

    pub(super) fn region_of(&self, origin: usize) -> usize {
        self.options.regions.start + self.placement_of(origin)
    }

    pub(super) fn latency_ms(&self, placement: usize) -> Option<f64> {
        let region = self.table.placements[placement].region;
        self.ranking.regions[region.index()].latency_ms
    }

    pub(super) fn with_world<T>(
        &self,
        client: u64,
        with: impl FnOnce(&World<'_, Board>, LaneId, &Client) -> T,
    ) -> T {
        let world = World {
            table: &self.table,
            effective: &self.effective,
            ranking: &self.ranking,
            incumbents: &[],
            drill: None,
            signals: &self.board,
        };
        with(&world, LaneId::default(), &Client::unknown(client))
    }
}

impl Event {
    const fn is_the_probers(&self) -> bool {
        !matches!(
            self,
            Self::Arrival(_)
                | Self::Connected { .. }
                | Self::Answered { .. }
                | Self::Alarm { .. }
                | Self::Trouble
                | Self::Closed { .. }
                | Self::BrokeOff { .. }
        )
    }

    /// Whether it is a timer's, not somebody's word.
    pub(super) const fn is_timer(&self) -> bool {
        matches!(self, Self::Round { .. } | Self::Burst { .. } | Self::ProbeDue { .. } | Self::Look)
    }
}

pub(super) fn origin_id(index: usize) -> OriginId {
    OriginId::new(index).unwrap()
}
