//! Customers of the operator. Each customer is one affiliate with a referral code and a link.

use std::time::Duration;

use crate::Error;
use crate::app::App;
use crate::error::is_taken;
use crate::people::{notices, outbox};
use domain::ids::{AffiliateId, CustomerId, LinkId};
use domain::people::actor::Actor;
use domain::people::api_key;
use domain::people::changes::Changed;
use domain::people::grant::{self, SessionAccess};
use domain::people::session::Opener;
use domain::program::customer::Customer;
use domain::search::Search;
use domain::timestamp::Timestamp;
use domain::tracking::link::{Link, LinkStatus};
use storage::base::page::{Page, PageRequest};
use storage::people::tokens::Purpose;

use super::affiliates;

/// The lifetime of a login link.
const LOGIN_LINK: Duration = Duration::from_secs(300);

/// The data of a customer, when it is created and when it is changed.
#[derive(Clone, Debug)]
pub struct CustomerData {
    /// The id of the customer in the operator's system. It cannot be changed.
    pub external_id: String,
    pub name: String,
    pub email: String,
}

/// The effect of a request that can be repeated. `created`: the object was created. `updated`: it was known, and
/// changed. `unchanged`: it was known, and did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = UpsertResult)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    Created,
    Updated,
    Unchanged,
}

/// Creates a customer, its affiliate, the first source and a link to the default offer. A repeated call updates the
/// name and the e-mail address, and adds the link if it is missing.
pub async fn create(app: &App, new: CustomerData) -> Result<(Changed<Customer>, Done), Error> {
    match try_create(app, &new).await {
        // Another request created the same customer at the same time.
        Err(Error::Taken { .. }) => try_create(app, &new).await,
        other => other,
    }
}

async fn try_create(app: &App, new: &CustomerData) -> Result<(Changed<Customer>, Done), Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    if let Some(known) = storage::program::customers::lock_by_external_id(&tx, &new.external_id).await? {
        return apply(app, tx, known, new.clone()).await;
    }
    let affiliate = affiliates::sign_up(app, &tx, &new.name, &new.email).await?;
    let customer = Customer {
        id: CustomerId::new(now),
        external_id: new.external_id.clone(),
        name: new.name.clone(),
        email: new.email.clone(),
        affiliate_id: affiliate.id,
        link_id: link_to_default_offer(app, &tx, affiliate.id).await?,
        created_at: now,
        updated_at: now,
    };
    storage::program::customers::insert(&tx, &customer).await.map_err(|error| match is_taken(&error) {
        true => Error::Taken { what: "the external id", value: customer.external_id.clone() },
        false => error.into(),
    })?;
    tx.commit().await?;
    Ok((Changed::made(customer), Done::Created))
}

async fn link_to_default_offer(
    app: &App,
    tx: &sea_orm::DatabaseTransaction,
    affiliate_id: AffiliateId,
) -> Result<Option<LinkId>, Error> {
    let now = app.clock.now();
    let Some(offer) = storage::program::offers::find_default(tx).await? else { return Ok(None) };
    let link = Link {
        id: LinkId::new(now),
        affiliate_id,
        offer_id: offer.id,
        deep_url: None,
        landing_page: None,
        status: LinkStatus::Active,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    storage::tracking::links::insert(tx, &link).await?;
    Ok(Some(link.id))
}

/// Changes a customer and its affiliate. `edit` gets the customer while it is locked.
pub async fn change(
    app: &App,
    id: CustomerId,
    edit: impl FnOnce(&Customer) -> Result<CustomerData, Error>,
) -> Result<Changed<Customer>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::program::customers::lock(&tx, id).await?;
    let customer = found.ok_or_else(|| Error::not_found("customer", id))?;
    let data = edit(&customer)?;
    if data.external_id != customer.external_id {
        return Err(Error::invalid("/external_id", "cannot be changed; create another customer"));
    }
    Ok(apply(app, tx, customer, data).await?.0)
}

