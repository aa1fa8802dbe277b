//! The changes that people make to their own accounts: name, preferences, messages, password and e-mail address.

use sea_orm::ConnectionTrait;

use crate::app::App;
use crate::error::is_taken;
use crate::people::audit::{self, RequestedChange};
use crate::people::mail::MailKind;
use crate::people::outbox;
use crate::{Error, FieldIssue};
use domain::ids::{SessionId, UserId};
use domain::people::actor::Actor;
use domain::people::api_key;
use domain::people::auth_error::AuthError;
use domain::people::changes::Changed;
use domain::people::mail::MailChoices;
use domain::people::preferences::Preferences;
use domain::people::user::{User, normal_email, password_fault};
use storage::people::tokens::Purpose;

use super::account::{get, lock};
use super::mail_requests::MailRequest;
use super::step_up::{self, StepUpProof};
use super::{Visitor, sessions};

/// What people change about themselves without their password.
#[derive(Clone, Debug)]
pub struct Profile {
    pub name: String,
    pub preferences: Preferences,
    pub mails: MailChoices,
}

impl Profile {
    pub fn of(user: &User) -> Self {
        Self { name: user.name.clone(), preferences: user.preferences, mails: user.mails }
    }
}

/// Changes the name, the preferences and the wanted messages. `edit` gets the user while it is locked.
pub async fn change_profile(
    app: &App,
    id: UserId,
    edit: impl FnOnce(&User) -> Result<Profile, Error>,
) -> Result<Changed<User>, Error> {
    let tx = app.db.begin().await?;
    let mut user = lock(&tx, id).await?;
    let before = user.clone();
    let now = app.clock.now();
    let Profile { name, preferences, mails } = edit(&user)?;
    user.name = name;
    user.choose(preferences, mails, now);
    user.updated_at = now;
    storage::people::users::save(&tx, &user).await?;
    tx.commit().await?;
    Ok(Changed::new(before, user))
}

/// Keeps the language and the time zone of a person's browser, as far as the person has not chosen them.
pub async fn adopt_preferences(app: &App, user: &User, of_browser: Preferences) -> Result<(), Error> {
    let adopted = user.preferences.or(of_browser);
    if adopted == user.preferences {
        return Ok(());
    }
    let edit = |user: &User| Ok(Profile { preferences: user.preferences.or(of_browser), ..Profile::of(user) });
    change_profile(app, user.id, edit).await.map(drop)
}

/// Checks that a new password is strong enough.
pub(super) fn check_password(path: &str, password: &str, email: &str) -> Result<(), Error> {
    match password_fault(password, email) {
        Some(fault) => Err(Error::Invalid(vec![FieldIssue::new(path, "weak_password", fault)])),
        None => Ok(()),
    }
}

/// Changes the password. Ends all sessions except `session`, and revokes all links that were sent by mail. `end_keys`
/// revokes the person's API keys too. Needs the present password, and a code if there is a second factor.
pub async fn change_password(
    app: &App,
    person: Actor,
    (id, session): (UserId, SessionId),
    given: StepUpProof,
    new: String,
    end_keys: bool,
) -> Result<(), Error> {
    // The new password is checked before the second factor, so that a weak password does not use up a code.
    check_password("/new", &new, &get(app, id).await?.email)?;
    step_up::check(app, person, given).await?;
    let hash = app.passwords.hash(new).await?;
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let mut user = lock(&tx, id).await?;
    user.password_hash = Some(hash);
    user.updated_at = now;
    storage::people::users::save(&tx, &user).await?;
    storage::people::tokens::revoke_of(&tx, id, now).await?;
    storage::people::sessions::revoke_all(&tx, id, Some(session), now).await?;
    if end_keys {
        storage::people::api_keys::revoke_of(&tx, id, now).await?;
    }
    outbox::add(app, &tx, MailKind::PasswordChanged, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    app.catalog.people_changed();
    Ok(())
}

/// Sends a confirmation link to the new address. The address is changed when it is confirmed. The answer is the same if
/// the address is taken.
pub async fn request_email_change(
    app: &App,
    person: Actor,
    id: UserId,
    given: StepUpProof,
    email: &str,
) -> Result<(), Error> {
    step_up::check(app, person, given).await?;
    outbox::request(app, MailRequest::NewEmail { user: id, email: normal_email(email) }).await
}

/// Reads the address that a link confirms. The link can still be used.
pub async fn email_of_link(app: &App, token: &str) -> Result<String, Error> {
    match storage::people::tokens::find(app.db.reader(), &api_key::hash(token), app.clock.now()).await? {
        Some(Purpose::ConfirmEmail { email, .. }) => Ok(email),
        _ => Err(AuthError::LinkUsed.into()),
    }
}

/// Records a change of a person who is known by a link.
pub(super) async fn record(
    app: &App,
    tx: &impl ConnectionTrait,
    user: &User,
    change: RequestedChange,
) -> Result<(), Error> {
    audit::record_of_user(app, tx, user, change).await
}

/// Changes the address by the link of [`request_email_change`]. Returns the changed user.
pub async fn confirm_email(app: &App, visitor: &Visitor, token: &str) -> Result<User, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let taken = storage::people::tokens::redeem(&tx, &api_key::hash(token), now).await?;
    let Some(Purpose::ConfirmEmail { user: id, email }) = taken else { return Err(AuthError::LinkUsed.into()) };
    let mut user = lock(&tx, id).await?;
    let former = std::mem::replace(&mut user.email, email);
    user.updated_at = now;
    storage::people::users::save(&tx, &user).await.map_err(|error| match is_taken(&error) {
        true => AuthError::LinkUsed.into(),
        false => Error::from(error),
    })?;
    // A link that was sent to the former mailbox must no longer give access to the account.
    storage::people::tokens::revoke_of(&tx, id, now).await?;
    record(app, &tx, &user, RequestedChange::by(visitor, "confirm_email", None)).await?;
    outbox::add(app, &tx, MailKind::EmailChanged, &former, &user.name, "").await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    app.catalog.people_changed();
    Ok(user)
}

/// Ends one of the person's own sessions.
pub async fn end_session(app: &App, user: UserId, id: SessionId) -> Result<(), Error> {
    sessions::revoke(app, id, Some(user)).await
}
