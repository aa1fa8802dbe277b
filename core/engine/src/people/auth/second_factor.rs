//! The second factor: an authenticator app's codes, each good once, and recovery codes for when the app is gone.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use crate::delivery::sealed;
use crate::delivery::secrets;
use crate::people::auth::account;
use crate::people::mail::Letter;
use crate::people::outbox;
use domain::ids::UserId;
use domain::people::auth_error::AuthError;
use domain::people::user::User;
use domain::people::{api_key, totp};

use super::throttling::{self, Attempt};

/// Whether this is a code of the app or a recovery code, used for the first time.
pub async fn check(app: &App, user: &User, typed: &str) -> Result<bool, Error> {
    let Some(sealed) = &user.totp_secret else { return Ok(false) };
    let secret = open(app, user.id, sealed)?;
    if let Some(step) = totp::step_of(&secret, typed, app.clock.now()) {
        return Ok(storage::people::users::use_step(app.db.writer(), user.id, step).await?);
    }
    let hash = recovery_hash(typed);
    Ok(storage::people::users::use_recovery_code(app.db.writer(), user.id, &hash, app.clock.now()).await?)
}

/// Recovery codes have 50 random bits and are good once: nobody gets to try more than a few an hour.
fn recovery_hash(typed: &str) -> String {
    api_key::hash(&totp::normal_recovery_code(typed))
}

fn open(app: &App, id: UserId, sealed: &str) -> Result<Vec<u8>, Error> {
    let text = app.vault.open(sealed, &sealed::second_factor(id))?;
    totp::decode(&text).ok_or_else(|| secrets::SecretError::Unreadable.into())
}

/// Makes a secret that counts once [`confirm`] has seen a code of it. Returns it and what an app scans.
pub async fn begin(app: &App, id: UserId, password: String) -> Result<(String, String), Error> {
    // First: a right password alone must not give attempts back to somebody who guesses at the code.
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

/// The first code makes it count. Returns the recovery codes, which are shown once.
pub async fn confirm(app: &App, id: UserId, code: &str) -> Result<Vec<String>, Error> {
    let now = app.clock.now();
    // Who has a stolen session must not guess the first code: its answer shows the recovery codes.
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
    outbox::post(app, &tx, Letter::SecondFactorOn, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::hurry(app);
    throttling::succeeded(app, &attempt).await?;
    Ok(codes)
}

/// The ones before are worth nothing any more.
async fn new_recovery_codes(tx: &impl ConnectionTrait, id: UserId) -> Result<Vec<String>, Error> {
    let codes = totp::recovery_codes(rand::random());
    let hashes: Vec<_> = codes.iter().map(|code| recovery_hash(code)).collect();
    storage::people::users::replace_recovery_codes(tx, id, &hashes).await?;
    Ok(codes)
}

/// Makes new recovery codes, which are shown once; needs both factors once more, or a stolen password and session
/// would be enough to get around the second one for good.
pub async fn renew_recovery_codes(app: &App, id: UserId, password: String, code: &str) -> Result<Vec<String>, Error> {
    with_both(app, id, password, code).await?;
    let tx = app.db.begin().await?;
    let user = account::lock(&tx, id).await?;
    if !user.has_second_factor() {
        return Err(AuthError::NoSecondFactor.into());
    }
    let codes = new_recovery_codes(&tx, id).await?;
    outbox::post(app, &tx, Letter::RecoveryCodesRenewed, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::hurry(app);
    Ok(codes)
}

/// A right password gives no attempt back while the code is still to be guessed.
async fn with_both(app: &App, id: UserId, password: String, code: &str) -> Result<(), Error> {
    let (user, attempt) = account::check_password_of(app, id, password).await?;
    if !user.has_second_factor() {
        return Err(AuthError::NoSecondFactor.into());
    }
    if !check(app, &user, code).await? {
        return Err(AuthError::WrongCode.into());
    }
    throttling::succeeded(app, &attempt).await
}

/// Takes it away; needs both factors once more.
pub async fn remove(app: &App, id: UserId, password: String, code: &str) -> Result<(), Error> {
    with_both(app, id, password, code).await?;
    let tx = app.db.begin().await?;
    let mut user = account::lock(&tx, id).await?;
    user.totp_secret = None;
    user.totp_pending = None;
    user.updated_at = app.clock.now();
    storage::people::users::save(&tx, &user).await?;
    storage::people::users::replace_recovery_codes(&tx, id, &[]).await?;
    outbox::post(app, &tx, Letter::SecondFactorOff, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::hurry(app);
    Ok(())
}
