//! `/api/v1/sources`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::{Issues, NO_CONFIG};
use crate::audit::{Audited, Deleted};
use crate::auth::Caller;
use crate::body::{self, Patch};
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters;
use domain::ids::{AffiliateId, SourceId};
use domain::inbound::source::{Source, SourceSettings};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::delivery::templates;
use engine::inbound::sources::{self, NewSource, SourceData};
use engine::inbound::visible_source::{VisibleSource, address, paste_urls};

/// A new source: either `adapter` and `config`, or `template` and `fields`, and settings.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceIn {
    /// A name for people.
    #[schema(example = "MyLead", min_length = 1, max_length = 200)]
    name: String,
    /// The id of the adapter that reads the notifications; its latest version is used. Requires `config`.
    /// It cannot be changed.
    #[schema(example = "macro-url")]
    adapter: Option<String>,
    /// The configuration of the adapter, as its `config_schema` describes it. When it is changed, the latest version of
    /// the adapter reads it. A secret that is sent as its mask keeps its value.
    #[schema(value_type = Option<Object>)]
    config: Option<serde_json::Value>,
    /// The id of an inbound template. It sets adapter, configuration and settings. It cannot be changed.
    #[schema(example = "mylead")]
    template: Option<String>,
    /// The values of the template's fields, by name. In a change, fields that are not named keep their values.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// The affiliate that owns the source; the source finds only its clicks, and the program does not pay for its
    /// conversions. Keys and people of an affiliate always own their sources. Null: the program owns the source, which
    /// finds all clicks. It cannot be changed.
    #[serde(default)]
    affiliate_id: Option<AffiliateId>,
    /// The settings. For a new source with a template, they replace all of its settings; if absent, those of the template
    /// or the defaults are used. A secret that is sent as its mask keeps its value.
    #[schema(example = json!({"statuses": {"3": "ignored"}, "reply": null}))]
    settings: Option<SourceSettings>,
    /// Whether the source accepts notifications; true if absent.
    #[serde(default = "crate::api::default_true")]
    enabled: bool,
}

impl SourceIn {
    /// The body that would create this source, with masked secrets.
    fn of(source: &Source) -> Self {
        Self {
            name: source.name.clone(),
            adapter: Some(source.adapter.clone()),
            config: Some(source.config.clone()),
            template: source.template.clone(),
            fields: BTreeMap::new(),
            affiliate_id: source.affiliate_id,
            settings: Some(source.settings.clone()),
            enabled: source.enabled,
        }
    }

    fn patched(source: &Source, patch: &Patch) -> Result<SourceData, Error> {
        let mut patch = patch.clone();
        let words = patch.get("settings").and_then(|it| it.get("statuses")).and_then(Value::as_object);
        let settings = source.settings.clone().respelled(words.into_iter().flatten().map(|(word, _)| word.as_str()));
        let mut present = Self { settings: Some(settings), ..Self::of(source) };
        let fields = crate::api::changed_fields(&mut patch)?;
        if let (Some(fields), Some(config)) = (&fields, &mut present.config) {
            let mut settings = serde_json::to_value(&present.settings).expect("settings are JSON");
            templates::refill(source.template.as_deref(), config, Some(&mut settings), fields)?;
            present.settings = body::read_at("/settings", settings)?;
        }
        let body = patch.apply(&present)?;
        for (field, is_kept) in [
            ("/adapter", body.adapter == present.adapter),
            ("/template", body.template == present.template),
            ("/affiliate_id", body.affiliate_id == present.affiliate_id),
        ] {
            if !is_kept {
                return Err(Error::invalid(field, "cannot be changed; create another source"));
            }
        }
        let mut issues = Issues::default();
        let name = issues.text("/name", &body.name, 200);
        if body.config.is_none() {
            issues.add("/config", "invalid_field", NO_CONFIG);
        }
        issues.result()?;
        let is_configured = fields.is_some() || patch.get("config").is_some();
        Ok(SourceData {
            name,
            config: body.config.filter(|_| is_configured),
            settings: body.settings.unwrap_or_default(),
            enabled: body.enabled,
        })
    }
}

/// A further URL to paste into the network, for networks with a field per status or event.
#[derive(Serialize, ToSchema)]
pub struct SourcePasteUrlOut {
    /// The field of the network into which the URL is pasted.
    r#where: String,
    /// The URL.
    url: String,
}

