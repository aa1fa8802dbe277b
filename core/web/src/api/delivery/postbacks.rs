//! `/api/v1/postbacks`

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
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PathId};
use crate::verification::VerificationOut;
use domain::delivery::approval::Approval;
use domain::delivery::pasted::ClickIdMeaning;
use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::{Delay, FiringStatus, Rule, Scope};
use domain::ids::{AffiliateId, PostbackId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks::{self, Acceptance, NewPostback, Parsed, PostbackData, TestClick, TestTerms};
use engine::delivery::templates;

pub(super) fn default_action() -> Action {
    Action::Conversion
}

pub(super) fn default_firing_status() -> FiringStatus {
    FiringStatus::Any
}

/// A new postback: either `adapter` and `config`, or `template` and `fields`, and the rule that events must match.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostbackIn {
    /// A name for people.
    #[schema(example = "Voluum", min_length = 1, max_length = 200)]
    name: String,
    /// The id of the adapter that builds the requests; its latest version is used. Requires `config`. It cannot be
    /// changed.
    #[schema(example = "macro-url")]
    adapter: Option<String>,
    /// The configuration of the adapter, as its `config_schema` describes it. A secret that is sent as its mask keeps its
    /// value; the configuration must then lead to the same destination.
    #[schema(value_type = Option<Object>)]
    config: Option<serde_json::Value>,
    /// The id of an outbound template. It sets adapter and configuration. It cannot be changed.
    #[schema(example = "voluum")]
    template: Option<String>,
    /// The values of the template's fields, by name. In a change, fields that are not named keep their values.
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// The kind of events for which requests are sent; `conversion` if absent.
    #[serde(default = "default_action")]
    action: Action,
    /// The affiliate and offer whose events are sent; all if absent. An affiliate's postback always has the scope of
    /// this affiliate.
    #[serde(default)]
    scope: Scope,
    /// The status of conversions that are sent; `any` if absent.
    #[serde(default = "default_firing_status")]
    firing_status: FiringStatus,
    /// Of rejected conversions only those with one of these reasons are sent, in any case; all if empty. At most 50
    /// reasons of 1 to 100 characters.
    #[serde(default)]
    #[schema(max_items = 50)]
    rejection_reasons: Vec<String>,
    /// How long a delivery waits before it is sent; it is sent immediately if absent or null. The adapter defines the
    /// bounds, in `rules` of its description.
    #[serde(default)]
    delay: Option<Delay>,
    /// How several states of one conversion are sent; `latest` if absent.
    #[serde(default)]
    ordering: Ordering,
    /// Whether requests are sent; true if absent. Staff can save a disabled postback without a test request. Pending
    /// deliveries of a disabled postback are cancelled when they are due.
    #[serde(default = "crate::api::default_true")]
    enabled: bool,
    /// The affiliate that owns the postback and sees its log. Keys and people of an affiliate always own their
    /// postbacks. Null: the program owns it. It cannot be changed.
    #[serde(default)]
    owner_affiliate_id: Option<AffiliateId>,
    /// Whether the postback is saved even if its destination does not accept the test request, and a disabled one
    /// without a test request; false if absent. `verified_at` is then null until the first successful delivery.
    #[serde(default)]
    allow_unverified: bool,
    /// The tracker's click id that the test request carries, because many trackers refuse a click id that they did not
    /// give out: an id that the tracker knows, or `newest` for that of the newest click; a sample if absent. It is not
    /// saved.
    #[serde(default)]
    #[schema(example = "newest", max_length = 2048)]
    test_click_id: Option<String>,
}

impl PostbackIn {
    fn terms(&self) -> TestTerms {
        terms(self.allow_unverified, self.test_click_id.as_deref())
    }

    /// The click id of the test request.
    pub(super) fn test_click(&self) -> TestClick {
        TestClick::of(self.test_click_id.as_deref())
    }

    /// The body that would create this postback, with masked secrets.
    fn of(postback: &Postback) -> Self {
        let rule = postback.rule.clone();
        Self {
            name: postback.name.clone(),
            adapter: Some(postback.adapter.clone()),
            config: Some(postback.config.clone()),
            template: postback.template.clone(),
            fields: BTreeMap::new(),
            action: rule.action,
            scope: rule.scope,
            firing_status: rule.firing_status,
            rejection_reasons: rule.rejection_reasons,
            delay: rule.delay,
            ordering: postback.ordering,
            enabled: postback.enabled,
            owner_affiliate_id: postback.owner,
            allow_unverified: false,
            test_click_id: None,
        }
    }

