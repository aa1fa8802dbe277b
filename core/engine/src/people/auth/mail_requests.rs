//! Requests for messages to an address that may or may not have an account. The answer to a request is the same in both
//! cases and is sent first. The worker then determines here which message is sent to whom.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::app::App;
use crate::people::mail::MailKind;
use domain::ids::UserId;
use domain::people::auth_error::AuthError;
use domain::people::user::{User, UserStatus};
use storage::people::tokens::Purpose;

use super::throttling::{self, Attempt};
use super::{account, issue};

// The lifetimes of the links.
const REGISTER: Duration = Duration::from_secs(24 * 3_600);
const RESET: Duration = Duration::from_secs(3_600);
const CONFIRM_EMAIL: Duration = Duration::from_secs(24 * 3_600);

/// A requested message. Addresses are normalized by [`domain::people::user::normal_email`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailRequest {
    Registration { name: String, email: String },
    NewPassword { email: String },
    NewEmail { user: UserId, email: String },
}

impl MailRequest {
    fn email(&self) -> &str {
        match self {
            Self::Registration { email, .. } | Self::NewPassword { email } | Self::NewEmail { email, .. } => email,
        }
    }
}

/// A message and its recipient.
pub struct Draft {
    pub kind: MailKind,
    pub to: String,
    pub name: String,
    pub link: Option<Link>,
}

/// A link that is not created yet.
pub struct Link {
    purpose: Purpose,
    /// The lifetime.
    pub valid: Duration,
    page: &'static str,
}

impl Link {
    /// Creates the link and returns its URL.
    pub async fn issue(&self, app: &App, tx: &impl ConnectionTrait) -> Result<String, Error> {
        let token = issue(app, tx, &self.purpose, self.valid).await?;
        Ok(format!("{}/{}/{token}", app.public_url, self.page))
    }
}

/// Determines the message of a request. `None`: no message is sent, because there is no such account, or because the
/// limit of messages to its mailbox is reached.
pub async fn draft(app: &App, request: MailRequest) -> Result<Option<Draft>, Error> {
    let known = storage::people::users::find_by_email(app.db.reader(), request.email()).await?;
    let has_no_account = matches!(request, MailRequest::NewPassword { .. })
        && known.as_ref().is_none_or(|user| user.status == UserStatus::Disabled);
    if has_no_account || !mailbox_has_room(app, request.email()).await? {
        return Ok(None);
    }
    Ok(match (request, known) {
        (MailRequest::NewPassword { .. }, Some(user)) => Some(new_password(user)),
        (MailRequest::NewPassword { .. }, None) => None,
        (MailRequest::Registration { name, email }, None) => {
            let purpose = Purpose::Register { name: name.clone(), email: email.clone() };
            let link = Link { purpose, valid: REGISTER, page: "set-password" };
            Some(Draft { kind: MailKind::Register, to: email, name, link: Some(link) })
        }
        (MailRequest::NewEmail { user, email }, None) => {
            let name = account::get(app, user).await?.name;
            let purpose = Purpose::ConfirmEmail { user, email: email.clone() };
            let link = Link { purpose, valid: CONFIRM_EMAIL, page: "confirm-email" };
            Some(Draft { kind: MailKind::ConfirmEmail, to: email, name, link: Some(link) })
        }
        // Only the owner of the mailbox learns that the address has an account.
        (MailRequest::Registration { email, .. } | MailRequest::NewEmail { email, .. }, Some(user)) => {
            Some(Draft { kind: MailKind::AccountExists, to: email, name: user.name, link: None })
        }
    })
}

fn new_password(user: User) -> Draft {
    let purpose = Purpose::SetPassword { user: user.id, invited: false };
    let link = Link { purpose, valid: RESET, page: "set-password" };
    Draft { kind: MailKind::Reset, to: user.email, name: user.name, link: Some(link) }
}

async fn mailbox_has_room(app: &App, email: &str) -> Result<bool, Error> {
    match throttling::begin(app, &Attempt::of_mailbox(email)).await {
        Ok(()) => Ok(true),
        Err(Error::Auth(AuthError::TooManyAttempts { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}
