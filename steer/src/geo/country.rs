//! Countries by their ISO 3166-1 alpha-2 code, with the centre of their population and their continent.
//!
//! GeoIP often knows the country and no more. Such a client is put where most people of that country live, never at the
//! centre of its area.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Place;
use super::centres::CENTRES;

/// An ISO 3166-1 alpha-2 code in capitals. Any two letters are a code: databases know some that the standard does not.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Country([u8; 2]);

impl Country {
    /// Where the people of this country live. `None` for a code that GeoNames does not list.
    #[must_use]
    pub fn population_centre(self) -> Option<Place> {
        self.row().map(|(_, _, latitude, longitude)| Place { latitude: *latitude, longitude: *longitude })
    }

    /// The continent. `None` for a code that GeoNames does not list.
    #[must_use]
    pub fn continent(self) -> Option<Continent> {
        self.row().map(|(_, continent, _, _)| *continent)
    }

    /// The two letters as bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0
    }

    /// The country of two bytes, if they are letters.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters get in")
    }

    fn row(self) -> Option<&'static ([u8; 2], Continent, f64, f64)> {
        CENTRES.binary_search_by_key(&self.0, |row| row.0).ok().map(|found| &CENTRES[found])
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was written is not a country code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotACountry(String);

impl fmt::Display for NotACountry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a country code: write two letters, such as \"DE\"", self.0)
    }
}

impl std::error::Error for NotACountry {}

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(NotACountry(text.to_owned())),
        }
    }
}

impl Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Country {
    fn schema_name() -> Cow<'static, str> {
        "Country".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[A-Z]{2}$",
            "x-wanted": "an ISO 3166-1 country code in two capital letters",
            "examples": ["DE"],
        })
    }
}

/// A continent, by GeoNames' and MaxMind's two-letter codes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[schemars(inline)]
pub enum Continent {
    /// Africa.
    #[serde(rename = "AF")]
    Af,
    /// Antarctica.
    #[serde(rename = "AN")]
    An,
    /// Asia.
    #[serde(rename = "AS")]
    As,
    /// Europe.
    #[serde(rename = "EU")]
    Eu,
    /// North America, with Central America and the Caribbean.
    #[serde(rename = "NA")]
    Na,
    /// Oceania.
    #[serde(rename = "OC")]
    Oc,
    /// South America.
    #[serde(rename = "SA")]
    Sa,
}

impl Continent {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [Self::Af, Self::An, Self::As, Self::Eu, Self::Na, Self::Oc, Self::Sa];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Country {
        code.parse().unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_on_earth() {
        assert!(CENTRES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(CENTRES.iter().all(|(_, _, latitude, longitude)| {
            Place { latitude: *latitude, longitude: *longitude }.is_on_earth()
        }));
        assert!(CENTRES.len() > 240);
    }

    #[test]
    fn people_live_where_the_table_says() {
        // Canada's area centroid is at 62 degrees north, Russia's at 97 degrees east.
        assert!(country("CA").population_centre().unwrap().latitude < 50.0);
        assert!(country("RU").population_centre().unwrap().longitude < 60.0);
        assert_eq!(country("GB").continent(), Some(Continent::Eu));
    }

    #[test]
    fn codes_are_two_letters() {
        assert_eq!(country("de").as_str(), "DE");
        for text in ["", "D", "DEU", "D1", "ÄÖ", "日"] {
            assert!(text.parse::<Country>().is_err(), "{text}");
        }
        assert_eq!(country("ZZ").population_centre(), None);
    }
}
