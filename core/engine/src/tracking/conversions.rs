//! Conversions: reports, approval, rejection and queries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use sea_orm::DbErr;

use crate::Error;
use crate::app::App;
use crate::program::{quota, rejection_reasons};
use domain::amounts::Currency;
use domain::ids::{ClickId, ConversionId};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::permission::Permission;
use domain::timestamp::Timestamp;
use domain::tracking::conversion::{Conversion, Status, Tester};
use domain::tracking::conversion_command::{By, Command};
use domain::tracking::conversion_report::{Claims, Report};
use storage::base::page::{Page, PageRequest};

use super::clicks;
use super::record_conversions::Recorded;

/// The maximum number of test conversions that are deleted in one transaction.
const DELETED_AT_ONCE: u64 = 200;

/// Records a report. A report of a known transaction updates its conversion, if status or amounts differ.
pub async fn report(app: &App, report: Report) -> Result<Recorded, Error> {
    let key = report.transaction_key();
    submit(app, &key, Command::Report(Box::new(report))).await
}

/// Records a test conversion of a click that the caller may see. An affiliate tests its own clicks, and only its own
/// postbacks are sent.
///
/// # Errors
/// The quota of test requests is used up.
pub async fn test_click(app: &App, actor: Actor, click: ClickId, mut test: Report) -> Result<Recorded, Error> {
    let click = clicks::get(app, actor, click).await?;
    quota::test(app, actor)?;
    test.claims = Claims::click(click.id);
    test.test = Some(actor.confined_to().map_or(Tester::Program, Tester::Affiliate));
    report(app, test).await
}

/// Records reports in the given order, so that the places under a cap go in this order. Returns one answer for each report.
pub async fn report_many(app: &App, reports: Vec<Report>) -> Vec<Result<Recorded, Error>> {
    let reports = with_shared_claims(reports);
    // With one key, all go to one writer.
    let key = reports.first().map(Report::transaction_key).unwrap_or_default();
    let commands = reports.into_iter().map(|report| (&key, Command::Report(Box::new(report))));
    let answers = app.conversions.submit_all(commands).await;
    answers.into_iter().map(|answer| answer?.inspect(count)).collect()
}

/// The evidence of one report counts for the others of its transaction.
fn with_shared_claims(mut reports: Vec<Report>) -> Vec<Report> {
    if reports.iter().all(|report| !report.claims.is_empty()) {
        return reports;
    }
    let mut claims = HashMap::new();
    for report in reports.iter().filter(|report| !report.claims.is_empty()) {
        claims.entry(report.transaction_key()).or_insert_with(|| report.claims.clone());
    }
    for report in reports.iter_mut().filter(|report| report.claims.is_empty()) {
        report.claims = claims.get(&report.transaction_key()).cloned().unwrap_or_default();
    }
    reports
}

/// Approves a pending conversion. Its earning is posted.
pub async fn approve(app: &App, id: ConversionId) -> Result<Changed<Conversion>, Error> {
    Ok(changed(submit(app, &id, Decision::Approve.command(id)).await?))
}

/// Rejects a pending conversion, or an approved conversion as a chargeback. Its earnings are reversed.
///
/// # Errors
/// The reason is not in the catalogue.
pub async fn reject(app: &App, id: ConversionId, rejection: Rejection) -> Result<Changed<Conversion>, Error> {
    let decision = Decision::Reject(rejection).checked(app).await?;
    Ok(changed(submit(app, &id, decision.command(id)).await?))
}

/// Why conversions are rejected.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// A code of the catalogue, in any case.
    pub reason: String,
    /// What the affiliate reads besides the text of the reason.
    pub note: Option<String>,
}

/// What a person decides about conversions.
#[derive(Clone, Debug)]
pub enum Decision {
    Approve,
    Reject(Rejection),
}

impl Decision {
    /// The decision with the code of the reason.
    async fn checked(self, app: &App) -> Result<Self, Error> {
        let Self::Reject(Rejection { reason, note }) = self else { return Ok(self) };
        let reason = rejection_reasons::choose(app, &reason).await?;
        Ok(Self::Reject(Rejection { reason, note }))
    }

    fn command(&self, id: ConversionId) -> Command {
        let (status, note) = match self.clone() {
            Self::Approve => (Status::Approved, None),
            Self::Reject(Rejection { reason, note }) => (Status::Rejected { reason }, note),
        };
        Command::ChangeStatus { id, status, note, by: By::Person, payment_key: None }
    }
}

/// Approves or rejects conversions, each on its own: those that cannot be changed have an error. Returns one answer for
/// each id.
///
/// # Errors
/// The reason is not in the catalogue; nothing is changed then.
pub async fn decide_many(
    app: &App,
    ids: &[ConversionId],
    decision: Decision,
) -> Result<Vec<(ConversionId, Result<Changed<Conversion>, Error>)>, Error> {
    let decision = decision.checked(app).await?;
    let commands: Vec<_> = ids.iter().map(|id| (*id, decision.command(*id))).collect();
    let answers = app.conversions.submit_all(commands).await;
    let answers = ids.iter().zip(answers).map(|(id, answer)| {
        let answer = answer.map_err(Error::from).and_then(|it| it.inspect(count)).map(changed);
        (*id, answer)
    });
    Ok(answers.collect())
}

