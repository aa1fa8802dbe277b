//! The description of the API, and a page that renders it from embedded assets.

use axum::Json;
use axum::extract::Path;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};

const PAGE: &str = include_str!("../../assets/docs.html");
/// swagger-ui-dist 5, unmodified; see `assets/README.md`.
const SCRIPT: &[u8] = include_bytes!("../../assets/swagger-ui-bundle.js");
const STYLE: &[u8] = include_bytes!("../../assets/swagger-ui.css");

/// Everything but the paths.
pub fn head() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: the bootstrap admin key, an admin's or an affiliate's."))
        .build();
    let info = InfoBuilder::new()
        .title("Postrider")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("../../assets/openapi.md")))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(ComponentsBuilder::new().security_scheme("api_key", SecurityScheme::Http(bearer)).build()))
        .security(Some([SecurityRequirement::new("api_key", Vec::<String>::new())]))
        .build()
}

/// The whole description.
pub fn describe() -> OpenApi {
    super::router::api().split_for_parts().1
}

/// `GET /api/openapi.json`
pub async fn document() -> Json<OpenApi> {
    Json(describe())
}

/// `GET /api/docs`
pub async fn page() -> Html<&'static str> {
    Html(PAGE)
}

/// `GET /api/docs/{file}`
pub async fn asset(Path(file): Path<String>) -> Response {
    let (content_type, bytes) = match file.as_str() {
        "swagger-ui-bundle.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "swagger-ui.css" => ("text/css; charset=utf-8", STYLE),
        _ => return super::pages::not_found(),
    };
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "public, max-age=86400")], bytes).into_response()
}
