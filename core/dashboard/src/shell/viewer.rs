//! Who looks at a page, and how that person wants to see it: language, zone and theme, of the person or of the browser.

use axum::extract::FromRequestParts;
use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use domain::people::actor::{Actor, Restriction};
use domain::people::preferences::{Language, Preferences, Theme};
use domain::people::user::User;
use domain::program::affiliate::Affiliate;
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::users;
use engine::program::affiliates;
use serde::Serialize;
use web::auth::cookie_value;
use web::errors::Problem;

use super::format::Formats;
use super::nav::{self, ShownGroup};
use super::texts::{Text, plain, text};

/// The cookies with the choices of a browser. The script writes the zone; a form writes language and theme.
pub const LANGUAGE_COOKIE: &str = "postrider_language";
pub const ZONE_COOKIE: &str = "postrider_zone";
pub const THEME_COOKIE: &str = "postrider_theme";

/// A visitor of a page.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub formats: Formats,
    pub theme: Theme,
    /// The path of the page.
    pub path: String,
    pub person: Option<Person>,
}

/// A visitor who is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    pub actor: Actor,
    /// `None` for a customer who came by a login link, and for keys.
    pub user: Option<User>,
    /// The affiliate of the person; `None` for staff.
    pub affiliate: Option<Affiliate>,
}

impl Person {
    pub fn name(&self) -> String {
        match (&self.user, &self.affiliate) {
            (Some(user), _) => user.name.clone(),
            (None, Some(affiliate)) => affiliate.name.clone(),
            (None, None) => self.actor.name(),
        }
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let of_browser = Self::of_browser(&parts.headers, &parts.uri, app.clock.now());
        let Some(actor) = parts.extensions.get::<Actor>().copied() else { return Ok(of_browser) };
        let user = match actor.user() {
            Some(id) => Some(users::get(app, id).await?),
            None => None,
        };
        let affiliate = match actor.confined_to() {
            Some(id) => Some(affiliates::get(app, actor, id).await?),
            None => None,
        };
        Ok(of_browser.signed_in(Person { actor, user, affiliate }))
    }
}

/// The choices that a browser made or was made to keep.
pub fn preferences_of_browser(headers: &HeaderMap) -> Preferences {
    let cookie = |name| cookie_value(headers, name);
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Preferences {
        language: cookie(LANGUAGE_COOKIE)
            .and_then(|word| Language::from_word(&word))
            .or_else(|| accepted.and_then(Language::preferred)),
        time_zone: cookie(ZONE_COOKIE).and_then(|name| Zone::parse(&name).ok()),
        theme: cookie(THEME_COOKIE).and_then(|word| Theme::from_word(&word)),
    }
}

impl Viewer {
    /// A visitor of whom only the browser is known.
    pub fn of_browser(headers: &HeaderMap, uri: &Uri, now: Timestamp) -> Self {
        let Preferences { language, time_zone, theme } = preferences_of_browser(headers);
        let formats = Formats { language: language.unwrap_or_default(), zone: time_zone.unwrap_or_default(), now };
        Self { formats, theme: theme.unwrap_or_default(), path: uri.path().to_owned(), person: None }
    }

    /// The affiliate of the person who is signed in.
    pub fn affiliate(&self) -> Option<&Affiliate> {
        self.person.as_ref()?.affiliate.as_ref()
    }

    fn signed_in(mut self, person: Person) -> Self {
        let chosen = person.user.as_ref().map(|user| user.preferences).unwrap_or_default();
        self.formats.language = chosen.language.unwrap_or(self.formats.language);
        self.formats.zone = chosen.time_zone.unwrap_or(self.formats.zone);
        self.theme = chosen.theme.unwrap_or(self.theme);
        self.person = Some(person);
        self
    }

    /// The bootstrap key as a person, which sees everything.
    #[cfg(test)]
    pub fn signed_in_for_samples(self) -> Self {
        self.signed_in(Person { actor: Actor::bootstrap(), user: None, affiliate: None })
    }

    /// What surrounds the pages of a person who is signed in.
    pub fn shell(&self) -> Option<Shell> {
        self.person.as_ref().map(|person| Shell::of(person, &self.path))
    }
}

/// What the layout shows of the person and the program.
#[derive(Clone, Debug, Serialize)]
pub struct Shell {
    groups: Vec<ShownGroup>,
    name: String,
    initials: String,
    /// Chooses the colour behind the initials.
    hue: u32,
    /// The referral code, or the role.
    detail: Text,
    is_staff: bool,
    /// Why the person can read but not change anything.
    restriction: Option<Text>,
    /// A member of staff opened the session for an affiliate.
    opened_by_staff: bool,
}

impl Shell {
    fn of(person: &Person, path: &str) -> Self {
        let name = person.name();
        let restriction = person.actor.restriction();
        Self {
            groups: nav::shown_to(person.actor, path),
            initials: initials(&name),
            hue: name.chars().map(u32::from).sum::<u32>() % 6 + 1,
            name,
            detail: match &person.affiliate {
                Some(affiliate) => plain(&affiliate.referral_code),
                None => text(&format!("role.{}", person.actor.role)),
            },
            is_staff: person.actor.is_staff(),
            restriction: restriction.map(|it| match it {
                Restriction::OpenedByStaff => text("shell.opened_by_staff"),
                Restriction::Suspended => text("shell.suspended"),
            }),
            opened_by_staff: restriction == Some(Restriction::OpenedByStaff),
        }
    }
}

/// `AL` for Ada Lovelace.
fn initials(name: &str) -> String {
    let mut letters = name.split_whitespace().filter_map(|word| word.chars().next());
    let (first, last) = (letters.next(), letters.next_back());
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}
