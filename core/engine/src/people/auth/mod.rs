//! Signing in and staying signed in: passwords, second factors, sessions, one-time links, and how often one may try.

pub mod account;
pub mod asked;
pub mod known_device;
pub mod own;
pub mod registration;
pub mod second_factor;
pub mod sessions;
pub mod sign_in;
pub mod step_up;
pub mod throttling;

use std::time::Duration;

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use domain::people::api_key;
use domain::people::origin::Origin;
use storage::people::tokens::Purpose;

/// Where somebody comes from.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub origin: Origin,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    /// The cookie of a known device, if there is one.
    pub device: Option<String>,
}

/// A new one-time link; the secret is in the answer and nowhere else.
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

/// Where a message sends its reader to choose a password.
pub(crate) fn password_page(app: &App, token: &str) -> String {
    format!("{}/set-password/{token}", app.public_url)
}
