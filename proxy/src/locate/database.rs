//! MaxMind-format databases, in both record layouts that are in the wild.
//!
//! *Nested* (GeoIP2, GeoLite2): `country.iso_code`, `location.latitude`, `location.accuracy_radius`. *Flat* (DB-IP, IPinfo,
//! iptoasn and others): `country_code` or `country` as text, `latitude`, `longitude`. A record may mix them; what is empty
//! counts as absent, and so do the coordinates 0, 0, which mean "unknown" in practice.
//!
//! A file is read into memory whole and checked before it is believed: it may be replaced under a running process, and a
//! memory map of a file that shrinks ends the process.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use steer::geo::{Country, Place};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 2 << 30;

/// One sound database.
pub(crate) struct Database {
    /// The file it came from.
    pub(crate) file: PathBuf,
    /// When its data was made, in seconds since 1970.
    pub(crate) built: u64,
    stamp: Option<Stamp>,
    reader: Reader<Vec<u8>>,
}

/// What tells that a file is another one now.
type Stamp = (u64, std::time::SystemTime);

/// What a database knows of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    pub(crate) country: Option<Country>,
    pub(crate) place: Option<Place>,
    pub(crate) accuracy_km: Option<f64>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Database {
    /// Reads and checks a file.
    pub(crate) fn open(file: &Path) -> Result<Self, String> {
        let size = fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?.len();
        if size > MAX_BYTES {
            return Err(format!("has {size} bytes, more than the {MAX_BYTES} that are read"));
        }
        let stamp = stamp(file);
        let bytes = fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
        let reader =
            Reader::from_source(bytes).map_err(|error| format!("is no MaxMind database: {error}"))?;
        reader.verify().map_err(|error| format!("is damaged: {error}"))?;
        Ok(Self { file: file.to_owned(), built: reader.metadata().build_epoch, stamp, reader })
    }

    /// Whether the file is still the one that was read.
    pub(crate) fn is_as_read(&self) -> bool {
        self.stamp.is_some() && self.stamp == stamp(&self.file)
    }

    /// What it knows of an address. An IPv4 database knows nothing of IPv6.
    pub(crate) fn look_up(&self, address: IpAddr) -> Option<Entry> {
        match self.reader.lookup(address).and_then(|found| found.decode::<Record>()) {
            Ok(record) => record.map(Entry::from).filter(|entry| *entry != Entry::default()),
            Err(MaxMindDbError::InvalidInput { .. }) => None,
            Err(error) => {
                // The file was checked; a record of an unexpected shape is the database's business, not the request's.
                tracing::debug!(file = %self.file.display(), %address, %error, "record not understood");
                None
            }
        }
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    country: Option<CountryField>,
    #[serde(default)]
    country_code: Option<CountryField>,
    #[serde(default)]
    registered_country: Option<CountryField>,
    #[serde(default)]
    location: Option<Location>,
    #[serde(default)]
    latitude: Option<f64>,
    #[serde(default)]
    longitude: Option<f64>,
    #[serde(default)]
    accuracy_radius: Option<f64>,
}

#[derive(Deserialize)]
struct Location {
    #[serde(default)]
    latitude: Option<f64>,
    #[serde(default)]
    longitude: Option<f64>,
    #[serde(default)]
    accuracy_radius: Option<f64>,
}

/// A country as text or as a table with `iso_code`.
struct CountryField(Option<Country>);

impl<'de> Deserialize<'de> for CountryField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = CountryField;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a country code, or a table with iso_code")
            }

            fn visit_str<E>(self, code: &str) -> Result<CountryField, E> {
                // ZZ is the code for "unknown".
                Ok(CountryField(code.parse().ok().filter(|country: &Country| country.as_str() != "ZZ")))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CountryField, A::Error> {
                let mut country = CountryField(None);
                while let Some(key) = map.next_key::<&str>()? {
                    if key == "iso_code" {
                        country = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(country)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        let fields = [record.country, record.country_code, record.registered_country];
        let country = fields.into_iter().flatten().find_map(|field| field.0);
        let nested = record.location.as_ref();
        let latitude = nested.and_then(|location| location.latitude).or(record.latitude);
        let longitude = nested.and_then(|location| location.longitude).or(record.longitude);
        let place = latitude.zip(longitude).map(|(latitude, longitude)| Place { latitude, longitude });
        Self {
            country,
            place: place
                .filter(|place| place.is_on_earth() && (place.latitude, place.longitude) != (0.0, 0.0)),
            accuracy_km: nested.and_then(|location| location.accuracy_radius).or(record.accuracy_radius),
        }
    }
}
