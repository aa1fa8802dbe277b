//! The OpenAPI description of the API, and a page that renders it from embedded assets.

use std::sync::{Arc, LazyLock, OnceLock};

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use sha2::{Digest, Sha256};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};

use engine::app::App;

use super::errors::Problem;

const PAGE: &str = include_str!("../assets/docs.html");
/// swagger-ui-dist 5, unmodified; see `assets/README.md`.
const SCRIPT: &[u8] = include_bytes!("../assets/swagger-ui-bundle.js");
const STYLE: &[u8] = include_bytes!("../assets/swagger-ui.css");

/// The description without paths.
pub fn head() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, or the bootstrap admin key."))
        .build();
    let info = InfoBuilder::new()
        .title("Postrider")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("../assets/openapi.md")))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(ComponentsBuilder::new().security_scheme("api_key", SecurityScheme::Http(bearer)).build()))
        .security(Some([SecurityRequirement::new("api_key", Vec::<String>::new())]))
        .build()
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
pub fn document(description: OpenApi) -> MethodRouter<App> {
    let description = Arc::new(description);
    get(async move |headers: HeaderMap| {
        let document = DOCUMENT.get_or_init(|| {
            let text = serde_json::to_vec(&*description).expect("a description is JSON");
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
