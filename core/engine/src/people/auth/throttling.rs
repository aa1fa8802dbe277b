//! Counting attempts where they are not forgotten.

use crate::Error;
use crate::app::App;
use domain::people::api_key;
use domain::people::auth_error::AuthError;
use domain::people::origin::{Origin, UNLISTED_PROXY};
use domain::people::throttle::{Kind, Throttle};

use super::{Visitor, known_device};

/// What an attempt counts for.
#[derive(Clone, Debug)]
pub struct Attempt(Vec<(Kind, String)>);

impl Attempt {
    /// To sign in as somebody. The address is kept as a hash: this table is not a list of who tried. A browser that
    /// signed in to the account before is counted by itself, whatever others try, also from its own network.
    pub fn of_account(app: &App, email: &str, visitor: &Visitor) -> Self {
        let account = api_key::hash(email);
        match known_device::nonce(app, visitor, email) {
            Some(nonce) => Self(vec![account_subject(&format!("{account}:{}", api_key::hash(nonce)))]),
            None => Self(vec![account_subject(&account), from(visitor.origin)]),
        }
    }

    /// By somebody who is signed in already: strangers must not be able to keep them from it.
    pub fn of_own_password(email: &str) -> Self {
        Self(vec![account_subject(&format!("{}:own", api_key::hash(email)))])
    }

    /// For a message to somebody: without an account only where it comes from can bound it.
    pub fn of_origin(origin: Origin) -> Self {
        let (kind, of) = origin.counts_as();
        let kind = if kind == Kind::Unnamed { Kind::Shared } else { kind };
        Self(vec![(kind, kind.subject(&of))])
    }

    pub fn of_mailbox(email: &str) -> Self {
        Self(vec![(Kind::Mail, Kind::Mail.subject(&api_key::hash(email)))])
    }
}

fn account_subject(of: &str) -> (Kind, String) {
    (Kind::Account, Kind::Account.subject(of))
}

fn from(origin: Origin) -> (Kind, String) {
    let (kind, of) = origin.counts_as();
    (kind, kind.subject(&of))
}

/// Counts it before it is made: many at once are many. Refused when one of its subjects has to wait.
pub async fn begin(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let mut account: Option<Throttle> = None;
    // Always accounts before addresses, so that two transactions can't wait for each other.
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
            Kind::Unnamed => notice(app, &throttle),
            _ => {}
        }
    }
    Ok(tx.commit().await?)
}

/// Accounts that fail from one address inside before the operator is told.
const FAILED_ACCOUNTS: i32 = 5;

fn notice(app: &App, unnamed: &Throttle) {
    if unnamed.failures >= FAILED_ACCOUNTS {
        app.warnings.record(UNLISTED_PROXY, app.clock.now(), || {
            let peer = unnamed.subject.split_once(':').map_or("", |(_, peer)| peer);
            format!(
                "several accounts failed to sign in from {peer}, an address inside your network that names no visitors. If it is your proxy, have it send X-Forwarded-For and add it to POSTRIDER_TRUSTED_PROXIES: until then all visitors behind it have its address, and only each account's own limit stops guessing"
            )
        });
    }
}

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
