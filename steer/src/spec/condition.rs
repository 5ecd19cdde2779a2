//! `headers` and `query` of a route: what a request must carry to match it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that a request must carry. With neither `value` nor `regex`: it must be there, whatever it says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionSpec {
    /// Its name. Header names in any case; names of query parameters exactly.
    #[schemars(regex(pattern = r"^[!-~]{1,128}$"), extend("x-wanted" = "a name without blanks"), extend("examples" = ["x-canary"]))]
    pub name: String,
    /// What one of its values must be, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), extend("examples" = ["1"]))]
    pub value: Option<String>,
    /// What one of its values must match, from its beginning to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), extend("examples" = ["yes|true"]))]
    pub regex: Option<String>,
    /// `false`: it must not be there.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[schemars(extend("examples" = [false]))]
    pub present: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_yes(present: &bool) -> bool {
    *present
}
