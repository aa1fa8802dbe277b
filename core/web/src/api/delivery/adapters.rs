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
    /// The id of the adapter.
    #[schema(example = "macro-url")]
    id: String,
    /// The version.
    #[schema(example = "1.0.0")]
    version: String,
    /// SHA-256 of the component, in hexadecimal.
    digest: String,
    /// Where the version came from.
    origin: Origin,
    /// Whether the version is in use.
    status: AdapterState,
    /// The number of faults in a row: traps, exhausted budgets and unusable output.
    faults: i32,
    /// Why the version is out of service; null with another status.
    reason: Option<String>,
    /// When the version was installed.
    installed_at: Timestamp,
    /// When the version last changed.
    updated_at: Timestamp,
}

impl From<AdapterVersion> for AdapterVersionOut {
    fn from(version: AdapterVersion) -> Self {
        Self {
            id: version.id,
            version: version.version,
            digest: version.digest,
            origin: version.origin,
            status: version.state,
            faults: version.faults,
            reason: version.reason,
            installed_at: version.installed_at,
            updated_at: version.updated_at,
        }
    }
}

/// What an adapter can be used for.
#[derive(Serialize, ToSchema)]
pub struct CapabilitiesOut {
    /// Whether it builds requests, for postbacks.
    outbound: bool,
    /// Whether it reads notifications, for sources.
    inbound: bool,
    /// Whether it can add parameters to the landing page URLs of clicks.
    click: bool,
}

/// The rules that a postback with this adapter can have.
#[derive(Serialize, ToSchema)]
pub struct RulePolicyOut {
    /// The actions on which a postback can fire.
    actions: Vec<Action>,
    /// Whether `firing_status` can be set. Otherwise it must be `any`.
    statuses: bool,
    /// Whether `rejection_reasons` can be set. Otherwise it must be empty.
    rejection_reasons: bool,
    /// The shortest delay, in milliseconds. A postback can also have no delay.
    min_delay_ms: u64,
    /// The longest delay, in milliseconds; 0 if a postback cannot have a delay.
    max_delay_ms: u64,
}

/// A macro: a token in the configuration that stands for a value of the event.
#[derive(Serialize, ToSchema)]
pub struct MacroOut {
    /// The token.
    #[schema(example = "payout")]
    token: String,
    /// The meaning of the value.
    description: String,
    /// An example of the value.
    example: String,
    /// Whether the values are personal data of a buyer or visitor.
    personal_data: bool,
}

/// The description that an adapter gives of itself. It has all data for a form that edits the configuration.
#[derive(Serialize, ToSchema)]
pub struct DescriptorOut {
    /// The version that is described.
    version: String,
    /// The name for people.
    title: String,
    /// What the adapter does, in a sentence.
    summary: String,
    /// The URL of its documentation; null if there is none.
    docs_url: Option<String>,
    /// What the adapter can be used for.
    capabilities: CapabilitiesOut,
    /// The rules that a postback can have.
    rules: RulePolicyOut,
    /// Host names to which the adapter may send requests. "*" leaves the choice to the configuration.
    hosts: Vec<String>,
    /// A JSON Schema of the configuration. Secrets have `"writeOnly": true`.
    #[schema(value_type = Object)]
    config_schema: serde_json::Value,
    /// The macros that the configuration can contain.
    macros: Vec<MacroOut>,
}

impl From<&Adapter> for DescriptorOut {
    fn from(adapter: &Adapter) -> Self {
        let descriptor = adapter.descriptor();
        let can = |capability| descriptor.capabilities.contains(capability);
        let action = |action: &contract::Action| match action {
            contract::Action::Impression => Action::Impression,
            contract::Action::Click => Action::Click,
            contract::Action::Conversion => Action::Conversion,
            contract::Action::CustomEvent => Action::Event,
        };
        Self {
            version: descriptor.version.clone(),
            title: descriptor.title.clone(),
            summary: descriptor.summary.clone(),
            docs_url: descriptor.docs_url.clone(),
            capabilities: CapabilitiesOut {
                outbound: can(contract::Capabilities::OUTBOUND),
                inbound: can(contract::Capabilities::INBOUND),
                click: can(contract::Capabilities::CLICK),
            },
            rules: RulePolicyOut {
                actions: descriptor.rules.actions.iter().map(action).collect(),
                statuses: descriptor.rules.statuses,
                rejection_reasons: descriptor.rules.rejection_reasons,
                min_delay_ms: descriptor.rules.min_delay,
                max_delay_ms: descriptor.rules.max_delay,
            },
            hosts: descriptor.hosts.clone(),
            config_schema: adapter.schema().document().clone(),
            macros: descriptor
                .macros
                .iter()
                .map(|entry| MacroOut {
                    token: entry.token.clone(),
                    description: entry.description.clone(),
                    example: entry.example.clone(),
                    personal_data: entry.personal_data,
                })
                .collect(),
        }
    }
}

