//! `/api/v1/postbacks`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Issues;
use crate::audit::{Audited, Deleted};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::verification::VerificationOut;
use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::{Delay, FiringStatus, Rule, Scope};
use domain::ids::{AffiliateId, PostbackId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::app::App;
use engine::delivery::postbacks::{self, Changes, RuleChanges, Wanted};

fn conversion() -> Action {
    Action::Conversion
}

fn any() -> FiringStatus {
    FiringStatus::Any
}

fn yes() -> bool {
    true
}

/// A destination, what it is fired for, and how its requests are made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostbackIn {
    #[schema(example = "Voluum", max_length = 200)]
    name: String,
    /// With `config`; or else a `template` with its `fields`.
    #[schema(example = "macro-url")]
    adapter: Option<String>,
    /// As the adapter's schema says.
    #[schema(value_type = Option<Object>)]
    config: Option<serde_json::Value>,
    /// A template of the catalogue that decides adapter and configuration.
    template: Option<String>,
    /// What the template asks for, by name.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    #[serde(default = "conversion")]
    action: Action,
    #[serde(default)]
    scope: Scope,
    #[serde(default = "any")]
    firing_status: FiringStatus,
    /// Only these, for rejected conversions; all when empty.
    #[serde(default)]
    rejection_reasons: Vec<String>,
    #[serde(default)]
    delay: Option<Delay>,
    #[serde(default)]
    ordering: Ordering,
    /// An admin may save a disabled one untested.
    #[serde(default = "yes")]
    enabled: bool,
    /// The affiliate who sees its log; an affiliate's key sets its own.
    #[serde(default)]
    owner_affiliate_id: Option<AffiliateId>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostbackChanges {
    name: Option<String>,
    #[schema(value_type = Option<Object>)]
    config: Option<serde_json::Value>,
    action: Option<Action>,
    scope: Option<Scope>,
    firing_status: Option<FiringStatus>,
    rejection_reasons: Option<Vec<String>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "crate::api::some")]
    #[schema(value_type = Option<Delay>)]
    delay: Option<Option<Delay>>,
    ordering: Option<Ordering>,
    enabled: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub struct PostbackOut {
    id: PostbackId,
    name: String,
    /// The template that it was made of.
    template: Option<String>,
    adapter: String,
    adapter_version: String,
    /// Secrets are masked; a change that sends the mask keeps the secret.
    #[schema(value_type = Object)]
    config: serde_json::Value,
    action: Action,
    scope: Scope,
    firing_status: FiringStatus,
    rejection_reasons: Vec<String>,
    delay: Option<Delay>,
    ordering: Ordering,
    enabled: bool,
    owner_affiliate_id: Option<AffiliateId>,
    /// When its destination last accepted a test request.
    verified_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Postback> for PostbackOut {
    fn from(it: Postback) -> Self {
        Self {
            id: it.id,
            name: it.name,
            template: it.template,
            adapter: it.adapter,
            adapter_version: it.adapter_version,
            config: it.config,
            action: it.rule.action,
            scope: it.rule.scope,
            firing_status: it.rule.firing_status,
            rejection_reasons: it.rule.rejection_reasons,
            delay: it.rule.delay,
            ordering: it.ordering,
            enabled: it.enabled,
            owner_affiliate_id: it.owner,
            verified_at: it.verified_at,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

fn reasons(issues: &mut Issues, given: Vec<String>) -> Vec<String> {
    given
        .iter()
        .enumerate()
        .map(|(index, reason)| issues.text(&format!("/rejection_reasons/{index}"), reason, 100))
        .collect()
}

/// Save a postback after its destination accepted a test request.
#[utoipa::path(post, path = "/api/v1/postbacks", tag = "postbacks", request_body = PostbackIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 201, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn create_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<PostbackIn>,
) -> ApiResult<(StatusCode, Json<PostbackOut>)> {
    let mut issues = Issues::default();
    let wanted = Wanted {
        name: issues.text("/name", &body.name, 200),
        made_of: crate::api::made_of(body.adapter, body.config, body.template, body.fields)?,
        rule: Rule {
            scope: body.scope,
            action: body.action,
            firing_status: body.firing_status,
            rejection_reasons: reasons(&mut issues, body.rejection_reasons),
            delay: body.delay.filter(|delay| delay.value > 0),
        },
        ordering: body.ordering,
        enabled: body.enabled,
        owner: body.owner_affiliate_id,
    };
    issues.result()?;
    Ok((StatusCode::CREATED, Json(postbacks::create(&app, actor, wanted).await?.into())))
}

/// List postbacks, newest first.
#[utoipa::path(get, path = "/api/v1/postbacks", tag = "postbacks", params(PageIn),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<PostbackOut>), (status = "default", body = Problem)))]
pub async fn list_postbacks(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<PostbackOut>>> {
    Ok(Json(PageOut::of(postbacks::list(&app, actor, page.request()?).await?, PostbackOut::from)))
}

/// Read a postback.
#[utoipa::path(get, path = "/api/v1/postbacks/{id}", tag = "postbacks", params(("id" = PostbackId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn get_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> ApiResult<Json<PostbackOut>> {
    Ok(Json(postbacks::get(&app, actor, id).await?.into()))
}

/// Change a postback. A new configuration is tested before it is saved.
#[utoipa::path(patch, path = "/api/v1/postbacks/{id}", tag = "postbacks", params(("id" = PostbackId, Path)),
    request_body = PostbackChanges,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn change_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    ApiJson(body): ApiJson<PostbackChanges>,
) -> ApiResult<Audited<PostbackOut>> {
    let mut issues = Issues::default();
    let changes = Changes {
        name: body.name.map(|name| issues.text("/name", &name, 200)),
        config: body.config,
        rule: RuleChanges {
            action: body.action,
            scope: body.scope,
            firing_status: body.firing_status,
            rejection_reasons: body.rejection_reasons.map(|given| reasons(&mut issues, given)),
            delay: body.delay.map(|delay| delay.filter(|delay| delay.value > 0)),
        },
        ordering: body.ordering,
        enabled: body.enabled,
    };
    issues.result()?;
    Ok(Audited(postbacks::change(&app, actor, id, changes).await?.map(Into::into)))
}

/// Take a postback away. Its log stays; what it was still owed is cancelled.
#[utoipa::path(delete, path = "/api/v1/postbacks/{id}", tag = "postbacks", params(("id" = PostbackId, Path)),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn archive_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> ApiResult<Deleted<PostbackOut>> {
    Ok(Deleted(postbacks::archive(&app, actor, id).await?.into()))
}

/// Send a test request with sample values and tell what came back. Changes nothing.
#[utoipa::path(post, path = "/api/v1/postbacks/{id}/test", tag = "postbacks", params(("id" = PostbackId, Path)),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = VerificationOut), (status = "default", body = Problem)))]
pub async fn test_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> ApiResult<Json<VerificationOut>> {
    Ok(Json(postbacks::test(&app, actor, id).await?.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PastedIn {
    #[schema(example = "https://tracker.example/postback?cid={external_click_id}&payout={payout}&source=postrider")]
    url: String,
    /// Keep fixed values that look like keys (key, token, secure, api_key …) as secrets: sealed, masked, never in a log.
    #[serde(default)]
    seal_keys: bool,
}

#[derive(Serialize, ToSchema)]
pub struct ParameterOut {
    name: String,
    r#macro: String,
}

#[derive(Serialize, ToSchema)]
pub struct ValueOut {
    name: String,
    value: String,
}

/// A pasted URL, taken apart: the first five fields are a configuration of macro-url.
#[derive(Serialize, ToSchema)]
pub struct PastedOut {
    base_url: String,
    #[schema(example = "GET")]
    method: &'static str,
    parameters: Vec<ParameterOut>,
    custom: Vec<ValueOut>,
    /// Keys of the URL, if `seal_keys` asked for that.
    secrets: BTreeMap<String, String>,
    /// Values with tokens that name no macro of ours: choose one or a fixed value.
    unknown: Vec<ValueOut>,
}

/// Take a pasted URL apart and recognise its macros.
#[utoipa::path(post, path = "/api/v1/postbacks/parse", tag = "postbacks", request_body = PastedIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = PastedOut), (status = "default", body = Problem)))]
pub async fn parse_postback(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<PastedIn>,
) -> ApiResult<Json<PastedOut>> {
    let pasted = postbacks::parse(&app, &body.url, body.seal_keys).await?;
    let values =
        |pairs: Vec<(String, String)>| pairs.into_iter().map(|(name, value)| ValueOut { name, value }).collect();
    Ok(Json(PastedOut {
        base_url: pasted.base_url,
        method: "GET",
        parameters: pasted
            .parameters
            .into_iter()
            .map(|it| ParameterOut { name: it.name, r#macro: it.r#macro })
            .collect(),
        custom: values(pasted.custom),
        secrets: pasted.secrets,
        unknown: values(pasted.unknown),
    }))
}
