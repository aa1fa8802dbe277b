//! `/api/v1/templates`

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut};
use domain::delivery::template::{Direction, Field, Kind, Paste, Template};
use engine::delivery::templates::{self, Filter};

/// A value that a person must supply to use a template.
#[derive(Serialize, ToSchema)]
pub struct TemplateFieldOut {
    /// The name of the field in `fields` of a new postback or source.
    #[schema(example = "tracking_domain")]
    name: &'static str,
    /// A title for people.
    #[schema(example = "Tracking domain")]
    title: &'static str,
    /// Where to find the value, as a sentence.
    help: &'static str,
    /// An example of the value.
    example: &'static str,
    /// A regular expression that the value must match.
    pattern: &'static str,
    /// Whether the value is a secret, which a form must not show.
    secret: bool,
    /// The value if the field is absent. Null: there is none.
    default: Option<&'static str>,
    /// Whether the field may be absent although it has no default. What it would be used for, such as the check of a signature,
    /// is then left out.
    optional: bool,
}

impl From<&'static Field> for TemplateFieldOut {
    fn from(field: &'static Field) -> Self {
        Self {
            name: &field.name,
            title: &field.title,
            help: &field.help,
            example: &field.example,
            pattern: &field.pattern,
            secret: field.secret,
            default: field.default.as_deref(),
            optional: field.optional,
        }
    }
}

/// A further URL to paste into the network, for networks with a field per status or event.
#[derive(Serialize, ToSchema)]
pub struct TemplatePasteUrlOut {
    /// The field of the network into which the URL is pasted.
    r#where: &'static str,
    /// The URL. `{source_url}` stands for the `url` of the source.
    url: &'static str,
}

impl From<&'static Paste> for TemplatePasteUrlOut {
    fn from(paste: &'static Paste) -> Self {
        Self { r#where: &paste.r#where, url: &paste.url }
    }
}

/// A template: how a network, tracker, ad platform or CRM is connected.
#[derive(Serialize, ToSchema)]
pub struct TemplateOut {
    /// The id of the template.
    #[schema(example = "voluum")]
    id: &'static str,
    /// The name of the connected system.
    #[schema(example = "Voluum")]
    name: &'static str,
    /// Other names under which people look for it.
    aliases: &'static [String],
    /// The kind of the connected system.
    kind: Kind,
    /// The direction of the requests: `outbound` is for postbacks, `inbound` for sources.
    direction: Direction,
    /// Whether the template follows the system's own documentation. If false, test it before use.
    verified: bool,
    /// The id of the adapter.
    #[schema(example = "macro-url")]
    adapter: &'static str,
    /// The configuration of the adapter. `{{name}}` stands for the value of a field.
    #[schema(value_type = Object)]
    config: &'static serde_json::Value,
    /// The values that a person must supply.
    fields: Vec<TemplateFieldOut>,
    /// The settings of a source that uses the template; null for outbound templates.
    #[schema(value_type = Option<Object>)]
    source_settings: Option<&'static serde_json::Value>,
    /// The parameter of the network's link in which Postrider passes its click id; null if there is none.
    click_parameter: Option<&'static str>,
    /// The URL to paste into the network; null if there is none. `{source_url}` stands for the `url` of the source; the
    /// other tokens are the network's own.
    paste: Option<&'static str>,
    /// Further URLs to paste.
    also_paste: Vec<TemplatePasteUrlOut>,
    /// The steps of the setup, as sentences.
    instructions: &'static [String],
    /// Remarks, as sentences, for example about units, repeated notifications, or words with an unusual meaning.
    notes: &'static [String],
    /// The URL of the system's documentation.
    source: &'static str,
}

impl From<&'static Template> for TemplateOut {
    fn from(template: &'static Template) -> Self {
        Self {
            id: &template.id,
            name: &template.name,
            aliases: &template.aliases,
            kind: template.kind,
            direction: template.direction,
            verified: template.verified,
            adapter: &template.adapter,
            config: &template.config,
            fields: template.fields.iter().map(TemplateFieldOut::from).collect(),
            source_settings: template.source_settings.as_ref(),
            click_parameter: template.click_parameter.as_deref(),
            paste: template.paste.as_deref(),
            also_paste: template.also_paste.iter().map(TemplatePasteUrlOut::from).collect(),
            instructions: &template.instructions,
            notes: &template.notes,
            source: &template.source,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TemplateFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Words of the name, of another name or of the id, or the domain of the system, in any case; all templates if absent.
    q: Option<String>,
    /// Only templates of this kind of system.
    kind: Option<Kind>,
    /// Only templates of this direction.
    direction: Option<Direction>,
    /// Only templates that follow the system's own documentation (true), or only the others (false).
    verified: Option<bool>,
}

/// Search the catalogue of templates, best matches first.
#[utoipa::path(get, path = "/api/v1/templates", tag = "templates", params(TemplateFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<TemplateOut>), (status = "default", body = Problem)))]
pub async fn list_templates(
    _: Caller,
    ApiQuery(params): ApiQuery<TemplateFilter>,
) -> ApiResult<Json<PageOut<TemplateOut>>> {
    let page = PageIn { limit: params.limit, cursor: None }.request()?;
    let limit = usize::try_from(page.limit).expect("a page is small");
    let found = templates::list(&Filter {
        words: params.q,
        kind: params.kind,
        direction: params.direction,
        verified: params.verified,
    });
    let start = match params.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        None => 0,
        // The catalogue is a part of the release, so the last id of a page is sufficient as its cursor.
        Some(last) => found.iter().position(|it| it.id == last).map(|at| at + 1).ok_or_else(invalid_cursor)?,
    };
    let items: Vec<_> = found[start..].iter().take(limit).copied().collect();
    let more = start + items.len() < found.len();
    let next = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(PageOut { items: items.into_iter().map(TemplateOut::from).collect(), next }))
}

fn invalid_cursor() -> Problem {
    Problem::bad_request("invalid_cursor", "the cursor is not valid; use `next` of the previous page")
}

/// Read a template.
#[utoipa::path(get, path = "/api/v1/templates/{id}", tag = "templates",
    params(("id" = String, Path, description = "The id of the template.", example = "voluum")),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = TemplateOut), (status = "default", body = Problem)))]
pub async fn get_template(_: Caller, id: Result<Path<String>, PathRejection>) -> ApiResult<Json<TemplateOut>> {
    let Path(id) = id.map_err(|error| Problem::bad_request("invalid_id", error.body_text()))?;
    Ok(Json(templates::get(&id)?.into()))
}