/// An adapter with all its versions.
#[derive(Serialize, ToSchema)]
pub struct AdapterOut {
    /// The id of the adapter.
    #[schema(example = "macro-url")]
    id: String,
    /// The version that new postbacks and sources use: the newest active one; null if no version is active.
    latest: Option<String>,
    /// All versions, newest first.
    versions: Vec<AdapterVersionOut>,
    /// The description of the requested version, or else of the latest; null if that version cannot be loaded.
    descriptor: Option<DescriptorOut>,
}

async fn describe(app: &App, versions: Vec<AdapterVersion>, requested: Option<&str>) -> Result<AdapterOut, Error> {
    let id = versions.first().map(|it| it.id.clone()).unwrap_or_default();
    let latest = versions.iter().find(|it| it.state == AdapterState::Active).map(|it| it.version.clone());
    let version =
        requested.or(latest.as_deref()).or(versions.first().map(|it| it.version.as_str())).unwrap_or_default();
    let adapter = match app.adapters.load(&id, version).await {
        // An adapter that cannot be loaded is listed too, so that a person can see and disable it.
        Err(Error::Adapter(_)) => None,
        found => found?,
    };
    let descriptor = adapter.as_deref().map(DescriptorOut::from);
    Ok(AdapterOut { id, latest, versions: versions.into_iter().map(Into::into).collect(), descriptor })
}

/// Install a version of an adapter.
///
/// The body is a WebAssembly component of at most 4 MiB that implements the adapter contract, for example one that is
/// built with the Postrider SDK. The component contains its id and version. Installing the same component again has no
/// effect (200). Another component with the same id and version is an error.
#[utoipa::path(post, path = "/api/v1/adapters", tag = "adapters",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    security(("api_key" = ["manage_adapters"])),
    responses((status = 201, body = AdapterVersionOut, description = "The version is installed."),
        (status = 200, body = AdapterVersionOut, description = "The same component was installed before."),
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

/// List all adapters with their versions, on one page.
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
pub struct AdapterVersionQuery {
    /// The version to describe; the latest if absent.
    version: Option<String>,
}

/// Read an adapter with its versions and the description of one of them.
#[utoipa::path(get, path = "/api/v1/adapters/{id}", tag = "adapters",
    params(("id" = String, Path, description = "The id of the adapter.", example = "macro-url"), AdapterVersionQuery),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = AdapterOut), (status = "default", body = Problem)))]
pub async fn get_adapter(
    State(app): State<App>,
    _: Caller,
    Path(id): Path<String>,
    ApiQuery(params): ApiQuery<AdapterVersionQuery>,
) -> ApiResult<Json<AdapterOut>> {
    let versions = app.adapters.list(Some(&id)).await.map_err(Error::from)?;
    let is_known = params.version.as_ref().is_none_or(|version| versions.iter().any(|it| it.version == *version));
    if versions.is_empty() || !is_known {
        return Err(Error::not_found("adapter", id).into());
    }
    Ok(Json(describe(&app, versions, params.version.as_deref()).await?))
}

/// Disable a version of an adapter.
///
/// Deliveries and inbound requests that need this version wait until it is enabled, or until their postback or source
/// uses another version.
#[utoipa::path(post, path = "/api/v1/adapters/{id}/versions/{version}/disable", tag = "adapters",
    params(("id" = String, Path, description = "The id of the adapter.", example = "macro-url"),
        ("version" = String, Path, description = "The version.", example = "1.0.0")),
    security(("api_key" = ["manage_adapters"])),
    responses((status = 200, body = AdapterVersionOut), (status = "default", body = Problem)))]
pub async fn disable_adapter(
    State(app): State<App>,
    _: Caller,
    Path((id, version)): Path<(String, String)>,
) -> ApiResult<Audited<AdapterVersionOut>> {
    Ok(Audited(adapters::disable(&app, &id, &version).await?.map(Into::into)))
}

/// Enable a version of an adapter that was disabled or taken out of service.
///
/// Its fault count starts at zero. Deliveries that wait for it continue within a minute.
#[utoipa::path(post, path = "/api/v1/adapters/{id}/versions/{version}/enable", tag = "adapters",
    params(("id" = String, Path, description = "The id of the adapter.", example = "macro-url"),
        ("version" = String, Path, description = "The version.", example = "1.0.0")),
    security(("api_key" = ["manage_adapters"])),
    responses((status = 200, body = AdapterVersionOut), (status = "default", body = Problem)))]
pub async fn enable_adapter(
    State(app): State<App>,
    _: Caller,
    Path((id, version)): Path<(String, String)>,
) -> ApiResult<Audited<AdapterVersionOut>> {
    Ok(Audited(adapters::enable(&app, &id, &version).await?.map(Into::into)))
}

