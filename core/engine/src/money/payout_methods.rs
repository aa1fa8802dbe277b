//! Payout methods: the built-in ones, and the ones that finance adds.

use sea_orm::ConnectionTrait;

use crate::app::App;
use crate::error::is_taken;
use crate::{Error, FieldIssue};
use domain::money::payout_method::{Definition, Payer, PayoutMethod, is_id, minor_unit_micros};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::timestamp::Timestamp;

/// What finance decides about a payout method, when it is added and when it is changed.
#[derive(Clone, Debug)]
pub struct PayoutMethodData {
    /// The id cannot be changed; nor can the schema of a built-in method.
    pub definition: Definition,
    pub payer: Option<Payer>,
    pub enabled: bool,
}

impl PayoutMethodData {
    fn into_method(self, built_in: bool, now: Timestamp) -> Result<PayoutMethod, Error> {
        let method = self.definition.into_method(built_in, now);
        checked(PayoutMethod { payer: self.payer, enabled: self.enabled, ..method })
    }
}

/// Adds a payout method.
///
/// # Errors
/// The id is taken, or a field is invalid.
pub async fn create(app: &App, data: PayoutMethodData) -> Result<PayoutMethod, Error> {
    let method = data.into_method(false, app.clock.now())?;
    storage::money::payout_methods::insert(app.db.writer(), &method).await.map_err(|error| {
        if is_taken(&error) {
            Error::Taken { what: "the payout method", value: method.id.clone() }
        } else {
            error.into()
        }
    })?;
    Ok(method)
}

/// Changes a payout method. `edit` gets the method while it is locked.
pub async fn change(
    app: &App,
    id: &str,
    edit: impl FnOnce(&PayoutMethod) -> Result<PayoutMethodData, Error>,
) -> Result<Changed<PayoutMethod>, Error> {
    if !is_id(id) {
        return Err(Error::not_found("payout method", shortened(id)));
    }
    let tx = app.db.begin().await?;
    let found = storage::money::payout_methods::lock(&tx, id).await?;
    let before = found.ok_or_else(|| Error::not_found("payout method", id))?;
    let data = edit(&before)?;
    if data.definition.id != id {
        return Err(Error::invalid("/id", "cannot be changed; add another method"));
    }
    if before.built_in && data.definition.schema != before.schema {
        let message = "the schema of a built-in method cannot be changed; add another method";
        return Err(Error::invalid("/schema", message));
    }
    let changed = data.into_method(before.built_in, app.clock.now())?;
    let method = PayoutMethod { created_at: before.created_at, ..changed };
    storage::money::payout_methods::save(&tx, &method).await?;
    tx.commit().await?;
    Ok(Changed::new(before, method))
}

/// Validates a method. Returns all issues together.
fn checked(mut method: PayoutMethod) -> Result<PayoutMethod, Error> {
    let mut issues = Vec::new();
    let mut add = |path: String, message: String| issues.push(FieldIssue::new(path, "invalid_field", message));
    if let Err(reason) = method.schema() {
        add("/schema".into(), reason);
    }
    if method.currencies.is_empty() {
        add("/currencies".into(), "at least one currency with a minimum is required".into());
    }
    for (currency, terms) in &method.currencies {
        let least = terms.minimum.of(*currency);
        if least.micros == 0 || least.micros % minor_unit_micros(*currency) != 0 {
            let message = format!("{least} is not a valid minimum; use a positive amount in whole minor units");
            add(format!("/currencies/{currency}/minimum"), message);
        } else if terms.fee_of(least).micros >= least.micros {
            add(format!("/currencies/{currency}/fee"), format!("the fee is at least as high as the minimum, {least}"));
        }
    }
    match method.payer.take().map(Payer::checked).transpose() {
        Ok(payer) => method.payer = payer,
        Err(reason) => add("/payer".into(), reason),
    }
    if issues.is_empty() { Ok(method) } else { Err(Error::Invalid(issues)) }
}

/// Reads a payout method. Affiliates see only enabled methods.
pub async fn get(app: &App, actor: Actor, id: &str) -> Result<PayoutMethod, Error> {
    let found = if is_id(id) { storage::money::payout_methods::find(app.db.reader(), id).await? } else { None };
    let visible = found.filter(|it| it.enabled || actor.is_staff());
    visible.ok_or_else(|| Error::not_found("payout method", shortened(id)))
}

/// Lists the payout methods. Affiliates see only enabled methods.
pub async fn list(app: &App, actor: Actor) -> Result<Vec<PayoutMethod>, Error> {
    Ok(storage::money::payout_methods::list(app.db.reader(), !actor.is_staff()).await?)
}

/// Finds the method whose id is in a request body.
///
/// # Errors
/// No method has the id: the field is invalid.
pub async fn named(db: &impl ConnectionTrait, id: &str) -> Result<PayoutMethod, Error> {
    if let Some(method) = storage::money::payout_methods::find(db, id).await? {
        return Ok(method);
    }
    let known: Vec<_> = storage::money::payout_methods::list(db, true).await?.into_iter().map(|it| it.id).collect();
    let message = format!("there is no payout method \"{}\"; use one of: {}", shortened(id), known.join(", "));
    Err(Error::invalid("/method", message))
}

fn shortened(id: &str) -> String {
    id.chars().take(64).collect()
}
