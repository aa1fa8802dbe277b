//! `/account/keys`: the API keys of a person. A new key is shown once.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::ids::KeyId;
use domain::people::actor::Actor;
use domain::people::api_key::ApiKey;
use domain::people::permission::Permission;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::people::api_keys::{self, NewApiKey};
use serde::Serialize;
use storage::base::page::PageRequest;
use web::api::people::api_keys::ApiKeyOut;
use web::api::valid_name;
use web::audit::AuditedChanges;
use web::auth::Person;
use web::errors::Problem;
use web::extract::PathId;

use super::Redirected;
use super::step_up;
use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::parts::list::{ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Keys {
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    name: String,
    hint: String,
    /// `None`: all permissions of the role.
    scopes: Option<Vec<Text>>,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    status: ShownStatus,
    is_live: bool,
}

impl Row {
    fn new(key: ApiKey, now: Timestamp) -> Self {
        let status = match (key.revoked_at, key.is_live(now)) {
            (Some(_), _) => ShownStatus::of("off", "circle-slash", "keys.revoked"),
            (None, false) => ShownStatus::of("off", "clock-alert", "keys.expired"),
            (None, true) => ShownStatus::of("ok", "circle-check", "keys.live"),
        };
        Self {
            is_live: key.is_live(now),
            id: key.id.to_string(),
            name: key.name,
            hint: key.hint,
            scopes: key.scopes.map(|scopes| scopes.into_iter().map(permission_name).collect()),
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            expires_at: key.expires_at,
            status,
        }
    }
}

fn permission_name(permission: Permission) -> Text {
    text(&format!("permission.{}", permission.as_str()))
}

impl Page for Keys {
    const TEMPLATE: &'static str = "people/keys";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let at = Timestamp::from_millis(0);
        let row = |is_live: bool| Row {
            id: "key_06a5xk2m7q8r9stvwxyz012345".into(),
            name: "my <b>".into(),
            hint: "x7q2".into(),
            scopes: is_live.then(|| vec![permission_name(Permission::ReadReports)]),
            created_at: at,
            last_used_at: is_live.then_some(at),
            expires_at: is_live.then_some(at),
            status: ShownStatus::of("ok", "circle-check", "keys.live"),
            is_live,
        };
        let none = || Self { rows: Vec::new(), pager: Pager::default() };
        vec![Self { rows: vec![row(true), row(false)], ..none() }, none()]
    }
}

fn below(viewer: &Viewer, page: Keys) -> Reply<Keys> {
    viewer.page(text("keys.title"), page).lead(text("keys.lead")).below("/account", text("account.title"))
}

/// `GET /account/keys`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Query(from): Query<Redirected>,
    uri: Uri,
) -> Result<Reply<Keys>, Problem> {
    let url = ListUrl::of(&uri).without(&["done"]);
    let page = PageRequest::first(ROWS).after(cursor(&url));
    let found = api_keys::list(&app, Some(person.user), page).await?;
    let rows = found.items.into_iter().map(|key| Row::new(key, viewer.formats.now)).collect();
    let reply = below(&viewer, Keys { rows, pager: Pager::new(&url, found.next) });
    Ok(if from.is("revoked") { reply.notice(text("keys.is_revoked")) } else { reply })
}

/// The form for a new key.
#[derive(Debug, Serialize)]
pub struct NewKey {
    name: Form,
    scopes: Vec<Scope>,
    /// All permissions of the role.
    is_limited: bool,
    rest: Form,
}

#[derive(Debug, Serialize)]
struct Scope {
    word: &'static str,
    name: Text,
    checked: bool,
}

/// The lifetimes that the form offers, in days.
const LIFETIMES: [u32; 3] = [30, 90, 365];

impl NewKey {
    fn new(actor: Actor, has_second_factor: bool, typed: &Typed) -> Self {
        let name = Field::text("name", "keys.name").value(&typed.name).help("keys.name_help");
        let days = |days: u32| (days.to_string(), text("keys.days").count("count", days.into()));
        let never = [(String::new(), text("keys.never"))];
        let expiry = never.into_iter().chain(LIFETIMES.map(days));
        let expiry = Field::select("days", "keys.expiry", &typed.days, expiry);
        let scopes = actor.permissions().iter().map(|permission| Scope {
            word: permission.as_str(),
            name: permission_name(permission),
            checked: typed.scopes.contains(&permission),
        });
        Self {
            name: Form::new([name.length(None, 200).required()]),
            scopes: scopes.collect(),
            is_limited: typed.is_limited,
            rest: Form::new([expiry].into_iter().chain(step_up::fields(has_second_factor))),
        }
    }

