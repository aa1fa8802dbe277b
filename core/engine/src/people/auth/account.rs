//! The account of a person, and the check of its password.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use domain::ids::UserId;
use domain::people::auth_error::AuthError;
use domain::people::user::{PASSWORD_BYTES_MAX, User};

use super::throttling::{self, Attempt};

pub(super) async fn lock(tx: &impl ConnectionTrait, id: UserId) -> Result<User, Error> {
    storage::people::users::lock(tx, id).await?.ok_or_else(|| Error::not_found("user", id))
}

/// Reads a user.
pub async fn get(app: &App, id: UserId) -> Result<User, Error> {
    storage::people::users::find(app.db.reader(), id).await?.ok_or_else(|| Error::not_found("user", id))
}

/// Checks the present password of a signed-in user and returns the user. Attempts are throttled like sign-ins, because
/// a stolen session could be used to guess the password. The caller marks the attempt as succeeded, after the code if
/// there is a second factor.
pub(super) async fn check_password_of(app: &App, id: UserId, password: String) -> Result<(User, Attempt), Error> {
    let user = get(app, id).await?;
    let attempt = Attempt::of_own_password(&user.email);
    throttling::begin(app, &attempt).await?;
    let password = if password.len() > PASSWORD_BYTES_MAX { String::new() } else { password };
    if !app.passwords.verify(password, user.password_hash.clone()).await? {
        return Err(AuthError::WrongPassword.into());
    }
    Ok((user, attempt))
}
