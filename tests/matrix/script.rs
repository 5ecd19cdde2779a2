//! How faults are done and undone.

use std::process::Command;
use std::time::Duration;

use tokio::time::sleep;

use crate::Failure;
use crate::clock::Clock;
use crate::edge::Edge;
use crate::fault::Fault;
use crate::origin::Order;
use crate::relay::Way;
use crate::world::{HIT_ADDRESS, World};

/// Reloads of the configuration during a rolling restart, and tables published.
const RELOADS: usize = 50;
const PUBLISHES: usize = 10;

/// When it began, when it was over, and when the first region was there again.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub(crate) onset_ms: f64,
    pub(crate) lifted_ms: f64,
    /// Onsets of the falls of a flapping region.
    pub(crate) falls_ms: Vec<f64>,
}

/// Does a fault, waits, and undoes it.
pub(crate) struct Script<'a> {
    pub(crate) fault: Fault,
    pub(crate) world: &'a mut World,
    pub(crate) edge: &'a Edge,
    pub(crate) clock: Clock,
    pub(crate) is_short: bool,
    /// The file system that is filled.
    pub(crate) small_disk: Option<std::path::PathBuf>,
}

impl Script<'_> {
    /// Does it all; ends when the fault is over.
    pub(crate) async fn play(mut self) -> Result<Events, Failure> {
        let during = Duration::from_secs_f64(self.fault.phases(self.is_short).during_ms / 1e3);
        let onset_ms = self.clock.now_ms();
        let mut falls_ms = vec![onset_ms];
        match self.fault {
            Fault::Flapping => falls_ms = self.flap(during).await,
            Fault::Rolling => self.roll(during).await?,
            _ => {
                self.begin().await?;
                sleep(during).await;
            }
        }
        let lifted_ms = self.clock.now_ms();
        self.end().await?;
        Ok(Events { onset_ms, lifted_ms, falls_ms })
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        let hit = self.world.hit();
        match self.fault {
            Fault::Killed => {
                hit.kill()?;
                hit.relay.set(Way::Closed);
            }
            Fault::Reset => hit.relay.set(Way::Resetting),
            Fault::Refused => hit.relay.set(Way::Closed),
            Fault::TlsBroken => {
                hit.order(&Order::BreakTls)?;
                // Orders go through a pipe.
                sleep(Duration::from_millis(5)).await;
                hit.relay.cut();
            }
            Fault::Goaway | Fault::Leaving => {
                hit.relay.set(Way::Leaving);
                hit.order(&Order::Leave)?;
            }
            Fault::Stopped => hit.signal("STOP")?,
            Fault::Swallowed => hit.relay.set(Way::Silent),
            Fault::Dropped => drop_packets(true)?,
            Fault::HalfAnswers => {
                hit.relay.set_rude(true);
                hit.order(&Order::Half)?;
            }
            Fault::Storm => hit.order(&Order::Refuse { share: 1.0, probes: true })?,
            Fault::StormUnseen => hit.order(&Order::Refuse { share: 1.0, probes: false })?,
            Fault::Some503 => hit.order(&Order::Refuse { share: 0.2, probes: false })?,
            Fault::Slow => hit.order(&Order::Slow { ms: 300 })?,
            Fault::Delay => hit.relay.set_round_trip(hit.round_trip * 8),
            Fault::Trickled => hit.order(&Order::Trickle)?,
            Fault::AllLost => self.everywhere(Way::Closed),
            Fault::UplinkLost => self.everywhere(Way::Silent),
            Fault::LogDiskFull => self.fill_disk()?,
            Fault::Flapping | Fault::Rolling => {}
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failure> {
        match self.fault {
            Fault::Killed | Fault::Goaway | Fault::Leaving => {
                self.world.restart(0)?;
                self.world.hit().relay.set(Way::Open);
            }
            Fault::Reset | Fault::Refused | Fault::Swallowed | Fault::Flapping => {
                self.world.hit().relay.set(Way::Open);
            }
            Fault::Stopped => self.world.hit().signal("CONT")?,
            Fault::Dropped => drop_packets(false)?,
            Fault::HalfAnswers => {
                self.world.hit().relay.set_rude(false);
                self.world.hit().order(&Order::Well)?;
            }
            Fault::TlsBroken
            | Fault::Storm
            | Fault::StormUnseen
            | Fault::Some503
            | Fault::Slow
            | Fault::Trickled => self.world.hit().order(&Order::Well)?,
            Fault::Delay => {
                let hit = self.world.hit();
                hit.relay.set_round_trip(hit.round_trip);
            }
            // The second region is the first to return; the others a second and a half later.
            Fault::AllLost => {
                self.world.regions[1].relay.set(Way::Open);
                sleep(Duration::from_millis(1500)).await;
                self.everywhere(Way::Open);
            }
            Fault::UplinkLost => self.everywhere(Way::Open),
            Fault::Rolling | Fault::LogDiskFull => {}
        }
        Ok(())
    }

    fn everywhere(&self, way: Way) {
        for region in &self.world.regions {
            region.relay.set(way);
        }
    }

    /// Four times away and there. When it went away.
    async fn flap(&mut self, during: Duration) -> Vec<f64> {
        let half = during / 8;
        let mut falls = Vec::new();
        for _ in 0..4 {
            falls.push(self.clock.now_ms());
            self.world.hit().relay.set(Way::Closed);
            sleep(half).await;
            self.world.hit().relay.set(Way::Open);
            sleep(half).await;
        }
        falls
    }

    /// One region after the other leaves and returns, while the edge reads everything again and again.
    async fn roll(&mut self, during: Duration) -> Result<(), Failure> {
        let began = tokio::time::Instant::now();
        let (turn, step) = (during / 3, during / RELOADS as u32);
        // Then it has the time to be trusted again before the next one goes.
        let away = turn / 5;
        let mut done = 0;
        for number in 0..RELOADS {
            let passed = step * number as u32;
            tokio::time::sleep_until(began + passed).await;
            // Which region's turn it is, and whether it is to be away now.
            let index = (passed.as_nanos() / turn.as_nanos()).min(2) as usize;
            let is_away = passed - turn * index as u32 <= away;
            if is_away && done == 2 * index {
                self.world.regions[index].relay.set(Way::Leaving);
                self.world.regions[index].order(&Order::Leave)?;
                done += 1;
            } else if !is_away && done == 2 * index + 1 {
                self.world.restart(index)?;
                self.world.regions[index].relay.set(Way::Open);
                done += 1;
            }
            self.edge.reload()?;
            if number % (RELOADS / PUBLISHES) == 0
                && let Some(admin) = &self.edge.admin
            {
                let text = format!("{}\n# {number}\n", self.edge.table);
                admin.publish(&text).await?;
            }
        }
        Ok(())
    }

    fn fill_disk(&self) -> Result<(), Failure> {
        let folder = self.small_disk.as_ref().ok_or("there is no small file system")?;
        // Blocks of its size, until nothing more fits.
        let mut file = std::fs::File::create(folder.join("filler"))?;
        while std::io::Write::write_all(&mut file, &[0; 1024]).is_ok() {}
        Ok(())
    }
}

/// Lets a packet filter drop everything to and from the region's address, or nothing. In a namespace of our own.
fn drop_packets(is_on: bool) -> Result<(), Failure> {
    let rules = if is_on {
        format!(
            "table inet matrix {{\nchain input {{\ntype filter hook input priority 0;\nip daddr {HIT_ADDRESS} \
             drop\nip saddr {HIT_ADDRESS} drop\n}}\n}}"
        )
    } else {
        "delete table inet matrix".to_owned()
    };
    let done = Command::new("nft").arg(rules).status()?;
    if done.success() { Ok(()) } else { Err(format!("nft: {done}").into()) }
}
