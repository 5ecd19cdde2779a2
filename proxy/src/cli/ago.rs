//! How long ago something was, or for how long it has been so, in the unit that a person would take.

use control::admin::LastError;

/// A number of milliseconds, so told.
pub(super) fn ago(ms: f64) -> String {
    const UNITS: [(&str, f64); 4] =
        [("d", 86_400_000.0), ("h", 3_600_000.0), ("min", 60_000.0), ("s", 1000.0)];
    match UNITS.iter().find(|(_, length)| ms >= *length) {
        Some((unit, length)) => format!("{:.0} {unit}", (ms / length).floor()),
        None => format!("{ms:.0} ms"),
    }
}

/// What last went wrong and how long ago that was; nothing, if nothing has.
pub(super) fn last_error(error: Option<&LastError>) -> String {
    error.map_or_else(String::new, |error| format!("{}, {} ago", error.what, ago(error.ago_ms)))
}

#[cfg(test)]
mod tests {
    use super::ago;

    #[test]
    fn times_are_in_the_unit_that_fits() {
        let told = [12.4, 999.0, 61_500.0, 7_300_000.0, 200_000_000.0].map(ago);
        assert_eq!(told, ["12 ms", "999 ms", "1 min", "2 h", "2 d"]);
    }
}
