//! Messages about sensitive changes, for the owners of what was changed. They are stored in the transaction of the
//! change, and are sent for any actor.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use domain::ids::AffiliateId;
use domain::people::api_key::ApiKey;
use domain::people::user::{User, normal_email};
use domain::program::affiliate::Affiliate;
use domain::timestamp::Timestamp;

use super::mail::MailKind;
use super::outbox;

/// Notifies the affiliate and each of its people of changed payout details.
pub(crate) async fn payout_details_changed(app: &App, tx: &impl ConnectionTrait, of: &Affiliate) -> Result<(), Error> {
    let people = storage::people::users::list_of_affiliate(tx, of.id).await?;
    send(app, tx, MailKind::PayoutDetailsChanged, recipients(Some(of), people)).await
}

/// Notifies the owner of a new API key: the person, the affiliate or, for a key of the program, the users with the role
/// owner.
pub(crate) async fn api_key_created(app: &App, tx: &impl ConnectionTrait, key: &ApiKey) -> Result<(), Error> {
    let to = match (key.user_id, key.affiliate_id) {
        (Some(user), _) => recipients(None, storage::people::users::find(tx, user).await?),
        (None, Some(id)) => of_affiliate(tx, id).await?,
        (None, None) => recipients(None, storage::people::users::list_owners(tx).await?),
    };
    send(app, tx, MailKind::ApiKeyCreated, to).await
}

/// Notifies the former addresses of an affiliate whose address was changed: the last one, and the one that still
/// confirms changes.
pub(crate) async fn address_changed(
    app: &App,
    tx: &impl ConnectionTrait,
    before: &Affiliate,
    now: Timestamp,
) -> Result<(), Error> {
    let former = [before.email.as_str(), before.confirming_email(now)].map(normal_email);
    let to = former.into_iter().map(|email| (email, before.name.clone())).collect();
    send(app, tx, MailKind::EmailChanged, to).await
}

async fn of_affiliate(tx: &impl ConnectionTrait, id: AffiliateId) -> Result<BTreeSet<(String, String)>, Error> {
    let affiliate = storage::program::affiliates::find(tx, id).await?;
    Ok(recipients(affiliate.as_ref(), storage::people::users::list_of_affiliate(tx, id).await?))
}

/// E-mail addresses with names, each address once.
fn recipients(affiliate: Option<&Affiliate>, people: impl IntoIterator<Item = User>) -> BTreeSet<(String, String)> {
    let people = people.into_iter().filter(User::is_active).map(|user| (user.email, user.name));
    let people: Vec<_> = people.collect();
    let affiliate = affiliate.map(|it| (normal_email(&it.email), it.name.clone()));
    let affiliate = affiliate.filter(|(email, _)| !people.iter().any(|(known, _)| known == email));
    people.into_iter().chain(affiliate).collect()
}

async fn send(
    app: &App,
    tx: &impl ConnectionTrait,
    kind: MailKind,
    to: BTreeSet<(String, String)>,
) -> Result<(), Error> {
    for (email, name) in to {
        outbox::add(app, tx, kind, &email, &name, "").await?;
    }
    Ok(())
}
