//! Extractors that respond to invalid input with a problem that names the field.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;

use engine::app::App;
use storage::base::page::{Page, PageRequest};

use super::body::{self, Patch};
use super::errors::Problem;
use super::limits::BODY_LIMIT;
use super::query;
use super::serving::BodyTimeout;

/// A JSON body.
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let value = JsonBody::from_request(request, app).await?;
        Ok(Self(body::read(value.0)?))
    }
}

impl FromRequest<App> for Patch {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let value = JsonBody::from_request(request, app).await?;
        Ok(Self::of(value.0)?)
    }
}

/// A JSON body that can be absent or null.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let body = Bytes::from_request(Request::from_parts(head.clone(), body), app).await.map_err(body_problem)?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let value = JsonBody::from_request(Request::from_parts(head, body.into()), app).await?;
        if value.0.is_null() { Ok(Self(T::default())) } else { Ok(Self(body::read(value.0)?)) }
    }
}

/// A body of any JSON.
pub struct JsonBody(pub serde_json::Value);

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        if content_type.is_some_and(|it| !it.to_ascii_lowercase().contains("json")) {
            let detail = "send the body as JSON, with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let body = Bytes::from_request(request, app).await.map_err(body_problem)?;
        if body.windows(6).any(|it| it == b"\\u0000") {
            return Err(Problem::bad_request(
                "invalid_json",
                "text cannot contain the character NUL (\\u0000); remove it",
            ));
        }
        body::parse(&body).map(Self)
    }
}

/// The problem of a body that could not be read.
pub fn body_problem(rejection: BytesRejection) -> Problem {
    if is_timeout(&rejection) {
        return too_slow();
    }
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(BODY_LIMIT);
    }
    incomplete()
}

/// The part of a too large body that is still read, because a client that is cut off while it sends may not receive the
/// response.
const DISCARD_BYTES_MAX: usize = 256 * 1024;

/// Reads a body of up to `limit` bytes. A body whose `Content-Length` is much larger is not read at all.
///
/// # Errors
/// The body is too large, incomplete or too slow.
pub async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let size = body.size_hint();
    if size.lower() > limit as u64 {
        if size.lower() <= (limit + DISCARD_BYTES_MAX) as u64 {
            let _ = axum::body::to_bytes(body, limit + DISCARD_BYTES_MAX).await;
        }
        return Err(too_large(limit));
    }
    axum::body::to_bytes(body, limit).await.map_err(|error| match size.exact() {
        _ if is_timeout(&error) => too_slow(),
        Some(_) => incomplete(),
        // There is no Content-Length.
        None => too_large(limit),
    })
}

fn too_large(limit: usize) -> Problem {
    let limit = match limit / 1024 {
        kib if kib < 1024 => format!("{kib} KiB"),
        kib => format!("{} MiB", kib / 1024),
    };
    let detail = format!("the body is larger than {limit}; send it in parts");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn too_slow() -> Problem {
    let detail = "the body arrived too slowly; send it again over a better connection";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
}

fn incomplete() -> Problem {
    Problem::bad_request("invalid_body", "the request body was incomplete; send it again")
}

fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<BodyTimeout>())
}

/// The id of the path.
pub struct PathId<T>(pub T);

impl<T> FromRequestParts<App> for PathId<T>
where
    T: std::str::FromStr<Err = domain::ids::InvalidId> + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|error| Problem::bad_request("invalid_id", error.body_text()))?;
        text.parse()
            .map(Self)
            .map_err(|error: domain::ids::InvalidId| Problem::bad_request("invalid_id", error.to_string()))
    }
}

/// The id of the path, and the number of a version of the object.
pub struct PathVersion<T>(pub T, pub i32);

impl<T> FromRequestParts<App> for PathVersion<T>
where
    T: std::str::FromStr<Err = domain::ids::InvalidId> + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let invalid = |detail: String| Problem::bad_request("invalid_id", detail);
        let Path((id, version)) =
            Path::<(String, i32)>::from_request_parts(parts, app).await.map_err(|error| invalid(error.body_text()))?;
        let id = id.parse().map_err(|error: domain::ids::InvalidId| invalid(error.to_string()))?;
        Ok(Self(id, version))
    }
}

/// Query parameters.
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            let detail = "a parameter cannot contain the character NUL (%00); remove it";
            return Err(Problem::bad_request("invalid_parameter", detail));
        }
        query::read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

pub(crate) const LIMIT_DEFAULT: u64 = 50;
pub(crate) const LIMIT_MAX: u64 = 200;

/// The page of a list to return.
#[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageIn {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    pub limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    pub cursor: Option<String>,
}

impl PageIn {
    pub fn request(&self) -> Result<PageRequest, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::bad_request(
                "invalid_parameter",
                format!("limit is {limit}; choose 1 to {LIMIT_MAX}"),
            ));
        }
        let before = self.cursor.as_deref().filter(|text| !text.is_empty()).map(|text| {
            domain::ids::decode(text).ok_or_else(|| {
                Problem::bad_request("invalid_cursor", "the cursor is not valid; use `next` of the previous page")
            })
        });
        Ok(PageRequest::first(limit).after(before.transpose()?))
    }
}

/// One page of a list.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PageOut<T> {
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last page.
    pub next: Option<String>,
}

impl<T> PageOut<T> {
    pub fn of<S>(page: Page<S>, convert: impl FnMut(S) -> T) -> Self {
        Self { items: page.items.into_iter().map(convert).collect(), next: page.next.map(domain::ids::encode) }
    }
}