/// What a decision about conversions would do to the books.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Conversions that would change.
    pub changing: Vec<Conversion>,
    /// Conversions that have the status, do not exist, or cannot get it.
    pub unchanged: usize,
    /// By currency: what affiliates would earn, or what would be taken back, in micros.
    pub payouts: BTreeMap<Currency, i128>,
}

/// Computes the effects of approving or rejecting conversions. Commissions of sub-affiliates come on top.
pub async fn effects(app: &App, actor: Actor, ids: &[ConversionId], is_approval: bool) -> Result<Effects, Error> {
    let unique: BTreeSet<_> = ids.iter().copied().collect();
    let mut effects = Effects { unchanged: unique.len(), ..Effects::default() };
    for conversion in get_many(app, actor, &unique).await? {
        let moves_money = match (&conversion.status, is_approval) {
            (Status::Approved, true) | (Status::Rejected { .. }, false) => continue,
            // A pending conversion that is rejected has earned nothing.
            (Status::Pending, false) => false,
            _ => true,
        };
        if let Some(payout) = conversion.payout.filter(|_| moves_money && conversion.is_paid_by_program()) {
            *effects.payouts.entry(payout.currency).or_default() += i128::from(payout.micros);
        }
        effects.unchanged -= 1;
        effects.changing.push(conversion);
    }
    Ok(effects)
}

fn changed(done: Recorded) -> Changed<Conversion> {
    let before = match done.previous {
        Some(previous) => done.conversion.before(previous),
        None => done.conversion.clone(),
    };
    Changed::new(before, done.conversion)
}

/// Changes the status of a conversion. A source does not change a ruling of the program.
pub async fn change_status(
    app: &App,
    id: ConversionId,
    status: Status,
    by: By,
    payment_key: Option<String>,
) -> Result<Recorded, Error> {
    submit(app, &id, Command::ChangeStatus { id, status, note: None, by, payment_key }).await
}

async fn submit(app: &App, key: &impl Hash, command: Command) -> Result<Recorded, Error> {
    app.conversions.submit(key, command).await?.inspect(count)
}

fn count(recorded: &Recorded) {
    if recorded.conversion.is_test() {
        return;
    }
    let (status, result) = (recorded.conversion.status.word(), recorded.change.word());
    metrics::counter!("postrider_conversions_total", "status" => status, "result" => result).increment(1);
}

/// Deletes a test conversion with its events, deliveries and attempts. A delivery that a worker has already taken can
/// still be sent; nothing of it is stored.
pub async fn delete_test(app: &App, id: ConversionId) -> Result<Conversion, Error> {
    let ids = BTreeSet::from([id]);
    let tx = app.db.begin().await?;
    let found = storage::tracking::conversions::lock_many(&tx, &ids).await?.pop();
    let conversion = found.ok_or_else(|| Error::not_found("conversion", id))?;
    conversion.require_test()?;
    storage::tracking::test_conversions::delete(&tx, &ids).await?;
    tx.commit().await?;
    Ok(conversion)
}

/// Deletes the test conversions that have not changed since `before`, except for those with pending deliveries.
pub(crate) async fn delete_tests_older_than(app: &App, before: Timestamp) -> Result<(), DbErr> {
    loop {
        let tx = app.db.begin().await?;
        let old = storage::tracking::test_conversions::list_older_than(&tx, before, DELETED_AT_ONCE).await?;
        if old.is_empty() {
            return tx.rollback().await;
        }
        storage::tracking::conversions::lock_many(&tx, &old).await?;
        storage::tracking::test_conversions::delete(&tx, &old).await?;
        tx.commit().await?;
    }
}

/// Reads those of these conversions that exist and that the caller may see.
pub async fn get_many(app: &App, actor: Actor, ids: &BTreeSet<ConversionId>) -> Result<Vec<Conversion>, Error> {
    let mut found = storage::tracking::conversions::find_many(app.db.reader(), ids).await?;
    found.retain(|it| actor.may_see(it.affiliate_id));
    Ok(found)
}

/// Reads a conversion that the caller may see.
pub async fn get(app: &App, actor: Actor, id: ConversionId) -> Result<Conversion, Error> {
    let found = storage::tracking::conversions::find(app.db.reader(), id).await?;
    found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("conversion", id))
}

/// Lists the conversions that the caller may see.
///
/// # Errors
/// The filter names a customer, and the caller does not see buyers: the answer would tell whether a guess is right.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: storage::tracking::conversions::Filter,
    page: PageRequest,
) -> Result<Page<Conversion>, Error> {
    if actor.buyers().hides() && (filter.customer_id.is_some() || filter.customer_email.is_some()) {
        actor.require(Permission::ReadBuyers)?;
    }
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::tracking::conversions::list(app.db.lists(), filter, page).await?)
}
