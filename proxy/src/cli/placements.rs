//! Placements in their layers: what the table says, what operators say instead, what is seen, and what counts in the end.

use control::admin::Layer;
use control::layers::Placement;

use super::ago::ago;
use super::overrides::notes;
use super::sheet::{columns, folded};

/// A table of them, and what its columns mean.
pub(super) fn layers(placements: &[Placement]) -> String {
    let header = ["PLACEMENT", "TAKES", "WEIGHT", "STATE", "HEALTH", "SEEN", "TABLE", "OVERRIDE"];
    let table = columns(&header, placements.iter().map(row));
    let legend = "Weight, state and health are what counts; in brackets stands the layer that decided, where that is neither the \
                  table's word on the placement itself nor what is seen. Table is what that word is: weight and state.";
    format!("{table}\n\n{}", folded(legend, 0))
}

fn row(placement: &Placement) -> Vec<String> {
    let Placement { pool, region, configured, overridden, observed, effective } = placement;
    // Products of percents, and what a ramp has come to.
    let weight = (effective.weight * 100.0).round() / 100.0;
    let since = observed.for_ms.map_or_else(String::new, |ms| format!(" for {}", ago(ms)));
    vec![
        format!("{pool}/{region}"),
        yes_or_no(effective.is_usable).to_owned(),
        by(&weight.to_string(), effective.weight_by),
        by(effective.state.as_str(), effective.state_by),
        by(&effective.health, effective.health_by),
        format!("{}{since}", observed.health),
        format!("{} {}", configured.weight, configured.state.as_str()),
        notes(overridden),
    ]
}

/// A value with the layer that decided it, unless that is the usual one.
fn by(value: &str, layer: Layer) -> String {
    match layer {
        Layer::PlacementTable | Layer::Observed => value.to_owned(),
        Layer::PlacementOverride | Layer::RegionOverride | Layer::RegionTable => {
            format!("{value} ({})", layer.as_str())
        }
    }
}

pub(super) const fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}
