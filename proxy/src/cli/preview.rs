//! What a change would do, for people.

use control::admin::Told;
use control::changes::Seen;
use control::effect::ShareChange;
use control::share::Basis;

use super::sheet::{columns_within, folded_within};
use super::terminal;

/// The regions whose share changes, and what a guard says; `force` is whose guard is overruled.
pub(super) fn told(told: &Told, force: Option<Seen>, width: Option<u16>) -> String {
    let effect = &told.effect;
    let (moved, kept): (Vec<&ShareChange>, Vec<&ShareChange>) =
        effect.shares.iter().partition(|share| is_moved(share));
    let rows = moved.iter().map(|share| {
        vec![share.region.clone(), percent(share.before), percent(share.after), difference(share)]
    });
    let mut text = match moved.is_empty() {
        true => String::new(),
        false => columns_within(width, &["REGION", "SHARE NOW", "THEN", "CHANGE"], rows) + "\n\n",
    };
    let others = match (moved.len(), kept.len()) {
        (0, _) if effect.predicted_from.is_thin() => {
            "Too little is known to say whether a region's share changes.".to_owned()
        }
        (0, _) => "No region's share changes.".to_owned(),
        (_, 0) => String::new(),
        _ if effect.predicted_from.is_thin() => {
            "Too little is known to say that the others keep theirs.".to_owned()
        }
        (_, 1) => "One other region keeps its share.".to_owned(),
        (_, count) => format!("{count} other regions keep their shares."),
    };
    let source = format!("Shares at the end of every ramp, predicted from {}.", basis(effect.predicted_from));
    text += &folded_within(width, format!("{others} {source}").trim(), 0);
    for violation in &effect.violations {
        let says = if force.is_some() { "A guard is overruled" } else { "A guard refuses it" };
        let told = format!("{says}: {violation}");
        text += &format!("\n{}", folded_within(width, &terminal::one_line(&told), 2));
    }
    for note in &effect.afterwards {
        text += &format!("\n{}", folded_within(width, &terminal::one_line(&format!("Note: {note}")), 2));
    }
    if !effect.violations.is_empty() && force.is_none() {
        text += &format!("\nIf that is meant: --force {}", seen(told));
    }
    text
}

/// What was in force when it was looked at.
pub(super) const fn seen(told: &Told) -> Seen {
    Seen { version: told.version, overlay: Some(told.overlay) }
}

/// What predicted shares come from, in words.
pub(super) fn basis(basis: Basis) -> String {
    match basis {
        Basis::RecentRequests(count) => format!("{count} recent requests"),
        Basis::ClientsAtThisPop(count) => {
            format!("{count} made-up clients at this PoP, as nobody has asked for its routes yet")
        }
        Basis::FormerRequests { requests, under_this_table, since } => {
            format!("{requests} requests since {since:.0}, {under_this_table} of them under this table")
        }
    }
}

/// Whether it would be shown as another number, or comes or goes.
fn is_moved(share: &ShareChange) -> bool {
    percent(share.before) != percent(share.after)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn difference(share: &ShareChange) -> String {
    let points = (share.after.unwrap_or_default() - share.before.unwrap_or_default()) * 100.0;
    format!("{points:+.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::effect::{Effect, Expiry, TakenAway};
    use control::overlay::Target;
    use steer::guard::Violation;

    fn effect(shares: &[(&str, Option<f64>, Option<f64>)], violations: Vec<Violation>) -> Told {
        let shares = shares.iter().map(|(region, before, after)| ShareChange {
            region: (*region).to_owned(),
            before: *before,
            after: *after,
        });
        let violations = violations.into_iter().map(|violation| TakenAway { violation, once: None });
        let effect = Effect {
            predicted_from: Basis::RecentRequests(812),
            shares: shares.collect(),
            violations: violations.collect(),
            afterwards: Vec::new(),
        };
        Told { dry_run: true, version: 3, overlay: 7, effect }
    }

    fn halved() -> Violation {
        Violation::MoreThanHalf {
            pool: "app".to_owned(),
            routes: vec!["all".to_owned()],
            more_routes: 0,
            before: 200.0,
            after: 50.0,
        }
    }

    #[test]
    fn what_changes_is_told_and_the_rest_counted() {
        let shares = [
            ("eu", Some(0.5), Some(0.25)),
            ("us", Some(0.5), Some(0.75)),
            ("ap", Some(0.0), Some(0.0001)),
            ("new", None, Some(0.0)),
        ];
        let text = told(&effect(&shares, Vec::new()), None, None);
        assert_eq!(
            text,
            " REGION  SHARE NOW  THEN    CHANGE\n eu      50.0 %     25.0 %  -25.0\n us      50.0 %     75.0 %  +25.0\n \
             new     -          0.0 %   +0.0\n\nOne other region keeps its share. Shares at the end of every ramp, \
             predicted from 812 recent requests."
        );
        let nothing = told(&effect(&shares[2..3], Vec::new()), None, Some(60));
        assert!(nothing.starts_with("No region's share changes."), "{nothing}");
    }

    #[test]
    fn a_guard_says_how_it_is_overruled() {
        let change = effect(&[("eu", Some(1.0), Some(0.0))], vec![halved()]);
        let text = told(&change, None, None);
        assert!(
            text.contains("A guard refuses it: route all (pool app)") && text.ends_with("--force 3.7"),
            "{text}"
        );
        let text = told(&change, Some(Seen::table(3)), None);
        assert!(text.contains("overruled: route all (pool app)") && !text.contains("--force"), "{text}");
    }

    #[test]
    fn two_requests_do_not_say_that_no_share_changes() {
        let kept = [("eu", Some(1.0), Some(1.0)), ("us", Some(0.0), Some(0.0))];
        let mut change = effect(&kept, Vec::new());
        for (known, says) in [
            (Basis::RecentRequests(50), "No region's share changes. "),
            (Basis::RecentRequests(2), "Too little is known to say whether a region's share changes. "),
            (Basis::ClientsAtThisPop(1000), "Too little is known to say whether a region's share changes. "),
        ] {
            change.effect.predicted_from = known;
            let text = told(&change, None, None);
            assert!(text.starts_with(says), "{known:?}: {text}");
        }
        let moved = [("eu", Some(1.0), Some(0.5)), ("us", Some(0.0), Some(0.5)), ("ap", None, None)];
        change = effect(&moved, Vec::new());
        let since = "2026-03-01T03:00:00.7Z".parse().unwrap();
        change.effect.predicted_from = Basis::FormerRequests { requests: 49, under_this_table: 2, since };
        let text = told(&change, None, None);
        let says = "Too little is known to say that the others keep theirs. Shares at the end of every ramp, predicted from 49 \
                    requests since 2026-03-01T03:00:00Z, 2 of them under this table.";
        assert!(text.ends_with(says), "{text}");
    }

    #[test]
    fn what_comes_with_an_expiry_is_told_with_it() {
        let mut change = effect(&[("eu", Some(1.0), Some(0.0))], vec![halved()]);
        let at = "2026-03-01T03:00:08Z".parse().unwrap();
        let overrides = vec![Target::Region("us".to_owned())];
        change.effect.violations[0].once = Some(Expiry { overrides, more_overrides: 0, at });
        change.effect.afterwards = vec!["afterwards the table's weight 100 counts".to_owned()];
        let text = told(&change, None, None);
        for says in [
            "A guard refuses it: once the override of us expires (at 2026-03-01T03:00:08Z), route all (pool app)",
            "\nNote: afterwards the table's weight 100 counts\n",
        ] {
            assert!(text.contains(says), "{text}");
        }
    }
}
