//! Withdrawals. Each step is one transaction that changes the status and posts the money.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::Error;
use crate::app::App;
use crate::people::{chosen_mails, outbox};
use domain::amounts::{Currency, Money};
use domain::ids::{AffiliateId, WithdrawalId};
use domain::money::ledger::Balances;
use domain::money::payout_method::PayoutMethod;
use domain::money::withdrawal::{
    Applied, Minimum, RequestedAmount, SAME_CLICK, Status, StepError, Withdrawal, WithdrawalError, WithdrawalSettings,
    highest_minimum, price, step,
};
use domain::money::{ledger, postings};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::program::affiliate::AffiliateStatus;
use domain::timestamp::Timestamp;
use storage::base::page::{Page, PageRequest};
use storage::money::withdrawals::Filter;

use super::{payout_details, payout_methods};

/// A request for a withdrawal.
#[derive(Clone, Debug)]
pub struct WithdrawalRequest {
    pub affiliate_id: AffiliateId,
    pub method: String,
    pub amount: RequestedAmount,
    pub currency: Currency,
    /// Whether the request has an `Idempotency-Key`. If so, an equal request is not treated as a double click.
    pub has_key: bool,
}

/// The outcome of a request.
#[derive(Clone, Debug)]
pub enum RequestOutcome {
    Created(WithdrawalWithDebt),
    /// A double click. Contains the withdrawal of the first request.
    Duplicate(WithdrawalWithDebt),
}

/// Requests a withdrawal and reserves its amount. Without an `Idempotency-Key`, an equal request within [`SAME_CLICK`]
/// returns the first withdrawal.
pub async fn request(app: &App, actor: Actor, request: WithdrawalRequest) -> Result<RequestOutcome, Error> {
    let affiliate_id = request.affiliate_id;
    let unknown = || Error::not_found("affiliate", affiliate_id);
    if !actor.may_see(affiliate_id) {
        return Err(unknown());
    }
    let of_offers = minimum_of_offers(app, affiliate_id, request.currency).await?;
    let tx = app.db.begin().await?;
    let affiliate = storage::program::affiliates::find(&tx, affiliate_id).await?.ok_or_else(unknown)?;
    let method = payout_methods::named(&tx, &request.method).await?;
    let program = storage::program::program_settings::find_withdrawals(&tx).await?.minimum(request.currency);
    // This lock makes requests of one affiliate and currency run one after the other.
    let key = (affiliate_id, request.currency);
    let mut balance = storage::money::ledger::lock_balance(&tx, affiliate_id, request.currency).await?;
    let now = app.clock.now();
    if !request.has_key {
        let since = now.minus(SAME_CLICK);
        let recent =
            storage::money::withdrawals::list_since(&tx, affiliate_id, &method.id, request.currency, since).await?;
        if let Some(same) = recent.into_iter().find(|it| it.is_same_click(request.amount, now)) {
            tx.rollback().await?;
            return Ok(RequestOutcome::Duplicate(load_debt(app, same).await?));
        }
    }
    if affiliate.status == AffiliateStatus::Suspended {
        return Err(WithdrawalError::Suspended.into());
    }
    let money = |micros| Money { micros, currency: request.currency };
    let minimums: Vec<_> = program.into_iter().chain(of_offers).collect();
    let (amount, fee) = price(&method, request.amount, money(balance.available), money(balance.debt), &minimums)?;
    let details = storage::money::payout_details::find_of(&tx, affiliate_id, &method.id).await?;
    let details = details.ok_or_else(|| WithdrawalError::DetailsMissing(method.id.clone()))?;
    let fields = payout_details::open(&app.vault, &details.sealed, &details.id.to_string())?;

    let id = WithdrawalId::new(now);
    let withdrawal = Withdrawal {
        id,
        affiliate_id,
        method: method.id,
        amount,
        fee,
        requested_all: request.amount == RequestedAmount::All,
        status: Status::Requested,
        history: vec![step(&Status::Requested, &actor.name(), now)],
        sealed_details: payout_details::seal(&app.vault, &fields, &id.to_string()),
        masked_details: details.masked,
        details_changed_at: details.updated_at,
        batch_id: None,
        accepted_debt: money(0),
        created_at: now,
        updated_at: now,
    };
    let posting = postings::withdrawal_requested(affiliate_id, id, amount, &mut balance)
        .map_err(|it| WithdrawalError::Insufficient { available: it.available, requested: it.requested })?;
    balance.check_limit(key)?;
    storage::money::withdrawals::insert(&tx, &withdrawal).await?;
    storage::money::ledger::post(&tx, &app.clock, &Balances::from([(key, balance)]), &[posting]).await?;
    tx.commit().await?;
    Ok(RequestOutcome::Created(WithdrawalWithDebt { withdrawal, debt: None }))
}

