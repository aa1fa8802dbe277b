//! `/sources/new`: creates a source from an inbound template of the catalogue.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use domain::delivery::template::{Direction, Template};
use domain::ids::AffiliateId;
use engine::Error;
use engine::app::App;
use engine::delivery::templates::{self, AdapterChoice, Filter};
use engine::inbound::sources::{self, NewSource as SourceToCreate};
use serde::Serialize;
use web::audit::CreatedId;
use web::auth::Caller;
use web::errors::Problem;

use super::{keeps_address, source};
use crate::form::{self, Fields};
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{plain, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct NewSource {
    /// The choice of a network.
    choice: Form,
    /// The form of the chosen network.
    chosen: Option<Chosen>,
}

#[derive(Debug, Serialize)]
struct Chosen {
    network: String,
    verified: bool,
    notes: Vec<String>,
    form: Form,
}

/// What the form has: names and values.
type Values = BTreeMap<String, String>;

fn inbound_templates() -> Vec<&'static Template> {
    let mut found = templates::list(&Filter { direction: Some(Direction::Inbound), ..Filter::default() });
    found.sort_by_key(|it| it.name.to_lowercase());
    found
}

fn chosen_template(id: &str) -> Option<&'static Template> {
    templates::get(id).ok().filter(|it| it.direction == Direction::Inbound)
}

impl NewSource {
    fn new(template: Option<&'static Template>, values: &Values, is_staff: bool) -> Self {
        let id = template.map(|it| it.id.as_str()).unwrap_or_default();
        let choices = inbound_templates().into_iter().map(|it| (it.id.clone(), plain(&it.name)));
        let choice = Form::new([Field::select("template", "new_source.network", id, choices)]);
        Self { choice, chosen: template.map(|template| Chosen::new(template, values, is_staff)) }
    }
}

impl Chosen {
    fn new(template: &'static Template, values: &Values, is_staff: bool) -> Self {
        let value = |name: &str| values.get(name).cloned();
        let name = Field::text("name", "new_source.name").value(value("name").unwrap_or_else(|| template.name.clone()));
        let own = template.fields.iter().map(|field| {
            let name = field.name.as_str();
            let input = if field.secret { Field::password(name, "", "off") } else { Field::text(name, "") };
            let shown = value(name).filter(|_| !field.secret).or_else(|| field.default.clone()).unwrap_or_default();
            let input = input.value(shown).described(plain(&field.title), plain(&field.help));
            if field.default.is_none() && !field.optional { input.required() } else { input }
        });
        let owner = Field::text("affiliate_id", "new_source.affiliate_id").help("new_source.affiliate_id_help");
        let owner = owner.value(value("affiliate_id").unwrap_or_default());
        let first = [Field::hidden("template", &template.id), name.length(None, 200).required()];
        Self {
            network: template.name.clone(),
            verified: template.verified,
            notes: template.notes.clone(),
            form: Form::new(first.into_iter().chain(own).chain(is_staff.then_some(owner))),
        }
    }
}

impl Page for NewSource {
    const TEMPLATE: &'static str = "inbound/new_source";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let values = Values::from([("name".to_owned(), "My <b>".to_owned())]);
        let mut refused = Self::new(chosen_template("maxppi"), &values, true);
        let problem = Problem::from(at_fields(Error::invalid("/fields/security_token", "is missing")));
        assert!(refused.chosen.as_mut().expect("a template").form.refuse(&problem));
        vec![Self::new(None, &values, false), Self::new(chosen_template("mylead"), &Values::new(), false), refused]
    }
}

fn reply(viewer: &Viewer, page: NewSource) -> Reply<NewSource> {
    let page = viewer.page(text("new_source.title"), page);
    page.lead(text("new_source.lead")).below("/sources", text("nav.sources"))
}

/// `GET /sources/new`
pub async fn show(viewer: Viewer, Caller(actor): Caller, uri: Uri) -> Reply<NewSource> {
    let url = ListUrl::of(&uri);
    let template = url.get("template").and_then(chosen_template);
    reply(&viewer, NewSource::new(template, &Values::new(), actor.is_staff()))
}

/// `POST /sources`: leads an affiliate to the source. The address of another source is shown only once, with this
/// response.
pub async fn create(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(values): Fields<Values>,
) -> Result<Response, Problem> {
    let template = values.get("template").and_then(|id| chosen_template(id));
    let creating = async { sources::create(&app, actor, new_source(template, &values)?).await };
    let created = match creating.await {
        Ok(created) => created,
        Err(error) => {
            let problem = Problem::from(at_fields(error));
            let mut page = NewSource::new(template, &values, actor.is_staff());
            let is_shown = page.chosen.as_mut().is_some_and(|chosen| chosen.form.refuse(&problem));
            return Ok(reply(&viewer, page).refused(&problem, is_shown).into_response());
        }
    };
    let id = created.source.id;
    if keeps_address(actor, created.source.affiliate_id) {
        return Ok(form::created(id, &format!("/sources/{id}?done=created")));
    }
    let page = source::load(&app, &viewer, actor, created).await?;
    Ok((Extension(CreatedId(id.to_string())), page.notice(text("source_done.address_once"))).into_response())
}

fn new_source(template: Option<&'static Template>, values: &Values) -> Result<SourceToCreate, Error> {
    let template = template.ok_or_else(|| Error::invalid("/template", "is missing; choose a network"))?;
    let given = |name: &str| values.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let name = given("name").filter(|name| name.chars().count() <= 200);
    let owner = given("affiliate_id").map(|id| id.parse::<AffiliateId>()).transpose();
    let names = template.fields.iter().map(|field| &field.name);
    let fields = names.filter_map(|name| Some((name.clone(), given(name)?))).collect();
    Ok(SourceToCreate {
        name: name.ok_or_else(|| Error::invalid("/name", "must have 1 to 200 characters"))?,
        adapter_choice: AdapterChoice::Template { id: template.id.clone(), fields },
        affiliate_id: owner.map_err(|error| Error::invalid("/affiliate_id", error.to_string()))?,
        settings: None,
        enabled: true,
    })
}

/// The error with the fields of the template as the form names them.
fn at_fields(error: Error) -> Error {
    match error {
        Error::Invalid(mut issues) => {
            for issue in &mut issues {
                if let Some(path) = issue.path.strip_prefix("/fields") {
                    issue.path = path.to_owned();
                }
            }
            Error::Invalid(issues)
        }
        Error::NotFound { what: "affiliate", .. } => Error::invalid("/affiliate_id", error.to_string()),
        other => other,
    }
}
