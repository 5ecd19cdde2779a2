//! Who is the client, and where?
//!
//! ```text
//! peer ─► trusted hops ─► address ─► operator's prefixes ─► databases in order ─► built-in countries ─► place
//! ```
//! The first that knows the address decides. GeoIP is a guess: it orders regions and forbids none. A private address is
//! nowhere unless a prefix says where; the built-in data knows only to which country a registry gave an address, and puts the
//! client where most people of that country live.
//!
//! Databases are replaced as a set by one pointer, and only by files that passed their check; until then the old ones serve.

mod address;
mod database;
mod record;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use control::explain::{GeoDatabase, Locate, Whereabouts};
use jiff::Timestamp;
use steer::client::{Client, Pop, Spot};
use steer::draw::bytes_hash;
use steer::geo::{Country, Place, Point};

use crate::config::{Prefix, Settings};
pub(crate) use address::TrustedHops;
use database::Database;
use record::Entry;

/// What is wrong with a database file, if anything is.
pub(crate) fn database_problem(file: &std::path::Path) -> Option<String> {
    Database::open(file).err()
}

/// Finds places.
#[derive(Debug)]
pub(crate) struct Locator {
    prefixes: Vec<Prefix>,
    databases: ArcSwap<Vec<Arc<Database>>>,
    pop: ArcSwap<Pop>,
    reloads: Reloads,
}

/// How often databases were read.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    ok: AtomicU64,
    refused: AtomicU64,
}

impl Reloads {
    pub(crate) fn ok(&self) -> u64 {
        self.ok.load(Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// What told a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    Prefix(usize),
    Database(usize),
    BuiltIn,
    Nobody,
}

impl Told {
    pub(crate) const NAMES: [&str; 4] = ["prefix", "database", "built_in", "unknown"];

    /// The position of its name.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Prefix(_) => 0,
            Self::Database(_) => 1,
            Self::BuiltIn => 2,
            Self::Nobody => 3,
        }
    }
}

/// A client, and what the log wants of his place.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) address: IpAddr,
    pub(crate) client: Client,
    pub(crate) country: Option<Country>,
    pub(crate) told: Told,
}

impl Locator {
    /// Reads the databases that the settings name. Files that cannot be believed are left out and named.
    pub(crate) fn open(settings: &Settings) -> (Self, Vec<String>) {
        // Longest first, so that the first that contains an address is the one that counts.
        let mut prefixes = settings.prefixes.clone();
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.net.prefix_len()));
        let locator = Self {
            prefixes,
            databases: ArcSwap::default(),
            pop: ArcSwap::default(),
            reloads: Reloads::default(),
        };
        let refused = locator.reload(&settings.databases, true);
        locator.place_pop(settings);
        (locator, refused)
    }

    /// Reads files again, those that have not changed only if told to. One that cannot be believed leaves its former self
    /// serving; what was wrong with which.
    pub(crate) fn reload(&self, files: &[PathBuf], even_unchanged: bool) -> Vec<String> {
        let before = self.databases.load_full();
        let is_as_read =
            |file: &PathBuf| before.iter().any(|database| database.file == *file && database.is_as_read());
        if files.is_empty() || (!even_unchanged && files.iter().all(is_as_read)) {
            return Vec::new();
        }
        let mut refused = Vec::new();
        let mut databases = Vec::with_capacity(files.len());
        for file in files {
            let former = before.iter().find(|database| database.file == *file);
            if let Some(former) = former.filter(|former| !even_unchanged && former.is_as_read()) {
                databases.push(former.clone());
                continue;
            }
            match Database::open(file) {
                Ok(database) => databases.push(Arc::new(database)),
                Err(problem) => {
                    let consequence = match former {
                        Some(_) => "the one read before keeps serving",
                        None => "places come from the other databases and built-in data",
                    };
                    refused.push(format!("{} {problem}; {consequence}", file.display()));
                    databases.extend(former.cloned());
                }
            }
        }
        let counter = if refused.is_empty() { &self.reloads.ok } else { &self.reloads.refused };
        counter.fetch_add(1, Relaxed);
        self.databases.store(Arc::new(databases));
        refused
    }

    /// Finds this PoP: as configured, else by GeoIP of its public address.
    pub(crate) fn place_pop(&self, settings: &Settings) -> Pop {
        let entry = settings.public_address.map(|address| self.entry(address).0).unwrap_or_default();
        let place = settings.place.or(entry.place);
        let by_country = || entry.country.and_then(Country::population_centre);
        let pop = Pop { point: place.or_else(by_country).map(Point::of), country: entry.country };
        self.pop.store(Arc::new(pop.clone()));
        pop
    }

    /// Where this PoP is.
    pub(crate) fn pop(&self) -> Arc<Pop> {
        self.pop.load_full()
    }

    /// The client at an address.
    pub(crate) fn locate(&self, address: IpAddr) -> Located {
        let address = address.to_canonical();
        let (entry, told) = self.entry(address);
        let client = self.client(address, &entry);
        Located { address, client, country: entry.country, told }
    }

    /// How often databases were read again.
    pub(crate) const fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// The databases in use: file name and the time their data was made.
    pub(crate) fn databases(&self) -> Vec<(String, u64)> {
        self.databases.load().iter().map(|database| (file_name(database), database.built)).collect()
    }

    fn client(&self, address: IpAddr, entry: &Entry) -> Client {
        let key = key(address);
        let spot = spot(entry);
        match spot {
            Some(spot) => Client::at(key, spot, &self.pop.load()),
            None => Client::unknown(key),
        }
    }

    fn entry(&self, address: IpAddr) -> (Entry, Told) {
        if let Some(at) = self.prefixes.iter().position(|prefix| prefix.net.contains(&address)) {
            let Prefix { country, place, .. } = self.prefixes[at];
            return (Entry { country, place, accuracy_km: None }, Told::Prefix(at));
        }
        if !is_public(address) {
            return (Entry::default(), Told::Nobody);
        }
        for (index, database) in self.databases.load().iter().enumerate() {
            if let Some(entry) = database.look_up(address) {
                return (entry, Told::Database(index));
            }
        }
        match iptocc::country_code(address).and_then(|code| code.parse().ok()) {
            Some(country) => (Entry { country: Some(country), ..Entry::default() }, Told::BuiltIn),
            None => (Entry::default(), Told::Nobody),
        }
    }
}

