//! Browsers that somebody signed in to an account with, by a cookie that only we can write. They have counters of
//! their own, so that whoever guesses at an account from elsewhere can't keep its owner out of it (OWASP's device
//! cookies). The cookie signs nobody in.

use std::time::Duration;

use crate::app::App;
use domain::people::api_key;
use domain::people::user::normal_email;

use super::Visitor;

/// The longest that browsers keep a cookie.
pub const REMEMBERED: Duration = Duration::from_secs(400 * 86_400);

/// The cookie of this browser for an account: the one that it has, or a new one.
pub fn of(app: &App, visitor: &Visitor, email: &str) -> String {
    match nonce(app, visitor, email) {
        Some(_) => visitor.device.clone().unwrap_or_default(),
        None => {
            let nonce = api_key::token(rand::random());
            format!("{nonce}{}", app.vault.sign(PURPOSE, &signed(&nonce, email)))
        }
    }
}

/// What tells this browser from others, if it is one of this account's.
pub(super) fn nonce<'a>(app: &App, visitor: &'a Visitor, email: &str) -> Option<&'a str> {
    let (nonce, given) = visitor.device.as_deref()?.split_at_checked(NONCE_CHARS)?;
    app.vault.is_signed(PURPOSE, &signed(nonce, email), given).then_some(nonce)
}

/// 32 bytes in hexadecimal.
const NONCE_CHARS: usize = 64;

const PURPOSE: &str = "device";

fn signed(nonce: &str, email: &str) -> String {
    format!("{nonce}/{}", normal_email(email))
}
