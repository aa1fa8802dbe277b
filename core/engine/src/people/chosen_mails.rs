//! Messages that people choose to get: about withdrawals and failing postbacks. They are stored in the transaction of the
//! change, so that each is sent once for each change.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbErr};

use crate::app::App;
use domain::amounts::Money;
use domain::ids::{AffiliateId, PostbackId};
use domain::money::withdrawal::{Status, Withdrawal};
use domain::people::mail::{FAILURES_NOTIFIED_AT, FAILURES_NOTIFIED_EVERY};
use domain::people::preferences::Language;
use domain::people::user::User;
use domain::timestamp::Timestamp;

use super::mail::MailKind;
use super::outbox;

/// The maximum number of people who get a message about one change of many withdrawals.
const WITHDRAWALS_MAX: u64 = 5_000;
/// The maximum number of people of one owner who get a message about a postback.
const OWNERS_MAX: u64 = 100;

/// Notifies the people of the affiliates whose withdrawals were approved, paid, refused, failed or returned. Call
/// [`outbox::wake_worker`] after the commit.
pub(crate) async fn withdrawals_changed(
    app: &App,
    tx: &impl ConnectionTrait,
    changed: &[&Withdrawal],
    now: Timestamp,
) -> Result<(), DbErr> {
    // A change without a step, such as an accepted debt, is no news.
    let stepped = changed.iter().filter(|it| it.history.last().is_some_and(|step| step.at == now));
    let notified = stepped.filter_map(|it| Some((*it, kind_of(&it.status)?)));
    let notified: Vec<_> = notified.collect();
    let affiliates: BTreeSet<_> = notified.iter().map(|(it, _)| Some(it.affiliate_id)).collect();
    if affiliates.is_empty() {
        return Ok(());
    }
    let affiliates: Vec<_> = affiliates.into_iter().collect();
    let mut people: BTreeMap<AffiliateId, Vec<User>> = BTreeMap::new();
    for user in storage::people::users::list_of_owners(tx, &affiliates, WITHDRAWALS_MAX).await? {
        if let Some(affiliate) = user.affiliate_id.filter(|_| user.mails.withdrawals) {
            people.entry(affiliate).or_default().push(user);
        }
    }
    for (withdrawal, kind) in notified {
        for user in people.get(&withdrawal.affiliate_id).into_iter().flatten() {
            let language = user.preferences.language.unwrap_or_default();
            let values = values([
                ("amount", shown(withdrawal.amount, language)),
                ("net", shown(withdrawal.net(), language)),
                ("note", withdrawal.status.note().unwrap_or_default().to_owned()),
            ]);
            let link = format!("{}/withdrawals/{}", app.public_url, withdrawal.id);
            outbox::add_to_user(app, tx, kind, user, link, values).await?;
        }
    }
    Ok(())
}

fn kind_of(status: &Status) -> Option<MailKind> {
    Some(match status {
        Status::Approved => MailKind::WithdrawalApproved,
        Status::Paid { .. } => MailKind::WithdrawalPaid,
        Status::Refused { .. } => MailKind::WithdrawalRefused,
        Status::Failed { .. } => MailKind::WithdrawalFailed,
        Status::Returned { .. } => MailKind::WithdrawalReturned,
        // The affiliate's own steps.
        Status::Requested | Status::Cancelled => return None,
    })
}

pub(super) fn values<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// An amount with the decimal separator of the language.
fn shown(money: Money, language: Language) -> String {
    in_language(money.to_string(), language)
}

pub(super) fn in_language(number: String, language: Language) -> String {
    match language {
        Language::En => number,
        Language::De => number.replace('.', ","),
    }
}

/// Deliveries of a postback that failed for good, and the reason of the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    pub count: u32,
    pub reason: String,
}

/// Counts failed deliveries, and notifies the people of a postback when several have failed within a day. Call
/// [`outbox::wake_worker`] after the commit.
pub(crate) async fn postbacks_failed(
    app: &App,
    tx: &impl ConnectionTrait,
    failed: &BTreeMap<PostbackId, Failures>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let before = now.minus(FAILURES_NOTIFIED_EVERY);
    // In the order of the ids, so that two processes lock the same rows in the same order.
    for (id, failures) in failed {
        storage::delivery::postback_failures::add(tx, *id, failures.count, now, before).await?;
        let due = storage::delivery::postback_failures::mark_notified(tx, *id, FAILURES_NOTIFIED_AT, now, before);
        let Some((count, since)) = due.await? else { continue };
        let Some(postback) = storage::delivery::postbacks::find(tx, *id).await? else { continue };
        for user in storage::people::users::list_of_owners(tx, &[postback.owner], OWNERS_MAX).await? {
            if !user.mails.failing_postbacks {
                continue;
            }
            let zone = user.preferences.time_zone.unwrap_or_default();
            let values = values([
                ("postback", postback.name.clone()),
                ("count", count.to_string()),
                ("since", format!("{} ({zone})", zone.from_utc(since).format("%Y-%m-%d %H:%M"))),
                ("reason", failures.reason.clone()),
            ]);
            let link = format!("{}/deliveries?postback_id={id}&status=failed", app.public_url);
            outbox::add_to_user(app, tx, MailKind::PostbackFailing, &user, link, values).await?;
        }
    }
    Ok(())
}
