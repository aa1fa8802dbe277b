//! Conversions: reports, approval, rejection and queries.

use std::hash::Hash;

use crate::Error;
use crate::app::App;
use domain::ids::ConversionId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::permission::Permission;
use domain::tracking::conversion::{Conversion, Status};
use domain::tracking::conversion_command::Command;
use domain::tracking::conversion_report::Report;
use storage::base::page::{Page, PageRequest};

use super::record_conversions::Recorded;

/// Records a report. A report of a known transaction updates its conversion, if status or amounts differ.
pub async fn report(app: &App, report: Report) -> Result<Recorded, Error> {
    let key = report.transaction_key();
    submit(app, &key, Command::Report(Box::new(report))).await
}

/// Records reports in the given order. Returns one answer for each report.
pub async fn report_many(app: &App, reports: Vec<Report>) -> Vec<Result<Recorded, Error>> {
    let commands = reports.into_iter().map(|report| (report.transaction_key(), Command::Report(Box::new(report))));
    let answers = app.conversions.submit_all(commands).await;
    answers.into_iter().map(|answer| answer?.inspect(count)).collect()
}

/// Approves a pending conversion. Its earning is posted.
pub async fn approve(app: &App, id: ConversionId) -> Result<Changed<Conversion>, Error> {
    decide(app, id, Status::Approved).await
}

/// Rejects a pending conversion, or an approved conversion as a chargeback. Its earnings are reversed.
pub async fn reject(app: &App, id: ConversionId, reason: String) -> Result<Changed<Conversion>, Error> {
    decide(app, id, Status::Rejected { reason }).await
}

async fn decide(app: &App, id: ConversionId, status: Status) -> Result<Changed<Conversion>, Error> {
    let done = submit(app, &id, Command::ChangeStatus { id, status, reported: false }).await?;
    let before = match done.previous {
        Some(previous) => done.conversion.before(previous),
        None => done.conversion.clone(),
    };
    Ok(Changed::new(before, done.conversion))
}

/// Changes the status of a conversion as a source reports it. A ruling of the program is not changed.
pub async fn change_status(app: &App, id: ConversionId, status: Status) -> Result<Recorded, Error> {
    submit(app, &id, Command::ChangeStatus { id, status, reported: true }).await
}

async fn submit(app: &App, key: &impl Hash, command: Command) -> Result<Recorded, Error> {
    app.conversions.submit(key, command).await?.inspect(count)
}

fn count(recorded: &Recorded) {
    let (status, result) = (recorded.conversion.status.word(), recorded.change.word());
    metrics::counter!("postrider_conversions_total", "status" => status, "result" => result).increment(1);
}

/// Reads a conversion that the caller may see.
pub async fn get(app: &App, actor: Actor, id: ConversionId) -> Result<Conversion, Error> {
    let found = storage::tracking::conversions::find(app.db.reader(), id).await?;
    found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("conversion", id))
}

/// Lists the conversions that the caller may see.
///
/// # Errors
/// The filter names a customer, and the caller lacks the permission to read buyers: the answer would tell whether a
/// guess is right.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: storage::tracking::conversions::Filter,
    page: PageRequest,
) -> Result<Page<Conversion>, Error> {
    if filter.customer_id.is_some() || filter.customer_email.is_some() {
        actor.require(Permission::ReadBuyers)?;
    }
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::tracking::conversions::list(app.db.lists(), filter, page).await?)
}
