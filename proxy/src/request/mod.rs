//! A request made safe: what is refused at once, and what of its head may go on to an origin.

mod admit;
mod cdn_loop;
mod edits;
mod fields;
mod grpc;
mod headers;
mod refusal;
mod travel;

pub(crate) use admit::admit;
pub(crate) use cdn_loop::CdnLoop;
pub(crate) use edits::HeaderEdits;
pub(crate) use fields::HeaderFields;
pub(crate) use grpc::{grpc_is_unavailable, grpc_timeout, is_grpc};
pub(crate) use headers::{
    Forwarding, X_NEARSIDE_ATTEMPT, X_NEARSIDE_REGION, expects_continue, filter_trailers, request_id,
    strip_response, to_origin,
};
pub(crate) use refusal::Refused;
pub(crate) use travel::{Travel, tell_time_left};
