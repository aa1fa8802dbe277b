//! The delivery log: lists deliveries with their attempts, and retries a delivery.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::Error;
use crate::app::App;
use crate::program::quota;
use domain::delivery::delivery::{Attempt, Delivery, Reason};
use domain::ids::{ConversionId, DeliveryId};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::masking::hide_address;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use storage::base::page::{PAGE_BYTES, Page, PageRequest};

/// Maximum number of deliveries whose attempts are read at a time. An attempt may contain two bodies and their headers.
const READ_AT_ONCE: usize = 20;

/// A delivery with its attempts, without the data of buyers that the actor may not see.
#[derive(Clone, Debug)]
pub struct LoggedDelivery {
    pub delivery: Delivery,
    /// Whether it belongs to a test conversion.
    pub is_test: bool,
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

/// The newest delivery of each of these conversions to each postback, without attempts. The caller may see the
/// conversions; of the postbacks, an affiliate sees its own.
pub async fn newest_of(
    app: &App,
    actor: Actor,
    conversions: impl IntoIterator<Item = ConversionId>,
) -> Result<Vec<Delivery>, Error> {
    let db = app.db.lists();
    let mut found = storage::delivery::deliveries::list_of_conversions(db, conversions, actor.confined_to()).await?;
    let mut seen = HashSet::new();
    found.retain(|it| seen.insert((it.conversion_id, it.postback_id)));
    let buyers = actor.buyers();
    let events = match buyers.hides() {
        true => storage::tracking::events::find_many(db, found.iter().map(|it| it.event_id)).await?,
        false => HashMap::new(),
    };
    let masked = found.into_iter().map(|delivery| {
        let event = events.get(&delivery.event_id);
        without_buyers(actor, delivery, event)
    });
    Ok(masked.collect())
}

/// The delivery without the data of buyers in its reason, as far as the actor may not see it.
pub(crate) fn without_buyers(actor: Actor, delivery: Delivery, event: Option<&Event>) -> Delivery {
    let buyers = actor.buyers();
    let mut delivery = hide_addresses(actor, delivery);
    if buyers.hides() {
        // Without the event, the personal values in the reason are not known.
        let personal = event.map(Event::personal_values);
        delivery.reason = personal.zip(delivery.reason).map(|(personal, reason)| {
            let clean = |text: &str| personal.clean(text, buyers);
            Reason::new(clean(&reason.code), clean(&reason.sentence))
        });
    }
    delivery
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
    let before = LoggedDelivery { delivery: before, is_test: now.is_test, attempts: now.attempts.clone() };
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
    let conversions: HashSet<_> = deliveries.iter().filter_map(|it| it.conversion_id).collect();
    let tests = storage::tracking::conversions::find_tests(db, conversions).await?;
    let buyers = actor.buyers();
    let events = if buyers.hides() {
        let ids: HashSet<_> = deliveries.iter().map(|it| it.event_id).collect();
        storage::tracking::events::find_many(db, ids).await?
    } else {
        HashMap::new()
    };
    let logged = deliveries.into_iter().map(|delivery| {
        let delivery = hide_addresses(actor, delivery);
        let mut attempts = attempts.remove(&delivery.id).unwrap_or_default();
        if !actor.is_staff() {
            for attempt in &mut attempts {
                attempt.error = hide_address(attempt.error_code.as_deref(), attempt.error.take());
            }
        }
        let is_test = delivery.conversion_id.is_some_and(|id| tests.contains(&id));
        let mut logged = LoggedDelivery { delivery, is_test, attempts };
        if buyers.hides() {
            match events.get(&logged.delivery.event_id).map(|event| event.personal_values()) {
                Some(personal) => logged.hide(|text| personal.clean(text, buyers)),
                // Without the event, the personal values in the texts are not known.
                None => logged.hide_texts(),
            }
        }
        logged
    });
    Ok(logged.collect())
}

/// The delivery without the internal address that a host name resolved to, except for staff.
pub(crate) fn hide_addresses(actor: Actor, mut delivery: Delivery) -> Delivery {
    if !actor.is_staff() {
        delivery.reason = delivery.reason.map(|it| Reason {
            sentence: hide_address(Some(&it.code), Some(it.sentence)).unwrap_or_default(),
            code: it.code,
        });
    }
    delivery
}

impl LoggedDelivery {
    /// Every text that an adapter or a destination wrote.
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let reason = self.delivery.reason.as_mut().map(|Reason { code, sentence }| [code, sentence]);
        reason.into_iter().flatten().chain(self.attempts.iter_mut().flat_map(|attempt| {
            let Attempt {
                delivery_id: _,
                number: _,
                at: _,
                duration_ms: _,
                method: _,
                url,
                request_headers,
                request_body,
                status: _,
                response_headers,
                response_body,
                truncated: _,
                outcome: _,
                error_code,
                error,
                adapter_log,
            } = attempt;
            let optional = [request_body, response_body, error_code, error].into_iter().filter_map(Option::as_mut);
            let headers = request_headers.iter_mut().chain(response_headers).map(|(_, value)| value);
            [url].into_iter().chain(optional).chain(headers).chain(adapter_log.iter_mut().map(|line| &mut line.message))
        }))
    }

    fn hide(&mut self, clean: impl Fn(&str) -> String) {
        self.texts().for_each(|text| *text = clean(text));
    }

    fn hide_texts(&mut self) {
        let errors: Vec<_> = self.attempts.iter().filter_map(|it| it.error.as_deref()).collect();
        let repeated = |reason: &Reason| errors.iter().any(|error| reason.sentence.contains(error));
        if self.delivery.reason.as_ref().is_some_and(repeated) {
            self.delivery.reason = self.delivery.reason.take().map(|it| Reason::new(it.code, "***"));
        }
        for attempt in &mut self.attempts {
            attempt.url = "***".to_owned();
            (attempt.request_body, attempt.response_body, attempt.error) = (None, None, None);
            attempt.adapter_log.clear();
            attempt.request_headers.clear();
            attempt.response_headers.clear();
        }
    }
}
