//! `/api/v1/saved-views`: the views of the signed-in person.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::audit::{Audited, Deleted};
use crate::auth::Person;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::ids::SavedViewId;
use domain::people::saved_view::SavedView;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::saved_views;

/// A name for a page with its filters.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedViewIn {
    /// A name that none of your views of this page has, 1 to 60 characters.
    #[schema(example = "Voluum 5xx", min_length = 1, max_length = 60)]
    name: String,
    /// The path of the page with its filters. The position in the list is left out.
    #[schema(example = "/deliveries?status=failed&http_status=5xx", max_length = 2_000)]
    url: String,
}

/// The name of a view.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedViewNameIn {
    /// A name that none of your views of this page has, 1 to 60 characters.
    #[schema(example = "Voluum 5xx", min_length = 1, max_length = 60)]
    name: String,
}

/// A name for a page with its filters.
#[derive(Serialize, ToSchema)]
pub struct SavedViewOut {
    id: SavedViewId,
    /// The name of the view.
    #[schema(example = "Voluum 5xx")]
    name: String,
    /// The path of the page.
    #[schema(example = "/deliveries")]
    page: String,
    /// The path of the page with its filters.
    #[schema(example = "/deliveries?status=failed&http_status=5xx")]
    url: String,
    /// When it was saved.
    created_at: Timestamp,
}

impl From<SavedView> for SavedViewOut {
    fn from(view: SavedView) -> Self {
        Self { id: view.id, name: view.name, url: view.place.url(), page: view.place.page, created_at: view.created_at }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SavedViewFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only views of the page with this path.
    #[param(example = "/deliveries")]
    page: Option<String>,
}

/// Save a view: a name for a page with its filters. At most 50 for each person. Requires a session.
#[utoipa::path(post, path = "/api/v1/saved-views", tag = "saved views", request_body = SavedViewIn,
    security(("session" = [])),
    responses((status = 201, body = SavedViewOut), (status = "default", body = Problem)))]
pub async fn create_saved_view(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<SavedViewIn>,
) -> ApiResult<(StatusCode, Json<SavedViewOut>)> {
    let view = saved_views::create(&app, person.user, &body.name, &body.url).await?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

/// List the saved views of the signed-in person, newest first. Requires a session.
#[utoipa::path(get, path = "/api/v1/saved-views", tag = "saved views", params(SavedViewFilter),
    security(("session" = [])),
    responses((status = 200, body = PageOut<SavedViewOut>), (status = "default", body = Problem)))]
pub async fn list_saved_views(
    State(app): State<App>,
    person: Person,
    ApiQuery(filter): ApiQuery<SavedViewFilter>,
) -> ApiResult<Json<PageOut<SavedViewOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    let of_page = filter.page.as_deref().filter(|path| !path.is_empty());
    Ok(Json(PageOut::of(saved_views::list(&app, person.user, of_page, page).await?, SavedViewOut::from)))
}

/// Rename a saved view of the signed-in person. Requires a session.
///
/// The body is a merge patch (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/saved-views/{id}", tag = "saved views", params(("id" = SavedViewId, Path)),
    request_body = SavedViewNameIn,
    security(("session" = [])),
    responses((status = 200, body = SavedViewOut), (status = "default", body = Problem)))]
pub async fn rename_saved_view(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<SavedViewId>,
    patch: Patch,
) -> ApiResult<Audited<SavedViewOut>> {
    let present = SavedViewNameIn { name: saved_views::get(&app, person.user, id).await?.name };
    let SavedViewNameIn { name } = patch.apply(&present)?;
    Ok(Audited(saved_views::rename(&app, person.user, id, &name).await?.map(Into::into)))
}

/// Delete a saved view of the signed-in person. Requires a session.
#[utoipa::path(delete, path = "/api/v1/saved-views/{id}", tag = "saved views", params(("id" = SavedViewId, Path)),
    security(("session" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn delete_saved_view(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<SavedViewId>,
) -> ApiResult<Deleted<SavedViewOut>> {
    Ok(Deleted(saved_views::delete(&app, person.user, id).await?.into()))
}
