//! The outbox: a message is stored before it is sent, in the transaction of the change that it is about. So a restart
//! loses no message. A message that was being sent during a crash may arrive twice, with the same Message-ID.
//!
//! A request for a message only stores the request, as the same row for any address. The worker finds out later whether
//! the address has an account, so that the answer to the request does not reveal it.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::app::App;
use crate::delivery::secrets::sealed;
use domain::delivery::lease::{Lease, Leased};
use domain::ids::MailId;
use domain::people::mail::{GIVEN_UP_AFTER, next_attempt};
use domain::people::preferences::Language;
use domain::people::user::User;
use storage::people::mails::StoredMail;

use super::auth::mail_requests::{self, Draft, MailRequest};
use super::mail::{Fill, MailError, MailKind};

/// The sealed content of a row. It contains addresses, and links that give access to accounts.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mail {
    /// The recipient and text are not known yet.
    #[serde(rename = "asked")]
    Requested(MailRequest),
    Written(Written),
}

#[derive(Clone, Serialize, Deserialize)]
struct Written {
    #[serde(rename = "letter")]
    kind: MailKind,
    to: String,
    name: String,
    link: String,
    /// Missing in messages of earlier releases, as are the values.
    #[serde(default)]
    language: Language,
    #[serde(default)]
    values: BTreeMap<String, String>,
}

/// Stores a message. Call [`wake_worker`] after the commit.
pub async fn add(
    app: &App,
    tx: &impl ConnectionTrait,
    kind: MailKind,
    to: &str,
    name: &str,
    link: &str,
) -> Result<(), Error> {
    let (to, name, link) = (to.to_owned(), name.to_owned(), link.to_owned());
    let written = Written { kind, to, name, link, language: Language::En, values: BTreeMap::new() };
    Ok(store(app, tx, &Mail::Written(written)).await?)
}

/// Stores a message to a user, in the user's language. `values` fill the template. Call [`wake_worker`] after the commit.
pub(crate) async fn add_to_user(
    app: &App,
    tx: &impl ConnectionTrait,
    kind: MailKind,
    user: &User,
    link: String,
    values: BTreeMap<String, String>,
) -> Result<(), DbErr> {
    let language = user.preferences.language.unwrap_or_default();
    let (to, name) = (user.email.clone(), user.name.clone());
    store(app, tx, &Mail::Written(Written { kind, to, name, link, language, values })).await
}

/// Stores a request for a message.
pub async fn request(app: &App, request: MailRequest) -> Result<(), Error> {
    store(app, app.db.writer(), &Mail::Requested(request)).await?;
    wake_worker(app);
    Ok(())
}

/// Wakes the worker. Otherwise it looks for messages once a second.
pub(crate) fn wake_worker(app: &App) {
    app.waiting_mails.notify_one();
}

async fn store(app: &App, tx: &impl ConnectionTrait, mail: &Mail) -> Result<(), DbErr> {
    let now = app.clock.now();
    let id = MailId::new(now);
    let stored = StoredMail { id, sealed: seal(app, id, mail), attempts: 0, give_up_at: now.plus(GIVEN_UP_AFTER) };
    storage::people::mails::insert(tx, &stored, now).await
}

fn seal(app: &App, id: MailId, mail: &Mail) -> String {
    app.vault.seal(&serde_json::to_string(mail).expect("words and text are JSON"), &sealed::mail(id))
}

fn open(app: &App, stored: &StoredMail) -> Result<Mail, MailError> {
    let text = app
        .vault
        .open(&stored.sealed, &sealed::mail(stored.id))
        .map_err(|error| MailError::Temporary(error.to_string()))?;
    serde_json::from_str(&text)
        .map_err(|error| MailError::Permanent(format!("the stored message cannot be read: {error}")))
}

/// The maximum time for sending one message. Some mail servers wait before they send their greeting.
fn send_timeout(app: &App) -> Duration {
    2 * app.settings.lease()
}

