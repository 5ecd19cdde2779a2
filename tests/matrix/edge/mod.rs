//! The proxy under test, as a process on a processor of its own: nearside, or a peer as its users run it.

mod haproxy;
mod nearside;
mod nginx;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::clock::Clock;
use crate::fault::Plane;
use crate::load::Doors;
use crate::process::{Guard, Process};

pub(crate) use nearside::{Admin, PROCESSOR};

/// Whose process it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contestant {
    Nearside,
    Haproxy,
    Nginx,
}

impl Contestant {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Nearside => "nearside",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
        }
    }

    /// Where its program is, if it is installed. nearside's is said on the command line.
    pub(crate) fn program(self) -> Option<PathBuf> {
        match self {
            Self::Nearside => None,
            Self::Haproxy => crate::process::program("haproxy"),
            Self::Nginx => crate::process::program("nginx"),
        }
    }
}

/// What requests may take if nothing else is said.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// What an edge is started with.
pub(crate) struct Site<'a> {
    pub(crate) program: &'a Path,
    /// A folder of the run's own.
    pub(crate) folder: &'a Path,
    /// Regions by name and the address of the way there, the nearest first.
    pub(crate) regions: Vec<(&'static str, SocketAddr)>,
    pub(crate) plane: Plane,
    /// Where the access log is to be.
    pub(crate) access_log: PathBuf,
    /// The share of ordinary requests in nearside's.
    pub(crate) log_share: f64,
    /// What a request may take, all attempts included, with nearside; streams and tunnels have no such limit.
    pub(crate) deadline: Duration,
}

/// What an edge said, line by line, and when it was heard.
pub(crate) type Said = Arc<Mutex<Vec<(i64, String)>>>;

/// A running edge.
pub(crate) struct Edge {
    pub(crate) contestant: Contestant,
    pub(crate) process: Process,
    pub(crate) doors: Doors,
    pub(crate) said: Said,
    pub(crate) access_log: PathBuf,
    /// nearside's admin API.
    pub(crate) admin: Option<Admin>,
    /// Its routing table.
    pub(crate) table: String,
}

impl Edge {
    /// Starts it and waits until it answers from the nearest region.
    pub(crate) async fn start(
        contestant: Contestant,
        site: &Site<'_>,
        guard: &Guard,
    ) -> Result<Self, Failure> {
        let edge = match contestant {
            Contestant::Nearside => nearside::start(site, guard).await?,
            Contestant::Haproxy => haproxy::start(site, guard)?,
            Contestant::Nginx => nginx::start(site, guard)?,
        };
        edge.wait_until_it_serves(site.regions.len()).await?;
        Ok(edge)
    }

    async fn wait_until_it_serves(&self, regions: usize) -> Result<(), Failure> {
        for _ in 0..2000 {
            let is_ready = match &self.admin {
                Some(admin) => admin.healthy_placements().await >= regions * 2,
                None => crate::admin::status(self.doors.http, "/healthz").await == Some(200),
            };
            if is_ready {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("{} did not serve:\n{}", self.contestant.title(), self.words()).into())
    }

    /// Reads its configuration again, as its users make it do so.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        match self.contestant {
            Contestant::Nearside | Contestant::Nginx => self.process.signal("HUP"),
            Contestant::Haproxy => self.process.signal("USR2"),
        }
    }

    /// Its metrics page, if it is nearside.
    pub(crate) async fn metrics(&self) -> String {
        match &self.admin {
            Some(admin) => admin.metrics().await,
            None => String::new(),
        }
    }

    /// Lets it end, so that its logs are whole.
    pub(crate) async fn stop(&mut self) {
        let _ = self.process.signal("TERM");
        for _ in 0..300 {
            if !matches!(self.process.child.try_wait(), Ok(None)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Copies what it wrote to a folder.
    pub(crate) fn keep(&self, folder: &Path) -> Result<(), Failure> {
        std::fs::write(folder.join("edge.log"), self.words())?;
        // On a full disk it may have written none.
        let _ = std::fs::copy(&self.access_log, folder.join("access.log"));
        Ok(())
    }

    /// All that it said.
    pub(crate) fn words(&self) -> String {
        let said = self.said.lock().expect("nobody panics with it");
        said.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// When which placements changed their health, as far as it says.
    pub(crate) fn transitions(&self, clock: &Clock) -> Vec<Transition> {
        let said = self.said.lock().expect("nobody panics with it");
        let read = |(heard, line): &(i64, String)| match self.contestant {
            Contestant::Nearside => nearside::transition(line, clock),
            Contestant::Haproxy => haproxy::transition(line, clock.of_wall(*heard)),
            Contestant::Nginx => None,
        };
        said.iter().filter_map(read).collect()
    }

    /// What it wrote about requests and their attempts.
    pub(crate) fn requests(&self, clock: &Clock) -> Vec<Logged> {
        let text = std::fs::read_to_string(&self.access_log).unwrap_or_default();
        match self.contestant {
            Contestant::Nearside => text.lines().filter_map(|line| nearside::logged(line, clock)).collect(),
            Contestant::Nginx => text.lines().filter_map(|line| nginx::logged(line, clock)).collect(),
            Contestant::Haproxy => Vec::new(),
        }
    }
}

/// A change of a placement's health.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Transition {
    pub(crate) at_ms: f64,
    pub(crate) pool: String,
    pub(crate) region: String,
    pub(crate) to: String,
}

/// A request as an edge logged it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logged {
    pub(crate) id: Option<u32>,
    pub(crate) began_ms: f64,
    pub(crate) attempts: Vec<Attempt>,
}

/// One attempt of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) region: String,
    pub(crate) began_ms: f64,
    /// Whether anything of the request was written.
    pub(crate) is_sent: bool,
}

/// Keeps what a pipe brings.
fn listen(pipe: impl Read + Send + 'static, said: &Said) {
    let said = said.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            said.lock().expect("nobody panics with it").push((crate::clock::wall_us(), line));
        }
    });
}

/// A port that nobody has now. Peers cannot say which one the kernel gave them.
fn free_door() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
