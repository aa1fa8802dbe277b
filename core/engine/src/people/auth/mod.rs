//! Authentication: passwords, second factors, sessions, one-time links, and limits for attempts.

pub mod account;
pub mod known_device;
pub(crate) mod mail_requests;
pub mod own;
pub mod registration;
pub mod second_factor;
pub mod sessions;
pub mod sign_in;
pub mod step_up;
pub(crate) mod throttling;

use std::time::Duration;

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use domain::people::api_key;
use domain::people::origin::Origin;
use storage::people::tokens::Purpose;

/// The origin of a request without credentials.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub origin: Origin,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    /// The cookie of a known device, if the browser has one.
    pub device: Option<String>,
}

/// Creates a one-time link and returns its secret. Only the hash of the secret is stored.
pub(crate) async fn issue(
    app: &App,
    tx: &impl ConnectionTrait,
    purpose: &Purpose,
    valid: Duration,
) -> Result<String, Error> {
    let now = app.clock.now();
    let token = api_key::token(rand::random());
    storage::people::tokens::insert(tx, api_key::hash(&token), purpose, now, now.plus(valid)).await?;
    Ok(token)
}

/// The URL of the page on which a password is chosen.
pub(crate) fn password_page(app: &App, token: &str) -> String {
    format!("{}/set-password/{token}", app.public_url)
}
