//! What a test draws: tables of any kind, clients, latencies, what is observed.

use std::fmt::Write as _;

use steer::Table;
use steer::affinity::Kept;
use steer::client::{Client, Pop, Spot};
use steer::draw::Rng;
use steer::geo::{Continent, Place, Point};
use steer::ids::RegionId;
use steer::signals::{Health, Observed, RAMP_WHOLE};

pub(super) struct Dice(pub(super) Rng);

impl Dice {
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.0.below(n) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.below(all.len() as u32) as usize]
    }

    pub(super) fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * f64::from(self.0.below(1 << 30)) / f64::from(1 << 30)
    }

    pub(super) fn latency(&mut self) -> Option<f64> {
        match self.0.below(20) {
            0 => None,
            1 => Some(self.of(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX])),
            _ => Some(self.within(0.0, 300.0)),
        }
    }

    pub(super) fn observed(&mut self) -> Observed {
        if !self.one_in(3) {
            return Observed::plain(Health::Up);
        }
        let health = self.of(&Health::ALL);
        let ramp = self.0.below(u32::from(RAMP_WHOLE) + 1) as u8;
        match health {
            Health::Recovering => Observed { health, ramp },
            Health::Down | Health::Held => Observed::out_of_use(health, ramp & 1 == 1),
            _ => Observed::plain(health),
        }
    }

    pub(super) fn place(&mut self) -> Place {
        Place { latitude: self.within(-90.0, 90.0), longitude: self.within(-180.0, 180.0) }
    }

    pub(super) fn client(&mut self, table: &Table, pop: &Pop) -> Client {
        let key = self.0.next_u64();
        let spot = Spot {
            point: (!self.one_in(8)).then(|| Point::of(self.place())),
            country: (!self.one_in(4)).then(|| self.of(&["DE", "US", "BR", "ZZ"]).parse().unwrap()),
            continent: (!self.one_in(4)).then(|| self.of(&Continent::ALL)),
            accuracy_km: if self.one_in(3) { self.within(0.0, 4000.0) } else { 0.0 },
            country_only: self.one_in(4),
        };
        let mut client = if self.one_in(6) { Client::unknown(key) } else { Client::at(key, spot, pop) };
        if self.one_in(4) {
            let region = RegionId::new(self.0.below(table.regions.len() as u32) as usize).unwrap();
            client.kept = Some(Kept { region, within_ms: self.within(0.0, 300.0) });
        }
        client
    }

    /// A table of any kind.
    pub(super) fn table(&mut self) -> String {
        let regions = if self.one_in(10) { 30 } else { 1 + self.0.below(12) } as usize;
        let mut text = String::new();
        for index in 0..regions {
            let Place { latitude, longitude } = self.place();
            let state = self.of(&["active", "active", "active", "active", "standby", "drain", "off"]);
            let weight = self.of(&[100, 100, 100, 50, 7, 0]);
            let law = self.of(&["EU", "US", "IN"]);
            let bias = self.of(&[0.0, 0.0, 20.0, -15.5]);
            let _ = writeln!(
                text,
                "[[regions]]\nname = \"r{index}\"\nlatitude = {latitude:?}\nlongitude = {longitude:?}\nstate = \"{state}\"\n\
                 weight = {weight}\njurisdiction = \"{law}\"\nbias_ms = {bias:?}"
            );
        }
        let pools = 1 + self.0.below(3) as usize;
        let mut placed: Vec<Vec<usize>> = Vec::new();
        for pool in 0..pools {
            let mut here: Vec<usize> = (0..regions).filter(|_| !self.one_in(4)).collect();
            if here.is_empty() {
                here.push(0);
            }
            let _ = writeln!(text, "[[pools]]\nname = \"p{pool}\"");
            for region in &here {
                let count = self.of(&[1, 1, 2, 3, 5, 70]);
                let origins: Vec<String> =
                    (0..count).map(|origin| format!("\"10.{pool}.{region}.{}:80\"", origin + 1)).collect();
                let weight = self.of(&[100, 100, 30]);
                let _ = writeln!(
                    text,
                    "[[pools.placements]]\nregion = \"r{region}\"\norigins = [{}]\nweight = {weight}",
                    origins.join(", ")
                );
                if self.one_in(4) {
                    let _ = writeln!(text, "max_in_flight = {}", 1 + self.0.below(2));
                }
            }
            placed.push(here);
        }
        for (policy, steering) in
            ["nearest", "latency", "geo", "weighted", "active-passive"].iter().enumerate()
        {
            let all_down = self.of(&["try_least_bad", "fail_fast"]);
            let _ = writeln!(
                text,
                "[[policies]]\nname = \"{steering}\"\nsteering = \"{steering}\"\non_all_down = \"{all_down}\""
            );
            let order: Vec<String> = placed[0].iter().rev().map(|region| format!("\"r{region}\"")).collect();
            match policy {
                2 => {
                    let _ = writeln!(
                        text,
                        "countries = {{ DE = [{0}] }}\ncontinents = {{ EU = [{0}] }}",
                        order[order.len() - 1]
                    );
                }
                4 => {
                    let failback = self.of(&["auto", "manual"]);
                    let _ = writeln!(text, "order = [{}]\nfailback = \"{failback}\"", order.join(", "));
                }
                _ => {}
            }
        }
        let laws: Vec<&str> =
            ["EU", "US", "IN"].into_iter().filter(|law| text.contains(&format!("\"{law}\""))).collect();
        for (route, steering) in
            ["nearest", "latency", "geo", "weighted", "active-passive"].iter().enumerate()
        {
            // Only the first pool is sure to be where the list says.
            let pool = if *steering == "active-passive" || *steering == "geo" { 0 } else { route % pools };
            let _ = writeln!(
                text,
                "[[routes]]\nname = \"{steering}\"\nhosts = [\"h{route}.test\"]\npool = \"p{pool}\"\npolicy = \"{steering}\""
            );
            if self.one_in(5) {
                let law = self.of(&laws);
                let is_placed =
                    |region: &usize| text.split("[[regions]]").nth(region + 1).unwrap().contains(law);
                if placed[pool].iter().any(is_placed) {
                    let _ = writeln!(text, "jurisdictions = [\"{law}\"]");
                }
            }
        }
        text
    }
}
