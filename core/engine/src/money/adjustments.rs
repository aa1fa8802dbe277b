//! Adjustments: amounts that finance credits or debits manually, with a reason.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Error;
use crate::app::App;
use crate::program::affiliates;
use domain::amounts::Money;
use domain::ids::AffiliateId;
use domain::money::earning::{Earning, EarningKind, EarningState};
use domain::money::ledger::{Cause, PostingKind};
use domain::money::{ledger, postings, settlement};
use domain::people::actor::Actor;

/// The data of a new adjustment.
#[derive(Clone, Debug)]
pub struct NewAdjustment {
    pub affiliate_id: AffiliateId,
    /// A negative amount is debited immediately. A debit that exceeds the balance becomes a debt.
    pub money: Money,
    pub reason: String,
    /// The hold of a positive amount, in days. 0: the amount is available immediately.
    pub hold_days: u16,
}

/// Creates an adjustment: its earning and its postings. Returns the earning.
pub async fn create(app: &App, actor: Actor, new: NewAdjustment) -> Result<Earning, Error> {
    let now = app.clock.now();
    affiliates::get(app, actor, new.affiliate_id).await?;
    let NewAdjustment { affiliate_id, money, reason, hold_days } = new;
    let release_at = now.plus(Duration::from_secs(u64::from(hold_days) * 86_400));
    let mut earning = Earning {
        reason: Some(reason.clone()),
        created_by: Some(actor.name()),
        ..Earning::new(affiliate_id, EarningKind::Adjustment, money, release_at, now)
    };
    let tx = app.db.begin().await?;
    let keys = BTreeSet::from([(affiliate_id, money.currency)]);
    let mut balances = storage::money::ledger::lock_balances(&tx, &keys).await?;
    let mut moved = Vec::new();
    if money.micros < 0 {
        let balance = balances.entry((affiliate_id, money.currency)).or_default();
        let taken = Money { micros: -money.micros, ..money };
        moved.push(postings::deducted(affiliate_id, earning.id, taken, &reason, balance));
        earning.release_at = now;
        earning.state = EarningState::Available;
        earning.released_at = Some(now);
    } else {
        let (key, cause) = (format!("adjustment:{}", earning.id), Cause::Earning(earning.id));
        moved.push(postings::earned(&earning, key, PostingKind::Adjusted, cause).noting(reason));
        if hold_days == 0 {
            moved.extend(settlement::release(std::slice::from_mut(&mut earning), &mut balances, now));
        }
    }
    ledger::check_limits(&balances)?;
    storage::money::earnings::insert(&tx, std::slice::from_ref(&earning)).await?;
    storage::money::ledger::post(&tx, &app.clock, &balances, &moved).await?;
    tx.commit().await?;
    Ok(earning)
}
