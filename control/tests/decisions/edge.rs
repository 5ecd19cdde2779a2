//! An edge that decides as a worker does while everything changes, and explains its decisions later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use control::clock::Clock;
use control::decisions::{Asking, Decided, DecisionId, Decisions, Desk, Placed, Tries, request_hash};
use control::drill::DrillDraft;
use control::explain::{Explanation, recall};
use control::overlay::{OverridePatch, Target};
use control::publisher::{Draft, Publisher, Step};
use control::vitals::OriginVitals;
use steer::Span;
use steer::attempt::Reach;
use steer::choice::Nowhere;
use steer::client::Pop;
use steer::decide::Basis;
use steer::draw::Rng;
use steer::effective::Forced;
use steer::geo::Point;
use steer::health::{Excess, OriginHealth};
use steer::ids::{PlacementId, RouteId};
use steer::pick::Belongs;
use steer::ranking::Ranked;
use steer::spec::State;

use super::dice::Dice;

fn draft(text: String) -> Draft {
    Draft { text, source: "t".to_owned(), author: "a".to_owned(), reason: "r".to_owned() }
}

pub(super) struct Edge {
    pub(super) publisher: Arc<Publisher>,
    pub(super) decisions: Decisions,
    desk: Desk,
    rng: Rng,
    /// What was decided and is not yet explained.
    pub(super) waiting: VecDeque<(DecisionId, Decided, Names)>,
    pub(super) seen: BTreeMap<&'static str, usize>,
}

/// What the live choice is called.
pub(super) struct Names {
    region: Option<String>,
    origin: Option<String>,
    inputs: (u64, u64, u64),
    is_first: bool,
}

