//! Lists that may be long, a part at a time, as the API gives them.

use clap::Args;

use super::call::quoted;
use super::sheet::folded;
use super::terminal;

/// Which part of a list is wanted.
#[derive(Args, Clone, Debug)]
pub(super) struct PageArgs {
    /// What comes after this one; a part that is not the last names it
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// So many at most [default: 100]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
}

impl PageArgs {
    /// A path with the query of this part, and of what else is wanted.
    pub(super) fn of(&self, path: &str, wanted: &[(&str, Option<&str>)]) -> String {
        let limit = self.limit.map(|limit| limit.to_string());
        let part = [("after", self.after.as_deref()), ("limit", limit.as_deref())];
        let said: Vec<String> = wanted
            .iter()
            .chain(&part)
            .filter_map(|(key, value)| value.map(|value| format!("{key}={}", quoted(value))))
            .collect();
        match said.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", said.join("&")),
        }
    }
}

/// What stands below a part: a sentence, and how the next one is had.
pub(super) fn below(told: &str, next: Option<&str>) -> String {
    let next = next.map_or_else(String::new, |next| format!(" There are more: --after {next}"));
    folded(&terminal::one_line(&format!("{told}{next}")), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_asked_for() {
        let all = PageArgs { after: None, limit: None };
        assert_eq!(all.of("/v1/origins", &[("pool", None)]), "/v1/origins");
        let some = PageArgs { after: Some("app/eu/[::1]:80".to_owned()), limit: Some(5) };
        assert_eq!(
            some.of("/v1/origins", &[("pool", Some("app"))]),
            "/v1/origins?pool=app&after=app%2Feu%2F%5B%3A%3A1%5D%3A80&limit=5"
        );
    }
}