async fn minimum_of_offers(app: &App, affiliate_id: AffiliateId, currency: Currency) -> Result<Option<Minimum>, DbErr> {
    match app.catalog.has_minimums(currency).await? {
        true => storage::program::offers::find_highest_minimum(app.db.reader(), affiliate_id, currency).await,
        false => Ok(None),
    }
}

/// The terms of a withdrawal by one method, before it is requested.
#[derive(Clone, Debug)]
pub struct Terms {
    pub minimum: Money,
    /// Amount and fee of the request, or why it would be refused.
    pub price: Result<(Money, Money), WithdrawalError>,
}

/// What a withdrawal of `amount` by `method` would cost. `available` and `debt` are the present balance.
///
/// # Errors
/// The method does not pay in the currency.
pub async fn terms(
    app: &App,
    affiliate_id: AffiliateId,
    method: &PayoutMethod,
    amount: RequestedAmount,
    (available, debt): (Money, Money),
) -> Result<Terms, Error> {
    let currency = available.currency;
    let program = settings(app).await?.minimum(currency);
    let of_offers = minimum_of_offers(app, affiliate_id, currency).await?;
    let minimums: Vec<_> = program.into_iter().chain(of_offers).collect();
    let minimum = highest_minimum(method, currency, &minimums)?.amount.of(currency);
    Ok(Terms { minimum, price: price(method, amount, available, debt, &minimums) })
}

/// A withdrawal and the debt of its affiliate.
#[derive(Clone, Debug)]
pub struct WithdrawalWithDebt {
    pub withdrawal: Withdrawal,
    /// The debt in the currency of the withdrawal. `None` if there is no debt, or if the withdrawal is not open.
    pub debt: Option<Money>,
}

/// Approves a withdrawal or records its payment. Repeating a step changes nothing.
///
/// # Errors
/// The affiliate has a debt, and `despite_debt` does not accept it.
pub async fn approve_or_pay(
    app: &App,
    actor: Actor,
    id: WithdrawalId,
    wanted: Status,
    despite_debt: bool,
) -> Result<Changed<WithdrawalWithDebt>, Error> {
    let tx = app.db.begin().await?;
    let mut withdrawal =
        storage::money::withdrawals::lock(&tx, id).await?.ok_or_else(|| Error::not_found("withdrawal", id))?;
    let key = (withdrawal.affiliate_id, withdrawal.amount.currency);
    // A payment is checked against the locked balance. An approval is not, because the payment is checked again.
    let (debt, balances) = match wanted {
        Status::Paid { .. } => {
            let balances = storage::money::ledger::lock_balances(&tx, &BTreeSet::from([key])).await?;
            (balances.get(&key).map(|it| it.debt), balances)
        }
        _ => (storage::money::balances::find_debts(&tx, [key]).await?.get(&key).copied(), Balances::new()),
    };
    let debt = Money { micros: debt.unwrap_or_default(), ..withdrawal.amount };
    let now = app.clock.now();
    let before = withdrawal.clone();
    let applied = withdrawal.approve_or_pay(wanted, debt, despite_debt, &actor.name(), now)?;
    commit_step(app, tx, &withdrawal, applied, balances, now).await?;
    let with_debt = |withdrawal: Withdrawal| WithdrawalWithDebt {
        debt: Some(debt).filter(|debt| debt.micros > 0 && !withdrawal.status.settles()),
        withdrawal,
    };
    Ok(Changed::new(before, withdrawal).map(with_debt))
}

