//! Payout details: validates, seals and masks them. They are opened to copy them into a withdrawal, to write a payment
//! file, to show masked details before a confirmation, and to compare them for the audit log.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::app::App;
use crate::delivery::secrets::{SecretError, Vault};
use crate::people::audit::{self, RequestedChange};
use crate::people::auth::step_up::{self, StepUpOutcome, StepUpProof};
use crate::people::auth::throttling::{self, Attempt};
use crate::people::auth::{self, Visitor};
use crate::people::mail::MailKind;
use crate::people::{notices, outbox};
use crate::{Error, FieldIssue};
use domain::ids::{AffiliateId, PayoutDetailsId};
use domain::money::payout_details::Issue;
use domain::money::payout_details::{Fields, PayoutDetails, Schema};
use domain::money::payout_method::PayoutMethod;
use domain::people::actor::{Actor, Proof};
use domain::people::api_key;
use domain::people::auth_error::AuthError;
use domain::people::changes::{Changed, of_secrets};
use domain::people::permission::{Denied, Role};
use domain::people::user::normal_email;
use domain::program::affiliate::{Affiliate, AffiliateStatus};
use storage::base::page::{Page, PageRequest};
use storage::people::tokens::Purpose;

use super::payout_methods;

/// The lifetime of a confirmation link.
const CONFIRM: Duration = Duration::from_secs(3_600);

/// The outcome of a requested change.
pub enum ChangeOutcome<T> {
    Done(T),
    /// A link was sent to the affiliate. The change is made when the affiliate confirms it there.
    Mailed,
}

/// Stores the payout details of an affiliate for one method and replaces the former ones.
pub async fn set(
    app: &App,
    actor: Actor,
    proof: StepUpProof,
    affiliate_id: AffiliateId,
    method: &str,
    given: &Fields,
) -> Result<ChangeOutcome<Changed<PayoutDetails>>, Error> {
    if !actor.may_see(affiliate_id) {
        return Err(Error::not_found("affiliate", affiliate_id));
    }
    // The details are validated before the second factor is checked, so that invalid details do not use up a code.
    accept(app.db.reader(), method, given).await?;
    let proven = step_up::check(app, actor, proof).await?;
    let tx = app.db.begin().await?;
    let affiliate = lock_affiliate(&tx, affiliate_id).await?;
    let (method, fields) = accept(&tx, method, given).await?;
    if proven == StepUpOutcome::NeedsMail {
        let sealed = seal(&app.vault, &fields, &pending(affiliate_id));
        let purpose = Purpose::ConfirmPayoutDetails { affiliate: affiliate_id, method: method.id, sealed };
        tx.rollback().await?;
        return send_confirmation(app, &affiliate, purpose).await;
    }
    let changed = store(app, &tx, &affiliate, &method, &fields).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok(ChangeOutcome::Done(changed))
}

/// Validates payout details without storing them.
///
/// # Errors
/// What is wrong with them, with the path of each field.
pub async fn check(app: &App, method: &str, given: &Fields) -> Result<(), Error> {
    accept(app.db.reader(), method, given).await.map(|_| ())
}

/// Deletes payout details and returns them.
pub async fn remove(
    app: &App,
    actor: Actor,
    proof: StepUpProof,
    id: PayoutDetailsId,
) -> Result<ChangeOutcome<PayoutDetails>, Error> {
    let details = get(app, actor, id).await?;
    let proven = step_up::check(app, actor, proof).await?;
    let tx = app.db.begin().await?;
    let affiliate = lock_affiliate(&tx, details.affiliate_id).await?;
    if proven == StepUpOutcome::NeedsMail {
        let purpose = Purpose::ConfirmPayoutRemoval { affiliate: affiliate.id, details: id };
        tx.rollback().await?;
        return send_confirmation(app, &affiliate, purpose).await;
    }
    storage::money::payout_details::delete(&tx, id).await?;
    notices::payout_details_changed(app, &tx, &affiliate).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok(ChangeOutcome::Done(details))
}

