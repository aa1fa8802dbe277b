//! `/api/v1/adapters`

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::audit::{Audited, AuditedChanges};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageOut, body_problem};
use domain::delivery::adapter::{AdapterState, AdapterVersion, Origin};
use domain::ids::{EventId, PostbackId};
use domain::people::changes;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::app::App;
use engine::delivery::adapters::{self, Upgrade};
use engine::{Error, FieldIssue};
use host::{Adapter, AdapterError, limits, wire as contract};

/// One version of an adapter.
#[derive(Serialize, ToSchema)]
pub struct AdapterVersionOut {
    #[schema(example = "macro-url")]
    id: String,
    #[schema(example = "1.0.0")]
    version: String,
    /// SHA-256 of the component.
    digest: String,
    origin: Origin,
    state: AdapterState,
    /// Faults in a row.
    faults: i32,
    /// Why it is out of service.
    reason: Option<String>,
    installed_at: Timestamp,
    updated_at: Timestamp,
}

impl From<AdapterVersion> for AdapterVersionOut {
    fn from(it: AdapterVersion) -> Self {
        Self {
            id: it.id,
            version: it.version,
            digest: it.digest,
            origin: it.origin,
            state: it.state,
            faults: it.faults,
            reason: it.reason,
            installed_at: it.installed_at,
            updated_at: it.updated_at,
        }
    }
}

/// What an adapter can be used for.
#[derive(Serialize, ToSchema)]
pub struct CapabilitiesOut {
    outbound: bool,
    inbound: bool,
    click: bool,
}

/// Which rules a person may set, and within what bounds.
#[derive(Serialize, ToSchema)]
pub struct RulePolicyOut {
    actions: Vec<Action>,
    statuses: bool,
    rejection_reasons: bool,
    min_delay_ms: u64,
    max_delay_ms: u64,
}

#[derive(Serialize, ToSchema)]
pub struct MacroOut {
    #[schema(example = "payout")]
    token: String,
    description: String,
    example: String,
    /// Whether its values tell who a buyer or visitor is.
    personal_data: bool,
}

/// What an adapter says of itself: all that a form for its configuration needs.
#[derive(Serialize, ToSchema)]
pub struct DescriptorOut {
    version: String,
    title: String,
    summary: String,
    docs_url: Option<String>,
    capabilities: CapabilitiesOut,
    rules: RulePolicyOut,
    /// Host names that it may address; "*" leaves the choice to the configuration.
    hosts: Vec<String>,
    /// A JSON Schema. Secrets have `"writeOnly": true`.
    #[schema(value_type = Object)]
    config_schema: serde_json::Value,
    macros: Vec<MacroOut>,
}

impl From<&Adapter> for DescriptorOut {
    fn from(adapter: &Adapter) -> Self {
        let it = adapter.descriptor();
        let can = |capability| it.capabilities.contains(capability);
        let action = |action: &contract::Action| match action {
            contract::Action::Impression => Action::Impression,
            contract::Action::Click => Action::Click,
            contract::Action::Conversion => Action::Conversion,
            contract::Action::CustomEvent => Action::Event,
        };
        Self {
            version: it.version.clone(),
            title: it.title.clone(),
            summary: it.summary.clone(),
            docs_url: it.docs_url.clone(),
            capabilities: CapabilitiesOut {
                outbound: can(contract::Capabilities::OUTBOUND),
                inbound: can(contract::Capabilities::INBOUND),
                click: can(contract::Capabilities::CLICK),
            },
            rules: RulePolicyOut {
                actions: it.rules.actions.iter().map(action).collect(),
                statuses: it.rules.statuses,
                rejection_reasons: it.rules.rejection_reasons,
                min_delay_ms: it.rules.min_delay,
                max_delay_ms: it.rules.max_delay,
            },
            hosts: it.hosts.clone(),
            config_schema: adapter.schema().document().clone(),
            macros: it
                .macros
                .iter()
                .map(|it| MacroOut {
                    token: it.token.clone(),
                    description: it.description.clone(),
                    example: it.example.clone(),
                    personal_data: it.personal_data,
                })
                .collect(),
        }
    }
}

