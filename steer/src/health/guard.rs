//! What a placement that fails, though it answers probes, may be given up for. An ejection is a judgement and not a proof of
//! death; it must never make things worse than the failures that it is about.

/// Another placement of the same pool, as an ejection must see it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Other {
    /// Whether operators let it take requests at all: its state is active or standby, its weight above 0.
    pub is_eligible: bool,
    /// Whether it is healthy and takes requests.
    pub is_usable: bool,
    /// Whether it is ejected itself. One that is proved dead is not: it must not use up what may be ejected.
    pub is_ejected: bool,
    /// The share of its recent outcomes that is as bad, where there are enough.
    pub bad_share: Option<f64>,
}

/// Why a placement that fails is not given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guard {
    /// Fewer than three clients have seen it fail.
    Clients,
    /// The others fail alike: the application is at fault, and no other region would be better.
    CommonMode,
    /// Half of the pool's placements are ejected already.
    Cap,
    /// No other placement is healthy.
    Last,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 4] = [Self::Clients, Self::CommonMode, Self::Cap, Self::Last];

    /// The word in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::CommonMode => "common_mode",
            Self::Cap => "cap",
            Self::Last => "last",
        }
    }
}

/// Whether a placement may be ejected beside these others of its pool. `least_proved_share` is the share of bad outcomes above
/// which a placement counts as failing.
///
/// # Errors
/// What speaks against it.
pub fn may_eject(others: &[Other], least_proved_share: f64) -> Result<(), Guard> {
    if is_common(others, least_proved_share) {
        return Err(Guard::CommonMode);
    }
    if !others.iter().any(|other| other.is_eligible && other.is_usable) {
        return Err(Guard::Last);
    }
    let eligible = 1 + others.iter().filter(|other| other.is_eligible).count();
    let ejected = others.iter().filter(|other| other.is_eligible && other.is_ejected).count();
    if ejected < (eligible / 2).max(1) { Ok(()) } else { Err(Guard::Cap) }
}

/// Whether the others are as bad: the median of their shares, where there are enough outcomes to tell.
#[must_use]
pub fn is_common(others: &[Other], least_proved_share: f64) -> bool {
    let mut shares: Vec<f64> = others.iter().filter_map(|other| other.bad_share).collect();
    shares.sort_by(f64::total_cmp);
    // Of an even number the lower one: for so much to be common, more than half must share it.
    shares.get((shares.len().max(1) - 1) / 2).is_some_and(|median| *median > least_proved_share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Other = Other { is_eligible: true, is_usable: true, is_ejected: false, bad_share: Some(0.0) };
    const EJECTED: Other = Other { is_usable: false, is_ejected: true, bad_share: None, ..WELL };
    const DEAD: Other = Other { is_usable: false, bad_share: None, ..WELL };

    fn asked(others: &[Other]) -> Result<(), Guard> {
        may_eject(others, 0.066)
    }

    #[test]
    fn never_the_last() {
        assert_eq!(asked(&[]), Err(Guard::Last));
        assert_eq!(asked(&[DEAD, EJECTED]), Err(Guard::Last));
        assert_eq!(asked(&[Other { is_eligible: false, ..WELL }]), Err(Guard::Last));
        assert_eq!(asked(&[WELL]), Ok(()));
    }

    #[test]
    fn half_at_most_and_one_at_least() {
        assert_eq!(asked(&[WELL, EJECTED]), Err(Guard::Cap), "one of three");
        assert_eq!(asked(&[WELL, EJECTED, WELL]), Ok(()), "two of four");
        assert_eq!(asked(&[WELL, EJECTED, EJECTED]), Err(Guard::Cap), "not three of four");
    }

    #[test]
    fn the_dead_do_not_use_up_what_may_be_ejected() {
        assert_eq!(asked(&[WELL, DEAD, DEAD]), Ok(()));
        assert_eq!(asked(&[WELL, DEAD, DEAD, DEAD, DEAD]), Ok(()));
    }

    #[test]
    fn what_all_have_in_common_ejects_none() {
        let failing = Other { bad_share: Some(0.2), ..WELL };
        let unknown = Other { bad_share: None, ..WELL };
        assert_eq!(asked(&[failing]), Err(Guard::CommonMode));
        assert_eq!(asked(&[failing, failing, WELL]), Err(Guard::CommonMode));
        assert_eq!(asked(&[failing, WELL]), Ok(()), "one of the others is a coincidence");
        assert_eq!(asked(&[unknown, unknown]), Ok(()));
    }
}
