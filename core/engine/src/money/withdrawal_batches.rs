//! Withdrawal batches: creates them from approved withdrawals, exports them as payment files and applies files of
//! results.

use std::collections::BTreeSet;

use crate::Error;
use crate::app::App;
use crate::people::outbox;
use domain::amounts::{ACCOUNT_MAX, Currency};
use domain::ids::{WithdrawalBatchId, WithdrawalId};
use domain::money::payment_file::{self, Payment, PaymentFile};
use domain::money::payment_results::{self, LineError, ResultLine};
use domain::money::payout_method::FileFormat;
use domain::money::withdrawal::{Applied, Status, Withdrawal};
use domain::money::withdrawal_batch::{BatchError, LARGEST, Progress, WithdrawalBatch};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use storage::base::page::{Page, PageRequest};

use super::withdrawals::{debts_of, lock_balances, save_and_post};
use super::{payout_details, payout_methods};

/// Creates a batch of approved withdrawals that are not in another batch, oldest first.
///
/// # Errors
/// No withdrawal can be paid.
pub async fn create(
    app: &App,
    actor: Actor,
    method: &str,
    currency: Currency,
) -> Result<(WithdrawalBatch, Progress), Error> {
    let tx = app.db.begin().await?;
    let method = payout_methods::named(&tx, method).await?;
    let mut withdrawals = storage::money::withdrawals::claim_to_pay(&tx, &method.id, currency, LARGEST).await?;
    if withdrawals.is_empty() {
        return Err(BatchError::NothingToPay { method: method.id, currency }.into());
    }
    let (net_micros, most) = sum_within_an_account(&withdrawals);
    withdrawals.truncate(most);
    let now = app.clock.now();
    let batch = WithdrawalBatch {
        id: WithdrawalBatchId::new(now),
        method: method.id,
        currency,
        count: i32::try_from(withdrawals.len()).expect("no more than LARGEST"),
        net_micros,
        created_by: actor.name(),
        exported_at: None,
        dissolved_at: None,
        created_at: now,
    };
    for it in &mut withdrawals {
        it.batch_id = Some(batch.id);
        it.updated_at = now;
    }
    storage::money::withdrawal_batches::insert(&tx, &batch).await?;
    storage::money::withdrawals::save(&tx, &withdrawals.iter().collect::<Vec<_>>()).await?;
    tx.commit().await?;
    let progress = Progress { open: i64::from(batch.count), ..Progress::default() };
    Ok((batch, progress))
}

/// The net sum in micros, and the number, of the first withdrawals whose sum is within the limit of an account. The
/// first withdrawal is always included.
fn sum_within_an_account(withdrawals: &[Withdrawal]) -> (i64, usize) {
    let mut sum = 0;
    for (index, it) in withdrawals.iter().enumerate() {
        match it.net().micros.checked_add(sum).filter(|sum| *sum <= ACCOUNT_MAX || index == 0) {
            Some(more) => sum = more,
            None => return (sum, index),
        }
    }
    (sum, withdrawals.len())
}

/// Writes the payment file of the open withdrawals. The file is the same until a result is applied.
///
/// # Errors
/// An affiliate has a debt that was not accepted.
pub async fn export(app: &App, id: WithdrawalBatchId, format: Option<FileFormat>) -> Result<PaymentFile, Error> {
    let (batch, withdrawals) = mark_exported(app, id).await?;
    let db = app.db.reader();
    let method = payout_methods::named(db, &batch.method).await?;
    let affiliates: BTreeSet<_> = withdrawals.iter().map(|it| it.affiliate_id).collect();
    let affiliates = storage::program::affiliates::find_many(db, affiliates).await?;
    let payment = |it: &Withdrawal| {
        Ok::<_, Error>(Payment {
            id: it.id,
            affiliate_id: it.affiliate_id,
            affiliate_name: affiliates.get(&it.affiliate_id).map(|it| it.name.clone()).unwrap_or_default(),
            net: it.net(),
            details: payout_details::open(&app.vault, &it.sealed_details, &it.id.to_string())?,
        })
    };
    let payments = withdrawals.iter().map(payment).collect::<Result<Vec<_>, _>>()?;
    Ok(payment_file::write(&batch, &method, format.unwrap_or(method.file), &payments, app.clock.now())?)
}

/// Returns the open withdrawals and stores the time of the first export. After that time the bank may have the file.
async fn mark_exported(app: &App, id: WithdrawalBatchId) -> Result<(WithdrawalBatch, Vec<Withdrawal>), Error> {
    let tx = app.db.begin().await?;
    let found = storage::money::withdrawal_batches::lock(&tx, id).await?;
    let mut batch = found.ok_or_else(|| Error::not_found("withdrawal batch", id))?;
    if batch.dissolved_at.is_some() {
        return Err(BatchError::Dissolved(id).into());
    }
    let withdrawals = storage::money::withdrawals::list_open(&tx, id).await?;
    let debts = debts_of(&tx, &withdrawals).await?;
    let stopped = |it: &&Withdrawal| debts.get(&it.id).is_some_and(|debt| it.is_stopped_by(*debt));
    let stopped: Vec<_> = withdrawals.iter().filter(stopped).map(|it| it.id).collect();
    if !stopped.is_empty() {
        return Err(BatchError::Indebted(stopped).into());
    }
    if batch.exported_at.is_none() && !withdrawals.is_empty() {
        batch.exported_at = Some(app.clock.now());
        storage::money::withdrawal_batches::save(&tx, &batch).await?;
    }
    tx.commit().await?;
    Ok((batch, withdrawals))
}

