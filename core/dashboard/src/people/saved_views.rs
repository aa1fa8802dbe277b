//! `/saved-views`: saves the filters of a page under a name; renames and deletes the views of the person.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::ids::SavedViewId;
use domain::people::saved_view::{NAME_MAX_CHARS, SavedView};
use engine::Error;
use engine::app::App;
use engine::people::saved_views;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::base::page::PageRequest;
use web::audit::AuditedChanges;
use web::auth::{Caller, Person};
use web::errors::Problem;
use web::extract::PathId;

use crate::form::{self, Fields};
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// More than a person can have.
const VIEWS_AT_MOST: u64 = 100;

#[derive(Debug, Serialize)]
pub struct SavedViews {
    /// The form that saves a view, if the URL has filters to save.
    form: Option<Form>,
    /// The page whose filters are saved.
    back: Option<String>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    name: String,
    url: String,
}

impl From<SavedView> for Row {
    fn from(view: SavedView) -> Self {
        Self { id: view.id.to_string(), url: view.place.url(), name: view.name }
    }
}

/// The form of `POST /saved-views`.
#[derive(Clone, Deserialize)]
pub struct ViewForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    url: String,
}

impl ViewForm {
    fn fields(&self) -> Form {
        let name = Field::text("name", "views.name").value(&self.name).length(Some(1), NAME_MAX_CHARS as u32);
        Form::new([name.help("views.name_help").required().focused(), Field::hidden("url", &self.url)])
    }
}

impl SavedViews {
    async fn load(app: &App, viewer: &Viewer, of_page: Option<&str>, asked: Option<&ViewForm>) -> Result<Self, Error> {
        let rows = match viewer.person.as_ref().and_then(|it| it.user.as_ref()) {
            Some(user) => saved_views::list(app, user.id, of_page, PageRequest::first(VIEWS_AT_MOST)).await?.items,
            None => Vec::new(),
        };
        Ok(Self {
            form: asked.map(ViewForm::fields),
            back: asked.map(|it| it.url.clone()).filter(|url| url.starts_with('/') && !url.starts_with("//")),
            rows: rows.into_iter().map(Row::from).collect(),
        })
    }
}

impl Page for SavedViews {
    const TEMPLATE: &'static str = "people/saved_views";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let row = || Row { id: "viw_1".into(), name: "Voluum <b>".into(), url: "/deliveries?status=failed".into() };
        let form = ViewForm { name: "<b>".into(), url: "/deliveries".into() }.fields();
        vec![
            Self { form: Some(form), back: Some("/deliveries".into()), rows: vec![row()] },
            Self { form: None, back: None, rows: vec![row()] },
            Self { form: None, back: None, rows: Vec::new() },
        ]
    }
}

fn reply(viewer: &Viewer, page: SavedViews) -> Reply<SavedViews> {
    viewer.page(text("views.title"), page).lead(text("views.lead"))
}

/// `GET /saved-views`: with `url`, the form that saves it; with `page`, the views of that page.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(_): Caller,
    uri: Uri,
) -> Result<Reply<SavedViews>, Problem> {
    let url = ListUrl::of(&uri);
    let asked = url.get("url").map(|it| ViewForm { name: String::new(), url: it.to_owned() });
    Ok(reply(&viewer, SavedViews::load(&app, &viewer, url.get("page"), asked.as_ref()).await?))
}

/// `POST /saved-views`: saves a view, and leads to it.
pub async fn create(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<ViewForm>,
) -> Result<Response, Problem> {
    match saved_views::create(&app, person.user, &form.name, &form.url).await {
        Ok(view) => Ok(form::created(view.id, &view.place.url())),
        Err(error) => {
            let problem = Problem::from(error);
            let mut page = SavedViews::load(&app, &viewer, None, Some(&form)).await?;
            let is_shown = page.form.as_mut().is_some_and(|form| refuse(form, &problem));
            Ok(reply(&viewer, page).refused(&problem, is_shown).into_response())
        }
    }
}

/// Shows the error at its field. A name that is taken is an error of the name.
fn refuse(form: &mut Form, problem: &Problem) -> bool {
    if problem.code == "taken" {
        form.refuse_at("name", text("views.taken"));
        return true;
    }
    form.refuse(problem)
}

#[derive(Deserialize)]
pub struct NameForm {
    #[serde(default)]
    name: String,
}

/// `POST /saved-views/{id}`: renames a view.
pub async fn rename(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    PathId(id): PathId<SavedViewId>,
    Fields(form): Fields<NameForm>,
) -> Result<Response, Problem> {
    match saved_views::rename(&app, person.user, id, &form.name).await {
        Ok(changed) => {
            let changes = AuditedChanges::many(changed.map(|it| json!({ "name": it.name })).fields());
            Ok((changes, Redirect::to("/saved-views")).into_response())
        }
        Err(error) => {
            let problem = Problem::from(error);
            let page = SavedViews::load(&app, &viewer, None, None).await?;
            Ok(reply(&viewer, page).alert(&problem).into_response())
        }
    }
}

/// `POST /saved-views/{id}/delete`
pub async fn delete(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<SavedViewId>,
) -> Result<Redirect, Problem> {
    saved_views::delete(&app, person.user, id).await?;
    Ok(Redirect::to("/saved-views"))
}
