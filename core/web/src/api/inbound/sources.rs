//! `/api/v1/sources`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Issues;
use crate::audit::{Audited, Deleted};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, SourceId};
use domain::inbound::source::SourceSettings;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::inbound::sources::{self, Changes, NewSource};
use engine::inbound::visible_source::{VisibleSource, address, paste_urls};

fn yes() -> bool {
    true
}

/// Where a network reports, and what it means by its words.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceIn {
    #[schema(example = "MyLead", max_length = 200)]
    name: String,
    /// With `config`; or else a `template` with its `fields`.
    #[schema(example = "macro-url")]
    adapter: Option<String>,
    /// As the adapter's schema says.
    #[schema(value_type = Option<Object>)]
    config: Option<serde_json::Value>,
    /// A template of the catalogue that decides adapter, configuration and settings.
    template: Option<String>,
    /// What the template asks for, by name.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// Whose clicks it finds; an affiliate's key sets its own. Null: everybody's, and only an admin may have that.
    #[serde(default)]
    affiliate_id: Option<AffiliateId>,
    /// Given beside a template, they replace the whole of its own.
    settings: Option<SourceSettings>,
    #[serde(default = "yes")]
    enabled: bool,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceChanges {
    name: Option<String>,
    #[schema(value_type = Option<Object>)]
    config: Option<serde_json::Value>,
    /// A merge patch: what is not given stays, word by word; null takes a word away, or sets a setting back to its default.
    /// A masked secret that comes back stays what it is.
    #[schema(value_type = Option<Object>, example = json!({"statuses": {"3": "ignored", "2": null}, "reply": null}))]
    settings: Option<serde_json::Value>,
    enabled: Option<bool>,
}

/// One more URL to paste, for networks with one place for each status or event.
#[derive(Serialize, ToSchema)]
pub struct AlsoPasteOut {
    r#where: String,
    url: String,
}

#[derive(Serialize, ToSchema)]
pub struct SourceOut {
    id: SourceId,
    name: String,
    /// What the network is to call: whoever knows it can report. It is whole in the answers that make or rotate it and, of an
    /// affiliate's source, for that affiliate. Masked otherwise.
    url: String,
    url_masked: bool,
    /// The address with the network's own tokens in place, ready to be pasted there; null where no template knows them.
    paste_url: Option<String>,
    also_paste: Vec<AlsoPasteOut>,
    /// The template of the catalogue that it was made of.
    template: Option<String>,
    adapter: String,
    /// Empty for the first source of an affiliate until its configuration is changed.
    adapter_version: String,
    #[schema(value_type = Object)]
    config: serde_json::Value,
    affiliate_id: Option<AffiliateId>,
    /// Secrets are masked.
    settings: SourceSettings,
    /// Whether its adapter adds parameters to the landing URLs of clicks.
    decorates_clicks: bool,
    enabled: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl SourceOut {
    fn of(app: &App, visible: VisibleSource) -> Self {
        let paste = paste_urls(app, &visible);
        let (paste_url, also) = paste.map_or((None, Vec::new()), |it| (Some(it.url), it.also));
        let url = address(app, &visible);
        let VisibleSource { source: it, key } = visible;
        Self {
            url,
            url_masked: key.is_none(),
            paste_url,
            also_paste: also.into_iter().map(|(r#where, url)| AlsoPasteOut { r#where, url }).collect(),
            template: it.template,
            id: it.id,
            name: it.name,
            adapter: it.adapter,
            adapter_version: it.adapter_version,
            config: it.config,
            affiliate_id: it.affiliate_id,
            settings: it.settings.masked(),
            decorates_clicks: it.decorates,
            enabled: it.enabled,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// Set up a source. Its address is in this answer; the operator's are not shown again.
#[utoipa::path(post, path = "/api/v1/sources", tag = "sources", request_body = SourceIn,
    security(("api_key" = ["manage_sources"])),
    responses((status = 201, body = SourceOut), (status = "default", body = Problem)))]
pub async fn create_source(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<SourceIn>,
) -> ApiResult<(StatusCode, Json<SourceOut>)> {
    let mut issues = Issues::default();
    let new = NewSource {
        name: issues.text("/name", &body.name, 200),
        made_of: crate::api::made_of(body.adapter, body.config, body.template, body.fields)?,
        affiliate_id: body.affiliate_id,
        settings: body.settings,
        enabled: body.enabled,
    };
    issues.result()?;
    let source = sources::create(&app, actor, new).await?;
    Ok((StatusCode::CREATED, Json(SourceOut::of(&app, source))))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SourceFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
}

/// List sources, newest first. Every affiliate has one from the start.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", params(SourceFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<SourceOut>), (status = "default", body = Problem)))]
pub async fn list_sources(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<SourceFilter>,
) -> ApiResult<Json<PageOut<SourceOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let page = sources::list(&app, actor, it.affiliate_id, page).await?;
    Ok(Json(PageOut::of(page, |it| SourceOut::of(&app, it))))
}

/// Read a source.
#[utoipa::path(get, path = "/api/v1/sources/{id}", tag = "sources", params(("id" = SourceId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = SourceOut), (status = "default", body = Problem)))]
pub async fn get_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
) -> ApiResult<Json<SourceOut>> {
    let source = sources::get(&app, actor, id).await?;
    Ok(Json(SourceOut::of(&app, source)))
}

/// Change a source. What waits at it is judged again at once.
#[utoipa::path(patch, path = "/api/v1/sources/{id}", tag = "sources", params(("id" = SourceId, Path)),
    request_body = SourceChanges,
    security(("api_key" = ["manage_sources"])),
    responses((status = 200, body = SourceOut), (status = "default", body = Problem)))]
pub async fn change_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
    ApiJson(body): ApiJson<SourceChanges>,
) -> ApiResult<Audited<SourceOut>> {
    let mut issues = Issues::default();
    let changes = Changes {
        name: body.name.map(|name| issues.text("/name", &name, 200)),
        config: body.config,
        settings: body.settings,
        enabled: body.enabled,
    };
    issues.result()?;
    let changed = sources::change(&app, actor, id, changes).await?;
    Ok(Audited(changed.map(|it| SourceOut::of(&app, it))))
}

/// Take a source away. Its log stays; its address leads nowhere.
#[utoipa::path(delete, path = "/api/v1/sources/{id}", tag = "sources", params(("id" = SourceId, Path)),
    security(("api_key" = ["manage_sources"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn archive_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
) -> ApiResult<Deleted<SourceOut>> {
    Ok(Deleted(SourceOut::of(&app, sources::archive(&app, actor, id).await?)))
}

/// Give a source another address, which is in this answer. The old one leads nowhere from now on.
#[utoipa::path(post, path = "/api/v1/sources/{id}/rotate-key", tag = "sources", params(("id" = SourceId, Path)),
    security(("api_key" = ["manage_sources"])),
    responses((status = 200, body = SourceOut), (status = "default", body = Problem)))]
pub async fn rotate_source_key(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
) -> ApiResult<Audited<SourceOut>> {
    let changed = sources::rotate_key(&app, actor, id).await?;
    Ok(Audited(changed.map(|it| SourceOut::of(&app, it))))
}
