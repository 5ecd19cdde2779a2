//! What was in force when something was shown. Whoever reads, thinks and writes names it in `If-Match`, and changes nothing that he has
//! not seen.
//!
//! Left out: `/v1/tables`, which is tagged with the table's version alone, because a table that is published is not meant for the
//! overrides beside it.

use axum::Json;
use axum::http::HeaderName;
use serde::Serialize;
use utoipa::openapi::schema::AllOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::orders::tag;
use crate::changes::Seen;
use crate::snapshot::Snapshot;

/// An answer with the tag of what was in force.
pub(super) type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

/// What was in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InForce {
    /// The table's version.
    version: u64,
    /// The overlay's number.
    overlay: u64,
}

/// One thing, beside what was in force when it was shown; lists say so themselves.
#[derive(Debug, Serialize)]
pub(super) struct Under<T> {
    #[serde(flatten)]
    in_force: InForce,
    #[serde(flatten)]
    shown: T,
}

/// What is shown of a snapshot.
pub(super) fn tagged<T>(snapshot: &Snapshot, shown: T) -> Tagged<T> {
    (tag(Seen::of(snapshot)), Json(shown))
}

impl<T> Under<T> {
    pub(super) fn of(snapshot: &Snapshot, shown: T) -> Self {
        let (version, overlay) = (snapshot.version.about.version, snapshot.overlay.number);
        Self { in_force: InForce { version, overlay }, shown }
    }
}

impl<T: ToSchema> PartialSchema for Under<T> {
    fn schema() -> RefOr<Schema> {
        let (shown, in_force) = (Ref::from_schema_name(T::name()), Ref::from_schema_name(InForce::name()));
        AllOfBuilder::new().item(shown).item(in_force).into()
    }
}

impl<T: ToSchema> ToSchema for Under<T> {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
        schemas.push((InForce::name().into_owned(), InForce::schema()));
    }
}