/// The upgrade of postbacks to another version of their adapter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdapterUpgradeIn {
    /// The version that the postbacks will use; it can be older than the current one.
    #[schema(example = "1.1.0")]
    to: String,
    /// Whether the postbacks are only examined, and not changed; true if absent.
    #[serde(default = "crate::api::default_true")]
    dry_run: bool,
    /// The postbacks to upgrade; all postbacks that use another version of the adapter if absent or null. One request
    /// examines at most 500.
    #[serde(default)]
    postbacks: Option<Vec<PostbackId>>,
}

/// The first difference between the requests that two versions build for one event.
#[derive(Serialize, ToSchema)]
pub struct RequestDifferenceOut {
    event_id: EventId,
    /// The part that differs: outcome, method, url, headers, body or signature.
    #[schema(example = "url")]
    what: &'static str,
    /// The part as the former version builds it, without secrets; the first 2,000 characters.
    before: String,
    /// The part as the new version builds it, without secrets; the first 2,000 characters.
    after: String,
}

/// The comparison of two versions for one postback.
#[derive(Serialize, ToSchema)]
pub struct PostbackUpgradeOut {
    postback_id: PostbackId,
    /// The name of the postback.
    name: String,
    /// The version that the postback used before.
    from: String,
    /// ok: all compared requests are equal. differs: at least one differs. invalid: the new version does not accept
    /// the postback's rule or configuration.
    #[schema(example = "ok")]
    result: &'static str,
    /// The result as a sentence.
    summary: String,
    /// The settings that the new version does not accept. A postback with such settings is not moved.
    issues: Vec<FieldIssue>,
    /// How many of the last matching events were rendered with both versions: at most 100, and fewer if a version is
    /// slow.
    compared: usize,
    /// How many of them differ.
    different: usize,
    /// The first difference; null if there is none.
    first_difference: Option<RequestDifferenceOut>,
    /// Whether the postback uses the new version now.
    moved: bool,
}

/// The result of an upgrade.
#[derive(Serialize, ToSchema)]
pub struct AdapterUpgradeOut {
    /// Whether nothing was changed.
    dry_run: bool,
    /// One result for each postback.
    postbacks: Vec<PostbackUpgradeOut>,
    /// Whether there are more postbacks than one request examines. Name them in `postbacks` of a further request.
    more: bool,
}

impl From<adapters::PostbackCheck> for PostbackUpgradeOut {
    fn from(check: adapters::PostbackCheck) -> Self {
        let (result, summary) = if !check.issues.is_empty() {
            ("invalid", format!("the new version does not accept {} of its settings", check.issues.len()))
        } else if check.different > 0 {
            ("differs", format!("{} of {} events render differently", check.different, check.compared))
        } else {
            ("ok", format!("{} events render the same", check.compared))
        };
        Self {
            postback_id: check.id,
            name: check.name,
            from: check.from,
            result,
            summary,
            issues: check.issues,
            compared: check.compared,
            different: check.different,
            first_difference: check.first_difference.map(|difference| RequestDifferenceOut {
                event_id: difference.event_id,
                what: difference.what,
                before: difference.before,
                after: difference.after,
            }),
            moved: check.moved,
        }
    }
}

/// Move postbacks to another version of their adapter, or show what would change.
///
/// The new version checks the rule and the configuration of each postback, and the last 100 matching events are
/// rendered with both versions. Postbacks with valid settings are moved, unless it is a dry run.
#[utoipa::path(post, path = "/api/v1/adapters/{id}/upgrade", tag = "adapters",
    params(("id" = String, Path, description = "The id of the adapter.", example = "macro-url")), request_body = AdapterUpgradeIn,
    security(("api_key" = ["manage_adapters"])),
    responses((status = 200, body = AdapterUpgradeOut), (status = "default", body = Problem)))]
pub async fn upgrade_adapter(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<AdapterUpgradeIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<AdapterUpgradeOut>)> {
    // An upgrade reads many events and renders each one twice.
    let _place = app.heavy.place(actor).await?;
    let Upgrade { postbacks, more } =
        adapters::upgrade(&app, actor, &id, &body.to, body.postbacks.as_deref(), body.dry_run).await?;
    let moved = postbacks.iter().filter(|it| it.moved);
    let changed = moved.filter_map(|it| changes::of_word(format!("{}.adapter_version", it.id), &it.from, &body.to));
    let changes = AuditedChanges::many(changed);
    let postbacks = postbacks.into_iter().map(PostbackUpgradeOut::from).collect();
    Ok((changes, Json(AdapterUpgradeOut { dry_run: body.dry_run, postbacks, more })))
}