/// Changes the name and e-mail address of a customer and of its affiliate, and adds the link if it is missing and the
/// affiliate is not archived.
async fn apply(
    app: &App,
    tx: sea_orm::DatabaseTransaction,
    customer: Customer,
    data: CustomerData,
) -> Result<(Changed<Customer>, Done), Error> {
    let now = app.clock.now();
    let CustomerData { name, email, .. } = data;
    let renamed = (&name, &email) != (&customer.name, &customer.email);
    let link_id = match customer.link_id {
        Some(link) => Some(link),
        None => {
            let affiliate = storage::program::affiliates::find(&tx, customer.affiliate_id).await?;
            match affiliate.is_some_and(|it| it.check_in_use().is_ok()) {
                true => link_to_default_offer(app, &tx, customer.affiliate_id).await?,
                false => None,
            }
        }
    };
    if !renamed && link_id == customer.link_id {
        return Ok((Changed::new(customer.clone(), customer), Done::Unchanged));
    }
    if renamed {
        let found = storage::program::affiliates::lock(&tx, customer.affiliate_id).await?;
        let mut affiliate = found.ok_or_else(|| Error::not_found("affiliate", customer.affiliate_id))?;
        affiliate.name = name.clone();
        let before = affiliate.clone();
        if affiliate.change_email(email.clone(), now) {
            notices::address_changed(app, &tx, &before, now).await?;
        }
        affiliate.updated_at = now;
        storage::program::affiliates::save(&tx, &affiliate).await?;
    }
    let changed = Customer { name, email, link_id, updated_at: now, ..customer.clone() };
    storage::program::customers::save(&tx, &changed).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    app.catalog.affiliate_changed(customer.affiliate_id);
    Ok((Changed::new(customer, changed), Done::Updated))
}

/// Reads a customer.
pub async fn get(app: &App, id: CustomerId) -> Result<Customer, Error> {
    let found = storage::program::customers::find(app.db.reader(), id).await?;
    found.ok_or_else(|| Error::not_found("customer", id))
}

/// Lists the customers, or only the one with an external id.
pub async fn list(
    app: &App,
    external_id: Option<&str>,
    search: Option<Search>,
    page: PageRequest,
) -> Result<Page<Customer>, Error> {
    Ok(storage::program::customers::list(app.db.lists(), external_id, search.as_ref(), page).await?)
}

/// A new login link.
pub struct LoginLink {
    pub url: String,
    pub access: SessionAccess,
    pub expires_at: Timestamp,
}

/// Creates a link that can be used once and opens a session of the affiliate. The permissions of `actor` determine
/// whether it is the affiliate's own session or a read-only one. `next` is the path to which the link leads, or `/`.
pub async fn login_link(
    app: &App,
    actor: Actor,
    affiliate: AffiliateId,
    next: Option<String>,
) -> Result<LoginLink, Error> {
    let next = next.unwrap_or_else(|| "/".to_owned());
    if !is_safe_path(&next) {
        return Err(Error::invalid("/next", "must be a path of this server, such as /statement"));
    }
    let found = storage::program::affiliates::find(app.db.reader(), affiliate).await?;
    found.ok_or_else(|| Error::not_found("affiliate", affiliate))?;
    let now = app.clock.now();
    let (token, expires_at) = (api_key::token(rand::random()), now.plus(LOGIN_LINK));
    let access = grant::session_access(actor);
    let opened_by = (access == SessionAccess::ReadOnly).then(|| actor.name());
    let opener = Opener::of(actor).map(Opener::name);
    let purpose = Purpose::SignIn { affiliate, next, opened_by, opener };
    storage::people::tokens::insert(app.db.writer(), api_key::hash(&token), &purpose, now, expires_at).await?;
    Ok(LoginLink { url: format!("{}/login/{token}", app.public_url), access, expires_at })
}

/// Whether a browser resolves the path to this server and not to another host.
fn is_safe_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 2_000
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::is_safe_path;

    #[test]
    fn only_paths_of_this_server_are_safe() {
        for safe in ["/", "/statement", "/a/b?c=d#e"] {
            assert!(is_safe_path(safe), "{safe}");
        }
        for unsafe_path in
            ["", "a", "//evil.example", "/\\evil.example", "\\/x", "https://evil.example", "/a\r\nX: y", "/\t/x"]
        {
            assert!(!is_safe_path(unsafe_path), "{unsafe_path:?}");
        }
    }
}