/// A source: an endpoint for the notifications of one network.
#[derive(Serialize, ToSchema)]
pub struct SourceOut {
    id: SourceId,
    /// A name for people.
    name: String,
    /// The address to which the network sends notifications. Anybody who has it can send notifications. It is complete
    /// in the responses that create the source or rotate its key, and for an affiliate that reads its own source;
    /// otherwise it is masked.
    #[schema(example = "https://postrider.example/in/****wxyz")]
    url: String,
    /// Whether `url` is masked.
    url_masked: bool,
    /// The address with the network's own tokens, to paste into the network; null if the source has no template with
    /// such a URL. Masked like `url`.
    paste_url: Option<String>,
    /// Further URLs to paste.
    also_paste: Vec<SourcePasteUrlOut>,
    /// The id of the template from which the source was made; null if it was made without one.
    template: Option<String>,
    /// The id of the adapter that reads the notifications.
    adapter: String,
    /// The version of the adapter. It changes when `config` is saved. Empty for the first source of an affiliate, which
    /// uses the latest version until its configuration is changed.
    adapter_version: String,
    /// The configuration of the adapter. Secrets are masked.
    #[schema(value_type = Object)]
    config: serde_json::Value,
    /// The affiliate that owns the source; null if the program owns it.
    affiliate_id: Option<AffiliateId>,
    /// The settings. Secrets are masked.
    settings: SourceSettings,
    /// Whether it adds parameters to the landing page URLs of clicks. An AffRank source adds the id of the click as
    /// `affrank_sid`, unless its configuration has `"append": false` or the offer `"source_parameters": false`.
    decorates_clicks: bool,
    /// Whether the source accepts notifications.
    enabled: bool,
    /// When the source was created.
    created_at: Timestamp,
    /// When the source last changed.
    updated_at: Timestamp,
}

impl SourceOut {
    fn of(app: &App, visible: VisibleSource) -> Self {
        let paste = paste_urls(app, &visible);
        let (paste_url, also) = paste.map_or((None, Vec::new()), |it| (Some(it.url), it.also));
        let url = address(app, &visible);
        let VisibleSource { source, key } = visible;
        let decorates_clicks = source.decorates_clicks();
        Self {
            url,
            url_masked: key.is_none(),
            paste_url,
            also_paste: also.into_iter().map(|(r#where, url)| SourcePasteUrlOut { r#where, url }).collect(),
            template: source.template,
            id: source.id,
            name: source.name,
            adapter: source.adapter,
            adapter_version: source.adapter_version,
            config: source.config,
            affiliate_id: source.affiliate_id,
            settings: source.settings.masked(),
            decorates_clicks,
            enabled: source.enabled,
            created_at: source.created_at,
            updated_at: source.updated_at,
        }
    }
}

/// Create a source.
///
/// The response contains its address. The address of a source of the program is not shown again.
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
        adapter_choice: crate::api::adapter_choice(body.adapter, body.config, body.template, body.fields)?,
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
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only sources of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only sources whose name or id begins with this text.
    search: Option<String>,
}

/// List sources, newest first. Every affiliate has a source for AffRank from the start.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", params(SourceFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<SourceOut>), (status = "default", body = Problem)))]
pub async fn list_sources(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(params): ApiQuery<SourceFilter>,
) -> ApiResult<Json<PageOut<SourceOut>>> {
    let page = PageIn { limit: params.limit, cursor: params.cursor }.request()?;
    let search = filters::search(params.search.as_deref())?;
    let page = sources::list(&app, actor, params.affiliate_id, search, page).await?;
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

/// Change a source. Its waiting notifications are processed again immediately.
///
/// The body is a merge patch (RFC 7396). `fields` changes values of the template from which the source was made.
#[utoipa::path(patch, path = "/api/v1/sources/{id}", tag = "sources", params(("id" = SourceId, Path)),
    request_body = SourceIn,
    security(("api_key" = ["manage_sources"])),
    responses((status = 200, body = SourceOut), (status = "default", body = Problem)))]
pub async fn change_source(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
    patch: Patch,
) -> ApiResult<Audited<SourceOut>> {
    let changed = sources::change(&app, actor, id, |it| SourceIn::patched(it, &patch)).await?;
    Ok(Audited(changed.map(|it| SourceOut::of(&app, it))))
}

/// Delete a source. Its log is kept, and its address stops working.
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

/// Give a source a new address, which is in the response. The old address stops working immediately.
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
