//! What the document says of the answers to changes, and of events: they are made of parts, and utoipa's derive has one name for all that a
//! generic type is made to.

use std::borrow::Cow;
use std::marker::PhantomData;

use utoipa::openapi::schema::{AllOfBuilder, OneOfBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::orders::{Fate, Told};
use crate::events::When;
use crate::overlay::Change;

type Schemas = Vec<(String, RefOr<Schema>)>;

/// The answer to a change: what it was made to and what became of it, as [`Carried`](super::Carried) is sent; or, with `dry_run`, what
/// it would do.
pub(super) struct Answer<T>(PhantomData<T>);

/// The layers of what overrides were changed of; or, where the table does not have it, the overrides alone.
pub(super) struct InLayers<T>(PhantomData<T>);

/// An event, which is told with its time.
pub(super) struct Timed<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for Answer<T> {
    fn schema() -> RefOr<Schema> {
        let carried = AllOfBuilder::new().item(T::schema()).item(reference::<Fate>());
        OneOfBuilder::new().item(carried).item(reference::<Told>()).into()
    }
}

impl<T: ToSchema> ToSchema for Answer<T> {
    fn schemas(schemas: &mut Schemas) {
        T::schemas(schemas);
        add::<Fate>(schemas);
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

impl<T: ToSchema> PartialSchema for Timed<T> {
    fn schema() -> RefOr<Schema> {
        AllOfBuilder::new().item(T::schema()).item(When::schema()).into()
    }
}

impl<T: ToSchema> ToSchema for Timed<T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Schemas) {
        T::schemas(schemas);
    }
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn add<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
