//! The words of `steer` as the document of the admin API describes them.
//!
//! `steer` decides and knows nothing of APIs, so what its types look like in JSON is said here once more. A test compares each with what is
//! really written.

#![expect(dead_code, reason = "described, never made")]

use utoipa::ToSchema;

/// Whether a region or placement takes requests.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum State {
    Active,
    Standby,
    Drain,
    Off,
}

/// A health that an operator says, whatever is observed.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Forced {
    Up,
    Down,
}

/// What makes one region better than another.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum Steering {
    Nearest,
    Latency,
    Geo,
    Weighted,
    ActivePassive,
}

/// What happens to a request when no region is usable.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum OnAllDown {
    TryLeastBad,
    FailFast,
}

/// What is spoken to origins.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Auto,
    Http1,
    Http2,
}

/// What a probe does.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum ProbeKind {
    Http,
    Grpc,
    Tcp,
}

/// A length of time: a whole number and a unit, `ms`, `s`, `m` or `h`.
#[derive(ToSchema)]
#[schema(pattern = r"^[0-9]{1,9}(ms|s|m|h)$", examples("30m"))]
pub(crate) struct Span(String);

/// A name that an operator has given.
#[derive(ToSchema)]
#[schema(pattern = "^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$", examples("eu-west"))]
pub(crate) struct Name(String);

/// An ISO 3166-1 alpha-2 code.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Z]{2}$", examples("DE"))]
pub(crate) struct Country(String);

/// Coordinates in degrees.
#[derive(ToSchema)]
pub(crate) struct Place {
    /// Degrees north of the equator.
    #[schema(minimum = -90, maximum = 90, examples(50.11))]
    latitude: f64,
    /// Degrees east of Greenwich.
    #[schema(minimum = -180, maximum = 180, examples(8.68))]
    longitude: f64,
}

/// Something that a change would take away.
#[derive(ToSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Violation {
    /// Routes had a usable region, and would have none.
    NothingUsable {
        /// The pool that answers them, before.
        pool: String,
        /// The routes; the first twenty.
        routes: Vec<String>,
        /// How many more there are.
        more_routes: usize,
        /// The regions that are usable.
        before: Vec<String>,
        /// What would become of the regions that may serve them.
        after: Vec<Unusable>,
    },
    /// Routes would lose more than half of the weight that may serve them.
    MoreThanHalf {
        /// The pool that answers them, before.
        pool: String,
        /// The routes; the first twenty.
        routes: Vec<String>,
        /// How many more there are.
        more_routes: usize,
        /// The sum of the weights of the usable placements that may serve them, in percent of one whole placement.
        before: f64,
        /// The same afterwards.
        after: f64,
    },
    /// What is left of a pool has no room for what runs in a region.
    NoRoom {
        /// The pool.
        pool: String,
        /// The region that would be missing.
        region: String,
        /// Requests that this edge runs there.
        before: u64,
        /// Requests that `max_in_flight` of the others still lets in.
        after: u64,
    },
}

/// A region that could not be used, and why.
#[derive(ToSchema)]
pub(crate) struct Unusable {
    /// The region.
    region: String,
    /// Why, in a few words.
    why: String,
}

#[cfg(test)]
mod tests;