/// An adapter with all its versions, newest first.
#[derive(Serialize, ToSchema)]
pub struct AdapterOut {
    #[schema(example = "macro-url")]
    id: String,
    /// What a new postback pins; null when no version works.
    latest: Option<String>,
    versions: Vec<AdapterVersionOut>,
    /// Of the latest version, or of the one that was asked for; null when it can't be loaded.
    descriptor: Option<DescriptorOut>,
}

async fn describe(app: &App, versions: Vec<AdapterVersion>, wanted: Option<&str>) -> Result<AdapterOut, Error> {
    let id = versions.first().map(|it| it.id.clone()).unwrap_or_default();
    let latest = versions.iter().find(|it| it.state == AdapterState::Active).map(|it| it.version.clone());
    let version = wanted.or(latest.as_deref()).or(versions.first().map(|it| it.version.as_str())).unwrap_or_default();
    let adapter = match app.adapters.load(&id, version).await {
        // It is in the list all the same, so that a person can see and disable it.
        Err(Error::Adapter(_)) => None,
        found => found?,
    };
    let descriptor = adapter.as_deref().map(DescriptorOut::from);
    Ok(AdapterOut { id, latest, versions: versions.into_iter().map(Into::into).collect(), descriptor })
}

/// Install an adapter: a WebAssembly component, built with the Postrider SDK or fulfilling the same contract.
///
/// The same component again changes nothing and is answered with 200.
#[utoipa::path(post, path = "/api/v1/adapters", tag = "adapters",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    security(("api_key" = ["manage_adapters"])),
    responses((status = 201, body = AdapterVersionOut), (status = 200, body = AdapterVersionOut),
        (status = "default", body = Problem)))]
pub async fn install_adapter(
    State(app): State<App>,
    _: Caller,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<(StatusCode, Json<AdapterVersionOut>)> {
    let wasm = body.map_err(|rejection| too_large_or(body_problem(rejection)))?;
    let (version, new) = adapters::install(&app, wasm.to_vec()).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(version.into())))
}

fn too_large_or(problem: Problem) -> Problem {
    if problem.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return problem;
    }
    let max = limits::COMPONENT_BYTES;
    let detail = format!("The component has more than {max} bytes; at most {max} are allowed.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, AdapterError::TooLarge { bytes: max, max }.code(), detail)
}

/// List adapters with their versions.
#[utoipa::path(get, path = "/api/v1/adapters", tag = "adapters",
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<AdapterOut>), (status = "default", body = Problem)))]
pub async fn list_adapters(State(app): State<App>, _: Caller) -> ApiResult<Json<PageOut<AdapterOut>>> {
    let versions = app.adapters.list(None).await.map_err(Error::from)?;
    let mut items = Vec::new();
    for versions in versions.chunk_by(|one, other| one.id == other.id) {
        items.push(describe(&app, versions.to_vec(), None).await?);
    }
    Ok(Json(PageOut { items, next: None }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhichVersion {
    /// Whose descriptor to show; the latest when absent.
    version: Option<String>,
}

/// Read an adapter: its versions, and what a form for its configuration needs.
#[utoipa::path(get, path = "/api/v1/adapters/{id}", tag = "adapters", params(("id" = String, Path), WhichVersion),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = AdapterOut), (status = "default", body = Problem)))]
pub async fn get_adapter(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<String>,
    ApiQuery(which): ApiQuery<WhichVersion>,
) -> ApiResult<Json<AdapterOut>> {
    let versions = app.adapters.list(Some(&id)).await.map_err(Error::from)?;
    let there = which.version.as_ref().is_none_or(|version| versions.iter().any(|it| it.version == *version));
    if versions.is_empty() || !there {
        return Err(Error::not_found("adapter", id).into());
    }
    Ok(Json(describe(&app, versions, which.version.as_deref()).await?))
}

/// Take a version out of service. Its deliveries wait until it is enabled or their postbacks are upgraded.
#[utoipa::path(post, path = "/api/v1/adapters/{id}/versions/{version}/disable", tag = "adapters",
    params(("id" = String, Path), ("version" = String, Path)),
    security(("api_key" = ["manage_adapters"])),
    responses((status = 200, body = AdapterVersionOut), (status = "default", body = Problem)))]
pub async fn disable_adapter(
    State(app): State<App>,
    _: Caller,
    Path((id, version)): Path<(String, String)>,
) -> ApiResult<Audited<AdapterVersionOut>> {
    Ok(Audited(adapters::disable(&app, &id, &version).await?.map(Into::into)))
}

/// Put a version back into service, whoever or whatever took it out.
#[utoipa::path(post, path = "/api/v1/adapters/{id}/versions/{version}/enable", tag = "adapters",
    params(("id" = String, Path), ("version" = String, Path)),
    security(("api_key" = ["manage_adapters"])),
    responses((status = 200, body = AdapterVersionOut), (status = "default", body = Problem)))]
