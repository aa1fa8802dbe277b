//! Messages that somebody asked for by an address that may have an account or not. The answer is the same and comes
//! before anybody looks; here it is found out who gets what.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::app::App;
use crate::people::auth::account;
use crate::people::mail::Letter;
use domain::ids::UserId;
use domain::people::auth_error::AuthError;
use domain::people::user::{User, UserStatus};
use storage::people::tokens::Purpose;

use super::issue;
use super::throttling::{self, Attempt};

const REGISTER: Duration = Duration::from_secs(24 * 3_600);
const RESET: Duration = Duration::from_secs(3_600);
const CONFIRM_EMAIL: Duration = Duration::from_secs(24 * 3_600);

/// What was asked for; addresses as [`domain::people::user::normal_email`] has them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    Registration { name: String, email: String },
    NewPassword { email: String },
    NewEmail { user: UserId, email: String },
}

impl Asked {
    fn email(&self) -> &str {
        match self {
            Self::Registration { email, .. } | Self::NewPassword { email } | Self::NewEmail { email, .. } => email,
        }
    }
}

/// Who gets what.
pub struct Draft {
    pub letter: Letter,
    pub to: String,
    pub name: String,
    pub link: Option<Link>,
}

/// A link that is not made yet.
pub struct Link {
    purpose: Purpose,
    pub valid: Duration,
    page: &'static str,
}

impl Link {
    pub async fn issue(&self, app: &App, tx: &impl ConnectionTrait) -> Result<String, Error> {
        let token = issue(app, tx, &self.purpose, self.valid).await?;
        Ok(format!("{}/{}/{token}", app.public_url, self.page))
    }
}

/// `None`: nobody gets anything, because there is no such account or its mailbox has had enough for now.
pub async fn draft(app: &App, asked: Asked) -> Result<Option<Draft>, Error> {
    let known = storage::people::users::find_by_email(app.db.reader(), asked.email()).await?;
    let nobody = matches!(asked, Asked::NewPassword { .. })
        && known.as_ref().is_none_or(|user| user.status == UserStatus::Disabled);
    if nobody || !mailbox_has_room(app, asked.email()).await? {
        return Ok(None);
    }
    Ok(match (asked, known) {
        (Asked::NewPassword { .. }, Some(user)) => Some(new_password(user)),
        (Asked::NewPassword { .. }, None) => None,
        (Asked::Registration { name, email }, None) => {
            let purpose = Purpose::Register { name: name.clone(), email: email.clone() };
            let link = Link { purpose, valid: REGISTER, page: "set-password" };
            Some(Draft { letter: Letter::Register, to: email, name, link: Some(link) })
        }
        (Asked::NewEmail { user, email }, None) => {
            let name = account::get(app, user).await?.name;
            let purpose = Purpose::ConfirmEmail { user, email: email.clone() };
            let link = Link { purpose, valid: CONFIRM_EMAIL, page: "confirm-email" };
            Some(Draft { letter: Letter::ConfirmEmail, to: email, name, link: Some(link) })
        }
        // The mailbox is told, and only it.
        (Asked::Registration { email, .. } | Asked::NewEmail { email, .. }, Some(user)) => {
            Some(Draft { letter: Letter::Known, to: email, name: user.name, link: None })
        }
    })
}

fn new_password(user: User) -> Draft {
    let purpose = Purpose::SetPassword { user: user.id, invited: false };
    let link = Link { purpose, valid: RESET, page: "set-password" };
    Draft { letter: Letter::Reset, to: user.email, name: user.name, link: Some(link) }
}

async fn mailbox_has_room(app: &App, email: &str) -> Result<bool, Error> {
    match throttling::begin(app, &Attempt::of_mailbox(email)).await {
        Ok(()) => Ok(true),
        Err(Error::Auth(AuthError::TooManyAttempts { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}
