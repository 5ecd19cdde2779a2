//! Long lists, a part at a time.

use std::ops::Range;

use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::Queried;
use super::problem::Problem;
use super::reading::Fields;

/// What is told at once, unless somebody says how much.
const USUAL: usize = 100;
/// The most that is.
const MOST: usize = 1000;

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paged {
    /// What comes after this one: the `next` of the part before.
    #[param(min_length = 1, max_length = 400)]
    pub(super) after: Option<String>,
    /// How many; 100 unless it says otherwise.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<usize>,
}

impl Fields for Paged {
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("after", "the next of the part before"), ("limit", "a whole number from 1 to 1000")];
}

impl Queried for Paged {
    const EXAMPLE: &'static str = "?limit=100";
}

/// A part of a list.
pub(super) struct Part {
    /// The places in the list.
    pub(super) range: Range<usize>,
    /// What to ask for the next part with; `None` behind the last.
    pub(super) next: Option<String>,
}

impl Paged {
    /// The part that is wanted of so many, each of which has a name.
    pub(super) fn part(&self, count: usize, name: impl Fn(usize) -> String) -> Result<Part, Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            let detail = format!("from 1 to {MOST} are told at once");
            return Err(Problem::field("bad-query", "limit", detail, "?limit=100".into()));
        }
        let start = match &self.after {
            None => 0,
            Some(after) => {
                let at = (0..count).find(|index| name(*index) == *after).ok_or_else(|| {
                    let detail =
                        format!("there is no {after:?} any more, or never was: begin again without it");
                    Problem::field("bad-query", "after", detail, Self::EXAMPLE.into())
                })?;
                at + 1
            }
        };
        let end = count.min(start.saturating_add(limit));
        let next = (end < count).then(|| name(end - 1));
        Ok(Part { range: start..end, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(after: Option<&str>, limit: Option<usize>) -> Option<(Range<usize>, Option<String>)> {
        let wanted = Paged { after: after.map(str::to_owned), limit };
        wanted.part(250, |index| index.to_string()).ok().map(|part| (part.range, part.next))
    }

    #[test]
    fn parts_follow_each_other_to_the_end() {
        assert_eq!(part(None, None), Some((0..100, Some("99".to_owned()))));
        assert_eq!(part(Some("99"), None), Some((100..200, Some("199".to_owned()))));
        assert_eq!(part(Some("199"), None), Some((200..250, None)));
        assert_eq!(part(Some("249"), Some(1)), Some((250..250, None)));
        assert_eq!(part(None, Some(250)), Some((0..250, None)));
        for (after, limit) in [(Some("250"), None), (None, Some(0)), (None, Some(1001))] {
            assert_eq!(part(after, limit), None);
        }
    }
}
