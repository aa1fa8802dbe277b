//! Conversions in lists, each with the state of its postbacks.

use std::collections::HashMap;

use domain::delivery::delivery::{Delivery, DeliveryState};
use domain::delivery::postback::Postback;
use domain::ids::{ConversionId, PostbackId, time_of};
use domain::people::actor::Actor;
use domain::program::rejection_reason::Catalogue;
use domain::timestamp::Timestamp;
use domain::tracking::conversion::Conversion;
use engine::Error;
use engine::app::App;
use engine::delivery::{deliveries, postbacks};
use engine::program::rejection_reasons;
use serde::Serialize;
use storage::base::page::PageRequest;

use crate::parts::status::ShownStatus;
use crate::shell::templates::Sum;
use crate::shell::texts::{Text, plain, text};

/// Postbacks whose names a list needs.
const NAMED_AT_MOST: u64 = 100;

#[derive(Debug, Serialize)]
pub struct ConversionRow {
    id: String,
    transaction_id: String,
    offer: String,
    goal: Option<String>,
    /// The affiliate, for staff.
    affiliate: Option<String>,
    at: Timestamp,
    /// The time from the click.
    after_click: Option<Text>,
    status: ShownStatus,
    /// Why it is rejected.
    reason: Option<String>,
    payout: Option<Sum>,
    is_test: bool,
    is_self_reported: bool,
    delivery: Option<DeliveryCell>,
}

/// The most urgent of the newest deliveries to each postback.
#[derive(Debug, Serialize)]
struct DeliveryCell {
    status: ShownStatus,
    postback: String,
    /// Why it has its status, or when it is sent next.
    reason: Option<Text>,
    /// The number of further postbacks.
    others: u64,
}

/// The names of the postbacks of a caller.
pub struct PostbackNames(HashMap<PostbackId, String>);

impl PostbackNames {
    pub async fn load(app: &App, actor: Actor) -> Result<Self, Error> {
        Ok(Self::new(&postbacks::list(app, actor, None, PageRequest::first(NAMED_AT_MOST)).await?.items))
    }

    pub fn new(postbacks: &[Postback]) -> Self {
        Self(postbacks.iter().map(|it| (it.id, it.name.clone())).collect())
    }

    /// The name, or the id of a postback that was deleted.
    pub fn of(&self, id: PostbackId) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Ids and names as the choices of a filter, by name.
    pub fn choices(&self) -> Vec<(String, Text)> {
        let mut named: Vec<_> = self.0.iter().collect();
        named.sort_by_key(|(id, name)| (name.to_lowercase(), **id));
        named.into_iter().map(|(id, name)| (id.to_string(), plain(name))).collect()
    }

    #[cfg(test)]
    pub fn sample(id: PostbackId) -> Self {
        Self(HashMap::from([(id, "Voluum <b>".to_owned())]))
    }
}

/// What affiliates read of a rejection: the text of the catalogue, or the word of the network that is not in it.
pub fn reason_text(catalogue: &Catalogue, word: &str) -> String {
    catalogue.find(word).map_or_else(|| word.to_owned(), |reason| reason.text.clone())
}

/// The time from the click to the conversion. The id of a click has its time.
pub fn time_to_convert(conversion: &Conversion) -> Option<std::time::Duration> {
    conversion.click_id.map(|id| conversion.created_at.since(time_of(id.0)))
}

/// The name of an offer that may be archived.
pub async fn offer_name(app: &App, conversion: &Conversion) -> Result<String, Error> {
    let offer = app.catalog.offer(conversion.offer_id).await?;
    Ok(offer.map_or_else(|| conversion.offer_id.to_string(), |offer| offer.name.clone()))
}

