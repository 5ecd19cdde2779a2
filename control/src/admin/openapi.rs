//! The API's document (OpenAPI 3.1), made from the handlers themselves, and served beside them.
//!
//! A handler that is not described cannot be reached: the router is made from the descriptions.

use std::sync::Arc;

use axum::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Schema, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::answers::Timed;
use super::kinds::Looking;
use super::problem;
use super::{api, events as streamed};
use crate::events::{ChangeEvent, EndedEvent, HealthEvent, UplinkEvent};

const ABOUT: &str = "What an operator asks and changes while traffic flows.\n\n\
    A change is in force before its answer is sent, needs a reason, and has an author: whose token or certificate it was. With `dry_run` it is \
    previewed; `If-Match` names the version of the table that it is meant for; under an `Idempotency-Key` it is made once. Errors are problem \
    documents (RFC 9457) that name the field and show a valid example.";

/// The document, ready to be sent.
#[derive(Clone)]
pub(super) struct Document(pub(super) Arc<str>);

/// This document
#[utoipa::path(get, path = "/v1/openapi.json", tag = "version", operation_id = "showDocument",
    responses((status = 200, description = "What this API understands, and what it answers.", body = serde_json::Value), Looking))]
pub(super) async fn show(Extension(Document(text)): Extension<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text.to_string())
}

/// The document of this version, as JSON for people: a golden file, and what the API serves.
#[must_use]
pub fn document() -> String {
    text(&api().split_for_parts().1)
}

pub(super) fn text(document: &OpenApi) -> String {
    serde_json::to_string_pretty(document).expect("a document has only texts and numbers")
}

/// What is not said by any handler.
pub(super) fn beginning() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A token from `nearside token add`, or the one that the first start writes to `admin.token`. What it may do is its role: \
         `viewer`, `operator` or `admin`.",
    ));
    let certificate =
        "A client certificate that `[[admin.clients]]` names, where `admin.tls` has a `client_ca_file`.";
    let certificate = SecurityScheme::MutualTls {
        description: Some(certificate.to_owned()),
        deprecated: None,
        extensions: None,
    };
    let mut components = Components::new();
    components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    components.add_security_scheme("certificate", certificate);
    add::<problem::Document>(&mut components);
    add::<Timed<ChangeEvent>>(&mut components);
    add::<Timed<HealthEvent>>(&mut components);
    add::<Timed<EndedEvent>>(&mut components);
    add::<Timed<UplinkEvent>>(&mut components);
    add::<streamed::Missed>(&mut components);
    add::<streamed::End>(&mut components);
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0"));
    let info = InfoBuilder::new().title("nearside admin API").version("1").description(Some(ABOUT));
    let server = ServerBuilder::new()
        .url("http://127.0.0.1:9180")
        .description(Some("Where it listens unless told otherwise."));
    OpenApiBuilder::new()
        .info(info.license(Some(license.build())))
        .servers(Some([server.build()]))
        .components(Some(components))
        .security(Some([
            SecurityRequirement::new("token", [""; 0]),
            SecurityRequirement::new("certificate", [""; 0]),
        ]))
        .build()
}

/// Adds a type that no handler names.
fn add<T: ToSchema>(components: &mut Components) {
    let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut found);
    components.schemas.insert(T::name().into_owned(), <T as PartialSchema>::schema());
    components.schemas.extend(found);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(name)) = object.get("$ref") {
                    into.insert(name.rsplit('/').next().unwrap_or_default().to_owned());
                }
                object.values().for_each(|value| references(value, into));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }

    #[test]
    fn the_document_has_all_that_it_refers_to_and_every_operation_a_name() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut wanted = BTreeSet::new();
        references(&document, &mut wanted);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let missing: Vec<&String> = wanted.iter().filter(|name| !schemas.contains_key(*name)).collect();
        assert_eq!(missing, Vec::<&String>::new());
        let (mut names, mut operations) = (BTreeSet::new(), 0);
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                operations += 1;
                names.insert(operation["operationId"].as_str().unwrap());
                let responses = operation["responses"].as_object().unwrap();
                for status in ["200", "400", "401", "403", "421", "429"] {
                    assert!(responses.contains_key(status), "{method} {path}: {status}");
                }
                assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
            }
        }
        assert_eq!((names.len(), operations > 25), (operations, true));
    }
}
