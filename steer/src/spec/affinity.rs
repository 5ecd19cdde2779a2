//! `affinity` of a route: what keeps a client where it was.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moment::Span;

/// What keeps a client at one region and one origin. Never stronger than jurisdictions, states, weights of 0 and health.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AffinitySpec {
    /// `cookie`: a signed cookie names the region and origin that answered first, and requests that carry it go there.
    /// `header`: requests with the same value of a header field go to the same origin of a region, and move together when
    /// weights change. `address`: the same for clients of one network (/24, /56).
    pub by: AffinityBy,
    /// The header field (`header` only). Requests without it are treated as with `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), extend("examples" = ["x-user"]))]
    pub header: Option<String>,
    /// What happens when the region or origin of a cookie cannot serve (`cookie` only). Default `temporary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AffinityMode>,
    /// How long the cookie lasts (`cookie` only), from the answer that sets it. Default: until the browser is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["1h"]))]
    pub lifetime: Option<Span>,
    /// How much farther than the best region the one of the cookie may be (`cookie` only): a client who moved to another
    /// continent is not kept on the old one. Default `100ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["50ms"]))]
    pub within: Option<Span>,
}

/// What a client is known by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("examples" = ["cookie"]))]
pub enum AffinityBy {
    /// A signed cookie.
    Cookie,
    /// A header field.
    Header,
    /// The network of the client's address.
    Address,
}

/// What happens to a client whose region or origin cannot serve.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("examples" = ["sticky"]))]
pub enum AffinityMode {
    /// It is served elsewhere until it can return.
    #[default]
    Temporary,
    /// It stays where it is served then: the cookie is written anew.
    Sticky,
}
