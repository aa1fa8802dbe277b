//! The OpenAPI description of the API, and a page that renders it from embedded assets.
//!
//! The annotations of the handlers say what differs between operations. [`published`] adds what is the same for all:
//! headers, errors, security, examples.

mod error_codes;
mod errors;
mod examples;
mod operation;
mod schemas;
mod tags;

use std::sync::{LazyLock, OnceLock};

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, SecurityRequirement, ServerBuilder,
};

use engine::app::App;

use super::body::patch_schemas;
use super::errors::Problem;

pub use error_codes::{CATALOGUE, all as error_codes, page as errors_page};

const PAGE: &str = include_str!("../../assets/docs.html");
/// swagger-ui-dist 5, unmodified; see `assets/README.md`.
const SCRIPT: &[u8] = include_bytes!("../../assets/swagger-ui-bundle.js");
const STYLE: &[u8] = include_bytes!("../../assets/swagger-ui.css");

/// The description without paths.
pub fn head() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("prk_…")
        .description(Some("An API key, or the bootstrap admin key."))
        .build();
    let cookie = ApiKeyValue::with_description(
        "postrider_session",
        "The session of a person, from `POST /api/v1/auth/login`. With HTTPS the name of the cookie is \
         `__Host-postrider_session`. A browser sends the cookie; other clients that change something with it also send \
         `Origin` with the origin of this server.",
    );
    let info = InfoBuilder::new()
        .title("Postrider")
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(LicenseBuilder::new().name("Apache-2.0 OR MIT").identifier(Some("Apache-2.0 OR MIT")).build()))
        .description(Some(include_str!("../../assets/openapi.md")))
        .build();
    let schemes = ComponentsBuilder::new()
        .security_scheme("api_key", SecurityScheme::Http(bearer))
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/").description(Some("The server of this description.")).build()]))
        .components(Some(schemes))
        .security(Some([SecurityRequirement::new("api_key", Vec::<String>::new())]))
        .build()
}

/// The description as it is published: what the handlers state, with what is the same for all operations.
pub fn published(description: &OpenApi) -> Value {
    let mut document = serde_json::to_value(description).expect("a description is JSON");
    document["tags"] = tags::all();
    for (name, part) in [("responses", errors::responses()), ("headers", operation::headers())] {
        document["components"][name] = part;
    }
    document["components"]["parameters"] = operation::parameters();
    schemas::complete(&mut document);
    patch_schemas::complete(&mut document);
    let paths = document["paths"].as_object_mut().expect("there are paths");
    for (path, operations) in paths {
        for (method, operation) in operations.as_object_mut().expect("a path has operations") {
            operation::complete(path, method, operation);
        }
    }
    examples::add(&mut document);
    document
}

/// The serialized description, built at the first request.
static DOCUMENT: OnceLock<Asset> = OnceLock::new();

/// The assets of the page, by name.
static ASSETS: LazyLock<[(&str, Asset); 2]> = LazyLock::new(|| {
    let asset = |content_type, bytes| Asset::new(content_type, Bytes::from_static(bytes), "public, max-age=86400");
    [
        ("swagger-ui-bundle.js", asset("text/javascript; charset=utf-8", SCRIPT)),
        ("swagger-ui.css", asset("text/css; charset=utf-8", STYLE)),
    ]
});

/// Bytes that do not change while this process runs, with their ETag (RFC 9110).
struct Asset {
    content_type: &'static str,
    bytes: Bytes,
    cache_control: &'static str,
    etag: String,
}

impl Asset {
    fn new(content_type: &'static str, bytes: Bytes, cache_control: &'static str) -> Self {
        let digest: String = Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { content_type, bytes, cache_control, etag: format!("\"{digest}\"") }
    }

    /// The response to a request with `headers`: 304 if the client has the bytes.
    fn response(&self, headers: &HeaderMap) -> Response {
        let caching = [(header::ETAG, self.etag.as_str()), (header::CACHE_CONTROL, self.cache_control)];
        let etags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let matches = |tag: &str| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == self.etag;
        if etags.flat_map(|value| value.split(',')).any(matches) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        (caching, [(header::CONTENT_TYPE, self.content_type)], self.bytes.clone()).into_response()
    }
}

/// `GET /api/openapi.json`
pub fn document(description: &'static OpenApi) -> MethodRouter<App> {
    get(async move |headers: HeaderMap| {
        let document = DOCUMENT.get_or_init(|| {
            let text = serde_json::to_vec(&published(description)).expect("a description is JSON");
            Asset::new("application/json", text.into(), "no-cache")
        });
        document.response(&headers)
    })
}

/// `GET /api/docs`
pub async fn page() -> Html<&'static str> {
    Html(PAGE)
}

/// `GET /api/docs/{file}`
pub async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|(name, _)| *name == file) {
        Some((_, asset)) => asset.response(&headers),
        None => {
            Problem::new(StatusCode::NOT_FOUND, "not_found", "this file does not exist; open /api/docs").into_response()
        }
    }
}
