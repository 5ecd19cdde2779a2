//! Policies: which keys belong to which steering, and whether the regions they name exist.

use std::collections::BTreeMap;

use super::Compiler;
use crate::defect::KeyPath;
use crate::spec::{PolicySpec, Steering};

impl<'a> Compiler<'a> {
    pub(super) fn policies(&mut self, specs: &'a [PolicySpec]) -> BTreeMap<&'a str, &'a PolicySpec> {
        let root = KeyPath::of("policies");
        self.unique(specs.iter().map(|spec| &spec.name), &root, "policy", "routes could mean either");
        for (index, spec) in specs.iter().enumerate() {
            let path = root.index(index);
            let keys = [
                ("order", spec.order.is_some(), Steering::ActivePassive),
                ("failback", spec.failback.is_some(), Steering::ActivePassive),
                ("countries", !spec.countries.is_empty(), Steering::Geo),
                ("continents", !spec.continents.is_empty(), Steering::Geo),
            ];
            for (key, _, wanted) in
                keys.into_iter().filter(|(_, written, wanted)| *written && *wanted != spec.steering)
            {
                self.defect(
                    path.key(key),
                    format!("steering is {:?}, which has no {key}", spec.steering.as_str()),
                    "nothing would enforce this key",
                    &format!("steering = {:?}", wanted.as_str()),
                );
            }
            if spec.steering == Steering::ActivePassive && spec.order.is_none() {
                self.defect(
                    path.clone(),
                    "active-passive steering needs an order".to_owned(),
                    "no region would be the active one",
                    "order = [\"eu-central\", \"us-east\"]",
                );
            }
            let order = path.key("order");
            let listed = spec.order.as_deref().unwrap_or_default();
            for (index, name) in listed.iter().enumerate() {
                self.region(name, &order.index(index), "it could never be chosen");
                if listed[..index].contains(name) {
                    self.defect(
                        order.index(index),
                        format!("{:?} stands here twice", name.0),
                        "its second place would never be reached",
                        "order = [\"eu-central\", \"us-east\"]",
                    );
                }
            }
            let countries = spec.countries.iter().map(|(code, names)| ("countries", code.to_string(), names));
            let continents = spec
                .continents
                .iter()
                .map(|(code, names)| ("continents", format!("{code:?}").to_uppercase(), names));
            for (key, code, names) in countries.chain(continents) {
                let path = path.key(key).key(&code);
                for (index, name) in names.iter().enumerate() {
                    self.region(name, &path.index(index), "no client could be sent there");
                }
            }
        }
        specs.iter().map(|spec| (spec.name.0.as_str(), spec)).collect()
    }
}