/// The rows of these conversions, which the caller may see.
///
/// # Errors
/// The database cannot be read.
pub async fn load(
    app: &App,
    actor: Actor,
    found: Vec<Conversion>,
    names: &PostbackNames,
) -> Result<Vec<ConversionRow>, Error> {
    let mut sent: HashMap<ConversionId, Vec<Delivery>> = HashMap::new();
    for delivery in deliveries::newest_of(app, actor, found.iter().map(|it| it.id)).await? {
        if let Some(id) = delivery.conversion_id {
            sent.entry(id).or_default().push(delivery);
        }
    }
    let catalogue = rejection_reasons::catalogue(app).await?;
    let mut rows = Vec::with_capacity(found.len());
    for conversion in found {
        let offer = offer_name(app, &conversion).await?;
        let affiliate = match actor.is_staff() {
            true => app.catalog.affiliate(conversion.affiliate_id).await?.map(|it| it.name.clone()),
            false => None,
        };
        let delivery = DeliveryCell::of(sent.remove(&conversion.id).unwrap_or_default(), names);
        rows.push(ConversionRow { affiliate, delivery, ..ConversionRow::new(conversion, offer, &catalogue) });
    }
    Ok(rows)
}

impl ConversionRow {
    fn new(conversion: Conversion, offer: String, catalogue: &Catalogue) -> Self {
        Self {
            id: conversion.id.to_string(),
            offer,
            affiliate: None,
            at: conversion.created_at,
            after_click: time_to_convert(&conversion).map(|span| text("conversions.after_click").span("span", span)),
            status: ShownStatus::from(&conversion.status),
            reason: conversion.status.reason().map(|word| reason_text(catalogue, word)),
            payout: conversion.payout.map(|payout| Sum::new(payout.micros.into(), payout.currency)),
            is_test: conversion.is_test(),
            is_self_reported: conversion.reporter.is_some_and(|it| it.is_affiliate),
            transaction_id: conversion.transaction_id,
            goal: conversion.goal,
            delivery: None,
        }
    }

    #[cfg(test)]
    pub fn samples() -> Vec<Self> {
        use domain::tracking::conversion::Status;

        let row = |status: &Status, state: DeliveryState, reason: Option<&str>| Self {
            id: "cnv_06a5xk2m7q8r9stvwxyz012345".into(),
            transaction_id: "HM-<b>".into(),
            offer: "Harbor Pro".into(),
            goal: reason.map(|_| "sale".into()),
            affiliate: reason.map(|_| "Ada <b>".into()),
            at: Timestamp::from_millis(0),
            after_click: reason
                .map(|_| text("conversions.after_click").span("span", std::time::Duration::from_secs(8_040))),
            status: status.into(),
            reason: status.reason().map(str::to_owned),
            payout: reason.map(|_| Sum::new(14_700_000, "USD".parse().expect("a currency"))),
            is_test: reason.is_none(),
            is_self_reported: reason.is_none(),
            delivery: reason.map(|reason| DeliveryCell {
                status: state.into(),
                postback: "Voluum".into(),
                reason: Some(plain(reason)).filter(|_| !reason.is_empty()),
                others: u64::from(!reason.is_empty()),
            }),
        };
        let rejected = Status::Rejected { reason: "duplicate".into() };
        vec![
            row(&Status::Approved, DeliveryState::Success, Some("")),
            row(&Status::Pending, DeliveryState::Failed, Some("unknown click")),
            row(&rejected, DeliveryState::Pending, None),
            row(&rejected, DeliveryState::Cancelled, Some("")),
            row(&rejected, DeliveryState::Superseded, Some("")),
        ]
    }
}

impl DeliveryCell {
    fn of(mut newest: Vec<Delivery>, names: &PostbackNames) -> Option<Self> {
        newest.sort_by_key(|it| urgency(it.state));
        let others = newest.len().saturating_sub(1);
        let delivery = newest.into_iter().next()?;
        Some(Self {
            status: delivery.state.into(),
            postback: names.of(delivery.postback_id),
            others: u64::try_from(others).unwrap_or(u64::MAX),
            reason: reason_of(&delivery),
        })
    }
}

/// Why a delivery has its state, or when it is sent next.
pub fn reason_of(delivery: &Delivery) -> Option<Text> {
    match (&delivery.reason, delivery.state) {
        (Some(reason), _) => Some(plain(&reason.sentence)),
        (None, DeliveryState::Pending) => Some(text("conversions.due").time("at", delivery.due_at)),
        (None, _) => None,
    }
}

/// The order in which states need attention.
fn urgency(state: DeliveryState) -> u8 {
    match state {
        DeliveryState::Failed => 0,
        DeliveryState::Pending => 1,
        DeliveryState::Success => 2,
        DeliveryState::Cancelled => 3,
        DeliveryState::Superseded => 4,
    }
}
