//! "Did you mean": the name that somebody will have meant.

/// How far a name may be from one that is meant: letters too many, too few, others, or the other way round.
const MAX_TYPOS: usize = 2;

/// The closest of the names that there are, if one is close.
pub(crate) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typos = |known: &&str| strsim::damerau_levenshtein(known, name);
    known.into_iter().min_by_key(typos).filter(|known| typos(known) <= MAX_TYPOS)
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn the_closest_name_is_meant_and_none_that_is_far() {
        assert_eq!(meant("wieght", ["height", "weight"]), Some("weight"));
        assert_eq!(meant("nonsense", ["height", "weight"]), None);
        assert_eq!(meant("weight", []), None);
    }
}
