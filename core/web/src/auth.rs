//! Authentication: by an API key in a header or a session in a cookie. The extractors return the caller that
//! [`super::access`] authenticated before the handler runs.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::AppendHeaders;
use cookie::{Cookie, SameSite};

use domain::ids::{SessionId, UserId};
use domain::people::actor::{Actor, Proof};
use domain::people::auth_error::AuthError;
use domain::people::session;
use engine::Error;
use engine::app::App;
use engine::people::api_keys;
use engine::people::auth::sign_in::SignedIn;
use engine::people::auth::{Visitor, known_device, sessions};

use super::errors::Problem;
use super::request_ids::RequestId;
use super::tracking::client;

/// The authenticated caller: a key or a session.
pub struct Caller(pub Actor);

/// A person who signed in with a password. Operations on the person's own account are not for keys.
pub struct Person {
    pub actor: Actor,
    pub user: UserId,
    pub session: SessionId,
}

/// The client that sent the request, authenticated or not.
pub struct RequestClient(pub Visitor);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Actor>().copied().map(Self).ok_or_else(Problem::unauthorized)
    }
}

impl FromRequestParts<App> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Caller(actor) = Caller::from_request_parts(parts, app).await?;
        match actor.proof {
            Proof::Session { id: session, user: Some(user) } => Ok(Self { actor, user, session }),
            _ => Err(Error::from(AuthError::NeedsPerson).into()),
        }
    }
}

impl FromRequestParts<App> for RequestClient {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(visitor(&parts.headers, &parts.extensions, app)))
    }
}

/// The client's address, `User-Agent`, request id and device cookie.
pub fn visitor(headers: &HeaderMap, extensions: &Extensions, app: &App) -> Visitor {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let peer = peer.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let origin = client::origin_of_person(app, peer, headers);
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone());
    Visitor { origin, user_agent, request_id, device: cookie_value(headers, device_cookie_name(app)) }
}

/// Authenticates a request. An affiliate sees of buyers what the program's setting allows at this moment.
///
/// # Errors
/// The credentials are missing, unknown or revoked, or a page of another site sent the request with a session.
pub async fn authenticate(method: &Method, headers: &HeaderMap, app: &App) -> Result<Actor, Problem> {
    let actor = identify(method, headers, app).await?;
    if actor.is_staff() {
        return Ok(actor);
    }
    Ok(actor.seeing_buyers(app.catalog.buyer_visibility().await.map_err(Error::from)?))
}

/// Identifies the caller by its key, or by its session cookie if it has no key. A browser adds
/// cookies to every request, so a key, which was added on purpose, comes first.
async fn identify(method: &Method, headers: &HeaderMap, app: &App) -> Result<Actor, Problem> {
    if let Some(header) = headers.get(AUTHORIZATION) {
        let secret = match header.to_str().unwrap_or_default().split_once(' ') {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty() => {
                secret.trim()
            }
            _ => return Err(Problem::unauthorized()),
        };
        return api_keys::authenticate(app, secret).await?.ok_or_else(Problem::unauthorized);
    }
    let secret = session_cookie(headers, app).ok_or_else(Problem::unauthorized)?;
    let actor = sessions::authenticate(app, &secret).await?.ok_or_else(Problem::unauthorized)?;
    // A browser sends the cookie with requests of any site, so a change must come from our own pages (OWASP: CSRF).
    if !method.is_safe() && request_site(headers, app) != RequestSite::Own {
        return Err(Error::from(AuthError::CrossSite).into());
    }
    Ok(actor)
}

/// The site whose page made the browser send a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestSite {
    Own,
    Other,
    /// Neither header is present: not a modern browser.
    Unknown,
}

/// Reads `Sec-Fetch-Site` and `Origin`. A script can set neither.
pub fn request_site(headers: &HeaderMap, app: &App) -> RequestSite {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => return RequestSite::Own,
        Some(_) => return RequestSite::Other,
        None => {}
    }
    let Some(origin) = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or_default()) else {
        return RequestSite::Unknown;
    };
    // The host of the request, or behind a proxy the host of the public URL.
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_same_host = origin.split_once("://").is_some_and(|(_, rest)| !host.is_empty() && rest == host);
    let is_public_url = url::Url::parse(&app.public_url).is_ok_and(|url| url.origin().ascii_serialization() == origin);
    if is_same_host || is_public_url { RequestSite::Own } else { RequestSite::Other }
}

/// With HTTPS, the prefix `__Host-` prevents other hosts, also subdomains, from setting the cookie.
fn session_cookie_name(app: &App) -> &'static str {
    if is_https(app) { "__Host-postrider_session" } else { "postrider_session" }
}

fn device_cookie_name(app: &App) -> &'static str {
    if is_https(app) { "__Host-postrider_device" } else { "postrider_device" }
}

fn is_https(app: &App) -> bool {
    app.public_url.starts_with("https://")
}

/// The secret of the session in the request's cookie.
pub fn session_cookie(headers: &HeaderMap, app: &App) -> Option<String> {
    cookie_value(headers, session_cookie_name(app))
}

/// The value of a cookie; `None` if it is absent or empty.
pub fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = texts.flat_map(Cookie::split_parse).flatten().filter(|cookie| cookie.name() == name);
    cookies.next().map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

/// The cookies after a sign-in with a password: the session, and the device that the person is known by.
pub fn sign_in_cookies(app: &App, signed_in: &SignedIn) -> AppendHeaders<[(HeaderName, HeaderValue); 2]> {
    AppendHeaders([
        (SET_COOKIE, set_session_cookie(app, &signed_in.secret)),
        (SET_COOKIE, set_device_cookie(app, &signed_in.device)),
    ])
}

pub fn set_session_cookie(app: &App, secret: &str) -> HeaderValue {
    set_cookie(app, session_cookie_name(app), secret, session::ABSOLUTE)
}

pub fn set_device_cookie(app: &App, device: &str) -> HeaderValue {
    set_cookie(app, device_cookie_name(app), device, known_device::REMEMBERED)
}

pub fn clear_session_cookie(app: &App) -> HeaderValue {
    set_cookie(app, session_cookie_name(app), "", Duration::ZERO)
}

fn set_cookie(app: &App, name: &str, value: &str, max_age: Duration) -> HeaderValue {
    let max_age = cookie::time::Duration::seconds(max_age.as_secs() as i64);
    let cookie = Cookie::build((name, value)).path("/").http_only(true).same_site(SameSite::Lax).max_age(max_age);
    let text = cookie.secure(is_https(app)).to_string();
    HeaderValue::from_str(&text).expect("hexadecimal digits are valid in a header")
}

/// Ends the session that the request's cookie names, after a sign-in that opened a new one.
pub async fn end_former_session(app: &App, headers: &HeaderMap) {
    if let Ok(Actor { proof: Proof::Session { id, .. }, .. }) = authenticate(&Method::GET, headers, app).await
        && let Err(error) = sessions::revoke(app, id, None).await
    {
        tracing::warn!(session.id = %id, %error, "The former session of a browser could not be ended");
    }
}
