//! Spec to table: resolve every reference, refuse everything that makes no sense, all at once.
//!
//! A compile that stopped at the first mistake would cost an operator one run per mistake. Each check therefore records its
//! [`Defect`] and goes on with what is left; only at the end is the question asked whether there were any.
//!
//! Ranges are checked again here although the schema states them too: a spec may come from code.

mod actions;
mod affinities;
mod lanes;
mod matching;
mod policies;
mod pools;
mod retries;
mod routes;

use std::collections::BTreeMap;

use crate::defect::{Defect, KeyPath, Step};
use crate::draw::name_hash;
use crate::geo::{Place, Point};
use crate::ids::{LaneId, PoolId, RegionId};
use crate::spec::{Name, RegionSpec, Spec};
use crate::table::{Region, Table};

impl Table {
    /// Compiles a spec.
    ///
    /// # Errors
    /// Every [`Defect`] that could be found, in the order of the spec's sections.
    pub fn compile(spec: &Spec) -> Result<Self, Vec<Defect>> {
        let mut compiler = Compiler { table: Self::default(), defects: Vec::new(), lanes: BTreeMap::new() };
        compiler.regions(&spec.regions);
        compiler.pools(&spec.pools);
        let policies = compiler.policies(&spec.policies);
        compiler.routes(&spec.routes, &policies);
        if compiler.defects.is_empty() { Ok(compiler.table) } else { Err(compiler.defects) }
    }
}

const NOWHERE: &str = "requests for it would have nowhere to go";

struct Compiler<'a> {
    table: Table,
    defects: Vec<Defect>,
    lanes: BTreeMap<LaneKey<'a>, LaneId>,
}

/// What makes two routes share a lane.
type LaneKey<'a> = (PoolId, Option<&'a str>, u8, &'a [String]);

impl<'a> Compiler<'a> {
    fn regions(&mut self, specs: &[RegionSpec]) {
        let root = KeyPath::of("regions");
        self.at_least_one(specs.is_empty(), &root, "region", "[[regions]]");
        self.unique(
            specs.iter().map(|spec| &spec.name),
            &root,
            "region",
            "one of the two would never be used",
        );
        for (index, spec) in specs.iter().enumerate() {
            let path = root.index(index);
            let place = Place { latitude: spec.latitude, longitude: spec.longitude };
            if !place.is_on_earth() {
                self.defect(
                    path.key("latitude"),
                    format!("{}, {} is no place on Earth", place.latitude, place.longitude),
                    "no distance to this region could be told",
                    "latitude = 50.11",
                );
            }
            self.weight(spec.weight, &path);
            if !(-500.0..=500.0).contains(&spec.bias_ms) {
                self.defect(
                    path.key("bias_ms"),
                    format!("{} is not between -500 and 500", spec.bias_ms),
                    "the region would win or lose every comparison: use weight or state for that",
                    "bias_ms = 10.0",
                );
            }
            self.table.regions.push(Region {
                name: spec.name.0.clone(),
                hash: name_hash(&spec.name.0),
                place,
                point: Point::of(place),
                jurisdiction: spec.jurisdiction.clone(),
                weight: spec.weight,
                state: spec.state,
                bias_ms: spec.bias_ms,
            });
        }
        self.fits(RegionId::new(specs.len()).is_some(), &root, "regions");
    }

    /// The regions of those names; unknown ones were reported where they stand.
    fn ids(&self, names: &[Name]) -> Vec<RegionId> {
        names.iter().filter_map(|name| self.table.region_named(&name.0)).collect()
    }

    fn region(&mut self, name: &Name, path: &KeyPath, consequence: &str) -> Option<RegionId> {
        let found = self.table.region_named(&name.0);
        if found.is_none() {
            let known: Vec<String> = self.table.regions.iter().map(|region| region.name.clone()).collect();
            self.unknown("region", name, known.iter().map(String::as_str), path, consequence);
        }
        found
    }

    fn unknown<'n>(
        &mut self,
        noun: &str,
        name: &Name,
        known: impl Iterator<Item = &'n str>,
        path: &KeyPath,
        consequence: &str,
    ) {
        let known: Vec<&str> = known.take(8).collect();
        let example = known.first().map_or_else(
            || format!("a [[{noun}s]] named {:?}", name.0),
            |first| {
                let key = path.0.iter().rev().find_map(|step| match step {
                    Step::Key(key) => Some(key.as_str()),
                    Step::Index(_) => None,
                });
                let value = if matches!(path.0.last(), Some(Step::Index(_))) {
                    format!("[{first:?}]")
                } else {
                    format!("{first:?}")
                };
                format!("{} = {value}", key.unwrap_or(noun))
            },
        );
        let named =
            if known.is_empty() { String::new() } else { format!(" (there are {})", known.join(", ")) };
        self.defect(path.clone(), format!("no {noun} is named {:?}{named}", name.0), consequence, &example);
    }

    fn unique<'n>(
        &mut self,
        names: impl Iterator<Item = &'n Name>,
        path: &KeyPath,
        noun: &str,
        consequence: &str,
    ) {
        let mut seen = BTreeMap::new();
        for (index, name) in names.enumerate() {
            if !name.is_valid() {
                self.defect(
                    path.index(index).key("name"),
                    format!("{:?} is not a name: 1 to 63 of a-z, 0-9, `-`, `_` and `.`, a letter or digit at both ends", name.0),
                    "it could not stand in a metric, a header or a command",
                    "name = \"eu-central\"",
                );
            }
            if let Some(first) = seen.insert(name, index) {
                self.defect(
                    path.index(index).key("name"),
                    format!("another {noun} ({}) is named {:?} too", path.index(first), name.0),
                    consequence,
                    &format!("name = \"{}-2\"", name.0),
                );
            }
        }
    }

    fn weight(&mut self, weight: u8, path: &KeyPath) {
        if weight > 100 {
            self.defect(
                path.key("weight"),
                format!("{weight} is more than 100"),
                "a region cannot keep more than all of its traffic; use bias_ms to attract more",
                "weight = 50",
            );
        }
    }

    fn at_least_one(&mut self, missing: bool, path: &KeyPath, noun: &str, example: &str) {
        if missing {
            self.defect(path.clone(), format!("there is no {noun}"), "no request could be served", example);
        }
    }

    fn fits(&mut self, fits: bool, path: &KeyPath, noun: &str) {
        if !fits {
            self.defect(
                path.clone(),
                format!("there are more {noun} than a table can number"),
                "some could not be addressed",
                "two tables on two edges",
            );
        }
    }

    fn defect(&mut self, path: KeyPath, problem: String, consequence: &str, example: &str) {
        let (consequence, example) = (consequence.to_owned(), example.to_owned());
        self.defects.push(Defect { path, problem, consequence, example });
    }
}

/// LDH labels (and `_`, which service names use), 63 bytes each, 253 together, in lower case.
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}
