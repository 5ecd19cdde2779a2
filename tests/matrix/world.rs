//! Three regions: an origin's process in each, and a way to it that can be broken.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::Failure;
use crate::clock::Clock;
use crate::fault::Plane;
use crate::origin::Order;
use crate::process::{Guard, Process};
use crate::relay::Relay;

/// Name, round trip in ms, and the address of the way there. The first is everybody's natural region.
const REGIONS: [(&str, u64, Ipv4Addr); 3] = [
    ("near", 5, Ipv4Addr::new(127, 0, 0, 11)),
    ("middle", 30, Ipv4Addr::new(127, 0, 0, 12)),
    ("far", 80, Ipv4Addr::new(127, 0, 0, 13)),
];

/// The region that faults hit.
pub(crate) const HIT: &str = REGIONS[0].0;
/// Its address.
pub(crate) const HIT_ADDRESS: Ipv4Addr = REGIONS[0].2;
/// How much farther the next region is.
pub(crate) const NEXT_IS_FARTHER_MS: f64 = (REGIONS[1].1 - REGIONS[0].1) as f64;

/// The region behind an address.
pub(crate) fn region_of(address: IpAddr) -> Option<&'static str> {
    REGIONS.iter().find(|(_, _, host)| *host == address).map(|(name, ..)| *name)
}

/// A request that an origin carried out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Execution {
    pub(crate) id: u32,
    pub(crate) region: &'static str,
}

/// All regions.
pub(crate) struct World {
    pub(crate) regions: Vec<Region>,
    executions: Arc<Mutex<Vec<Execution>>>,
    guard: Guard,
    tls: Option<PathBuf>,
    /// Processes that leave, or have left.
    former: Vec<(Process, ChildStdin)>,
}

/// One region.
pub(crate) struct Region {
    pub(crate) name: &'static str,
    pub(crate) relay: Arc<Relay>,
    pub(crate) round_trip: Duration,
    process: Process,
    orders: ChildStdin,
}

impl World {
    /// Starts them. `folder` is where certificates are to be, if the plane has any.
    pub(crate) async fn start(
        plane: Plane,
        folder: &Path,
        clock: Clock,
        guard: &Guard,
    ) -> Result<Self, Failure> {
        let tls = (plane == Plane::Tls).then(|| folder.to_owned());
        if tls.is_some() {
            write_certificates(folder)?;
        }
        let executions = Arc::default();
        let mut regions = Vec::new();
        for (name, ms, host) in REGIONS {
            let (process, orders, address) = origin(name, tls.as_deref(), &executions, guard)?;
            let round_trip = Duration::from_millis(ms);
            let relay = Relay::start(&host.to_string(), address, round_trip, clock).await?;
            regions.push(Region { name, relay, round_trip, process, orders });
        }
        Ok(Self { regions, executions, guard: guard.clone(), tls, former: Vec::new() })
    }

    /// Where an edge finds them.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.regions.iter().map(|region| (region.name, region.relay.address)).collect()
    }

    /// The region that faults hit.
    pub(crate) fn hit(&mut self) -> &mut Region {
        &mut self.regions[0]
    }

    /// What was carried out so far.
    pub(crate) fn executions(&self) -> Vec<Execution> {
        self.executions.lock().expect("nobody panics with it").clone()
    }

    /// A new process where one has ended or is about to: one that leaves may finish what runs.
    pub(crate) fn restart(&mut self, index: usize) -> Result<(), Failure> {
        let region = &mut self.regions[index];
        let (process, orders, address) =
            origin(region.name, self.tls.as_deref(), &self.executions, &self.guard)?;
        region.relay.lead_to(address);
        let former = std::mem::replace(&mut region.process, process);
        // It would end with its orders.
        self.former.push((former, std::mem::replace(&mut region.orders, orders)));
        Ok(())
    }
}

impl Region {
    /// Tells its origin how to behave.
    pub(crate) fn order(&mut self, order: &Order) -> Result<(), Failure> {
        writeln!(self.orders, "{order}")?;
        Ok(self.orders.flush()?)
    }

    /// Kills its origin.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.process.child.kill()?)
    }

    /// Sends its origin a signal, by name.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Failure> {
        self.process.signal(name)
    }
}

/// Starts an origin; its process, where it takes orders, and where it listens.
fn origin(
    region: &'static str,
    tls: Option<&Path>,
    executions: &Arc<Mutex<Vec<Execution>>>,
    guard: &Guard,
) -> Result<(Process, ChildStdin, SocketAddr), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["origin", "--region", region]);
    if let Some(folder) = tls {
        command.arg("--tls").arg(folder);
    }
    let mut process = guard.spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let orders = process.child.stdin.take().ok_or("no stdin")?;
    let out = process.child.stdout.take().ok_or("no stdout")?;
    let (sender, address) = mpsc::channel();
    let executions = executions.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["listening", address] => {
                    let _ = sender.send(address.parse::<SocketAddr>());
                }
                ["x", id, ..] => {
                    if let Ok(id) = id.parse() {
                        let execution = Execution { id, region };
                        executions.lock().expect("nobody panics with it").push(execution);
                    }
                }
                _ => {}
            }
        }
    });
    let address = address.recv_timeout(Duration::from_secs(10)).map_err(|_| "an origin did not start")??;
    Ok((process, orders, address))
}

/// An authority, what it says of the origins, and what a stranger says of himself.
fn write_certificates(folder: &Path) -> Result<(), Failure> {
    let (ours, stranger) = (testkit::Authority::new(), testkit::Authority::new());
    let _ = ours.file(folder);
    for (name, authority) in [("origin", &ours), ("stranger", &stranger)] {
        let certificate = authority.issue(&["origin.test"]);
        std::fs::write(folder.join(format!("{name}.pem")), &certificate.chain)?;
        std::fs::write(folder.join(format!("{name}.key")), &certificate.key)?;
    }
    Ok(())
}