    /// The data of a changed postback.
    pub(super) fn patched(postback: &Postback, patch: &Patch) -> Result<PostbackData, Error> {
        let mut patch = patch.clone();
        let mut present = Self::of(postback);
        if let (Some(fields), Some(config)) = (crate::api::changed_fields(&mut patch)?, &mut present.config) {
            templates::refill(postback.template.as_deref(), config, None, &fields)?;
        }
        let body = patch.apply(&present)?;
        for (field, is_kept) in [
            ("/adapter", body.adapter == present.adapter),
            ("/template", body.template == present.template),
            ("/owner_affiliate_id", body.owner_affiliate_id == present.owner_affiliate_id),
        ] {
            if !is_kept {
                return Err(Error::invalid(field, "cannot be changed; create another postback"));
            }
        }
        let config = body.config.clone().ok_or_else(|| Error::invalid("/config", NO_CONFIG))?;
        let (name, rule) = body.name_and_rule()?;
        Ok(PostbackData { name, config, rule, ordering: body.ordering, enabled: body.enabled })
    }

    /// The data of a new postback.
    pub(super) fn into_new(self) -> Result<NewPostback, Error> {
        let (name, rule) = self.name_and_rule()?;
        Ok(NewPostback {
            name,
            adapter_choice: crate::api::adapter_choice(self.adapter, self.config, self.template, self.fields)?,
            rule,
            ordering: self.ordering,
            enabled: self.enabled,
            owner: self.owner_affiliate_id,
        })
    }

    fn name_and_rule(&self) -> Result<(String, Rule), Error> {
        let mut issues = Issues::default();
        let name = issues.text("/name", &self.name, 200);
        let rejection_reasons = reasons(&self.rejection_reasons, &mut issues);
        issues.result()?;
        let rule = Rule {
            scope: self.scope,
            action: self.action,
            firing_status: self.firing_status,
            rejection_reasons,
            delay: self.delay.filter(|delay| delay.value > 0),
        };
        Ok((name, rule))
    }
}

fn terms(is_unverified_allowed: bool, click_id: Option<&str>) -> TestTerms {
    let acceptance = if is_unverified_allowed { Acceptance::Optional } else { Acceptance::Required };
    TestTerms { acceptance, click: TestClick::of(click_id) }
}

/// Checks the rejection reasons of a rule, and trims them.
pub fn valid_reasons(given: &[String]) -> Result<Vec<String>, Error> {
    let mut issues = Issues::default();
    let reasons = reasons(given, &mut issues);
    issues.result().map(|()| reasons)
}

pub(super) fn reasons(given: &[String], issues: &mut Issues) -> Vec<String> {
    let given = given.iter().enumerate();
    given.map(|(index, reason)| issues.text(&format!("/rejection_reasons/{index}"), reason, 100)).collect()
}

/// A postback: a request that is sent when an event matches its rule.
#[derive(Serialize, ToSchema)]
pub struct PostbackOut {
    id: PostbackId,
    /// A name for people.
    name: String,
    /// The id of the template from which the postback was made; null if it was made without one.
    template: Option<String>,
    /// The id of the adapter that builds the requests.
    adapter: String,
    /// The version of the adapter. It changes only when the postback is upgraded.
    adapter_version: String,
    /// The configuration of the adapter. Secrets are masked.
    #[schema(value_type = Object)]
    config: serde_json::Value,
    /// The kind of events for which requests are sent.
    action: Action,
    /// The affiliate and offer whose events are sent.
    scope: Scope,
    /// The status of conversions that are sent.
    firing_status: FiringStatus,
    /// Of rejected conversions only those with one of these reasons are sent; all if empty.
    rejection_reasons: Vec<String>,
    /// How long a delivery waits before it is sent; null if it is sent immediately.
    delay: Option<Delay>,
    /// How several states of one conversion are sent.
    ordering: Ordering,
    /// The rule as one sentence.
    #[schema(example = "A request is sent 2 minutes after a conversion of any affiliate for any offer is approved.")]
    summary: String,
    /// Whether requests are sent.
    enabled: bool,
    /// The affiliate that owns the postback and sees its log; null if the program owns it.
    owner_affiliate_id: Option<AffiliateId>,
    approval: Approval,
    /// Why the program refused the postback; null if it did not.
    #[schema(example = json!(null))]
    refusal_reason: Option<String>,
    /// The number of the present version. Each change increases it.
    #[schema(example = 3)]
    version: i32,
    /// When the destination last accepted a test request with the current configuration, or the first delivery if no test
    /// request was accepted; null if the postback is unverified.
    verified_at: Option<Timestamp>,
    /// When the postback was created.
    created_at: Timestamp,
    /// When the postback last changed.
    updated_at: Timestamp,
}

