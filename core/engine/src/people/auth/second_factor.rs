//! The second factor: codes of an authenticator app, and recovery codes for a lost app. Each code can be used once.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use crate::delivery::secrets;
use crate::delivery::secrets::sealed;
use crate::people::mail::MailKind;
use crate::people::outbox;
use domain::ids::UserId;
use domain::people::auth_error::AuthError;
use domain::people::user::User;
use domain::people::{api_key, totp};

use super::account;
use super::throttling::{self, Attempt};

/// Checks a code of the app or a recovery code, and uses it up.
pub async fn check(app: &App, user: &User, typed: &str) -> Result<bool, Error> {
    let Some(sealed) = &user.totp_secret else { return Ok(false) };
    let secret = open(app, user.id, sealed)?;
    if let Some(step) = totp::step_of(&secret, typed, app.clock.now()) {
        return Ok(storage::people::users::use_step(app.db.writer(), user.id, step).await?);
    }
    let hash = recovery_hash(typed);
    Ok(storage::people::recovery_codes::mark_used(app.db.writer(), user.id, &hash, app.clock.now()).await?)
}

/// The hash of a recovery code. A fast hash suffices: a code has 50 random bits, and only a few attempts per hour are
/// possible.
fn recovery_hash(typed: &str) -> String {
    api_key::hash(&totp::normal_recovery_code(typed))
}

fn open(app: &App, id: UserId, sealed: &str) -> Result<Vec<u8>, Error> {
    let text = app.vault.open(sealed, &sealed::second_factor(id))?;
    totp::decode(&text).ok_or_else(|| secrets::SecretError::Unreadable.into())
}

/// Creates a secret, which takes effect after [`confirm`]. Returns the secret and the URI for the QR code of the app.
pub async fn begin(app: &App, id: UserId, password: String) -> Result<(String, String), Error> {
    // Checked first. Otherwise a right password would reset the count of attempts for somebody who guesses the code.
    if account::get(app, id).await?.has_second_factor() {
        return Err(AuthError::HasSecondFactor.into());
    }
    let (_, attempt) = account::check_password_of(app, id, password).await?;
    throttling::succeeded(app, &attempt).await?;
    let secret = totp::encode(&rand::random::<[u8; totp::SECRET_BYTES]>());
    let tx = app.db.begin().await?;
    let mut user = account::lock(&tx, id).await?;
    if user.has_second_factor() {
        return Err(AuthError::HasSecondFactor.into());
    }
    user.totp_pending = Some(app.vault.seal(&secret, &sealed::second_factor(id)));
    user.updated_at = app.clock.now();
    storage::people::users::save(&tx, &user).await?;
    tx.commit().await?;
    let uri = totp::uri(&secret, &user.email);
    Ok((secret, uri))
}

/// Enables the second factor with the first code of the app. Returns the recovery codes, which are shown once.
pub async fn confirm(app: &App, id: UserId, code: &str) -> Result<Vec<String>, Error> {
    let now = app.clock.now();
    // The answer contains the recovery codes, so the first code must not be guessed with a stolen session.
    let attempt = Attempt::of_own_password(&account::get(app, id).await?.email);
    throttling::begin(app, &attempt).await?;
    let tx = app.db.begin().await?;
    let mut user = account::lock(&tx, id).await?;
    let sealed = user.totp_pending.take().ok_or(AuthError::NoSecondFactor)?;
    let secret = open(app, id, &sealed)?;
    let step = totp::step_of(&secret, code, now).ok_or(AuthError::WrongCode)?;
    if !storage::people::users::use_step(&tx, id, step).await? {
        return Err(AuthError::WrongCode.into());
    }
    let codes = new_recovery_codes(&tx, id).await?;
    user.totp_secret = Some(sealed);
    user.updated_at = now;
    storage::people::users::save(&tx, &user).await?;
    outbox::add(app, &tx, MailKind::SecondFactorOn, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    throttling::succeeded(app, &attempt).await?;
    Ok(codes)
}

/// Replaces the recovery codes. The former codes no longer work.
async fn new_recovery_codes(tx: &impl ConnectionTrait, id: UserId) -> Result<Vec<String>, Error> {
    let codes = totp::recovery_codes(rand::random());
    let hashes: Vec<_> = codes.iter().map(|code| recovery_hash(code)).collect();
    storage::people::recovery_codes::replace(tx, id, &hashes).await?;
    Ok(codes)
}

/// Creates new recovery codes, which are shown once. Needs both factors, because a stolen password and session must not
/// suffice to bypass the second factor.
pub async fn renew_recovery_codes(app: &App, id: UserId, password: String, code: &str) -> Result<Vec<String>, Error> {
    check_both(app, id, password, code).await?;
    let tx = app.db.begin().await?;
    let user = account::lock(&tx, id).await?;
    if !user.has_second_factor() {
        return Err(AuthError::NoSecondFactor.into());
    }
    let codes = new_recovery_codes(&tx, id).await?;
    outbox::add(app, &tx, MailKind::RecoveryCodesRenewed, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok(codes)
}

/// Checks the password and a code. The count of attempts is reset only if both are right.
async fn check_both(app: &App, id: UserId, password: String, code: &str) -> Result<(), Error> {
    let (user, attempt) = account::check_password_of(app, id, password).await?;
    if !user.has_second_factor() {
        return Err(AuthError::NoSecondFactor.into());
    }
    if !check(app, &user, code).await? {
        return Err(AuthError::WrongCode.into());
    }
    throttling::succeeded(app, &attempt).await
}

/// Removes the second factor. Needs both factors.
pub async fn remove(app: &App, id: UserId, password: String, code: &str) -> Result<(), Error> {
    check_both(app, id, password, code).await?;
    let tx = app.db.begin().await?;
    let mut user = account::lock(&tx, id).await?;
    user.totp_secret = None;
    user.totp_pending = None;
    user.updated_at = app.clock.now();
    storage::people::users::save(&tx, &user).await?;
    storage::people::recovery_codes::replace(&tx, id, &[]).await?;
    outbox::add(app, &tx, MailKind::SecondFactorOff, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok(())
}