/// Refuses, cancels, fails or returns a withdrawal and posts its money back to the balance. Repeating a step changes
/// nothing.
pub async fn return_to_balance(
    app: &App,
    actor: Actor,
    id: WithdrawalId,
    wanted: Status,
) -> Result<Changed<WithdrawalWithDebt>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::money::withdrawals::lock(&tx, id).await?.filter(|it| actor.may_see(it.affiliate_id));
    let mut withdrawal = found.ok_or_else(|| Error::not_found("withdrawal", id))?;
    let now = app.clock.now();
    let before = withdrawal.clone();
    let applied = withdrawal.change_status(wanted, &actor.name(), now).map_err(StepError::from)?;
    let balances = lock_balances(&tx, &[&withdrawal]).await?;
    commit_step(app, tx, &withdrawal, applied, balances, now).await?;
    let now = load_debt(app, withdrawal).await?;
    Ok(Changed::new(WithdrawalWithDebt { withdrawal: before, debt: now.debt }, now))
}

async fn commit_step(
    app: &App,
    tx: DatabaseTransaction,
    withdrawal: &Withdrawal,
    applied: Applied,
    balances: Balances,
    now: Timestamp,
) -> Result<(), Error> {
    match applied {
        Applied::Already => tx.rollback().await?,
        Applied::Now => {
            save_and_post(app, &tx, &[withdrawal], balances, now).await?;
            tx.commit().await?;
            outbox::wake_worker(app);
        }
    }
    Ok(())
}

/// The outcome of the approval of one of many withdrawals.
pub type Approval = (WithdrawalId, Result<Changed<Withdrawal>, ApprovalError>);

/// Why a withdrawal was not approved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApprovalError {
    #[error("there is no withdrawal {0}")]
    NotFound(WithdrawalId),
    #[error("{0}")]
    Step(#[from] StepError),
}

/// Approves all withdrawals that can be approved, in one transaction. The others are returned with an error.
pub async fn approve_many(
    app: &App,
    actor: Actor,
    ids: &[WithdrawalId],
    despite_debt: bool,
) -> Result<Vec<Approval>, Error> {
    let tx = app.db.begin().await?;
    let mut found = storage::money::withdrawals::lock_many(&tx, ids.iter().copied()).await?;
    let keys: BTreeSet<_> = found.values().map(|it| (it.affiliate_id, it.amount.currency)).collect();
    let debts = storage::money::balances::find_debts(&tx, keys).await?;
    let now = app.clock.now();
    let (mut answers, mut changed) = (Vec::with_capacity(ids.len()), BTreeSet::new());
    for id in ids {
        let answer = match found.get_mut(id) {
            None => Err(ApprovalError::NotFound(*id)),
            Some(it) => {
                let debt = debts.get(&(it.affiliate_id, it.amount.currency)).copied().unwrap_or_default();
                let debt = Money { micros: debt, ..it.amount };
                let before = it.clone();
                match it.approve_or_pay(Status::Approved, debt, despite_debt, &actor.name(), now) {
                    Ok(applied) => {
                        if applied == Applied::Now {
                            changed.insert(*id);
                        }
                        Ok(Changed::new(before, it.clone()))
                    }
                    Err(error) => Err(error.into()),
                }
            }
        };
        answers.push((*id, answer));
    }
    let changed: Vec<_> = changed.iter().filter_map(|id| found.get(id)).collect();
    save_and_post(app, &tx, &changed, Balances::new(), now).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok(answers)
}

/// Locks the balances that the changed withdrawals move money from or to. The locks last until `tx` ends.
pub async fn lock_balances(tx: &impl ConnectionTrait, changed: &[&Withdrawal]) -> Result<Balances, DbErr> {
    let moving = changed.iter().filter(|it| it.status.settles());
    storage::money::ledger::lock_balances(tx, &moving.map(|it| (it.affiliate_id, it.amount.currency)).collect()).await
}