    fn refuse(&mut self, problem: &Problem) -> bool {
        step_up::refuse(&mut self.rest, problem) || self.name.refuse(problem)
    }
}

impl Page for NewKey {
    const TEMPLATE: &'static str = "people/new_key";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let typed = Typed { scopes: vec![Permission::ReadMoney], is_limited: true, ..Typed::default() };
        vec![Self::new(Actor::bootstrap(), true, &Typed::default()), Self::new(Actor::bootstrap(), false, &typed)]
    }
}

fn form(viewer: &Viewer, page: NewKey) -> Reply<NewKey> {
    let reply = viewer.page(text("keys.new_title"), page).lead(text("keys.new_lead"));
    reply.below("/account", text("account.title")).below("/account/keys", text("keys.title"))
}

/// `GET /account/keys/new`
pub async fn show_form(viewer: Viewer, person: Person) -> Reply<NewKey> {
    form(&viewer, NewKey::new(person.actor, step_up::has_second_factor(&viewer), &Typed::default()))
}

/// What the form sends. Several boxes have the name `scope`.
#[derive(Clone, Debug, Default)]
struct Typed {
    name: String,
    scopes: Vec<Permission>,
    is_limited: bool,
    days: String,
    password: String,
    code: Option<String>,
}

impl Typed {
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut typed = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "name" => typed.name = value,
                "scope" => typed.scopes.extend(Permission::from_word(&value)),
                "limited" => typed.is_limited = value == "yes",
                "days" => typed.days = value,
                "password" => typed.password = value,
                "code" => typed.code = Some(value),
                _ => {}
            }
        }
        typed
    }

    fn expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        let days = self.days.parse::<u32>().ok().filter(|days| LIFETIMES.contains(days))?;
        Some(now.plus(Duration::from_secs(u64::from(days) * 86_400)))
    }
}

/// The new key, which no later page shows.
#[derive(Debug, Serialize)]
pub struct CreatedKey {
    secret: String,
    name: String,
    example: String,
}

impl Page for CreatedKey {
    const TEMPLATE: &'static str = "people/created_key";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self { secret: "prk_0".into(), name: "my <b>".into(), example: "curl https://a.example".into() }]
    }
}

/// `POST /account/keys`
pub async fn create(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(pairs): Fields<Vec<(String, String)>>,
) -> Response {
    let typed = Typed::read(pairs);
    match create_key(&app, &viewer, &person, &typed).await {
        Ok((key, secret)) => {
            let example = format!("curl -H \"Authorization: Bearer {secret}\" {}/api/v1/auth/me", app.public_url);
            let page = CreatedKey { secret, name: key.name, example };
            let reply = viewer.page(text("keys.created_title"), page).lead(text("keys.created_lead"));
            let reply = reply.below("/account", text("account.title")).below("/account/keys", text("keys.title"));
            reply.into_response()
        }
        Err(error) => {
            let problem = Problem::from(error);
            let mut page = NewKey::new(person.actor, step_up::has_second_factor(&viewer), &typed);
            let is_shown = page.refuse(&problem);
            form(&viewer, page).refused(&problem, is_shown).into_response()
        }
    }
}

async fn create_key(app: &App, viewer: &Viewer, person: &Person, typed: &Typed) -> Result<(ApiKey, String), Error> {
    let new = NewApiKey {
        name: valid_name(&typed.name)?,
        user_id: Some(person.user),
        role: person.actor.role,
        affiliate_id: person.actor.confined_to(),
        scopes: typed.is_limited.then(|| typed.scopes.clone()),
        expires_at: typed.expires_at(viewer.formats.now),
    };
    if new.scopes.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::invalid("/scopes", "choose at least one permission, or all of them"));
    }
    api_keys::create(app, person.actor, step_up::proof(typed.password.clone(), typed.code.clone()), new).await
}

/// `POST /account/keys/{id}/revoke`
pub async fn revoke(State(app): State<App>, person: Person, PathId(id): PathId<KeyId>) -> Result<Response, Problem> {
    let revoked = api_keys::revoke(&app, person.actor, id, Some(person.user)).await?;
    let changes = AuditedChanges::many(revoked.map(ApiKeyOut::from).fields());
    Ok((changes, Redirect::to("/account/keys?done=revoked")).into_response())
}
