//! Retry jobs: retry all deliveries that match a filter. A job is a leased row; each batch is one transaction, so a crash
//! loses no progress and retries no delivery twice.

use std::time::Duration;

use sea_orm::DbErr;

use crate::Error;
use crate::app::App;
use crate::error::is_taken;
use domain::delivery::lease::Leased;
use domain::delivery::retry_job::{RetryFilter, RetryJob, RetryJobError, RetryJobStatus};
use domain::ids::{AffiliateId, RetryJobId};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use storage::base::page::{Page, PageRequest};
use storage::delivery::deliveries::Filter;

/// The most deliveries that are counted.
const COUNTED_AT_MOST: u64 = 100_000;
/// Maximum number of queries of one count. Each examines a bounded number of deliveries.
const COUNTS_MAX: usize = 10;

/// How many deliveries match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    pub matching: u32,
    /// Whether there can be more than were counted.
    pub is_capped: bool,
}

/// Counts the deliveries that a job would retry.
pub async fn count(app: &App, actor: Actor, filter: &RetryFilter) -> Result<Count, Error> {
    let (filter, mut page) = matching(filter, actor.confined_to(), COUNTED_AT_MOST);
    let mut matching = 0;
    for _ in 0..COUNTS_MAX {
        let (counted, next) = storage::delivery::deliveries::count(app.db.lists(), filter.clone(), page).await?;
        matching += counted;
        match next {
            Some(_) if counted == page.limit => break,
            Some(_) => {
                page = page.after(next);
                page.limit -= counted;
            }
            None => return Ok(Count { matching: matching as u32, is_capped: false }),
        }
    }
    Ok(Count { matching: matching as u32, is_capped: true })
}

/// Creates a job, if no more deliveries match than the caller expects.
///
/// # Errors
/// More deliveries match, or none, or a job of the affiliate is running.
pub async fn create(app: &App, actor: Actor, filter: RetryFilter, expected: u32) -> Result<RetryJob, Error> {
    let Count { matching, .. } = count(app, actor, &filter).await?;
    if matching > expected {
        return Err(RetryJobError::CountChanged { matching, expected }.into());
    }
    if matching == 0 {
        return Err(RetryJobError::NothingMatches.into());
    }
    let now = app.clock.now();
    let job = RetryJob {
        id: RetryJobId::new(now),
        owner: actor.confined_to(),
        filter,
        status: RetryJobStatus::Running,
        matching,
        retried: 0,
        skipped: 0,
        cursor: None,
        due_at: now,
        created_at: now,
        settled_at: None,
    };
    match storage::delivery::retry_jobs::insert(app.db.writer(), &job).await {
        Err(error) if is_taken(&error) => return Err(RetryJobError::Running.into()),
        inserted => inserted?,
    }
    app.waiting_retry_jobs.notify_one();
    Ok(job)
}

/// A job that the caller may see.
pub async fn get(app: &App, actor: Actor, id: RetryJobId) -> Result<RetryJob, Error> {
    visible(actor, id, storage::delivery::retry_jobs::find(app.db.reader(), id).await?)
}

/// A page of jobs that the caller may see, the newest first.
pub async fn list(app: &App, actor: Actor, page: PageRequest) -> Result<Page<RetryJob>, Error> {
    Ok(storage::delivery::retry_jobs::list(app.db.lists(), actor.confined_to(), page).await?)
}

/// Cancels a job. Deliveries that it retried before stay retried.
pub async fn cancel(app: &App, actor: Actor, id: RetryJobId) -> Result<Changed<RetryJob>, Error> {
    let tx = app.db.begin().await?;
    let mut job = visible(actor, id, storage::delivery::retry_jobs::lock(&tx, id).await?)?;
    let before = job.clone();
    job.cancel(app.clock.now())?;
    storage::delivery::retry_jobs::save_cancelled(&tx, &job).await?;
    tx.commit().await?;
    Ok(Changed::new(before, job))
}

fn visible(actor: Actor, id: RetryJobId, found: Option<RetryJob>) -> Result<RetryJob, Error> {
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.owner == Some(own)));
    visible.ok_or_else(|| Error::not_found("retry job", id))
}

/// Retries the next batch of a claimed job.
pub async fn run_batch(app: &App, Leased { it: mut job, lease }: Leased<RetryJob>) -> Result<(), Error> {
    let (limit, wait) = job.pace(app.settings.retries_per_minute);
    let (filter, page) = matching(&job.filter, job.owner, u64::from(limit));
    let page = match job.cursor {
        Some(cursor) => page.after(Some(cursor.0)),
        None => page,
    };
    let found = storage::delivery::deliveries::list_ids(app.db.lists(), filter, page).await?;
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    for mut delivery in storage::delivery::deliveries::lock_many(&tx, &found.items).await? {
        if job.retry(&mut delivery, now) {
            storage::delivery::deliveries::save_retry(&tx, &delivery).await?;
        }
    }
    // A page without deliveries examined a window without a match.
    let is_empty = found.items.is_empty();
    job.cursor = found.next.map(domain::ids::DeliveryId).or(job.cursor);
    job.after_batch(found.next.is_some(), if is_empty { Duration::ZERO } else { wait }, now);
    if !storage::delivery::retry_jobs::save_progress(&tx, &job, lease).await? {
        // The job was cancelled, or its lease ended and another process continues it.
        return Ok(tx.rollback().await?);
    }
    tx.commit().await?;
    app.work_queues.deliveries.announce();
    Ok(())
}

/// Claims the next due job.
pub async fn claim_due(app: &App) -> Result<Option<Leased<RetryJob>>, DbErr> {
    let now = app.clock.now();
    let lease = app.work_queues.leases.grant(now);
    storage::delivery::retry_jobs::claim(app.db.queue(), now, lease).await
}

/// The filter and the first page of deliveries of an owner's postbacks, or of all.
fn matching(filter: &RetryFilter, owner: Option<AffiliateId>, limit: u64) -> (Filter, PageRequest) {
    let page = PageRequest::first(limit).within(filter.from, Some(filter.until));
    let filter = Filter {
        owner,
        postback_id: filter.postback_id,
        conversion_id: filter.conversion_id,
        event_id: filter.event_id,
        state: Some(filter.status.state()),
        affiliate_id: filter.affiliate_id,
        offer_id: filter.offer_id,
        transaction_id: filter.transaction_id.clone(),
        click_id: filter.click_id,
        http_status: filter.http_status,
        not_sent: filter.not_sent,
        reason_code: filter.reason_code.clone(),
        reason: filter.reason.clone(),
        test: None,
    };
    (filter, page)
}
