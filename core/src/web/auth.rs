//! Who calls: API keys as extractors. A handler that takes [`Admin`] can't be reached without an admin key.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::app::App;
use crate::domain::actor::Actor;
use crate::services::{Error, api_keys};

use super::errors::Problem;

/// Anybody with a key.
pub struct Caller(pub Actor);

/// The holder of an admin key.
pub struct Admin(pub Actor);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        authenticate(&parts.headers, app).await.map(Self)
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let actor = authenticate(&parts.headers, app).await?;
        if !actor.is_admin() {
            return Err(Error::Forbidden { what: "do this" }.into());
        }
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
