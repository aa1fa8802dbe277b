//! Settles changed conversions in the transaction that changes them: earnings, corrections and reversals.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DbErr};

use crate::Error;
use crate::catalog::Catalog;
use domain::ids::{AffiliateId, ConversionId, EarningId};
use domain::money::earning::{self, Earning};
use domain::money::ledger::Balances;
use domain::money::{ledger, release, settlement};
use domain::program::sub_affiliate::Commission;
use domain::timestamp::Timestamp;
use domain::tracking::conversion::{Conversion, Status};
use storage::clock::Clock;

/// A conversion after a change, whose earnings are to be posted.
pub struct ToSettle<'a> {
    pub conversion: &'a Conversion,
    /// Whether the conversion may have been approved before this transaction. If so, its earnings are stored.
    pub may_have_earned: bool,
    /// When it was changed.
    pub at: Timestamp,
}

/// Changes the earnings and the ledger for these changes, in the given order. Returns the released earnings: an earning
/// without a hold is available immediately. Locks the stored earnings of the conversions, then the balances of all
/// postings, also those of pending money: their postings are numbered too. An earning that would exceed the limit of
/// its balance stays pending and is deferred.
pub async fn settle_earnings(
    tx: &impl ConnectionTrait,
    clock: &Clock,
    catalog: &Catalog,
    changes: Vec<ToSettle<'_>>,
    now: Timestamp,
) -> Result<Vec<Earning>, Error> {
    let known: BTreeSet<ConversionId> =
        changes.iter().filter(|it| it.may_have_earned).map(|it| it.conversion.id).collect();
    let stored = storage::money::earnings::lock_of_conversions(tx, &known).await?;
    let mut keys: BTreeSet<_> = stored.values().flat_map(|it| earning::balances_of(it)).collect();
    let mut shares = HashMap::<ConversionId, Vec<Commission>>::new();
    let mut plan = Vec::with_capacity(changes.len());
    for ToSettle { conversion, at, .. } in changes {
        let recorded = conversion.trace.terms.as_ref().and_then(|terms| terms.commissions.as_ref());
        let commissions = match shares.entry(conversion.id) {
            Entry::Occupied(agreed) => agreed.into_mut(),
            Entry::Vacant(first) if let Some(recorded) = recorded => first.insert(recorded.clone()),
            Entry::Vacant(first) => match stored.get(&conversion.id) {
                Some(earnings) => first.insert(earning::agreed(earnings)),
                None if conversion.status == Status::Approved => {
                    first.insert(commissions_for(catalog, conversion.affiliate_id).await?)
                }
                None => &mut Vec::new(),
            },
        };
        let target = earning::target_earnings(conversion, commissions);
        let offer = catalog.offer(conversion.offer_id).await?;
        let release_at = offer.map_or(at, |offer| offer.release_at(at));
        keys.extend(target.balances());
        plan.push((conversion, target, release_at, at));
    }

    // A correction or reversal needs the balances now. Otherwise they are locked last, because one affiliate can have
    // many of the conversions.
    let lock_now = !stored.is_empty();
    let mut balances = Balances::new();
    if lock_now {
        balances = storage::money::ledger::lock_balances(tx, &keys).await?;
    }
    let mut earnings = stored.clone();
    let mut postings = Vec::with_capacity(plan.len());
    for (conversion, target, release_at, at) in plan {
        let earnings = earnings.entry(conversion.id).or_default();
        postings.extend(settlement::settle(conversion, &target, earnings, &mut balances, release_at, at));
    }
    let before: HashMap<EarningId, &Earning> = stored.values().flatten().map(|it| (it.id, it)).collect();
    let (old, mut new): (Vec<_>, Vec<_>) = earnings.into_values().flatten().partition(|it| before.contains_key(&it.id));
    let changed: Vec<_> = old.iter().filter(|it| before[&it.id] != *it).collect();
    new.iter_mut().filter(|it| it.is_due(now)).for_each(|it| it.release(now));
    storage::money::earnings::insert(tx, &new).await?;
    storage::money::earnings::save(tx, &changed).await?;
    new.retain(|it| it.released_at.is_some());
    if !lock_now && !postings.is_empty() {
        balances = storage::money::ledger::lock_balances(tx, &keys).await?;
    }
    if !new.is_empty() {
        // A full balance is rare. So the release is undone here, and the balances are not locked before the insert.
        let deferred = release::defer_without_room(&mut new, &balances, now);
        storage::money::earnings::save(tx, &deferred.iter().collect::<Vec<_>>()).await?;
        postings.extend(settlement::released(&new, &mut balances));
    }
    ledger::check_limits(&balances)?;
    if storage::money::ledger::post(tx, clock, &balances, &postings).await? < postings.len() {
        // The transaction must be rolled back: the earnings would not agree with the ledger.
        return Err(DbErr::Custom("a change of a conversion has a posting already".into()).into());
    }
    Ok(new)
}

/// The second-tier commissions for an earning of `affiliate`. A suspended or archived parent affiliate gets none; the
/// affiliates above it get theirs.
pub(crate) async fn commissions_for(catalog: &Catalog, affiliate: AffiliateId) -> Result<Vec<Commission>, DbErr> {
    let settings = catalog.sub_affiliate_settings().await?;
    let mut commissions = Vec::new();
    let mut seen = HashSet::from([affiliate]);
    let mut below = affiliate;
    for level in 1..=settings.tiers.len() {
        let Some(id) = catalog.affiliate(below).await?.and_then(|it| it.parent_affiliate_id) else { break };
        if !seen.insert(id) {
            break;
        }
        let parent = catalog.affiliate(id).await?;
        if parent.is_some_and(|it| it.is_active()) {
            commissions.extend(settings.commission(level, id));
        }
        below = id;
    }
    Ok(commissions)
}