pub async fn enable_adapter(
    State(app): State<App>,
    _: Caller,
    Path((id, version)): Path<(String, String)>,
) -> ApiResult<Audited<AdapterVersionOut>> {
    Ok(Audited(adapters::enable(&app, &id, &version).await?.map(Into::into)))
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeIn {
    #[schema(example = "1.1.0")]
    to: String,
    /// Only tell what would happen; this is the default.
    #[serde(default = "yes")]
    dry_run: bool,
    /// Only these postbacks; all that pin another version when absent.
    #[serde(default)]
    postbacks: Option<Vec<PostbackId>>,
}

/// Where two versions first part over an event.
#[derive(Serialize, ToSchema)]
pub struct DifferenceOut {
    event_id: EventId,
    /// outcome, method, url, headers, body or signature.
    #[schema(example = "url")]
    what: &'static str,
    before: String,
    after: String,
}

/// One postback under the new version.
#[derive(Serialize, ToSchema)]
pub struct JudgedOut {
    postback_id: PostbackId,
    name: String,
    /// The version that it pinned.
    from: String,
    /// "ok", "differs" or "invalid".
    #[schema(example = "ok")]
    result: &'static str,
    /// The same in a sentence.
    summary: String,
    /// What the new version objects to; such a postback is not moved.
    issues: Vec<FieldIssue>,
    /// How many of its last matching events were rendered with both versions.
    compared: usize,
    different: usize,
    first_difference: Option<DifferenceOut>,
    moved: bool,
}

#[derive(Serialize, ToSchema)]
pub struct UpgradeOut {
    dry_run: bool,
    postbacks: Vec<JudgedOut>,
    /// Whether there are more postbacks than one request judges; name them in `postbacks`.
    more: bool,
}

impl From<adapters::PostbackCheck> for JudgedOut {
    fn from(it: adapters::PostbackCheck) -> Self {
        let (result, summary) = if !it.issues.is_empty() {
            ("invalid", format!("the new version objects to {} of its settings", it.issues.len()))
        } else if it.different > 0 {
            ("differs", format!("{} of {} events render differently", it.different, it.compared))
        } else {
            ("ok", format!("{} events render the same", it.compared))
        };
        Self {
            postback_id: it.id,
            name: it.name,
            from: it.from,
            result,
            summary,
            issues: it.issues,
            compared: it.compared,
            different: it.different,
            first_difference: it.first_difference.map(|it| DifferenceOut {
                event_id: it.event_id,
                what: it.what,
                before: it.before,
                after: it.after,
            }),
            moved: it.moved,
        }
    }
}

/// Move postbacks to another version of their adapter, or tell what that would change.
///
/// Each is judged by the new version: its rule, its configuration, and its last 100 matching events rendered with both.
/// Those without issues are moved unless this is a dry run.
#[utoipa::path(post, path = "/api/v1/adapters/{id}/upgrade", tag = "adapters", params(("id" = String, Path)),
    request_body = UpgradeIn,
    security(("api_key" = ["manage_adapters"])),
    responses((status = 200, body = UpgradeOut), (status = "default", body = Problem)))]
pub async fn upgrade_adapter(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<UpgradeIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<UpgradeOut>)> {
    // Many events are read and rendered twice.
    let _place = app.heavy.place(actor).await?;
    let Upgrade { postbacks, more } =
        adapters::upgrade(&app, &id, &body.to, body.postbacks.as_deref(), body.dry_run).await?;
    let moved = postbacks.iter().filter(|it| it.moved);
    let told = moved.filter_map(|it| changes::of_word(format!("{}.adapter_version", it.id), &it.from, &body.to));
    let told = AuditedChanges::many(told);
    let postbacks = postbacks.into_iter().map(JudgedOut::from).collect();
    Ok((told, Json(UpgradeOut { dry_run: body.dry_run, postbacks, more })))
}
