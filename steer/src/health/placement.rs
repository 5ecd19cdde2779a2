//! The health of a placement, from its origins.

use super::damping::Damping;
use super::ejection::Ejection;
use super::origin::{Origin, OriginHealth};
use crate::moment::{Moment, Span};
use crate::signals::{Health, Observed, RAMP_WHOLE};

/// Consecutive successes before a placement that was down takes traffic again.
const RECOVERY_SUCCESSES: u32 = 5;
/// The time those successes must cover at least.
const RECOVERY_TIME: Span = Span::from_secs(2);
/// How long a recovered placement's share grows, the first time; doubled whenever it falls during the ramp.
const RAMP_TIME: Span = Span::from_secs(30);
const MAX_RAMP_TIME: Span = Span::from_secs(300);
/// The share that a ramp starts with.
const MIN_RAMP: f64 = 0.10;
/// A placement is down when a smaller part of its origins than this is not down.
const MIN_USABLE_RATIO: f64 = 0.30;
/// Connections to two origins failing within this time make the placement suspect.
const REFUSALS_WITHIN: Span = Span::from_millis(250);

/// What happened to one origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A probe was answered well.
    ProbeOk,
    /// A probe was answered well, but only after it had been given up.
    ProbeLate,
    /// A probe sent at that time over that connection was answered badly or not in time.
    ProbeLost {
        /// When it was sent.
        sent: Moment,
        /// A number that tells connections apart.
        connection: u64,
    },
    /// A connection could not be made, or broke.
    Refused {
        /// A number that tells connections apart.
        connection: u64,
    },
    /// A request was answered, at a time that may lie a little in the past.
    Served {
        /// When the answer began.
        at: Moment,
    },
}

/// What is around a placement when something happens to it.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Whether no other placement of the pool is usable: then this one is not held.
    pub is_last: bool,
    /// How many times as many losses as usual it takes to prove something; see [`super::Lateness::patience`].
    pub patience: u32,
    /// When anything last answered this PoP, be it another region. While nothing does, it takes longer to prove a silence: it may
    /// be ours, for a moment or for longer ([`super::Uplink`]).
    pub heard: Moment,
}

impl Default for Surroundings {
    /// Another placement is usable, and all that is around answers.
    fn default() -> Self {
        Self { is_last: false, patience: 1, heard: Moment::from_nanos(u64::MAX) }
    }
}

/// What is known of one placement.
#[derive(Clone, Debug)]
pub struct Placement {
    origins: Vec<Origin>,
    phase: Phase,
    damping: Damping,
    ejection: Ejection,
    /// Whether its requests fail, and it is still to be seen whether it answers at all.
    is_accused: bool,
    ramp_time: Span,
    /// Added to the start of each ramp, so that a thousand PoPs do not return in step.
    ramp_delay: Span,
    /// When it last fell silent, and what it was before, should it turn out that the fault was not its own.
    before_silence: Option<(Moment, Box<Self>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Unknown,
    Up,
    Suspect,
    Down,
    Held,
    Ejected,
    Probing {
        successes: u32,
        since: Moment,
    },
    /// `grown` as of `at`, which may lie in the future.
    Ramp {
        grown: Span,
        at: Moment,
        suspect: bool,
    },
}

impl Placement {
    /// A placement of which nothing is known. `ramp_delay` should differ from PoP to PoP (0 to 5 s).
    #[must_use]
    pub fn new(origins: usize, ramp_delay: Span) -> Self {
        Self {
            origins: vec![Origin::default(); origins],
            phase: Phase::Unknown,
            damping: Damping::default(),
            ejection: Ejection::default(),
            is_accused: false,
            ramp_time: RAMP_TIME,
            ramp_delay,
            before_silence: None,
        }
    }

    /// What is known of its origins.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Replaces the origins after a publish: `kept[i]` is the former position of the new origin `i`.
    pub fn set_origins(&mut self, kept: &[Option<usize>]) {
        self.origins = kept
            .iter()
            .map(|former| former.and_then(|former| self.origins.get(former)).cloned().unwrap_or_default())
            .collect();
        // That one has the former origins.
        self.before_silence = None;
    }

    /// Whether an answer is missing and a burst of probes should settle the matter.
    #[must_use]
    pub fn wants_burst(&self, origin: usize) -> bool {
        self.origins.get(origin).is_some_and(|origin| origin.health() == OriginHealth::Suspect)
    }

