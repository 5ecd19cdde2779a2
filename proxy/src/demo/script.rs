//! What happens by itself, and when.

use std::time::Duration;

use super::stage::Stage;
use super::world::REGIONS;

/// A scene of the script.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scene {
    Kill,
    Revive,
    SlowDown,
    Weight,
}

/// The parts of the duration at which scenes begin.
const SCENES: [(f64, Scene); 4] =
    [(0.15, Scene::Kill), (0.20, Scene::SlowDown), (0.40, Scene::Revive), (0.85, Scene::Weight)];

/// Plays the script.
pub(super) struct Script {
    duration: Duration,
    next: usize,
    victim: usize,
}

impl Script {
    pub(super) const fn new(duration: Duration) -> Self {
        Self { duration, next: 0, victim: 0 }
    }

    /// Does what is due `elapsed` after the start, and says it.
    pub(super) fn play(&mut self, elapsed: Duration, stage: &mut Stage) -> Option<String> {
        let (at, scene) = *SCENES.get(self.next)?;
        if elapsed < self.duration.mul_f64(at) {
            return None;
        }
        self.next += 1;
        Some(match scene {
            Scene::Kill => {
                self.victim = stage.busiest();
                stage.kill(self.victim);
                format!("{} is killed: connections reset, port closed", REGIONS[self.victim].0)
            }
            Scene::Revive => {
                stage.revive(self.victim);
                format!(
                    "{} lives again: five good probes over 2 s, then a ramp of 30 s",
                    REGIONS[self.victim].0
                )
            }
            Scene::SlowDown => {
                stage.slow_down(0);
                format!("the way to {} is 100 ms longer: believed after 10 s", REGIONS[0].0)
            }
            Scene::Weight => {
                let region = stage.busiest();
                stage.set_weight(region, 50);
                format!("{} keeps 50 % of its natural traffic", REGIONS[region].0)
            }
        })
    }
}
