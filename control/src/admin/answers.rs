//! What the document says of the answers to changes: they are made of parts, and utoipa's derive has one name for all that a generic type
//! is made to.

use std::marker::PhantomData;

use utoipa::openapi::schema::{AllOfBuilder, OneOfBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::orders::Told;
use crate::overlay::Change;
use crate::trial::Trial;

type Schemas = Vec<(String, RefOr<Schema>)>;

/// The answer to a change: what it was made to and what became of it; or, with `dry_run`, what it would do.
pub(super) struct Answer<T>(PhantomData<T>);

/// The layers of what overrides were changed of; or, where the table does not have it, the overrides alone.
pub(super) struct InLayers<T>(PhantomData<T>);

/// What is told of every change that is in force.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described; `orders::Carried` is what is sent")]
pub(super) struct Carried {
    /// The overlay's number.
    overlay: u64,
    /// Whether a restart remembers it.
    persisted: bool,
    /// Where it stands in the audit: its line's number and hash; not there if it is not kept.
    #[schema(required = false, pattern = "^[0-9]+:[0-9a-f]{64}$")]
    anchor: String,
    /// What to know about that.
    note: String,
    /// How it is watched; not there if it is not.
    #[schema(required = false)]
    watch: Trial,
}

impl<T: ToSchema> PartialSchema for Answer<T> {
    fn schema() -> RefOr<Schema> {
        let carried = AllOfBuilder::new().item(T::schema()).item(reference::<Carried>());
        OneOfBuilder::new().item(carried).item(reference::<Told>()).into()
    }
}

impl<T: ToSchema> ToSchema for Answer<T> {
    fn schemas(schemas: &mut Schemas) {
        T::schemas(schemas);
        add::<Carried>(schemas);
        add::<Told>(schemas);
    }
}

impl<T: ToSchema> PartialSchema for InLayers<T> {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new().item(reference::<T>()).item(reference::<Change>()).into()
    }
}

impl<T: ToSchema> ToSchema for InLayers<T> {
    fn schemas(schemas: &mut Schemas) {
        add::<T>(schemas);
        add::<Change>(schemas);
    }
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn add<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