    /// Whether it is out of use because it fails requests, or has not shown since that it serves them.
    #[must_use]
    pub fn is_ejected(&self, now: Moment) -> bool {
        self.phase == Phase::Ejected || (self.phase == Phase::Held && self.ejection.lasts(now))
    }

    /// Takes in what happened to one origin, and says what is observed now.
    pub fn on(&mut self, origin: usize, event: Event, now: Moment, around: Surroundings) -> Observed {
        if let Some(known) = self.origins.get_mut(origin) {
            match event {
                Event::ProbeOk => known.succeeded(now),
                Event::ProbeLate => known.answered_late(now),
                Event::ProbeLost { sent, connection } => known.lost(sent, connection, around, now),
                Event::Refused { connection } => known.refused(now, connection, around),
                Event::Served { at } => known.served(at),
            }
            self.phase = self.next(event, now, around.is_last);
        }
        self.observed()
    }

    /// Its requests fail, and nothing speaks against giving it up. It is doubted from now on, and a probe sent after this moment
    /// settles what follows: if it is answered, [`Placement::eject`]; if none is, the placement is dead, and returns when it
    /// lives again. A process that ends breaks many requests off at once, before any probe can know.
    pub fn accuse(&mut self) -> Observed {
        if let Some(phase) = self.doubted() {
            self.phase = phase;
            self.is_accused = true;
        }
        self.observed()
    }

    /// Whether [`Placement::accuse`] waits for a probe.
    #[must_use]
    pub const fn is_accused(&self) -> bool {
        self.is_accused
    }

    /// It fails requests although it answers probes, and nothing speaks against giving it up: it is left alone for a while.
    pub fn eject(&mut self, now: Moment) -> Observed {
        if matches!(self.phase, Phase::Unknown | Phase::Up | Phase::Suspect | Phase::Ramp { .. }) {
            self.is_accused = false;
            self.double_ramp_if_ramping();
            self.ejection.begin(now);
            // Never the last: whoever ejects has seen to that.
            self.phase = if self.damping.fell(now) { Phase::Held } else { Phase::Ejected };
        }
        self.observed()
    }

    /// Nothing answers this PoP since `since`: what fell silent from then on is doubted and no more, as if it had not fallen.
    pub fn doubt(&mut self, since: Moment) -> Observed {
        if let Some((_, before)) = self.before_silence.take_if(|(fell, _)| *fell >= since) {
            *self = *before;
        }
        self.is_accused = false;
        self.phase = self.doubted().unwrap_or(self.phase);
        self.origins.iter_mut().for_each(|origin| origin.doubt(since));
        self.observed()
    }

    /// Lets time pass (ramps grow, holds and ejections end), and says what is observed now. A ramp grows only while `is_calm`.
    pub fn tick(&mut self, now: Moment, is_calm: bool) -> Observed {
        match self.phase {
            Phase::Held if !self.damping.is_held(now) => {
                self.phase = if self.ejection.lasts(now) { Phase::Ejected } else { Phase::Down };
            }
            Phase::Ejected if !self.ejection.lasts(now) => self.phase = Phase::Down,
            Phase::Ramp { grown, at, suspect } if now > at => {
                let grown = if is_calm { grown + now.since(at) } else { grown };
                self.phase = Phase::Ramp { grown, at: now, suspect };
                if !suspect && grown >= self.ramp_time {
                    self.phase = Phase::Up;
                    self.ramp_time = RAMP_TIME;
                }
            }
            _ => {}
        }
        self.observed()
    }

