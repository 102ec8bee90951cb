//! The description of the API (OpenAPI 3.1), made from the routes: what they say of themselves, and what
//! all of them have in common.

use super::problem::ProblemJson;
use super::{Api, routes};
use axum::Router;
use std::sync::Arc;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response,
    ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

const DESCRIPTION: &str = "\
Prices AI calls and keeps the prepaid credit ledger that pays for them.

Amounts are decimals as text, in plain notation; times are RFC 3339. What a request says that is \
not described here is refused. Every `POST` with an effect takes an `Idempotency-Key`: the same key \
with the same request returns the first effect, with another request it is a conflict. Errors are \
RFC 9457 problems; `GET /problems` lists them all.

The org a call concerns is the key's own. An admin key may name another in the header \
`Farebox-Org`.";

/// The description of the API.
pub fn openapi() -> OpenApi {
    described().1
}

/// Every route, and the description of them all.
pub(super) fn described() -> (Router<Arc<Api>>, OpenApi) {
    let (router, mut api) = routes::router(begin()).split_for_parts();
    let components = api.components.get_or_insert_default();
    components
        .schemas
        .insert(ProblemJson::name().into_owned(), ProblemJson::schema());
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        complete(operation);
    }
    (router, api)
}

/// The description without its routes.
fn begin() -> OpenApi {
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("Farebox")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    let mut api = OpenApiBuilder::new()
        .info(info)
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>(
            "key",
            [],
        )]))
        .build();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key."))
        .build();
    api.components
        .get_or_insert_default()
        .add_security_scheme("key", SecurityScheme::Http(scheme));
    api
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// What every operation may answer: a problem, whatever it is asked; and a list that is exported, as
/// CSV too.
fn complete(operation: &mut Operation) {
    for (status, of) in [
        ("4XX", "The request cannot be done as it is."),
        ("5XX", "The server cannot do it now."),
    ] {
        let content = Content::new(Some(Ref::from_schema_name(ProblemJson::name())));
        let response = ResponseBuilder::new()
            .description(of)
            .content("application/problem+json", content);
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_owned(), response.build().into());
    }
    if has_format(operation)
        && let Some(RefOr::T(listed)) = operation.responses.responses.get_mut("200")
    {
        add_csv(listed);
    }
}

fn has_format(operation: &Operation) -> bool {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .any(|parameter| parameter.name == "format")
}

fn add_csv(response: &mut Response) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let csv = Content::new(Some(Schema::from(text)));
    response
        .content
        .insert("text/csv".to_owned(), RefOr::T(csv));
}