impl From<Postback> for PostbackOut {
    fn from(postback: Postback) -> Self {
        Self {
            id: postback.id,
            name: postback.name,
            template: postback.template,
            adapter: postback.adapter,
            adapter_version: postback.adapter_version,
            config: postback.config,
            summary: postback.rule.sentence(),
            action: postback.rule.action,
            scope: postback.rule.scope,
            firing_status: postback.rule.firing_status,
            rejection_reasons: postback.rule.rejection_reasons,
            delay: postback.rule.delay,
            ordering: postback.ordering,
            enabled: postback.enabled,
            owner_affiliate_id: postback.owner,
            approval: postback.approval,
            refusal_reason: postback.refusal_reason,
            version: postback.version,
            verified_at: postback.verified_at,
            created_at: postback.created_at,
            updated_at: postback.updated_at,
        }
    }
}

/// Create a postback after its destination accepted a test request.
///
/// If the destination does not accept the test request, nothing is saved, and the error shows the response in
/// `verification`; `allow_unverified` saves it nevertheless.
#[utoipa::path(post, path = "/api/v1/postbacks", tag = "postbacks", request_body = PostbackIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 201, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn create_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<PostbackIn>,
) -> ApiResult<(StatusCode, Json<PostbackOut>)> {
    let terms = body.terms();
    let created = postbacks::create_with(&app, actor, body.into_new()?, &terms).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
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

/// Change a postback.
///
/// The body is a merge patch (RFC 7396). `fields` changes values of the template from which the postback was made. A
/// changed configuration is saved after the destination accepted a test request, or with `allow_unverified`. Staff can
/// change a disabled postback without a test request. Deliveries that wait for a paused destination are sent to the new destination.
#[utoipa::path(patch, path = "/api/v1/postbacks/{id}", tag = "postbacks", params(("id" = PostbackId, Path)),
    request_body = PostbackIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn change_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    patch: Patch,
) -> ApiResult<Audited<PostbackOut>> {
    let is_unverified_allowed = patch.get("allow_unverified").is_some_and(|it| it == &Value::Bool(true));
    let edit = |it: &Postback| PostbackIn::patched(it, &patch);
    let click_id = patch.get("test_click_id").and_then(Value::as_str);
    let changed = postbacks::change_with(&app, actor, id, edit, &terms(is_unverified_allowed, click_id)).await?;
    Ok(Audited(changed.map(Into::into)))
}

/// Copy a postback.
///
/// The copy has the same configuration, secrets and rule. It is disabled, and its destination is tested when it is
/// enabled.
#[utoipa::path(post, path = "/api/v1/postbacks/{id}/duplicate", tag = "postbacks", params(("id" = PostbackId, Path)),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 201, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn duplicate_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> ApiResult<(StatusCode, Json<PostbackOut>)> {
    Ok((StatusCode::CREATED, Json(postbacks::duplicate(&app, actor, id).await?.into())))
}

/// Delete a postback. Its deliveries remain in the log, and its pending deliveries are cancelled when they are due.
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

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TestIn {
    /// The tracker's click id that the request carries: an id that the tracker knows, or `newest` for that of the newest
    /// click; a sample if absent.
    test_click_id: Option<String>,
}

/// Send a test request with sample values, and show the response.
///
/// The postback is not changed, and nothing is logged as a delivery.
#[utoipa::path(post, path = "/api/v1/postbacks/{id}/test", tag = "postbacks",
    params(("id" = PostbackId, Path), TestIn),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = VerificationOut), (status = "default", body = Problem)))]
pub async fn test_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    ApiQuery(params): ApiQuery<TestIn>,
) -> ApiResult<Json<VerificationOut>> {
    let click = TestClick::of(params.test_click_id.as_deref());
    Ok(Json(postbacks::test(&app, actor, id, &click).await?.into()))
}

/// A postback URL that was copied from a tracker.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PastedUrlIn {
    /// The URL with the tracker's macros.
    #[schema(example = "https://tracker.example/postback?cid={external_click_id}&payout={payout}&source=postrider")]
    url: String,
    /// The meaning of `{click_id}`. `tracker`, the default: the id that the tracker adds to the link as `click_id` and
    /// expects back, which is the macro `external_click_id`. `postrider`: the id of the click here. If the URL also
    /// has `{external_click_id}`, `{click_id}` always means the id of the click here.
    #[serde(default)]
    click_id: ClickIdMeaning,
    /// Whether fixed values of parameters such as key, token, secure or api_key are returned in `secrets`, so that the
    /// postback stores them sealed and masks them everywhere; false if absent.
    #[serde(default)]
    seal_keys: bool,
}