    /// What is observed, as of the last event or tick.
    #[must_use]
    pub fn observed(&self) -> Observed {
        match self.phase {
            Phase::Unknown => Observed::UNKNOWN,
            Phase::Up => Observed::plain(Health::Up),
            Phase::Suspect | Phase::Ramp { suspect: true, .. } => Observed::plain(Health::Suspect),
            Phase::Down => Observed::plain(Health::Down),
            Phase::Ejected => Observed::out_of_use(Health::Down, self.answers()),
            Phase::Held => Observed::out_of_use(Health::Held, self.answers()),
            Phase::Probing { .. } => Observed::plain(Health::Recovering),
            Phase::Ramp { grown, suspect: false, .. } => {
                let share = (grown.as_secs_f64() / self.ramp_time.as_secs_f64()).clamp(MIN_RAMP, 1.0);
                let steps = (share * f64::from(RAMP_WHOLE)).clamp(1.0, f64::from(RAMP_WHOLE));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped to 1..=31"
                )]
                Observed { health: Health::Recovering, ramp: steps as u8 }
            }
        }
    }

    /// What it is in as far as it takes requests, with doubt.
    const fn doubted(&self) -> Option<Phase> {
        match self.phase {
            Phase::Unknown | Phase::Up | Phase::Suspect => Some(Phase::Suspect),
            Phase::Ramp { grown, at, .. } => Some(Phase::Ramp { grown, at, suspect: true }),
            Phase::Down | Phase::Held | Phase::Ejected | Phase::Probing { .. } => None,
        }
    }

    fn next(&mut self, event: Event, now: Moment, is_last: bool) -> Phase {
        let verdict = match self.verdict(now) {
            Verdict::Up | Verdict::Open if self.is_accused => Verdict::Suspect,
            verdict => verdict,
        };
        match (self.phase, verdict) {
            (Phase::Held, _) if self.damping.is_held(now) && !is_last => Phase::Held,
            (Phase::Held | Phase::Ejected, _) if self.ejection.lasts(now) => Phase::Ejected,
            (Phase::Unknown | Phase::Up | Phase::Suspect, Verdict::Down) => self.fall(now, is_last),
            (Phase::Up | Phase::Unknown, Verdict::Suspect) => Phase::Suspect,
            (Phase::Unknown | Phase::Suspect, Verdict::Up) => Phase::Up,
            (Phase::Ramp { grown, at, .. }, Verdict::Suspect) => Phase::Ramp { grown, at, suspect: true },
            (Phase::Ramp { grown, at, .. }, Verdict::Up | Verdict::Open) => {
                Phase::Ramp { grown, at, suspect: false }
            }
            (Phase::Ramp { .. }, Verdict::Down) => self.fall(now, is_last),
            (Phase::Probing { .. }, _)
                if matches!(event, Event::ProbeLost { .. } | Event::Refused { .. }) =>
            {
                Phase::Down
            }
            (Phase::Down | Phase::Held | Phase::Ejected, _) if event == Event::ProbeOk => {
                Phase::Probing { successes: 1, since: now }
            }
            (Phase::Held | Phase::Ejected, _) => Phase::Down,
            (Phase::Probing { successes, since }, _) if event == Event::ProbeOk => {
                let successes = successes.saturating_add(1);
                if successes >= RECOVERY_SUCCESSES && now.since(since) >= RECOVERY_TIME {
                    Phase::Ramp { grown: Span::ZERO, at: now + self.ramp_delay, suspect: false }
                } else {
                    Phase::Probing { successes, since }
                }
            }
            (phase, _) => phase,
        }
    }

    fn fall(&mut self, now: Moment, is_last: bool) -> Phase {
        self.before_silence = None;
        let before = Box::new(self.clone());
        self.before_silence = Some((now, before));
        self.is_accused = false;
        self.double_ramp_if_ramping();
        let hold = self.damping.fell(now);
        if hold && !is_last { Phase::Held } else { Phase::Down }
    }

    fn double_ramp_if_ramping(&mut self) {
        if matches!(self.phase, Phase::Ramp { .. }) {
            self.ramp_time = (self.ramp_time + self.ramp_time).min(MAX_RAMP_TIME);
        }
    }

    /// Whether somebody here answers probes, whatever else is held against the placement.
    fn answers(&self) -> bool {
        self.origins.iter().any(|origin| origin.health() == OriginHealth::Up)
    }

    fn verdict(&self, now: Moment) -> Verdict {
        let count = |wanted: fn(OriginHealth) -> bool| {
            self.origins.iter().filter(|origin| wanted(origin.health())).count()
        };
        let down = count(|health| health == OriginHealth::Down);
        if ((self.origins.len() - down) as f64) < MIN_USABLE_RATIO * self.origins.len() as f64 {
            return Verdict::Down;
        }
        if count(OriginHealth::is_trusted) == 0 {
            return Verdict::Suspect;
        }
        let refusing = self.origins.iter().filter(|origin| {
            !origin.health().is_trusted()
                && origin.last_refusal().is_some_and(|at| now.since(at) <= REFUSALS_WITHIN)
        });
        if refusing.count() >= 2 {
            return Verdict::Suspect;
        }
        if count(|health| health == OriginHealth::Up) > 0 { Verdict::Up } else { Verdict::Open }
    }
}

