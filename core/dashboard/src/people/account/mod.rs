//! `/account`: how a person wants to see the pages, and the way to password, second factor, sessions, keys, address and
//! messages. `/display` keeps the choices of a browser, for people who are not users.

pub mod email;
pub mod keys;
pub mod notifications;
pub mod password;
pub mod sessions;
pub mod step_up;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use domain::people::preferences::{Language, Preferences, Theme};
use domain::reports::zone::Zone;
use engine::Error;
use engine::app::App;
use engine::people::auth::own::{self, Profile};
use serde::{Deserialize, Serialize};
use web::api::people::auth::account::ProfileIn;
use web::api::valid_name;
use web::audit::AuditedChanges;
use web::auth::Person;
use web::errors::Problem;

use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::shell::page::{Page, Reply};
use crate::shell::problem::local_path;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::{LANGUAGE_COOKIE, THEME_COOKIE, Viewer, ZONE_COOKIE};
use step_up::user_of;

/// Zones that the form suggests; it takes every zone.
const ZONES: [&str; 30] = [
    "UTC",
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Rome",
    "Europe/Warsaw",
    "Europe/Athens",
    "Europe/Kyiv",
    "Europe/Istanbul",
    "Africa/Cairo",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
    "America/Sao_Paulo",
    "America/New_York",
    "America/Toronto",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
];

#[derive(Debug, Serialize)]
pub struct Account {
    form: Form,
    /// The choices are stored for the person, otherwise for the browser.
    is_user: bool,
    entries: Vec<Entry>,
}

/// A part of the account with a page of its own.
#[derive(Debug, Serialize)]
struct Entry {
    url: &'static str,
    /// The colour of a state that needs attention, or is good.
    kind: Option<&'static str>,
    icon: &'static str,
    name: Text,
    text: Text,
    button: Text,
}

fn entries(has_second_factor: bool, email: &str) -> Vec<Entry> {
    let entry = |url, icon, name: &str, detail, button: &str| Entry {
        url,
        kind: None,
        icon,
        name: text(name),
        text: detail,
        button: text(button),
    };
    let second_factor = match has_second_factor {
        true => ("ok", "shield-check", "account.second_factor_on", "account.change"),
        false => ("warn", "triangle-alert", "account.second_factor_off", "account.set_up_second_factor"),
    };
    let (kind, icon, detail, button) = second_factor;
    let second_factor = entry("/account/second-factor", icon, "account.second_factor", text(detail), button);
    vec![
        Entry { kind: Some(kind), ..second_factor },
        entry("/account/password", "lock", "account.password", text("account.password_text"), "account.change"),
        entry("/account/email", "globe", "account.email", plain(email), "account.change"),
        entry("/account/sessions", "monitor", "account.sessions", text("account.sessions_text"), "account.see"),
        entry("/account/keys", "key-round", "account.keys", text("account.keys_text"), "account.see"),
        entry(
            "/account/notifications",
            "inbox",
            "account.notifications",
            text("account.notifications_text"),
            "account.choose",
        ),
    ]
}

impl Account {
    fn of(viewer: &Viewer) -> Self {
        let user = user_of(viewer);
        let form = DisplayForm {
            name: user.map(|user| user.name.clone()),
            language: viewer.formats.language.to_string(),
            time_zone: viewer.formats.zone.to_string(),
            theme: viewer.theme.to_string(),
        };
        Self {
            form: form.fields(),
            is_user: user.is_some(),
            entries: user.map(|user| entries(user.has_second_factor(), &user.email)).unwrap_or_default(),
        }
    }
}

impl Page for Account {
    const TEMPLATE: &'static str = "people/account";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let form = |name| DisplayForm { name, language: "de".into(), time_zone: "UTC".into(), theme: "dark".into() };
        let sample = |name: Option<&str>, has_second_factor| Self {
            is_user: name.is_some(),
            form: form(name.map(str::to_owned)).fields(),
            entries: if name.is_some() { entries(has_second_factor, "ada@example.com") } else { Vec::new() },
        };
        vec![sample(Some("Ada <b>"), false), sample(Some("Ada"), true), sample(None, false)]
    }
}

/// The action that redirected here, such as `saved`.
#[derive(Deserialize)]
pub struct Redirected {
    done: Option<String>,
}

impl Redirected {
    /// Whether this action redirected here.
    pub fn is(&self, action: &str) -> bool {
        self.done.as_deref() == Some(action)
    }
}

/// `GET /account`
pub async fn show(viewer: Viewer, Query(from): Query<Redirected>) -> Reply<Account> {
    let page = viewer.page(text("account.title"), Account::of(&viewer));
    match from.done.as_deref() {
        Some("saved") => page.notice(text("account.saved")),
        Some("password") => page.notice(text("account.password_changed")),
        Some("second_factor") => page.notice(text("account.second_factor_removed")),
        _ => page,
    }
}