/// Sends a confirmation link to the affiliate. The number of messages is limited, so that a session cannot fill the
/// mailbox.
async fn send_confirmation<T>(app: &App, affiliate: &Affiliate, purpose: Purpose) -> Result<ChangeOutcome<T>, Error> {
    let to = affiliate.confirming_email(app.clock.now());
    throttling::begin(app, &Attempt::of_mailbox(&normal_email(to))).await?;
    let tx = app.db.begin().await?;
    let token = auth::issue(app, &tx, &purpose, CONFIRM).await?;
    let link = format!("{}/confirm-change/{token}", app.public_url);
    outbox::add(app, &tx, MailKind::ConfirmPayoutDetails, to, &affiliate.name, &link).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok(ChangeOutcome::Mailed)
}

/// The change that a confirmation link makes, in the form that is shown to the affiliate.
pub struct Proposal {
    /// The name of the affiliate.
    pub affiliate: String,
    pub method: String,
    /// Labels with masked values.
    pub details: Vec<(String, String)>,
    /// Whether the details are deleted instead of set.
    pub removes: bool,
}

/// Reads the change of a confirmation link. The link can still be used.
pub async fn change_of_link(app: &App, token: &str) -> Result<Proposal, Error> {
    let db = app.db.reader();
    let found = storage::people::tokens::find(db, &api_key::hash(token), app.clock.now()).await?;
    let (affiliate, method, masked, removes) = match found {
        Some(Purpose::ConfirmPayoutDetails { affiliate, method, sealed }) => {
            let method = payout_methods::named(db, &method).await?;
            let masked = schema_of(&method)?.mask(&open(&app.vault, &sealed, &pending(affiliate))?);
            (affiliate, method, masked, false)
        }
        Some(Purpose::ConfirmPayoutRemoval { affiliate, details }) => {
            let details = storage::money::payout_details::find(db, details).await?.ok_or(AuthError::LinkUsed)?;
            (affiliate, payout_methods::named(db, &details.method).await?, details.masked, true)
        }
        _ => return Err(AuthError::LinkUsed.into()),
    };
    let found = storage::program::affiliates::find(db, affiliate).await?;
    let affiliate = found.ok_or_else(|| Error::not_found("affiliate", affiliate))?.name;
    let details = masked.into_iter().map(|(name, value)| (label(&method, &name), value)).collect();
    Ok(Proposal { affiliate, method: method.name, details, removes })
}

/// The title of a field in the schema of the method, or its name in words.
pub fn label(method: &PayoutMethod, name: &str) -> String {
    if let Some(title) = method.schema["properties"][name]["title"].as_str() {
        return title.to_owned();
    }
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Makes the change of a confirmation link and uses up the link.
pub async fn confirm(app: &App, visitor: &Visitor, token: &str) -> Result<(), Error> {
    let tx = app.db.begin().await?;
    let taken = storage::people::tokens::redeem(&tx, &api_key::hash(token), app.clock.now()).await?;
    let affiliate = match &taken {
        Some(Purpose::ConfirmPayoutDetails { affiliate, .. } | Purpose::ConfirmPayoutRemoval { affiliate, .. }) => {
            lock_affiliate(&tx, *affiliate).await?
        }
        _ => return Err(AuthError::LinkUsed.into()),
    };
    if affiliate.status == AffiliateStatus::Suspended {
        return Err(Denied::Suspended.into());
    }
    let done = match taken {
        Some(Purpose::ConfirmPayoutDetails { method, sealed, .. }) => {
            let given = open(&app.vault, &sealed, &pending(affiliate.id))?;
            let (method, fields) = accept(&tx, &method, &given).await?;
            let details = store(app, &tx, &affiliate, &method, &fields).await?.now;
            ("confirm_payout_details", details.id)
        }
        Some(Purpose::ConfirmPayoutRemoval { details, .. }) => {
            storage::money::payout_details::delete(&tx, details).await?;
            notices::payout_details_changed(app, &tx, &affiliate).await?;
            ("confirm_payout_removal", details)
        }
        _ => return Err(AuthError::LinkUsed.into()),
    };
    let actor = Actor::new(Proof::Link { user: None }, Role::Affiliate, Some(affiliate.id));
    let actor = actor.expect("an affiliate's role has its affiliate");
    audit::record(app, &tx, actor, RequestedChange::by(visitor, done.0, Some(done.1.to_string()))).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok(())
}

/// Locks the affiliate, so that two requests that set its first details run one after the other.
async fn lock_affiliate(tx: &DatabaseTransaction, id: AffiliateId) -> Result<Affiliate, Error> {
    storage::program::affiliates::lock(tx, id).await?.ok_or_else(|| Error::not_found("affiliate", id))
}

/// Finds the method and validates the details with its schema. Returns the details in normalized form.
async fn accept(db: &impl ConnectionTrait, method: &str, given: &Fields) -> Result<(PayoutMethod, Fields), Error> {
    let method = payout_methods::named(db, method).await?;
    let fields = schema_of(&method)?.accept(given).map_err(|issues| {
        let issue = |it: Issue| FieldIssue::new(format!("/details{}", it.path), "invalid_details", it.message);
        Error::Invalid(issues.into_iter().map(issue).collect())
    })?;
    Ok((method, fields))
}

fn schema_of(method: &PayoutMethod) -> Result<Schema<'_>, Error> {
    method
        .schema()
        .map_err(|reason| Error::invalid("/method", format!("the schema of this payout method is not valid: {reason}")))
}