impl Edge {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let pop =
            Pop { point: (!dice.one_in(4)).then(|| Point::of(dice.place())), country: "DE".parse().ok() };
        let clock = Clock::start();
        let decisions = Decisions::new(2, 1 << 20, clock.wall());
        let publisher = loop {
            let text = dice.table();
            match Publisher::start(draft(text.clone()), pop.clone(), 2, clock, Arc::new(|_| Vec::new())) {
                Ok(publisher) => break publisher,
                // A table in which nobody may serve a route is refused.
                Err(findings) => {
                    assert!(findings.iter().all(|it| it.key.starts_with("routes")), "{findings:?}\n{text}");
                }
            }
        };
        let desk = decisions.desk(1).unwrap();
        let rng = Rng::new(dice.0.next_u64());
        Self {
            publisher: Arc::new(publisher),
            decisions,
            desk,
            rng,
            waiting: VecDeque::new(),
            seen: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Something changes.
    pub(super) fn disturb(&mut self, dice: &mut Dice) {
        let snapshot = self.publisher.snapshot();
        let table = snapshot.table();
        let origin = &snapshot.vitals.origins[dice.0.below(table.origins.len() as u32) as usize];
        let placement = &snapshot.vitals.placements[dice.0.below(table.placements.len() as u32) as usize];
        let region = table.regions[dice.0.below(table.regions.len() as u32) as usize].name.clone();
        match dice.0.below(1000) {
            0..2 => {
                if self.publisher.publish(draft(dice.table())).is_ok() {
                    self.count("publish");
                }
            }
            2..10 => self.publisher.place_pop(Pop { point: Some(Point::of(dice.place())), country: None }),
            10..140 => {
                let key = &placement.key;
                let (target, kind) = match dice.one_in(2) {
                    true => (Target::Region(region), "region overridden"),
                    false => {
                        let (pool, region) = (key.pool.clone(), key.region.clone());
                        (Target::Placement { pool, region }, "placement overridden")
                    }
                };
                let mut patch = OverridePatch {
                    target,
                    health: dice.of(&[None, Some(None), Some(Some(Forced::Up)), Some(Some(Forced::Down))]),
                    over: None,
                    weight: dice.of(&[None, Some(None), Some(Some(0)), Some(Some(40)), Some(Some(100))]),
                    state: dice.of(&[
                        None,
                        Some(None),
                        Some(Some(State::Drain)),
                        Some(Some(State::Active)),
                        Some(Some(State::Standby)),
                    ]),
                    author: "a".to_owned(),
                    reason: "r".to_owned(),
                    expires_in: dice.of(&[None, None, None, Some(Span::from_millis(30))]),
                };
                if dice.one_in(3) {
                    // A weight or a drain on its way.
                    let over = Span::from_millis(u64::from(1 + dice.0.below(2000)));
                    (patch.over, patch.expires_in) = (Some(over), None);
                    (patch.weight, patch.state) = match dice.one_in(2) {
                        true => (Some(Some(dice.of(&[0, 40, 100]))), None),
                        false => (None, Some(Some(State::Drain))),
                    };
                }
                // Nothing at all is no patch.
                if self.publisher.patch(patch).is_ok() {
                    self.count(kind);
                }
            }
            140..150 => {
                let step = match dice.one_in(4) {
                    true => Step::EndDrill,
                    false => {
                        let percent = dice.of(&[1.0, 30.0, 100.0]);
                        let lasts = Span::from_secs(3600);
                        let (author, reason) = ("a".to_owned(), "r".to_owned());
                        let draft = DrillDraft { region, percent, lasts, author, reason };
                        Step::Drill(Arc::new(self.publisher.drill(&snapshot, draft).unwrap()))
                    }
                };
                self.publisher.adopt(&[step]);
            }
            150..300 => self.publisher.rank(|table, _| {
                let mut ranked = || Ranked { latency_ms: dice.latency(), rise_ms: 3.0, measured: true };
                (0..table.regions.len()).map(|_| ranked()).collect()
            }),
            300..350 => {
                let excess = Excess { ms: dice.0.below(300) as u16, spared: dice.0.below(32) as u8 };
                let late = placement.key.clone();
                self.publisher.cost_more(|key| if *key == late { excess } else { Excess::default() });
            }
            350..360 => {
                let observed = dice.observed();
                for placement in &snapshot.vitals.placements {
                    self.publisher.observe(&placement.key, observed);
                }
            }
            360..600 => {
                self.publisher.observe(&placement.key, dice.observed());
            }
            600..700 => {
                let all =
                    [OriginHealth::Unknown, OriginHealth::Up, OriginHealth::Suspect, OriginHealth::Down];
                origin.set_health(dice.of(&all), self.publisher.clock().now());
            }
            700..800 => {
                let cells = placement.cells(dice.0.below(2) as usize);
                if dice.one_in(3) { cells.end() } else { cells.begin() }
            }
            _ => {
                let now = self.publisher.clock().now();
                let cells = origin.cells(1);
                match dice.0.below(4) {
                    0 => cells.begin(),
                    1 => cells.end(),
                    2 => cells.failed(dice.within(0.0, 50.0), now),
                    _ => cells.answered(dice.within(0.0, 200.0), now),
                }
            }
        }
    }

    /// Ramps go on and overrides end, as the clock has it.
    pub(super) fn advance(&mut self) {
        let before = self.publisher.snapshot().overlay.number;
        self.publisher.advance();
        if self.publisher.snapshot().overlay.number > before {
            self.count("overlay moved on");
        }
    }

    /// A decision is taken, as a worker takes it.
    pub(super) fn decide(&mut self, dice: &mut Dice) {
        let snapshot = self.publisher.snapshot();
        let table = snapshot.table();
        let route = dice.0.below(table.routes.len() as u32) as usize;
        let lane = table.routes[route].forward().unwrap().lane;
        let client = dice.client(table, &snapshot.ranking.pop);
        let any_origin = &table.origins[dice.0.below(table.origins.len() as u32) as usize];
        let asking = Asking {
            at: self.publisher.clock().now(),
            request: request_hash(&client.key.to_le_bytes()),
            route: RouteId::new(route).unwrap(),
            lane,
            client: &client,
            belongs: match dice.0.below(4) {
                0 => Belongs::Key(client.key),
                1 => Belongs::Origin {
                    region: Some(table.placement(any_origin.placement).region),
                    hash: any_origin.hash,
                },
                2 => Belongs::Origin { region: None, hash: 1 },
                _ => Belongs::Anywhere,
            },
        };
        let tried: Vec<&Arc<OriginVitals>> = match dice.0.below(4) {
            0 => Vec::new(),
            1 => snapshot.vitals.origins.iter().filter(|_| !dice.one_in(10)).collect(),
            _ => snapshot.vitals.origins.iter().filter(|_| dice.one_in(8)).collect(),
        };
        let has_tried = |origin: &Arc<OriginVitals>| tried.iter().any(|tried| Arc::ptr_eq(tried, origin));
        let tries = Tries {
            failed: (!dice.one_in(6))
                .then(|| PlacementId::new(dice.0.below(table.placements.len() as u32) as usize).unwrap()),
            has_tried: &has_tried,
            reach: dice.of(&[
                Reach::Anywhere,
                Reach::Anywhere,
                Reach::Anywhere,
                Reach::Placement,
                Reach::Nowhere,
            ]),
            is_last: dice.one_in(2),
        };
        let is_first = !dice.one_in(3);
        let decided = self.desk.decide(&snapshot, &asking, (!is_first).then_some(&tries), &mut self.rng);
        let placed = decided.outcome.as_ref().ok();
        let region = |placement| table.region(table.placement(placement).region).name.clone();
        let names = Names {
            region: placed.map(|placed| region(placed.choice.placement)),
            origin: placed
                .and_then(|placed| placed.origin)
                .map(|origin| table.origin(origin).address.clone()),
            inputs: (snapshot.version.about.version, snapshot.overlay.number, snapshot.ranking.number),
            is_first,
        };
        self.classify(&decided);
        self.waiting.push_back((decided.id.expect("it fits"), decided, names));
    }

    fn classify(&mut self, decided: &Decided) {
        match &decided.outcome {
            Err(Nowhere::NothingLeft) => self.count("nothing left"),
            Err(Nowhere::NoCandidate(_)) => self.count("refused"),
            Ok(Placed { choice, .. }) => {
                let decision = &choice.decision;
                match decision.basis {
                    Basis::Ranked => self.count("ranked"),
                    Basis::Unranked => self.count("unranked"),
                    Basis::LastResort => self.count("last resort"),
                    Basis::AllDown => self.count("all down"),
                }
                if decision.kept {
                    self.count("kept");
                }
                if decision.drilled {
                    self.count("drilled");
                }
                if decision.spilled_from.is_some() {
                    self.count("spilled");
                }
                if choice.placement != decision.first {
                    self.count("next");
                }
            }
        }
    }

    /// The oldest that waits is explained, and must be what it was.
    pub(super) fn explain(&mut self) {
        let Some((id, decided, names)) = self.waiting.pop_front() else { return };
        let told: Explanation = recall(&self.publisher, &self.decisions, id).unwrap();
        let past = told.past.as_ref().unwrap();
        let as_told = format!("{decided:?}\n{told:#?}");
        assert!(past.agrees && past.repeated.is_none(), "{as_told}");
        assert_eq!((&told.choice, &past.recorded.region), (&names.region, &names.region), "{as_told}");
        assert_eq!(past.recorded.origin, names.origin, "{as_told}");
        assert_eq!(past.origin.as_ref().map(|choice| &choice.origin), names.origin.as_ref(), "{as_told}");
        let inputs = (told.inputs.version, told.inputs.overlay, told.inputs.ranking);
        assert_eq!((inputs, past.is_first), (names.inputs, names.is_first), "{as_told}");
        let chosen: Vec<&String> =
            told.regions.iter().filter(|region| region.chosen).map(|region| &region.region).collect();
        // Where all are down, or nothing is usable, no region is called usable, and one is chosen all the same.
        assert_eq!(chosen.first().copied(), names.region.as_ref(), "{as_told}");
        assert!(chosen.len() <= 1, "{as_told}");
        if past.now.elsewhere {
            self.count("elsewhere now");
        }
        let record = self.decisions.find(id).unwrap();
        assert_eq!(record.outcome, decided.outcome, "{as_told}");
    }
}
