//! The delivery log: lists deliveries with their attempts, and retries a delivery.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::Error;
use crate::app::App;
use crate::program::quota;
use domain::delivery::delivery::{Attempt, Delivery, Reason};
use domain::ids::DeliveryId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::masking::{hide_address, mask};
use domain::people::permission::Permission;
use domain::timestamp::Timestamp;
use storage::base::page::{PAGE_BYTES, Page, PageRequest};

/// Maximum number of deliveries whose attempts are read at a time. An attempt may contain two bodies and their headers.
const READ_AT_ONCE: usize = 20;

/// A delivery with its attempts. The data of buyers is masked for actors without the permission to read buyers.
#[derive(Clone, Debug)]
pub struct LoggedDelivery {
    pub delivery: Delivery,
    pub attempts: Vec<Attempt>,
}

/// A delivery with its attempts.
pub async fn get(app: &App, actor: Actor, id: DeliveryId) -> Result<LoggedDelivery, Error> {
    let delivery = storage::delivery::deliveries::find(app.db.reader(), id).await?;
    let delivery = visible(app.db.reader(), actor, id, delivery).await?;
    let mut logged = with_attempts(app.db.reader(), actor, vec![delivery]).await?;
    logged.pop().ok_or_else(|| Error::not_found("delivery", id))
}

/// A page of deliveries, the newest first. A page has fewer deliveries than requested if their attempts are large.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: storage::delivery::deliveries::Filter,
    page: PageRequest,
) -> Result<Page<LoggedDelivery>, Error> {
    filter.owner = actor.confined_to();
    let Page { items, mut next } = storage::delivery::deliveries::list(app.db.lists(), filter, page).await?;
    let mut logged: Vec<LoggedDelivery> = Vec::with_capacity(items.len());
    let (mut bytes, mut items) = (0, items.into_iter().peekable());
    while items.peek().is_some() {
        if bytes >= PAGE_BYTES {
            next = logged.last().map(|it| it.delivery.id.0);
            break;
        }
        let some = with_attempts(app.db.lists(), actor, items.by_ref().take(READ_AT_ONCE).collect()).await?;
        bytes += some.iter().flat_map(|it| &it.attempts).map(Attempt::bytes).sum::<usize>();
        logged.extend(some);
    }
    Ok(Page { items: logged, next })
}

/// Makes a delivery due now. Its retry schedule starts again.
pub async fn retry(app: &App, actor: Actor, id: DeliveryId) -> Result<Changed<LoggedDelivery>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let delivery = storage::delivery::deliveries::lock(&tx, id).await?;
    let mut delivery = visible(&tx, actor, id, delivery).await?;
    let before = delivery.clone();
    delivery.retry(now)?;
    quota::retry(app, actor)?;
    send_next(&tx, &mut delivery, now).await?;
    tx.commit().await?;
    app.lanes.refresh_soon();
    app.work_queues.deliveries.announce();
    let logged = with_attempts(app.db.reader(), actor, vec![delivery]).await?.pop();
    let now = logged.ok_or_else(|| Error::not_found("delivery", id))?;
    let before = LoggedDelivery { delivery: before, attempts: now.attempts.clone() };
    Ok(Changed::new(before, now))
}

/// Makes the delivery due now. If its destination is paused, the delivery becomes the next probe.
async fn send_next(tx: &impl ConnectionTrait, delivery: &mut Delivery, now: Timestamp) -> Result<(), sea_orm::DbErr> {
    let Some(mut breaker) = storage::delivery::breakers::find_of_postback(tx, delivery.postback_id).await? else {
        return storage::delivery::deliveries::save_retry(tx, delivery).await;
    };
    breaker.probe_at = breaker.probe_at.min(now);
    delivery.reason = Some(breaker.waiting_reason());
    storage::delivery::breakers::probe_now(tx, &breaker.lane, now).await?;
    storage::delivery::waiting_deliveries::park_first(tx, delivery, &breaker.lane, now).await
}

/// An affiliate sees the deliveries of the postbacks that it set up.
async fn visible(
    db: &impl ConnectionTrait,
    actor: Actor,
    id: DeliveryId,
    found: Option<Delivery>,
) -> Result<Delivery, Error> {
    let delivery = found.ok_or_else(|| Error::not_found("delivery", id))?;
    if let Some(own) = actor.confined_to() {
        let postback = storage::delivery::postbacks::find(db, delivery.postback_id).await?;
        if postback.is_none_or(|it| it.owner != Some(own)) {
            return Err(Error::not_found("delivery", id));
        }
    }
    Ok(delivery)
}

/// Adds the attempts to deliveries, and masks what the actor may not see.
pub(crate) async fn with_attempts(
    db: &DatabaseConnection,
    actor: Actor,
    deliveries: Vec<Delivery>,
) -> Result<Vec<LoggedDelivery>, Error> {
    let mut attempts = storage::delivery::attempts::list(db, deliveries.iter().map(|it| it.id)).await?;
    let sees_buyers = actor.may(Permission::ReadBuyers);
    let events = if sees_buyers {
        HashMap::new()
    } else {
        let ids: HashSet<_> = deliveries.iter().map(|it| it.event_id).collect();
        storage::tracking::events::find_many(db, ids).await?
    };
    let logged = deliveries.into_iter().map(|mut delivery| {
        let mut attempts = attempts.remove(&delivery.id).unwrap_or_default();
        if !actor.is_staff() {
            for attempt in &mut attempts {
                attempt.error = hide_address(attempt.error_code.as_deref(), attempt.error.take());
            }
            delivery.reason = delivery.reason.map(|it| Reason {
                sentence: hide_address(Some(&it.code), Some(it.sentence)).unwrap_or_default(),
                code: it.code,
            });
        }
        if !sees_buyers {
            match events.get(&delivery.event_id) {
                Some(event) => attempts.iter_mut().for_each(|attempt| mask_attempt(attempt, &event.personal_data())),
                // Without the event, the personal data in the attempt is not known.
                None => attempts.iter_mut().for_each(hide_attempt),
            }
        }
        LoggedDelivery { delivery, attempts }
    });
    Ok(logged.collect())
}

fn hide_attempt(attempt: &mut Attempt) {
    attempt.url = "***".to_owned();
    (attempt.request_body, attempt.response_body) = (None, None);
    attempt.adapter_log.clear();
    attempt.request_headers.clear();
    attempt.response_headers.clear();
}

fn mask_attempt(attempt: &mut Attempt, personal: &[&str]) {
    attempt.url = mask(&attempt.url, personal);
    for body in [&mut attempt.request_body, &mut attempt.response_body] {
        *body = body.take().map(|body| mask(&body, personal));
    }
    for line in &mut attempt.adapter_log {
        line.message = mask(&line.message, personal);
    }
    for (_, value) in attempt.request_headers.iter_mut().chain(&mut attempt.response_headers) {
        *value = mask(value, personal);
    }
}
