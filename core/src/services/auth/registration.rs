//! Registration, invitations and forgotten passwords: everything that ends with choosing a password by a link that
//! came by mail. Answers never tell whether an address has an account: the mailbox is told, and only it.

use std::time::Duration;

use crate::app::App;
use crate::config::Registration;
use crate::domain::api_key;
use crate::domain::permission::Role;
use crate::domain::user::{User, UserStatus, normal_email};
use crate::ids::UserId;
use crate::services::error::is_taken;
use crate::services::mail::{self, Letter};
use crate::services::{Error, affiliates};
use crate::storage;
use crate::storage::tokens::Purpose;

use super::throttling::{self, Attempt};
use super::{AuthError, Visitor, issue, own, password_page};

const REGISTER: Duration = Duration::from_secs(24 * 3_600);
const RESET: Duration = Duration::from_secs(3_600);
pub const INVITE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Sends a link with which to confirm the address and choose a password. There is no account before.
pub async fn register(app: &App, visitor: &Visitor, name: String, email: &str) -> Result<(), Error> {
    if app.settings.registration == Registration::Closed {
        return Err(AuthError::RegistrationClosed.into());
    }
    throttling::begin(app, &Attempt::of_address(visitor.address)).await?;
    let email = normal_email(email);
    later(app, async move |app| {
        throttling::begin(&app, &Attempt::of_mailbox(&email)).await?;
        if storage::users::find_by_email(app.db.reader(), &email).await?.is_some() {
            mail::post(&app, Letter::Known, &email, &name, "");
            return Ok(());
        }
        let purpose = Purpose::Register { name: name.clone(), email: email.clone() };
        let token = issue(&app, app.db.writer(), &purpose, REGISTER).await?;
        mail::post(&app, Letter::Register, &email, &name, &password_page(&app, &token));
        Ok(())
    });
    Ok(())
}

/// Sends a link with which to choose a new password, if there is such an account.
pub async fn reset(app: &App, visitor: &Visitor, email: &str) -> Result<(), Error> {
    throttling::begin(app, &Attempt::of_address(visitor.address)).await?;
    let email = normal_email(email);
    later(app, async move |app| {
        let Some(user) = storage::users::find_by_email(app.db.reader(), &email).await? else { return Ok(()) };
        if user.status == UserStatus::Disabled {
            return Ok(());
        }
        throttling::begin(&app, &Attempt::of_mailbox(&email)).await?;
        let purpose = Purpose::SetPassword { user: user.id, invited: false };
        let token = issue(&app, app.db.writer(), &purpose, RESET).await?;
        mail::post(&app, Letter::Reset, &user.email, &user.name, &password_page(&app, &token));
        Ok(())
    });
    Ok(())
}

/// After the answer, so that neither its words nor its time depend on what is found.
fn later<F: Future<Output = Result<(), Error>> + Send + 'static>(app: &App, work: impl FnOnce(App) -> F) {
    let work = work(app.clone());
    tokio::spawn(async move {
        match work.await {
            Ok(()) | Err(Error::Auth(AuthError::TooManyAttempts { .. })) => {}
            Err(error) => tracing::error!(%error, "A message that somebody asked for could not be prepared"),
        }
    });
}

/// Uses up the link of a registration, an invitation or a reset. Signs out everywhere. Returns the user.
pub async fn set_password(app: &App, visitor: &Visitor, token: &str, password: String) -> Result<User, Error> {
    // Nobody guesses 256 bits; whoever tries should not keep the machine busy with it.
    let attempt = Attempt::of_address(visitor.address);
    throttling::begin(app, &attempt).await?;
    let hash = api_key::hash(token);
    let now = app.clock.now();
    let purpose = storage::tokens::find(app.db.reader(), &hash, now).await?.ok_or(AuthError::LinkUsed)?;
    let email = match &purpose {
        Purpose::Register { email, .. } => email.clone(),
        Purpose::SetPassword { user, .. } => own::get(app, *user).await?.email,
        Purpose::SignIn { .. } | Purpose::ConfirmEmail { .. } => return Err(AuthError::LinkUsed.into()),
    };
    own::check_password("/password", &password, &email)?;
    let password_hash = app.passwords.hash(password).await?;

    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let user = match storage::tokens::take(&tx, &hash, now).await?.ok_or(AuthError::LinkUsed)? {
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
                created_at: now,
                updated_at: now,
            };
            if app.settings.registration == Registration::Open {
                let affiliate = affiliates::sign_up(&tx, &user.name, &user.email, None, now).await?;
                user.affiliate_id = Some(affiliate.id);
                user.status = UserStatus::Active;
            }
            storage::users::insert(&tx, &user).await.map_err(|error| match is_taken(&error) {
                true => AuthError::LinkUsed.into(),
                false => Error::from(error),
            })?;
            user
        }
        Purpose::SetPassword { user: id, invited } => {
            let mut user = own::lock(&tx, id).await?;
            match user.status {
                UserStatus::Disabled => return Err(AuthError::Disabled.into()),
                UserStatus::Invited => user.status = UserStatus::Active,
                UserStatus::Waiting | UserStatus::Active => {}
            }
            user.password_hash = Some(password_hash);
            user.updated_at = now;
            storage::users::save(&tx, &user).await?;
            storage::tokens::revoke_of(&tx, id, now).await?;
            storage::sessions::revoke_all(&tx, id, None, now).await?;
            if !invited {
                mail::post(app, Letter::PasswordChanged, &user.email, &user.name, "");
            }
            user
        }
        Purpose::SignIn { .. } | Purpose::ConfirmEmail { .. } => return Err(AuthError::LinkUsed.into()),
    };
    tx.commit().await?;
    app.catalog.people_changed();
    throttling::succeeded(app, &attempt).await?;
    Ok(user)
}