/// Claims at most `limit` due messages.
pub async fn claim_due(app: &App, limit: usize) -> Result<Vec<Leased<StoredMail>>, sea_orm::DbErr> {
    let now = app.clock.now();
    let lease = Lease { claim: rand::random(), until: now.plus(send_timeout(app) + app.settings.lease()) };
    storage::people::mails::claim(app.db.writer(), limit, now, lease).await
}

/// Sends one message. After an error it is sent later or given up.
pub async fn send(app: &App, due: Leased<StoredMail>) -> Result<(), Error> {
    let Leased { it: mut stored, lease } = due;
    let sent = match open(app, &stored) {
        // This server may have been stopped for days.
        _ if app.clock.now() >= stored.give_up_at => {
            Err(MailError::Permanent("it could not be sent in time".to_owned()))
        }
        Ok(Mail::Written(written)) => send_written(app, &stored, &written).await,
        Ok(Mail::Requested(request)) => match write(app, &mut stored, lease, request).await? {
            Some(written) => send_written(app, &stored, &written).await,
            // No message is sent.
            None => Ok(()),
        },
        Err(reason) => Err(reason),
    };
    conclude(app, &stored, lease, sent).await
}

/// Finds the recipient and text of a requested message, and stores them with its link. `None`: no message is sent, or
/// another process claimed it.
async fn write(
    app: &App,
    stored: &mut StoredMail,
    lease: Lease,
    request: MailRequest,
) -> Result<Option<Written>, Error> {
    let Some(Draft { kind, to, name, link }) = mail_requests::draft(app, request).await? else { return Ok(None) };
    let tx = app.db.begin().await?;
    let link = match link {
        Some(link) => {
            // A message with an expired link is useless.
            stored.give_up_at = stored.give_up_at.min(app.clock.now().plus(link.valid));
            link.issue(app, &tx).await?
        }
        None => String::new(),
    };
    let written = Written { kind, to, name, link, language: Language::En, values: BTreeMap::new() };
    stored.sealed = seal(app, stored.id, &Mail::Written(written.clone()));
    let is_claimed = storage::people::mails::replace(&tx, stored, lease).await?;
    tx.commit().await?;
    Ok(is_claimed.then_some(written))
}

/// Sends a written message within the timeout.
async fn send_written(app: &App, stored: &StoredMail, it: &Written) -> Result<(), MailError> {
    let fill = Fill { name: &it.name, site: &app.public_url, link: &it.link, values: &it.values };
    let (subject, text) = it.kind.render(it.language, &fill);
    let sending = app.mailer.send(stored.id, &it.to, subject, text);
    let too_slow = |_| Err(MailError::Temporary("the mail server did not answer in time".to_owned()));
    // The timeout is shorter than the lease, so that two processes never send the same message at the same time.
    tokio::time::timeout(send_timeout(app), sending).await.unwrap_or_else(too_slow)
}

/// Deletes a sent message. Stores the next attempt of a message that was not sent, or deletes it.
async fn conclude(app: &App, stored: &StoredMail, lease: Lease, sent: Result<(), MailError>) -> Result<(), Error> {
    let (db, mail) = (app.db.writer(), stored.id);
    let attempts = stored.attempts + 1;
    let (next, reason) = match sent {
        Ok(()) => return Ok(storage::people::mails::delete(db, mail, lease).await?),
        Err(MailError::Permanent(reason)) => (None, reason),
        Err(MailError::Temporary(reason)) => (next_attempt(attempts, app.clock.now(), stored.give_up_at), reason),
    };
    // Logged after the change is stored, so that the log line is true.
    match next {
        Some(next) => {
            storage::people::mails::postpone(db, mail, lease, attempts, next).await?;
            tracing::warn!(mail.id = %mail, attempts, reason, next = %next, "A message could not be sent; it is tried again");
        }
        None => {
            storage::people::mails::delete(db, mail, lease).await?;
            tracing::error!(mail.id = %mail, attempts, reason, "A message could not be sent; it is given up");
        }
    }
    Ok(())
}
