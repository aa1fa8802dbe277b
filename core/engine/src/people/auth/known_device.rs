//! Known devices: browsers in which a person has signed in to an account. They are recognized by a signed cookie
//! (OWASP's device cookies). Their attempts are counted separately, so that attackers on other devices cannot lock the
//! owner out. The cookie does not authenticate anybody.

use std::time::Duration;

use crate::app::App;
use domain::people::api_key;
use domain::people::user::normal_email;

use super::Visitor;

/// The lifetime of the cookie: the maximum that browsers allow.
pub const REMEMBERED: Duration = Duration::from_secs(400 * 86_400);

/// The cookie of a browser for an account: the present one if it is valid, otherwise a new one.
pub fn of(app: &App, visitor: &Visitor, email: &str) -> String {
    match nonce(app, visitor, email) {
        Some(_) => visitor.device.clone().unwrap_or_default(),
        None => {
            let nonce = api_key::token(rand::random());
            format!("{nonce}{}", app.vault.sign(PURPOSE, &signed(&nonce, email)))
        }
    }
}

/// The random part of the cookie, which identifies the browser. `None` if the browser is not known for this account.
pub(super) fn nonce<'a>(app: &App, visitor: &'a Visitor, email: &str) -> Option<&'a str> {
    let (nonce, given) = visitor.device.as_deref()?.split_at_checked(NONCE_CHARS)?;
    app.vault.is_signed(PURPOSE, &signed(nonce, email), given).then_some(nonce)
}

/// The length of the random part: 32 bytes in hexadecimal.
const NONCE_CHARS: usize = 64;

const PURPOSE: &str = "device";

/// The signed text.
fn signed(nonce: &str, email: &str) -> String {
    format!("{nonce}/{}", normal_email(email))
}
