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

/// What a person must supply to use a template.
#[derive(Serialize, ToSchema)]
pub struct TemplateFieldOut {
    #[schema(example = "tracking_domain")]
    name: &'static str,
    #[schema(example = "Tracking domain")]
    title: &'static str,
    help: &'static str,
    example: &'static str,
    /// A regular expression that the value must match.
    pattern: &'static str,
    /// Draw it as a password.
    secret: bool,
    /// Taken when the field is left out; required when null.
    default: Option<&'static str>,
}

impl From<&'static Field> for TemplateFieldOut {
    fn from(it: &'static Field) -> Self {
        Self {
            name: &it.name,
            title: &it.title,
            help: &it.help,
            example: &it.example,
            pattern: &it.pattern,
            secret: it.secret,
            default: it.default.as_deref(),
        }
    }
}

/// One more URL to paste.
#[derive(Serialize, ToSchema)]
pub struct PasteOut {
    /// Which field of the network it belongs in.
    r#where: &'static str,
    url: &'static str,
}

impl From<&'static Paste> for PasteOut {
    fn from(it: &'static Paste) -> Self {
        Self { r#where: &it.r#where, url: &it.url }
    }
}

/// How a network, tracker, ad platform or CRM is connected.
#[derive(Serialize, ToSchema)]
pub struct TemplateOut {
    #[schema(example = "voluum")]
    id: &'static str,
    #[schema(example = "Voluum")]
    name: &'static str,
    kind: Kind,
    /// Outbound: we call them; use it in a postback. Inbound: they call us; use it in a source.
    direction: Direction,
    /// False: nobody has checked it against the network's own documentation; test before use.
    verified: bool,
    #[schema(example = "macro-url")]
    adapter: &'static str,
    /// The adapter's configuration, with {{name}} where a field goes.
    #[schema(value_type = Object)]
    config: &'static serde_json::Value,
    fields: Vec<TemplateFieldOut>,
    /// How an inbound source reads the network's words, amounts and times.
    #[schema(value_type = Option<Object>)]
    source_settings: Option<&'static serde_json::Value>,
    /// The parameter of the network's link that takes our click id.
    click_parameter: Option<&'static str>,
    /// What to paste into the network, with the source's URL in place of {source_url}.
    paste: Option<&'static str>,
    also_paste: Vec<PasteOut>,
    instructions: &'static [String],
    /// Traps: units, duplicates, words that mean something else.
    notes: &'static [String],
    /// Where it is documented.
    source: &'static str,
}

impl From<&'static Template> for TemplateOut {
    fn from(it: &'static Template) -> Self {
        Self {
            id: &it.id,
            name: &it.name,
            kind: it.kind,
            direction: it.direction,
            verified: it.verified,
            adapter: &it.adapter,
            config: &it.config,
            fields: it.fields.iter().map(TemplateFieldOut::from).collect(),
            source_settings: it.source_settings.as_ref(),
            click_parameter: it.click_parameter.as_deref(),
            paste: it.paste.as_deref(),
            also_paste: it.also_paste.iter().map(PasteOut::from).collect(),
            instructions: &it.instructions,
            notes: &it.notes,
            source: &it.source,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TemplateFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    /// Words of the name or the id, in any case.
    q: Option<String>,
    kind: Option<Kind>,
    direction: Option<Direction>,
    verified: Option<bool>,
}

/// Search the catalogue, best answers first.
#[utoipa::path(get, path = "/api/v1/templates", tag = "templates", params(TemplateFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<TemplateOut>), (status = "default", body = Problem)))]
pub async fn list_templates(
    _: Caller,
    ApiQuery(it): ApiQuery<TemplateFilter>,
) -> ApiResult<Json<PageOut<TemplateOut>>> {
    let page = PageIn { limit: it.limit, cursor: None }.request()?;
    let limit = usize::try_from(page.limit).expect("a page is small");
    let found = templates::list(&Filter { words: it.q, kind: it.kind, direction: it.direction, verified: it.verified });
    let start = match it.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        None => 0,
        // The catalogue changes with the program only, so the last id seen says where the next page starts.
        Some(last) => found.iter().position(|it| it.id == last).map(|at| at + 1).ok_or_else(foreign_cursor)?,
    };
    let items: Vec<_> = found[start..].iter().take(limit).copied().collect();
    let more = start + items.len() < found.len();
    let next = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(PageOut { items: items.into_iter().map(TemplateOut::from).collect(), next }))
}

fn foreign_cursor() -> Problem {
    Problem::bad_request("invalid_cursor", "the cursor is not one of ours; take `next` of the page before")
}

/// Read a template.
#[utoipa::path(get, path = "/api/v1/templates/{id}", tag = "templates", params(("id" = String, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = TemplateOut), (status = "default", body = Problem)))]
pub async fn get_template(_: Caller, id: Result<Path<String>, PathRejection>) -> ApiResult<Json<TemplateOut>> {
    let Path(id) = id.map_err(|error| Problem::bad_request("invalid_id", error.body_text()))?;
    Ok(Json(templates::get(&id)?.into()))
}
