//! Who calls: a key in a header or a session in a cookie, as extractors. [`super::access`] has found out before the
//! handler runs.

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

/// Anybody with a key or a session.
pub struct Caller(pub Actor);

/// Somebody who signed in with a password: what concerns an account itself is not for keys.
pub struct Person {
    pub actor: Actor,
    pub user: UserId,
    pub session: SessionId,
}

/// Where the request comes from.
pub struct From(pub Visitor);

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

impl FromRequestParts<App> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(visitor(&parts.headers, &parts.extensions, app)))
    }
}

pub fn visitor(headers: &HeaderMap, extensions: &Extensions, app: &App) -> Visitor {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let peer = peer.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let origin = client::origin_of_person(app, peer, headers);
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone());
    Visitor { origin, user_agent, request_id, device: value_of(headers, device_cookie_name(app)) }
}

/// A key when there is one, and only else a cookie: what a browser adds by itself never decides over what was sent.
pub async fn authenticate(method: &Method, headers: &HeaderMap, app: &App) -> Result<Actor, Problem> {
    if let Some(header) = headers.get(AUTHORIZATION) {
        let secret = match header.to_str().unwrap_or_default().split_once(' ') {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty() => {
                secret.trim()
            }
            _ => return Err(Problem::unauthorized()),
        };
        return api_keys::authenticate(app, secret).await?.ok_or_else(Problem::unauthorized);
    }
    let secret = cookie(headers, app).ok_or_else(Problem::unauthorized)?;
    let actor = sessions::authenticate(app, &secret).await?.ok_or_else(Problem::unauthorized)?;
    // A cookie comes along with whatever any site makes the browser send: a change must come from our own pages.
    if !method.is_safe() && origin(headers, app) != Origin::Ours {
        return Err(Error::from(AuthError::CrossSite).into());
    }
    Ok(actor)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Ours,
    Another,
    /// Nothing says: no browser of this century.
    Unknown,
}

/// Which site made the browser send this. Neither header can be set by a script.
pub fn origin(headers: &HeaderMap, app: &App) -> Origin {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => return Origin::Ours,
        Some(_) => return Origin::Another,
        None => {}
    }
    let Some(origin) = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or_default()) else {
        return Origin::Unknown;
    };
    // The name that the browser asked for, or the one that we are known by behind a proxy.
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let same_host = origin.split_once("://").is_some_and(|(_, rest)| !host.is_empty() && rest == host);
    let ours = url::Url::parse(&app.public_url).is_ok_and(|url| url.origin().ascii_serialization() == origin);
    if same_host || ours { Origin::Ours } else { Origin::Another }
}

/// Over https the prefix keeps every other host, also one below our domain, from setting it.
fn cookie_name(app: &App) -> &'static str {
    if is_https(app) { "__Host-postrider_session" } else { "postrider_session" }
}

fn device_cookie_name(app: &App) -> &'static str {
    if is_https(app) { "__Host-postrider_device" } else { "postrider_device" }
}

fn is_https(app: &App) -> bool {
    app.public_url.starts_with("https://")
}

pub fn cookie(headers: &HeaderMap, app: &App) -> Option<String> {
    value_of(headers, cookie_name(app))
}

fn value_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = texts.flat_map(Cookie::split_parse).flatten().filter(|cookie| cookie.name() == name);
    cookies.next().map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

/// Of whoever signed in with a password: the session, and that this browser is theirs.
pub fn cookies(app: &App, signed_in: &SignedIn) -> AppendHeaders<[(HeaderName, HeaderValue); 2]> {
    AppendHeaders([(SET_COOKIE, set_cookie(app, &signed_in.secret)), (SET_COOKIE, set_device(app, &signed_in.device))])
}

pub fn set_cookie(app: &App, secret: &str) -> HeaderValue {
    set(app, cookie_name(app), secret, session::ABSOLUTE)
}

pub fn set_device(app: &App, device: &str) -> HeaderValue {
    set(app, device_cookie_name(app), device, known_device::REMEMBERED)
}

pub fn clear_cookie(app: &App) -> HeaderValue {
    set(app, cookie_name(app), "", Duration::ZERO)
}

fn set(app: &App, name: &str, value: &str, age: Duration) -> HeaderValue {
    let age = cookie::time::Duration::seconds(age.as_secs() as i64);
    let cookie = Cookie::build((name, value)).path("/").http_only(true).same_site(SameSite::Lax).max_age(age);
    let text = cookie.secure(is_https(app)).to_string();
    HeaderValue::from_str(&text).expect("hexadecimal digits are valid in a header")
}

/// Ends the session that this browser had before.
pub async fn leave(app: &App, headers: &HeaderMap) {
    if let Ok(Actor { proof: Proof::Session { id, .. }, .. }) = authenticate(&Method::GET, headers, app).await
        && let Err(error) = sessions::revoke(app, id, None).await
    {
        tracing::warn!(session.id = %id, %error, "The session before this one could not be ended");
    }
}
