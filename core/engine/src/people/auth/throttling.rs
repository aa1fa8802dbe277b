//! Throttling: counts attempts in the database, so that a restart does not reset them.

use crate::Error;
use crate::app::App;
use domain::people::api_key;
use domain::people::auth_error::AuthError;
use domain::people::origin::{Origin, UNLISTED_PROXY};
use domain::people::throttle::{Kind, Throttle};

use super::{Visitor, known_device};

/// An attempt, with the subjects for which it is counted.
#[derive(Clone, Debug)]
pub struct Attempt(Vec<(Kind, String)>);

impl Attempt {
    /// A sign-in. The e-mail address is stored as a hash, so that the table is not a list of people. A known device is
    /// counted separately, so that attempts of others do not affect it, also attempts from the same IP address.
    pub(crate) fn of_account(app: &App, email: &str, visitor: &Visitor) -> Self {
        let account = api_key::hash(email);
        match known_device::nonce(app, visitor, email) {
            Some(nonce) => Self(vec![account_subject(&format!("{account}:{}", api_key::hash(nonce)))]),
            None => Self(vec![account_subject(&account), origin_subject(visitor.origin)]),
        }
    }

    /// A password of a person who is signed in. It is counted separately, so that attempts of others cannot lock the person out.
    pub(crate) fn of_own_password(email: &str) -> Self {
        Self(vec![account_subject(&format!("{}:own", api_key::hash(email)))])
    }

    /// A request for a message. There may be no account, so it is counted for its origin only.
    pub(crate) fn of_origin(origin: Origin) -> Self {
        let (kind, of) = origin.counts_as();
        let kind = if kind == Kind::Unnamed { Kind::Shared } else { kind };
        Self(vec![(kind, kind.subject(&of))])
    }

    /// A message to a mailbox.
    pub(crate) fn of_mailbox(email: &str) -> Self {
        Self(vec![(Kind::Mail, Kind::Mail.subject(&api_key::hash(email)))])
    }
}

fn account_subject(of: &str) -> (Kind, String) {
    (Kind::Account, Kind::Account.subject(of))
}

fn origin_subject(origin: Origin) -> (Kind, String) {
    let (kind, of) = origin.counts_as();
    (kind, kind.subject(&of))
}

/// Counts an attempt before it is made, so that concurrent attempts are counted too.
///
/// # Errors
/// One of its subjects has to wait.
pub async fn begin(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let mut account: Option<Throttle> = None;
    // Accounts are always locked before addresses, so that two transactions cannot deadlock.
    for (kind, subject) in &attempt.0 {
        if *kind == Kind::Unnamed && !account.as_ref().is_some_and(Throttle::is_first) {
            continue;
        }
        let mut throttle = storage::people::throttles::lock(&tx, subject, now).await?;
        match throttle.attempt(*kind, now) {
            Ok(()) => {}
            Err(_) if account.as_ref().is_some_and(|it| it.is_let_through(*kind)) => throttle.count(now),
            Err(wait) => return Err(AuthError::TooManyAttempts { wait }.into()),
        }
        storage::people::throttles::save(&tx, &throttle).await?;
        match kind {
            Kind::Account => account = Some(throttle),
            Kind::Unnamed => warn_of_proxy(app, &throttle),
            _ => {}
        }
    }
    Ok(tx.commit().await?)
}

/// The number of accounts with a failed sign-in from one internal address after which the operator is warned.
const FAILED_ACCOUNTS: i32 = 5;

/// Warns the operator of a possible proxy that is not listed.
fn warn_of_proxy(app: &App, unnamed: &Throttle) {
    if unnamed.failures >= FAILED_ACCOUNTS {
        app.warnings.record(UNLISTED_PROXY, app.clock.now(), || {
            let peer = unnamed.subject.split_once(':').map_or("", |(_, peer)| peer);
            format!(
                "sign-ins to several accounts failed from {peer}, an internal address that names no visitors. If it is your proxy, configure it to send X-Forwarded-For and add it to POSTRIDER_TRUSTED_PROXIES. Until then all visitors behind it have its address, and only the limit of each account prevents guessing"
            )
        });
    }
}

/// Records that an attempt succeeded.
pub async fn succeeded(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    for (kind, subject) in &attempt.0 {
        let mut throttle = storage::people::throttles::lock(&tx, subject, now).await?;
        throttle.succeeded(*kind, now);
        storage::people::throttles::save(&tx, &throttle).await?;
    }
    Ok(tx.commit().await?)
}
