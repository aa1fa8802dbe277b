//! The outbox: every message is stored before it is sent, in the transaction of what it tells about. So no restart
//! loses one; one that was on its way at a crash may come twice, with the same Message-ID.
//!
//! Whether an address has an account is found out here, after the answer: what asks for a message only stores that it
//! was asked for, the same row whoever asks.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::app::App;
use crate::delivery::sealed;
use domain::delivery::lease::{Lease, Leased};
use domain::ids::MailId;
use domain::people::mail::{GIVEN_UP_AFTER, next_attempt};
use storage::people::mails::StoredMail;

use super::auth::asked::{self, Asked, Draft};
use super::mail::{Letter, NotSent};

/// What a row holds, sealed: addresses, and links that open accounts.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mail {
    Asked(Asked),
    Written(Written),
}

#[derive(Clone, Serialize, Deserialize)]
struct Written {
    letter: Letter,
    to: String,
    name: String,
    link: String,
}

/// Stores a letter. Call [`hurry`] after the commit.
pub async fn post(
    app: &App,
    tx: &impl ConnectionTrait,
    letter: Letter,
    to: &str,
    name: &str,
    link: &str,
) -> Result<(), Error> {
    let written = Written { letter, to: to.to_owned(), name: name.to_owned(), link: link.to_owned() };
    store(app, tx, &Mail::Written(written)).await
}

/// Stores that somebody asked for a message.
pub async fn ask(app: &App, asked: Asked) -> Result<(), Error> {
    store(app, app.db.writer(), &Mail::Asked(asked)).await?;
    hurry(app);
    Ok(())
}

/// Lets the worker look at once; without it, it looks within a second.
pub fn hurry(app: &App) {
    app.waiting_mails.notify_one();
}

async fn store(app: &App, tx: &impl ConnectionTrait, mail: &Mail) -> Result<(), Error> {
    let now = app.clock.now();
    let id = MailId::new(now);
    let stored = StoredMail { id, sealed: seal(app, id, mail), attempts: 0, give_up_at: now.plus(GIVEN_UP_AFTER) };
    Ok(storage::people::mails::insert(tx, &stored, now).await?)
}

fn seal(app: &App, id: MailId, mail: &Mail) -> String {
    app.vault.seal(&serde_json::to_string(mail).expect("words and text are JSON"), &sealed::mail(id))
}

fn open(app: &App, stored: &StoredMail) -> Result<Mail, NotSent> {
    let text =
        app.vault.open(&stored.sealed, &sealed::mail(stored.id)).map_err(|error| NotSent::Yet(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| NotSent::Ever(format!("it can't be read: {error}")))
}

/// How long a conversation with a mail server may take: some wait before they greet.
fn conversation(app: &App) -> Duration {
    2 * app.settings.lease()
}

pub async fn take_due(app: &App, limit: usize) -> Result<Vec<Leased<StoredMail>>, sea_orm::DbErr> {
    let now = app.clock.now();
    let lease = Lease { claim: rand::random(), until: now.plus(conversation(app) + app.settings.lease()) };
    storage::people::mails::claim(app.db.writer(), limit, now, lease).await
}

/// Sends one message, or puts it off, or gives it up.
pub async fn send(app: &App, due: Leased<StoredMail>) -> Result<(), Error> {
    let Leased { it: mut stored, lease } = due;
    let sent = match open(app, &stored) {
        // The server may have been away for a week.
        _ if app.clock.now() >= stored.give_up_at => Err(NotSent::Ever("its time is over".to_owned())),
        Ok(Mail::Written(written)) => hand_over(app, &stored, &written).await,
        Ok(Mail::Asked(asked)) => match write(app, &mut stored, lease, asked).await? {
            Some(written) => hand_over(app, &stored, &written).await,
            // Nobody is to get anything.
            None => Ok(()),
        },
        Err(reason) => Err(reason),
    };
    conclude(app, &stored, lease, sent).await
}

/// Finds out what is to be written to whom, and stores it with its link.
async fn write(app: &App, stored: &mut StoredMail, lease: Lease, asked: Asked) -> Result<Option<Written>, Error> {
    let Some(Draft { letter, to, name, link }) = asked::draft(app, asked).await? else { return Ok(None) };
    let tx = app.db.begin().await?;
    let link = match link {
        Some(link) => {
            // A message whose link has expired is of no use.
            stored.give_up_at = stored.give_up_at.min(app.clock.now().plus(link.valid));
            link.issue(app, &tx).await?
        }
        None => String::new(),
    };
    let written = Written { letter, to, name, link };
    stored.sealed = seal(app, stored.id, &Mail::Written(written.clone()));
    let ours = storage::people::mails::replace(&tx, stored, lease).await?;
    tx.commit().await?;
    Ok(ours.then_some(written))
}

async fn hand_over(app: &App, stored: &StoredMail, it: &Written) -> Result<(), NotSent> {
    let (subject, text) = it.letter.written(&it.name, &app.public_url, &it.link);
    let sending = app.mailer.send(stored.id, &it.to, subject, text);
    let too_slow = |_| Err(NotSent::Yet("the mail server did not answer in time".to_owned()));
    // Shorter than the lease, so that no two hold a conversation about the same message.
    tokio::time::timeout(conversation(app), sending).await.unwrap_or_else(too_slow)
}

async fn conclude(app: &App, stored: &StoredMail, lease: Lease, sent: Result<(), NotSent>) -> Result<(), Error> {
    let (db, mail) = (app.db.writer(), stored.id);
    let attempts = stored.attempts + 1;
    let (next, reason) = match sent {
        Ok(()) => return Ok(storage::people::mails::remove(db, mail, lease).await?),
        Err(NotSent::Ever(reason)) => (None, reason),
        Err(NotSent::Yet(reason)) => (next_attempt(attempts, app.clock.now(), stored.give_up_at), reason),
    };
    // Told when it is so: whoever reads the log may rely on it.
    match next {
        Some(next) => {
            storage::people::mails::postpone(db, mail, lease, attempts, next).await?;
            tracing::warn!(mail.id = %mail, attempts, reason, next = %next, "A message could not be sent; it is tried again");
        }
        None => {
            storage::people::mails::remove(db, mail, lease).await?;
            tracing::error!(mail.id = %mail, attempts, reason, "A message could not be sent; it is given up");
        }
    }
    Ok(())
}
