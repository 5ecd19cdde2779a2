//! A request made safe: what is refused at once, and what of its head may go on to an origin.

mod admit;
mod headers;
mod refusal;

pub(crate) use admit::admit;
pub(crate) use headers::{
    Forwarding, X_NEARSIDE_ATTEMPT, X_NEARSIDE_POP, X_NEARSIDE_REGION, filter_trailers, request_id,
    strip_response, to_origin,
};
pub(crate) use refusal::Refused;