/// A parameter whose value is a macro.
#[derive(Serialize, ToSchema)]
pub struct MacroParameterOut {
    /// The name of the parameter.
    name: String,
    /// The name of the macro, without braces.
    #[schema(example = "payout")]
    r#macro: String,
}

/// A parameter with a fixed value.
#[derive(Serialize, ToSchema)]
pub struct FixedParameterOut {
    /// The name of the parameter.
    name: String,
    /// The value.
    value: String,
}

/// A parameter with a token that is not a macro.
#[derive(Serialize, ToSchema)]
pub struct UnknownParameterOut {
    /// The name of the parameter; `base_url` for the address itself.
    name: String,
    /// The value.
    #[schema(example = "{plan_nam}")]
    value: String,
    /// The macro that was probably meant; null if none is similar.
    #[schema(example = "plan_name")]
    suggestion: Option<String>,
}

/// An adapter for the tokens of one network.
#[derive(Serialize, ToSchema)]
pub struct NetworkWordsOut {
    /// The id of the adapter. Its configuration takes the pasted URL as it is, in `url`.
    #[schema(example = "mylead")]
    adapter: String,
    /// The name of the network.
    #[schema(example = "MyLead")]
    title: String,
}

/// A remark about one parameter of a pasted URL.
#[derive(Serialize, ToSchema)]
pub struct PastedNoteOut {
    /// The name of the parameter; `base_url` for the address itself.
    #[schema(example = "click_id")]
    name: String,
    /// How the parameter was understood, and how to change that.
    #[schema(example = json!(TRACKER_CLICK_ID_NOTE))]
    note: String,
}

/// The parts of a pasted URL. All fields except `unknown`, `networks` and `notes` are a configuration of the adapter `macro-url`.
#[derive(Serialize, ToSchema)]
pub struct PastedUrlOut {
    /// The URL without the parameters that are in the other fields.
    base_url: String,
    /// The HTTP method; always GET.
    #[schema(example = "GET")]
    method: &'static str,
    /// Parameters whose values are macros.
    parameters: Vec<MacroParameterOut>,
    /// Parameters with fixed values.
    custom: Vec<FixedParameterOut>,
    /// Secrets by name, with `seal_keys`; empty without it. A macro in `parameters` refers to each of them.
    secrets: BTreeMap<String, String>,
    /// Parameters with a token that is not a macro. Choose a macro or a fixed value for each. A token in the address
    /// itself has the name `base_url`.
    unknown: Vec<UnknownParameterOut>,
    /// Adapters of networks whose own tokens all tokens of the URL are. They keep the network's meaning, such as an amount in
    /// pennies, which the fields above may not.
    networks: Vec<NetworkWordsOut>,
    /// Remarks about parameters that can be understood in two ways.
    notes: Vec<PastedNoteOut>,
}

const TRACKER_CLICK_ID_NOTE: &str = "{click_id} was understood as the tracker's own click id: the tracker adds it to your \
    link as click_id, and it is sent back (macro external_click_id). If Postrider's click id is meant, parse the URL \
    again with \"click_id\": \"postrider\"";

/// Split a postback URL of a tracker into a configuration of the adapter `macro-url`.
///
/// The macros of many trackers are recognized. Nothing is stored.
#[utoipa::path(post, path = "/api/v1/postbacks/parse", tag = "postbacks", request_body = PastedUrlIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = PastedUrlOut), (status = "default", body = Problem)))]
pub async fn parse_postback(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<PastedUrlIn>,
) -> ApiResult<Json<PastedUrlOut>> {
    let Parsed { pasted, suggestions, networks } =
        postbacks::parse(&app, &body.url, body.click_id, body.seal_keys).await?;
    let unknown = pasted.unknown.into_iter().zip(suggestions);
    let values = |pairs: Vec<(String, String)>| {
        pairs.into_iter().map(|(name, value)| FixedParameterOut { name, value }).collect()
    };
    Ok(Json(PastedUrlOut {
        base_url: pasted.base_url,
        method: "GET",
        parameters: pasted
            .parameters
            .into_iter()
            .map(|it| MacroParameterOut { name: it.name, r#macro: it.r#macro })
            .collect(),
        custom: values(pasted.custom),
        secrets: pasted.secrets,
        unknown: unknown.map(|((name, value), suggestion)| UnknownParameterOut { name, value, suggestion }).collect(),
        networks: networks.into_iter().map(|it| NetworkWordsOut { adapter: it.adapter, title: it.title }).collect(),
        notes: pasted
            .tracker_click_ids
            .into_iter()
            .map(|name| PastedNoteOut { name, note: TRACKER_CLICK_ID_NOTE.to_owned() })
            .collect(),
    }))
}
