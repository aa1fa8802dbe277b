//! Who calls, as extractors. [`super::access`] has found out before the handler runs.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::permission::Permission;
use crate::services::api_keys;

use super::errors::Problem;

/// Anybody with a key or a session.
pub struct Caller(pub Actor);

/// An owner or an admin. New operations name their permission instead.
pub struct Admin(pub Actor);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Actor>().copied().map(Self).ok_or_else(Problem::unauthorized)
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Caller(actor) = Caller::from_request_parts(parts, app).await?;
        actor.require(Permission::ManageSettings)?;
        Ok(Self(actor))
    }
}

pub async fn authenticate(headers: &HeaderMap, app: &App) -> Result<Actor, Problem> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret = match header.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty() => secret.trim(),
        _ => return Err(Problem::unauthorized()),
    };
    api_keys::authenticate(app, secret).await?.ok_or_else(Problem::unauthorized)
}
