//! What is done to origins, when, and what is promised meanwhile.

use steer::{Moment, Span};

use super::network::Behaviour;
use super::options::{HIT, REGIONS};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    Nothing,
    Killed,
    /// One of two origins.
    HalfKilled,
    Stopped,
    Dropped,
    /// As that, for a few milliseconds.
    Blip,
    Storm,
    StormUnseen,
    Some503,
    HalfAnswers,
    Slow,
    Delay,
    Flapping,
    /// All refuse.
    AllLost,
    /// All are silent, and references answer.
    AllSilent,
    /// All are silent, and references too.
    UplinkLost,
    /// All answer 503, and probes are well.
    ApplicationFails,
    /// All answers begin 300 ms later, and probes are well.
    ApplicationSlow,
}

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phases {
    pub(super) onset: Moment,
    pub(super) lifted: Moment,
    pub(super) end: Moment,
}

/// What must hold beside what always must. What is `None` is not judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    /// The share of GETs that may fail whose answer had not begun.
    pub(super) gets_failed: f64,
    pub(super) slowest_get_ms: Option<f64>,
    /// After this time nothing more is sent to the region.
    pub(super) quiet_after_ms: Option<f64>,
    /// From a second after the onset, within twice what is normal at the region that answers then.
    pub(super) p99_comes_back: bool,
    /// The most times that the region may fall in a minute.
    pub(super) falls: usize,
}

const ZERO: Promise =
    Promise { gets_failed: 0.0, slowest_get_ms: None, quiet_after_ms: None, p99_comes_back: false, falls: 0 };

const fn quiet(after_ms: f64) -> Promise {
    Promise { quiet_after_ms: Some(after_ms), falls: 1, ..ZERO }
}

/// How long a flapping region is away, and there.
pub(super) const FLAP: Span = Span::from_secs(2);
const FLAPS: u64 = 4;
/// From the first region's return to the others'.
const OTHERS_RETURN: Span = Span::from_secs(1);
/// Which region returns first.
pub(super) const RETURNS_FIRST: usize = 1;

impl Fault {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Killed => "killed",
            Self::HalfKilled => "half_killed",
            Self::Stopped => "stopped",
            Self::Dropped => "dropped",
            Self::Blip => "blip",
            Self::Storm => "storm",
            Self::StormUnseen => "storm_unseen",
            Self::Some503 => "some_503",
            Self::HalfAnswers => "half_answers",
            Self::Slow => "slow",
            Self::Delay => "delay",
            Self::Flapping => "flapping",
            Self::AllLost => "all_lost",
            Self::AllSilent => "all_silent",
            Self::UplinkLost => "uplink_lost",
            Self::ApplicationFails => "application_fails",
            Self::ApplicationSlow => "application_slow",
        }
    }

    /// `phase_ms` shifts the onset against the rhythm of probes.
    pub(super) fn phases(self, phase_ms: f64) -> Phases {
        let (during, after) = match self {
            Self::Killed | Self::Stopped | Self::Dropped => (1_500, 4_500),
            Self::Blip => (35, 1_500),
            Self::Flapping => (2 * FLAP.as_nanos() / 1_000_000 * FLAPS, 1_000),
            Self::Slow | Self::Delay => (4_000, 0),
            Self::AllLost | Self::AllSilent => (3_000, 4_000),
            Self::UplinkLost => (4_000, 4_000),
            Self::ApplicationFails | Self::ApplicationSlow => (10_000, 0),
            _ => (3_000, 0),
        };
        let onset = Moment::from_millis(1_500) + Span::from_millis_f64(phase_ms);
        let lifted = onset + Span::from_millis(during);
        Phases { onset, lifted, end: lifted + Span::from_millis(after) }
    }

    pub(super) const fn promise(self) -> Promise {
        match self {
            Self::Nothing | Self::HalfKilled | Self::ApplicationSlow => ZERO,
            Self::Blip => Promise { slowest_get_ms: Some(400.0), ..ZERO },
            // The first of them may be given up before the others have shown that they are no better.
            Self::ApplicationFails => Promise { falls: 1, ..ZERO },
            Self::Killed => quiet(125.0),
            Self::Stopped | Self::Dropped => Promise { slowest_get_ms: Some(400.0), ..quiet(300.0) },
            Self::Storm | Self::StormUnseen => quiet(150.0),
            Self::Some503 => Promise { gets_failed: 0.000_5, ..quiet(1_000.0) },
            Self::HalfAnswers => quiet(1_000.0),
            Self::Slow | Self::Delay => {
                Promise { quiet_after_ms: Some(1_000.0), p99_comes_back: true, ..ZERO }
            }
            Self::Flapping => Promise { falls: 3, ..ZERO },
            Self::AllLost | Self::AllSilent => Promise { falls: 1, ..ZERO },
            Self::UplinkLost => Promise { falls: 1, ..ZERO },
        }
    }

    /// Whether no region is there while it lasts.
    pub(super) const fn is_everywhere(self) -> bool {
        matches!(self, Self::AllLost | Self::AllSilent | Self::UplinkLost)
    }

    /// Whether the application fails whichever region is asked.
    pub(super) const fn is_the_applications(self) -> bool {
        matches!(self, Self::ApplicationFails)
    }

    /// How an origin of a region behaves, from when on.
    pub(super) fn timeline(self, phases: &Phases, region: usize, origin: usize) -> Vec<(Moment, Behaviour)> {
        let Phases { onset, lifted, .. } = *phases;
        let is_hit = match self {
            Self::AllLost | Self::AllSilent | Self::UplinkLost => true,
            Self::ApplicationFails | Self::ApplicationSlow => true,
            Self::HalfKilled => region == HIT && origin == 0,
            _ => region == HIT,
        };
        if !is_hit {
            return Vec::new();
        }
        let returns = match self {
            Self::AllLost | Self::AllSilent if region != RETURNS_FIRST => lifted + OTHERS_RETURN,
            _ => lifted,
        };
        let behaviour = match self {
            Self::Nothing => return Vec::new(),
            Self::Flapping => return flaps(onset),
            Self::Killed | Self::HalfKilled | Self::AllLost => Behaviour::Refusing,
            Self::Stopped => Behaviour::Stopped,
            Self::Dropped | Self::Blip | Self::AllSilent | Self::UplinkLost => Behaviour::Dropped,
            Self::Storm => Behaviour::Failing { share: 1.0, probes: true },
            Self::StormUnseen | Self::ApplicationFails => Behaviour::Failing { share: 1.0, probes: false },
            Self::Some503 => Behaviour::Failing { share: 0.2, probes: false },
            Self::HalfAnswers => Behaviour::Breaking,
            Self::Slow | Self::ApplicationSlow => Behaviour::Slow,
            Self::Delay => Behaviour::Far,
        };
        vec![(onset, behaviour), (returns, Behaviour::Well)]
    }
}

fn flaps(onset: Moment) -> Vec<(Moment, Behaviour)> {
    let mut timeline = Vec::new();
    let mut at = onset;
    for _ in 0..FLAPS {
        timeline.push((at, Behaviour::Refusing));
        timeline.push((at + FLAP, Behaviour::Well));
        at = at + FLAP + FLAP;
    }
    timeline
}

/// How much farther the next region is.
pub(super) const NEXT_IS_FARTHER_MS: f64 = REGIONS[1].1 - REGIONS[0].1;