/// What the origins' states say together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Up,
    Suspect,
    Down,
    /// Nothing was heard yet, good or bad.
    Open,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        placement: Placement,
        now: Moment,
    }

    impl Bench {
        fn up(origins: usize) -> Self {
            let mut bench =
                Self { placement: Placement::new(origins, Span::ZERO), now: Moment::from_millis(1000) };
            for origin in 0..origins {
                bench.on(origin, Event::ProbeOk);
            }
            assert_eq!(bench.health(), Health::Up);
            bench
        }

        fn pass(&mut self, millis: u64) {
            self.now = self.now + Span::from_millis(millis);
            self.placement.tick(self.now, true);
        }

        fn on(&mut self, origin: usize, event: Event) -> Observed {
            self.placement.on(origin, event, self.now, Surroundings::default())
        }

        /// A probe that was sent `ago` milliseconds ago is lost.
        fn lose(&mut self, origin: usize, ago: u64, connection: u64) {
            let sent = self.now - Span::from_millis(ago);
            self.on(origin, Event::ProbeLost { sent, connection });
        }

        fn health(&self) -> Health {
            self.placement.observed().health
        }

        fn kill(&mut self) {
            for connection in 1..=4 {
                self.pass(30);
                self.lose(0, 1, connection);
            }
        }

        fn revive(&mut self) {
            while self.placement.observed().ramp == 0 {
                self.pass(100);
                self.on(0, Event::ProbeOk);
            }
        }
    }

    #[test]
    fn one_loss_is_suspicion_and_one_success_ends_it() {
        let mut bench = Bench::up(1);
        bench.pass(100);
        bench.lose(0, 50, 1);
        assert_eq!(bench.health(), Health::Suspect);
        bench.pass(10);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Up);
    }

    #[test]
    fn four_losses_on_two_connections_are_proof_and_on_one_they_are_not() {
        let mut bench = Bench::up(1);
        for _ in 0..10 {
            bench.pass(100);
            bench.lose(0, 50, 7);
        }
        assert_eq!(bench.health(), Health::Suspect);
        bench.lose(0, 50, 8);
        assert_eq!(bench.health(), Health::Down);
    }

    #[test]
    fn many_losses_in_one_moment_prove_nothing() {
        let mut bench = Bench::up(1);
        bench.pass(100);
        for connection in 1..=20 {
            bench.lose(0, 50, connection);
        }
        assert_eq!(bench.health(), Health::Suspect);
        bench.pass(30);
        bench.lose(0, 20, 21);
        assert_eq!(bench.health(), Health::Down);
    }

    #[test]
    fn while_nothing_answers_at_all_a_silence_must_be_longer() {
        let mut bench = Bench::up(1);
        let heard = bench.now;
        let lose = |bench: &mut Bench, heard, connection| {
            bench.pass(50);
            let sent = bench.now - Span::from_millis(20);
            let around = Surroundings { heard, ..Surroundings::default() };
            bench.placement.on(0, Event::ProbeLost { sent, connection }, bench.now, around);
        };
        for connection in 1..=10 {
            lose(&mut bench, heard, connection);
            assert_eq!(bench.health(), Health::Suspect, "{connection}");
        }
        let mut others = Bench { placement: bench.placement.clone(), now: bench.now };
        let now = others.now;
        lose(&mut others, now, 11);
        assert_eq!(others.health(), Health::Down, "others are heard");
        lose(&mut bench, heard, 11);
        assert_eq!(bench.health(), Health::Down, "half a second");
    }

    #[test]
    fn a_real_answer_newer_than_the_probe_vetoes_the_loss() {
        let mut bench = Bench::up(1);
        bench.pass(100);
        let served = bench.now - Span::from_millis(20);
        bench.on(0, Event::Served { at: served });
        for connection in 1..=8 {
            bench.lose(0, 50, connection);
        }
        assert_eq!(bench.health(), Health::Up);
        bench.lose(0, 10, 9);
        assert_eq!(bench.health(), Health::Suspect);
    }

    #[test]
    fn recovery_takes_five_successes_over_two_seconds_and_then_a_ramp() {
        let mut bench = Bench::up(1);
        bench.kill();
        assert_eq!(bench.health(), Health::Down);
        let fell = bench.now;
        for _ in 0..20 {
            bench.pass(50);
            bench.on(0, Event::ProbeOk);
        }
        assert_eq!(bench.placement.observed(), Observed { health: Health::Recovering, ramp: 0 });
        bench.revive();
        assert!(bench.now.since(fell) >= RECOVERY_TIME);
        assert_eq!(bench.placement.observed().ramp, 3);
        bench.pass(15_000);
        assert_eq!(bench.placement.observed().ramp, 15);
        bench.pass(15_001);
        assert_eq!(bench.health(), Health::Up);
    }

    #[test]
    fn a_fall_during_the_ramp_doubles_the_next_one() {
        let mut bench = Bench::up(1);
        bench.kill();
        bench.revive();
        bench.pass(100);
        bench.lose(0, 50, 1);
        assert_eq!(bench.health(), Health::Suspect);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Recovering);
        bench.kill();
        assert_eq!(bench.health(), Health::Down);
        bench.revive();
        bench.pass(30_000);
        assert_eq!(bench.health(), Health::Recovering);
        bench.pass(30_001);
        assert_eq!(bench.health(), Health::Up);
    }

    #[test]
    fn the_third_fall_is_held_unless_it_is_the_last_placement() {
        let mut bench = Bench::up(1);
        for _ in 0..2 {
            bench.kill();
            bench.revive();
        }
        let mut last = Bench { placement: bench.placement.clone(), now: bench.now };
        for connection in 1..=4 {
            last.pass(30);
            let alone = Surroundings { is_last: true, ..Surroundings::default() };
            last.placement.on(0, Event::ProbeLost { sent: last.now, connection }, last.now, alone);
        }
        assert_eq!(last.health(), Health::Down);

        bench.kill();
        assert_eq!(bench.health(), Health::Held);
        bench.pass(1000);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Held);
        bench.pass(300_000);
        assert_eq!(bench.health(), Health::Down);
    }

    #[test]
    fn an_ejection_is_sat_out_then_probed_then_ramped() {
        let mut bench = Bench::up(1);
        let (began, now) = (bench.now, bench.now);
        assert_eq!(bench.placement.eject(now), Observed::out_of_use(Health::Down, true));
        assert!(bench.placement.is_ejected(now));
        while bench.placement.observed().ramp <= 1 {
            bench.pass(50);
            bench.on(0, Event::ProbeOk);
        }
        let out = bench.now.since(began);
        assert!((12.0..12.5).contains(&out.as_secs_f64()), "{out}: ten seconds, then two of probes");
        assert_eq!(bench.health(), Health::Recovering);
    }

    #[test]
    fn an_accusation_is_settled_by_a_probe_one_way_or_the_other() {
        let mut bench = Bench::up(1);
        let mut dead = Bench { placement: bench.placement.clone(), now: bench.now };
        assert_eq!(bench.placement.accuse().health, Health::Suspect);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Suspect, "that one may have been sent before");
        bench.placement.eject(bench.now);
        assert!(bench.placement.is_ejected(bench.now) && !bench.placement.is_accused());

        dead.placement.accuse();
        dead.kill();
        assert!(dead.health() == Health::Down && !dead.placement.is_accused());
        assert!(!dead.placement.is_ejected(dead.now), "the dead return when they live");
        dead.revive();
        dead.pass(100);
        dead.on(0, Event::ProbeOk);
        assert_eq!(dead.health(), Health::Recovering);
    }

    #[test]
    fn a_second_ejection_is_longer_and_its_ramp_slower() {
        let mut bench = Bench::up(1);
        for secs in [12.0, 22.0] {
            let began = bench.now;
            bench.placement.eject(began);
            while bench.placement.observed().ramp <= 1 {
                bench.pass(50);
                bench.on(0, Event::ProbeOk);
            }
            let out = bench.now.since(began).as_secs_f64();
            assert!((secs..secs + 0.5).contains(&out), "{out}");
        }
        bench.pass(30_000);
        assert_eq!(bench.placement.observed().ramp, 15, "a minute instead of half of one");
    }

    #[test]
    fn a_ramp_waits_while_failures_are_looked_at() {
        let mut bench = Bench::up(1);
        bench.kill();
        bench.revive();
        for _ in 0..100 {
            bench.now = bench.now + Span::from_millis(1000);
            bench.placement.tick(bench.now, false);
        }
        assert_eq!(bench.placement.observed().ramp, 3);
        bench.pass(15_000);
        assert_eq!(bench.placement.observed().ramp, 15);
    }

    #[test]
    fn an_ejected_placement_that_falls_silent_stays_out() {
        let mut bench = Bench::up(1);
        bench.placement.eject(bench.now);
        bench.kill();
        assert_eq!(bench.placement.observed(), Observed::plain(Health::Down));
        bench.pass(10_000);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Recovering);
    }

    #[test]
    fn failing_a_fifth_again_and_again_is_held_by_the_third_time() {
        let mut bench = Bench::up(1);
        let mut falls = 0;
        for _ in 0..1200 {
            bench.pass(50);
            bench.on(0, Event::ProbeOk);
            // It fails as soon as it serves anybody.
            if bench.placement.observed().is_usable() {
                bench.placement.eject(bench.now);
                falls += 1;
            }
        }
        assert!(falls <= 3, "{falls} falls in a minute");
        assert!(bench.placement.is_ejected(bench.now));
    }

    #[test]
    fn what_fell_in_an_outage_of_ours_returns_at_its_first_answer() {
        let mut bench = Bench::up(1);
        bench.kill();
        bench.revive();
        bench.pass(40_000);
        assert_eq!(bench.health(), Health::Up);
        let penalty = bench.placement.damping.penalty_at(bench.now);
        let since = bench.now;
        bench.kill();
        assert_eq!(bench.health(), Health::Down);
        bench.pass(700);
        bench.placement.doubt(since);
        assert_eq!(bench.health(), Health::Suspect);
        bench.pass(5000);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Up);
        assert!(bench.placement.damping.penalty_at(bench.now) < penalty, "and at no price");
        bench.kill();
        assert_eq!(bench.health(), Health::Down, "it still can fall");
    }

    #[test]
    fn what_was_down_before_an_outage_of_ours_stays_down() {
        let mut bench = Bench::up(1);
        bench.kill();
        bench.pass(5000);
        bench.placement.doubt(bench.now);
        assert_eq!(bench.health(), Health::Down);
    }

    #[test]
    fn late_answers_prove_life_and_no_health() {
        let mut bench = Bench::up(1);
        for connection in 0..100 {
            bench.pass(50);
            bench.lose(0, 45, connection);
            bench.on(0, Event::ProbeLate);
        }
        assert_eq!(bench.health(), Health::Suspect, "not down, and not trusted either");
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Up);
    }

    #[test]
    fn a_late_observer_needs_more_losses() {
        let mut bench = Bench::up(1);
        let late = Surroundings { patience: 3, ..Surroundings::default() };
        for connection in 1..=12 {
            assert_ne!(bench.health(), Health::Down, "{connection}");
            bench.pass(10);
            bench.placement.on(0, Event::ProbeLost { sent: bench.now, connection }, bench.now, late);
        }
        assert_eq!(bench.health(), Health::Down);
    }

    #[test]
    fn one_dead_origin_of_three_is_no_dead_placement() {
        let mut bench = Bench::up(3);
        bench.kill();
        assert_eq!(bench.health(), Health::Up);
        assert_eq!(bench.placement.origins()[0].health(), OriginHealth::Down);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.placement.origins()[0].health(), OriginHealth::Down);
        bench.on(0, Event::ProbeOk);
        assert_eq!(bench.placement.origins()[0].health(), OriginHealth::Up);
    }

    #[test]
    fn two_refusals_within_a_quarter_second_are_suspicion() {
        let mut bench = Bench::up(3);
        bench.pass(10);
        bench.on(0, Event::Refused { connection: 1 });
        assert_eq!(bench.health(), Health::Up);
        bench.pass(100);
        bench.on(1, Event::Refused { connection: 2 });
        assert_eq!(bench.health(), Health::Suspect);
        bench.pass(300);
        bench.on(2, Event::ProbeOk);
        assert_eq!(bench.health(), Health::Up);
    }

    #[test]
    fn the_only_origin_refusing_is_suspicion_and_the_burst_proves_it() {
        let mut bench = Bench::up(1);
        bench.pass(10);
        bench.on(0, Event::Refused { connection: 1 });
        assert_eq!(bench.health(), Health::Suspect);
        assert!(bench.placement.wants_burst(0));
        for connection in 2..=4 {
            bench.pass(30);
            bench.on(0, Event::Refused { connection });
        }
        assert_eq!(bench.health(), Health::Down);
    }

    #[test]
    fn losses_before_the_first_success_prove_down_too() {
        let mut bench = Bench { placement: Placement::new(1, Span::ZERO), now: Moment::from_millis(1000) };
        assert_eq!(bench.health(), Health::Unknown);
        bench.kill();
        assert_eq!(bench.health(), Health::Down);
    }

    #[test]
    fn origins_keep_their_health_across_a_publish() {
        let mut bench = Bench::up(3);
        bench.kill();
        bench.placement.set_origins(&[Some(1), None, Some(0)]);
        let health: Vec<OriginHealth> = bench.placement.origins().iter().map(Origin::health).collect();
        assert_eq!(health, [OriginHealth::Up, OriginHealth::Unknown, OriginHealth::Down]);
    }
}