/// The form of `POST /account`.
#[derive(Clone, Deserialize)]
pub struct DisplayForm {
    name: Option<String>,
    language: String,
    time_zone: String,
    theme: String,
}

impl DisplayForm {
    fn fields(&self) -> Form {
        let languages = Language::ALL.map(|it| (it.to_string(), text(&format!("language.{it}"))));
        let themes = [Theme::System, Theme::Light, Theme::Dark];
        let themes = themes.map(|it| (it.to_string(), text(&format!("theme.{it}"))));
        let name = self.name.as_deref().map(|name| {
            Field::text("name", "account.name").value(name).autocomplete("name").length(None, 200).required()
        });
        let zone = Field::text("time_zone", "account.time_zone").value(&self.time_zone).help("account.time_zone_help");
        Form::new(name.into_iter().chain([
            Field::select("language", "account.language", &self.language, languages),
            zone.suggestions(ZONES.map(str::to_owned)).required(),
            Field::select("theme", "account.theme", &self.theme, themes),
        ]))
    }

    fn preferences(&self) -> Result<Preferences, Error> {
        let zone = Zone::parse(self.time_zone.trim());
        let zone = zone.map_err(|error| Error::invalid("/time_zone", error.to_string()))?;
        Ok(Preferences {
            language: Language::from_word(&self.language),
            time_zone: Some(zone),
            theme: Theme::from_word(&self.theme),
        })
    }
}

/// `POST /account`
pub async fn save(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<DisplayForm>,
) -> Result<Response, Problem> {
    let saving = async {
        let preferences = form.preferences()?;
        let name = valid_name(form.name.as_deref().unwrap_or_default())?;
        let changed =
            own::change_profile(&app, person.user, |user| Ok(Profile { name, preferences, mails: user.mails })).await?;
        Ok::<_, Error>((preferences, changed.map(|user| ProfileIn::of(&user))))
    };
    match saving.await {
        Ok((preferences, changed)) => {
            let changes = AuditedChanges::many(changed.fields());
            Ok((changes, cookies(preferences), Redirect::to("/account?done=saved")).into_response())
        }
        Err(error) => {
            let problem = Problem::from(error);
            let mut page = Account { form: form.fields(), ..Account::of(&viewer) };
            let is_shown = page.form.refuse(&problem);
            Ok(viewer.page(text("account.title"), page).refused(&problem, is_shown).into_response())
        }
    }
}

/// The choices of a browser; what is absent stays.
#[derive(Deserialize)]
pub struct DisplayChoice {
    language: Option<String>,
    time_zone: Option<String>,
    theme: Option<String>,
}

/// `GET /display`: keeps the choices in cookies and leads back. It changes only how pages look in this browser.
pub async fn keep(headers: HeaderMap, Query(choice): Query<DisplayChoice>) -> Response {
    let preferences = Preferences {
        language: choice.language.as_deref().and_then(Language::from_word),
        time_zone: choice.time_zone.as_deref().and_then(|zone| Zone::parse(zone).ok()),
        theme: choice.theme.as_deref().and_then(Theme::from_word),
    };
    (cookies(preferences), Redirect::to(&page_before(&headers))).into_response()
}

/// The path of the page that the link was on, without its query; the start page if it is unknown.
fn page_before(headers: &HeaderMap) -> String {
    let referrer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let url = referrer.and_then(|text| url::Url::parse(text).ok());
    url.and_then(|url| local_path(url.path())).unwrap_or_else(|| "/".to_owned())
}

fn cookies(preferences: Preferences) -> AppendHeaders<Vec<(header::HeaderName, HeaderValue)>> {
    let chosen = [
        (LANGUAGE_COOKIE, preferences.language.map(|it| it.to_string())),
        (ZONE_COOKIE, preferences.time_zone.map(|it| it.to_string())),
        (THEME_COOKIE, preferences.theme.map(|it| it.to_string())),
    ];
    let cookie = |(name, value): (&str, Option<String>)| {
        let text = format!("{name}={}; Path=/; Max-Age=31536000; SameSite=Lax", value?);
        Some((header::SET_COOKIE, HeaderValue::from_str(&text).expect("words and zones are valid in a header")))
    };
    AppendHeaders(chosen.into_iter().filter_map(cookie).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suggested_zone_exists() {
        for zone in ZONES {
            assert_eq!(Zone::parse(zone).map(|it| it.to_string()), Ok(zone.to_owned()));
        }
    }

    #[test]
    fn a_zone_that_does_not_exist_is_refused_at_its_field() {
        let form =
            DisplayForm { name: None, language: "de".into(), time_zone: "Mars/Base".into(), theme: "dark".into() };
        let mut fields = form.fields();
        assert!(fields.refuse(&Problem::from(form.preferences().unwrap_err())));
        assert_eq!(page_before(&HeaderMap::new()), "/");
    }
}