async fn store(
    app: &App,
    tx: &DatabaseTransaction,
    affiliate: &Affiliate,
    method: &PayoutMethod,
    fields: &Fields,
) -> Result<Changed<PayoutDetails>, Error> {
    let now = app.clock.now();
    let known = storage::money::payout_details::find_of(tx, affiliate.id, &method.id).await?;
    let (id, created_at) = known.as_ref().map_or((PayoutDetailsId::new(now), now), |it| (it.id, it.created_at));
    let details = PayoutDetails {
        id,
        affiliate_id: affiliate.id,
        method: method.id.clone(),
        sealed: seal(&app.vault, fields, &id.to_string()),
        masked: schema_of(method)?.mask(fields),
        created_at,
        updated_at: now,
    };
    match &known {
        Some(_) => storage::money::payout_details::save(tx, &details).await?,
        None => storage::money::payout_details::insert(tx, &details).await?,
    }
    notices::payout_details_changed(app, tx, affiliate).await?;
    let Some(known) = known else { return Ok(Changed::made(details)) };
    // Two values can differ and have the same mask.
    let before = open(&app.vault, &known.sealed, &id.to_string()).unwrap_or_default();
    let unseen = of_secrets("details", &before, fields);
    Ok(Changed::new(known, details).with_unseen(unseen))
}

/// The holder for which unconfirmed details are sealed.
fn pending(affiliate: AffiliateId) -> String {
    format!("pending payout details/{affiliate}")
}

/// Reads payout details that the caller may see.
pub async fn get(app: &App, actor: Actor, id: PayoutDetailsId) -> Result<PayoutDetails, Error> {
    let found = storage::money::payout_details::find(app.db.reader(), id).await?;
    found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("payout details", id))
}

/// Lists the payout details that the caller may see.
pub async fn list(
    app: &App,
    actor: Actor,
    mut affiliate_id: Option<AffiliateId>,
    page: PageRequest,
) -> Result<Page<PayoutDetails>, Error> {
    if !actor.confine(&mut affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::money::payout_details::list(app.db.lists(), affiliate_id, page).await?)
}

/// Seals details for `holder`. Details that are sealed for one withdrawal cannot be opened for another one.
pub fn seal(vault: &Vault, fields: &Fields, holder: &str) -> String {
    vault.seal(&serde_json::to_string(fields).expect("text is JSON"), holder)
}

/// Opens details that [`seal`] sealed for `holder`.
pub fn open(vault: &Vault, sealed: &str, holder: &str) -> Result<Fields, SecretError> {
    serde_json::from_str(&vault.open(sealed, holder)?).map_err(|_| SecretError::Unreadable)
}