/// Dissolves a batch whose file did not reach the bank. Its open withdrawals can then be added to another batch.
pub async fn dissolve(
    app: &App,
    id: WithdrawalBatchId,
    never_sent: bool,
) -> Result<Changed<(WithdrawalBatch, Progress)>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::money::withdrawal_batches::lock(&tx, id).await?;
    let mut batch = found.ok_or_else(|| Error::not_found("withdrawal batch", id))?;
    let mut withdrawals = storage::money::withdrawals::lock_batch(&tx, id).await?;
    let progress = storage::money::withdrawals::count_progress(&tx, &[id]).await?.remove(&id).unwrap_or_default();
    let now = app.clock.now();
    let before = (batch.clone(), progress);
    let applied = batch.dissolve(progress, never_sent, now)?;
    if applied == Applied::Already {
        tx.rollback().await?;
        return Ok(Changed::new(before.clone(), before));
    }
    withdrawals.retain(|_, it| !it.status.settles());
    for it in withdrawals.values_mut() {
        it.batch_id = None;
        it.updated_at = now;
    }
    storage::money::withdrawals::save(&tx, &withdrawals.values().collect::<Vec<_>>()).await?;
    storage::money::withdrawal_batches::save(&tx, &batch).await?;
    tx.commit().await?;
    Ok(Changed::new(before, get(app, id).await?))
}

/// The effect of one line of a file of results.
#[derive(Clone, Debug)]
pub enum Effect {
    Applied(WithdrawalId, Changed<Status>),
    /// The withdrawal had this status before.
    Unchanged(WithdrawalId),
    Wrong(LineError),
}

/// Applies a file of results. Valid lines are applied in one transaction; the others are returned with an error.
/// Applying the same file again changes nothing.
pub async fn apply_results(
    app: &App,
    actor: Actor,
    id: WithdrawalBatchId,
    text: &str,
) -> Result<(Vec<(ResultLine, Effect)>, Progress), Error> {
    let lines = payment_results::read(text)?;
    let tx = app.db.begin().await?;
    storage::money::withdrawal_batches::find(&tx, id).await?.ok_or_else(|| Error::not_found("withdrawal batch", id))?;
    let mut withdrawals = storage::money::withdrawals::lock_batch(&tx, id).await?;
    let now = app.clock.now();
    let (mut effects, mut changed) = (Vec::with_capacity(lines.len()), BTreeSet::new());
    for line in lines {
        let effect = match line.result.clone() {
            Err(error) => Effect::Wrong(error),
            Ok((id, status)) => match withdrawals.get_mut(&id) {
                None => Effect::Wrong(LineError::NotInBatch(id.to_string())),
                Some(it) => {
                    let (before, status) = (it.status.clone(), it.interpret_bank_status(status));
                    match it.change_status(status.clone(), &actor.name(), now) {
                        Ok(Applied::Now) => {
                            changed.insert(id);
                            Effect::Applied(id, Changed::new(before, status))
                        }
                        Ok(Applied::Already) => Effect::Unchanged(id),
                        Err(error) => Effect::Wrong(error.into()),
                    }
                }
            },
        };
        effects.push((line, effect));
    }
    let changed: Vec<_> = changed.iter().filter_map(|id| withdrawals.get(id)).collect();
    let balances = lock_balances(&tx, &changed).await?;
    save_and_post(app, &tx, &changed, balances, now).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    let progress = progress_of(app, id).await?;
    Ok((effects, progress))
}

/// Reads a batch and its progress.
pub async fn get(app: &App, id: WithdrawalBatchId) -> Result<(WithdrawalBatch, Progress), Error> {
    let found = storage::money::withdrawal_batches::find(app.db.reader(), id).await?;
    let batch = found.ok_or_else(|| Error::not_found("withdrawal batch", id))?;
    Ok((batch, progress_of(app, id).await?))
}

async fn progress_of(app: &App, id: WithdrawalBatchId) -> Result<Progress, Error> {
    let progress = storage::money::withdrawals::count_progress(app.db.reader(), &[id]).await?;
    Ok(progress.get(&id).copied().unwrap_or_default())
}

/// Lists the batches with their progress.
pub async fn list(app: &App, page: PageRequest) -> Result<Page<(WithdrawalBatch, Progress)>, Error> {
    let page = storage::money::withdrawal_batches::list(app.db.lists(), page).await?;
    let ids: Vec<_> = page.items.iter().map(|it| it.id).collect();
    let progress = storage::money::withdrawals::count_progress(app.db.reader(), &ids).await?;
    Ok(page.map(|it| {
        let progress = progress.get(&it.id).copied().unwrap_or_default();
        (it, progress)
    }))
}