impl Locate for Locator {
    fn locate(&self, address: IpAddr) -> (Client, Whereabouts) {
        let address = address.to_canonical();
        let (entry, told) = self.entry(address);
        let client = self.client(address, &entry);
        let by_country = || entry.country.and_then(Country::population_centre);
        let place: Option<Place> = entry.place.or_else(by_country);
        let whereabouts = Whereabouts {
            country: entry.country,
            latitude: place.map(|place| place.latitude),
            longitude: place.map(|place| place.longitude),
            accuracy_km: entry.accuracy_km,
            country_only: entry.place.is_none() && place.is_some(),
            source: match told {
                Told::Prefix(at) => format!("prefix {}", self.prefixes[at].net),
                Told::Database(at) => {
                    self.databases.load().get(at).map_or_else(String::new, |found| file_name(found))
                }
                Told::BuiltIn => "built-in".to_owned(),
                Told::Nobody => "unknown".to_owned(),
            },
        };
        (client, whereabouts)
    }

    fn databases(&self) -> Vec<GeoDatabase> {
        let told = |(file, built): (String, u64)| {
            let built_at = i64::try_from(built).ok().and_then(|built| Timestamp::from_second(built).ok())?;
            Some(GeoDatabase { file, built_at })
        };
        Self::databases(self).into_iter().filter_map(told).collect()
    }
}

fn file_name(database: &Database) -> String {
    database.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn spot(entry: &Entry) -> Option<Spot> {
    if entry.country.is_none() && entry.place.is_none() {
        return None;
    }
    let by_country = || entry.country.and_then(Country::population_centre);
    Some(Spot {
        point: entry.place.or_else(by_country).map(Point::of),
        country: entry.country,
        continent: entry.country.and_then(Country::continent),
        accuracy_km: entry.accuracy_km.filter(|km| km.is_finite() && *km > 0.0).unwrap_or(0.0),
        country_only: entry.place.is_none(),
    })
}

/// One client, one key: his /24 or /56, since one household or office changes addresses within it.
fn key(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => bytes_hash(&v4.octets()[..3]),
        IpAddr::V6(v6) => bytes_hash(&v6.octets()[..7]),
    }
}

/// Whether GeoIP can know anything of an address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}
