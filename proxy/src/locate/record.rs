//! What a database's record says of an address, in both layouts that are in the wild.
//!
//! *Nested* (GeoIP2, GeoLite2): `country.iso_code`, `location.latitude`, `location.accuracy_radius`. *Flat* (DB-IP, IPinfo,
//! iptoasn and others): `country_code` or `country` as text, `latitude`, `longitude`. A record may mix them; what is empty
//! counts as absent, and so do the coordinates 0, 0, which mean "unknown" in practice.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use steer::geo::{Country, Place};

/// What a database knows of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    pub(crate) country: Option<Country>,
    pub(crate) place: Option<Place>,
    pub(crate) accuracy_km: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    country: Option<CountryField>,
    #[serde(default)]
    country_code: Option<CountryField>,
    #[serde(default)]
    registered_country: Option<CountryField>,
    #[serde(default)]
    location: Option<Location>,
    #[serde(default)]
    latitude: Option<Number>,
    #[serde(default)]
    longitude: Option<Number>,
    #[serde(default)]
    accuracy_radius: Option<Number>,
}

#[derive(Deserialize)]
struct Location {
    #[serde(default)]
    latitude: Option<Number>,
    #[serde(default)]
    longitude: Option<Number>,
    #[serde(default)]
    accuracy_radius: Option<Number>,
}

/// A number of any width, or its digits as text; databases in the wild have all of them. Anything else counts as absent.
#[derive(Clone, Copy)]
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or its digits as text")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                // Degrees and kilometres fit; what does not is nonsense and filtered as such.
                Ok(Number(u32::try_from(number).ok().map(f64::from)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(i32::try_from(number).ok().map(f64::from)))
            }

            fn visit_str<E>(self, digits: &str) -> Result<Number, E> {
                Ok(Number(digits.parse().ok()))
            }
        }
        deserializer.deserialize_any(Any)
    }
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
        let latitude = nested.and_then(|location| location.latitude).or(record.latitude).and_then(|it| it.0);
        let longitude =
            nested.and_then(|location| location.longitude).or(record.longitude).and_then(|it| it.0);
        let place = latitude.zip(longitude).map(|(latitude, longitude)| Place { latitude, longitude });
        Self {
            country,
            place: place
                .filter(|place| place.is_on_earth() && (place.latitude, place.longitude) != (0.0, 0.0)),
            accuracy_km: nested
                .and_then(|location| location.accuracy_radius)
                .or(record.accuracy_radius)
                .and_then(|it| it.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(record: &serde_json::Value) -> Entry {
        Entry::from(serde_json::from_str::<Record>(&record.to_string()).unwrap())
    }

    #[test]
    fn both_layouts_say_the_same() {
        let london = Entry {
            country: Some("GB".parse().unwrap()),
            place: Some(Place { latitude: 51.5, longitude: -1.0 }),
            accuracy_km: None,
        };
        let nested = json!({"country": {"iso_code": "GB", "names": {"en": "x"}}, "location": {"latitude": 51.5, "longitude": -1}});
        assert_eq!(entry(&nested), london);
        for country in ["country", "country_code"] {
            assert_eq!(
                entry(&json!({country: "GB", "latitude": 51.5, "longitude": -1.0, "state2": ""})),
                london
            );
            assert_eq!(entry(&json!({country: "GB", "latitude": "51.5", "longitude": "-1"})), london);
        }
    }

    #[test]
    fn what_is_empty_or_nonsense_counts_as_absent() {
        for record in [
            json!({}),
            json!({"country": "", "latitude": "", "longitude": ""}),
            json!({"country": "ZZ", "latitude": 0, "longitude": 0}),
            json!({"country": {"iso_code": "??"}, "location": {"latitude": 91, "longitude": 0}}),
            json!({"country_code": "XYZ", "latitude": 51.5}),
            json!({"location": {"latitude": 18446744073709551615_u64, "longitude": 1}}),
        ] {
            assert_eq!(entry(&record), Entry::default(), "{record}");
        }
    }

    #[test]
    fn a_radius_is_read_from_both_places() {
        assert_eq!(entry(&json!({"location": {"accuracy_radius": 100}})).accuracy_km, Some(100.0));
        assert_eq!(entry(&json!({"accuracy_radius": 20})).accuracy_km, Some(20.0));
    }
}