/// Saves changed withdrawals, posts their money to the balances of [`lock_balances`], and notifies the people of their
/// affiliates.
pub(crate) async fn save_and_post(
    app: &App,
    tx: &impl ConnectionTrait,
    changed: &[&Withdrawal],
    mut balances: Balances,
    now: Timestamp,
) -> Result<(), Error> {
    storage::money::withdrawals::save(tx, changed).await?;
    let mut postings = Vec::new();
    for it in changed.iter().filter(|it| it.status.settles()) {
        let balance = balances.get_mut(&(it.affiliate_id, it.amount.currency)).expect("lock_balances locked it");
        postings.extend(postings::withdrawal_settled(it, balance));
    }
    ledger::check_limits(&balances)?;
    if storage::money::ledger::post(tx, &app.clock, &balances, &postings).await? < postings.len() {
        // The transaction must be rolled back: the withdrawals would not agree with the ledger.
        return Err(DbErr::Custom("a step of a withdrawal has a posting already".into()).into());
    }
    Ok(chosen_mails::withdrawals_changed(app, tx, changed, now).await?)
}

/// Reads a withdrawal that the caller may see.
pub async fn get(app: &App, actor: Actor, id: WithdrawalId) -> Result<WithdrawalWithDebt, Error> {
    let found =
        storage::money::withdrawals::find(app.db.reader(), id).await?.filter(|it| actor.may_see(it.affiliate_id));
    load_debt(app, found.ok_or_else(|| Error::not_found("withdrawal", id))?).await
}

/// Lists the withdrawals that the caller may see.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: Filter,
    page: PageRequest,
) -> Result<Page<WithdrawalWithDebt>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let page = storage::money::withdrawals::list(app.db.lists(), filter, page).await?;
    Ok(Page { items: load_debts(app, page.items).await?, next: page.next })
}

/// Adds the debt of its affiliate to a withdrawal.
async fn load_debt(app: &App, withdrawal: Withdrawal) -> Result<WithdrawalWithDebt, Error> {
    Ok(load_debts(app, vec![withdrawal]).await?.remove(0))
}

async fn load_debts(app: &App, withdrawals: Vec<Withdrawal>) -> Result<Vec<WithdrawalWithDebt>, Error> {
    let debts = debts_of(app.db.reader(), &withdrawals).await?;
    let with_debt =
        |withdrawal: Withdrawal| WithdrawalWithDebt { debt: debts.get(&withdrawal.id).copied(), withdrawal };
    Ok(withdrawals.into_iter().map(with_debt).collect())
}

/// The debts of the affiliates of open withdrawals, by withdrawal.
pub(crate) async fn debts_of(
    db: &impl ConnectionTrait,
    withdrawals: &[Withdrawal],
) -> Result<BTreeMap<WithdrawalId, Money>, DbErr> {
    let key = |it: &Withdrawal| (it.affiliate_id, it.amount.currency);
    let open = || withdrawals.iter().filter(|it| !it.status.settles());
    let debts = storage::money::balances::find_debts(db, open().map(key).collect::<BTreeSet<_>>()).await?;
    let debt = |it: &Withdrawal| Some((it.id, Money { micros: *debts.get(&key(it))?, ..it.amount }));
    Ok(open().filter_map(debt).collect())
}

/// Reads the settings of withdrawals.
pub async fn settings(app: &App) -> Result<WithdrawalSettings, Error> {
    Ok(storage::program::program_settings::find_withdrawals(app.db.reader()).await?)
}

/// Replaces the settings of withdrawals.
pub async fn change_settings(app: &App, settings: WithdrawalSettings) -> Result<Changed<WithdrawalSettings>, Error> {
    let tx = app.db.begin().await?;
    let before = storage::program::program_settings::find_withdrawals(&tx).await?;
    storage::program::program_settings::save_withdrawals(&tx, &settings, app.clock.now()).await?;
    tx.commit().await?;
    Ok(Changed::new(before, settings))
}
