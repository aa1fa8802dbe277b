//! Registration, invitations and forgotten passwords. All of them end with choosing a password by a link that was sent
//! by mail. Answers never reveal whether an address has an account; only the owner of the mailbox learns it.

use std::time::Duration;

use crate::Error;
use crate::app::App;
use crate::config::Registration;
use crate::error::is_taken;
use crate::people::audit::RequestedChange;
use crate::people::mail::MailKind;
use crate::people::outbox;
use crate::program::affiliates;
use domain::ids::UserId;
use domain::people::api_key;
use domain::people::auth_error::AuthError;
use domain::people::mail::MailChoices;
use domain::people::permission::Role;
use domain::people::preferences::Preferences;
use domain::people::user::{User, UserStatus, normal_email};
use storage::people::tokens::Purpose;
use storage::program::quotas;

use super::mail_requests::MailRequest;
use super::throttling::{self, Attempt};
use super::{Visitor, account, own};

/// The lifetime of an invitation.
pub(crate) const INVITE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Sends a link for confirming the address and choosing a password. The account is created when the link is used.
///
/// # Errors
/// The program does not allow registration.
pub async fn register(app: &App, visitor: &Visitor, name: String, email: &str) -> Result<(), Error> {
    if app.settings.registration == Registration::Closed {
        return Err(AuthError::RegistrationClosed.into());
    }
    throttling::begin(app, &Attempt::of_origin(visitor.origin)).await?;
    outbox::request(app, MailRequest::Registration { name, email: normal_email(email) }).await
}

/// Sends a link for choosing a new password, if the address has an account.
pub async fn reset(app: &App, visitor: &Visitor, email: &str) -> Result<(), Error> {
    throttling::begin(app, &Attempt::of_origin(visitor.origin)).await?;
    outbox::request(app, MailRequest::NewPassword { email: normal_email(email) }).await
}

/// The account whose password a link sets.
pub struct Account {
    pub email: String,
    /// Whether the person has API keys.
    pub has_keys: bool,
}

/// Reads the account of a link. The link can still be used.
pub async fn account_of_link(app: &App, token: &str) -> Result<Account, Error> {
    let (db, now) = (app.db.reader(), app.clock.now());
    match storage::people::tokens::find(db, &api_key::hash(token), now).await? {
        Some(Purpose::Register { email, .. }) => Ok(Account { email, has_keys: false }),
        Some(Purpose::SetPassword { user, .. }) => {
            let email = account::get(app, user).await?.email;
            Ok(Account { email, has_keys: quotas::count_api_keys(db, quotas::Holder::User(user), now).await? > 0 })
        }
        _ => Err(AuthError::LinkUsed.into()),
    }
}

/// Sets a password by the link of a registration, an invitation or a reset, and uses up the link. Ends all sessions;
/// `end_keys` revokes the person's API keys too. Returns the user.
pub async fn set_password(
    app: &App,
    visitor: &Visitor,
    token: &str,
    password: String,
    end_keys: bool,
) -> Result<User, Error> {
    // A weak password is refused before the link is looked up, and does not count as an attempt.
    own::check_password("/password", &password, "")?;
    // Nobody can guess a secret of 256 bits. The attempts are limited because hashing passwords is slow.
    let attempt = Attempt::of_origin(visitor.origin);
    throttling::begin(app, &attempt).await?;
    let hash = api_key::hash(token);
    let email = account_of_link(app, token).await?.email;
    own::check_password("/password", &password, &email)?;
    let password_hash = app.passwords.hash(password).await?;

    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let purpose = storage::people::tokens::redeem(&tx, &hash, now).await?.ok_or(AuthError::LinkUsed)?;
    let link = match &purpose {
        Purpose::Register { .. } => "registration",
        Purpose::SetPassword { invited: true, .. } => "invitation",
        _ => "reset",
    };
    let user = match purpose {
        Purpose::Register { name, email } => {
            let mut user = User {
                id: UserId::new(now),
                email,
                name,
                role: Role::Affiliate,
                affiliate_id: None,
                status: UserStatus::Waiting,
                password_hash: Some(password_hash),
                totp_secret: None,
                totp_pending: None,
                preferences: Preferences::default(),
                mails: MailChoices::default(),
                summary_at: None,
                created_at: now,
                updated_at: now,
            };
            if app.settings.registration == Registration::Open {
                let affiliate = affiliates::sign_up(app, &tx, &user.name, &user.email).await?;
                user.affiliate_id = Some(affiliate.id);
                user.status = UserStatus::Active;
            }
            storage::people::users::insert(&tx, &user).await.map_err(|error| match is_taken(&error) {
                true => AuthError::LinkUsed.into(),
                false => Error::from(error),
            })?;
            user
        }
        Purpose::SetPassword { user: id, invited } => {
            let mut user = account::lock(&tx, id).await?;
            match user.status {
                UserStatus::Disabled => return Err(AuthError::Disabled.into()),
                UserStatus::Invited => user.status = UserStatus::Active,
                UserStatus::Waiting | UserStatus::Active => {}
            }
            user.password_hash = Some(password_hash);
            user.updated_at = now;
            storage::people::users::save(&tx, &user).await?;
            storage::people::tokens::revoke_of(&tx, id, now).await?;
            storage::people::sessions::revoke_all(&tx, id, None, now).await?;
            if end_keys {
                storage::people::api_keys::revoke_of(&tx, id, now).await?;
            }
            if !invited {
                outbox::add(app, &tx, MailKind::PasswordChanged, &user.email, &user.name, "").await?;
            }
            user
        }
        Purpose::SignIn { .. }
        | Purpose::SignInPerson { .. }
        | Purpose::ConfirmEmail { .. }
        | Purpose::ConfirmPayoutDetails { .. }
        | Purpose::ConfirmPayoutRemoval { .. } => return Err(AuthError::LinkUsed.into()),
    };
    let body = serde_json::json!({"link": link, "end_keys": end_keys});
    let change = RequestedChange { body, ..RequestedChange::by(visitor, "set_password", Some(user.id.to_string())) };
    own::record(app, &tx, &user, change).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    app.catalog.people_changed();
    throttling::succeeded(app, &attempt).await?;
    Ok(user)
}
