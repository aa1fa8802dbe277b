//! A row of the postback log.

use domain::delivery::delivery::{AttemptOutcome, Delivery, DeliveryState};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::event::Event;
use engine::delivery::delivery_log::LogRow;
use serde::Serialize;
use storage::delivery::attempts::AttemptSummary;

use crate::parts::status::ShownStatus;
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};
use crate::tracking::rows::PostbackNames;

#[derive(Debug, Serialize)]
pub struct Row {
    id: String,
    at: Timestamp,
    postback: String,
    subject: Subject,
    status: ShownStatus,
    reason: Option<Text>,
    answer: Option<Answer>,
    attempts: Option<Text>,
    duration_ms: Option<u64>,
    next_at: Option<Timestamp>,
}

/// What a delivery is about.
#[derive(Debug, Serialize)]
pub struct Subject {
    pub name: Text,
    /// The page of the conversion or click.
    pub url: Option<String>,
    /// The status and the payout at that time.
    pub detail: Option<Text>,
    pub is_test: bool,
}

impl Subject {
    /// The conversion, the click, or the event with its own name; the ids if the event was deleted.
    pub fn of(delivery: &Delivery, event: Option<&Event>) -> Self {
        let plain_subject = |name: Text, url| Self { name, url, detail: None, is_test: false };
        let conversion_url = delivery.conversion_id.map(|id| format!("/conversions/{id}"));
        let Some(event) = event else {
            let id = delivery.conversion_id.map_or_else(|| delivery.event_id.to_string(), |id| id.to_string());
            return plain_subject(plain(id), conversion_url);
        };
        let Some(conversion) = &event.facts.conversion else {
            let name = if event.action == Action::Impression { "log.impression" } else { "log.click" };
            return plain_subject(text(name), event.click_id.map(|id| format!("/clicks/{id}")));
        };
        let status = text(&format!("status.{}", conversion.status.word()));
        let detail = match (&event.facts.name, conversion.payout) {
            (Some(name), _) => text("log.event_named").with("name", name),
            (None, Some(payout)) => text("log.status_and_payout").inner("status", status).money("payout", payout),
            (None, None) => status,
        };
        let name = plain(&conversion.transaction_id);
        Self { name, url: conversion_url, detail: Some(detail), is_test: conversion.test }
    }
}

/// The answer to an attempt.
#[derive(Debug, Serialize)]
pub struct Answer {
    pub kind: &'static str,
    /// The HTTP status, or the code of the error.
    pub code: String,
}

impl Answer {
    pub fn new(outcome: AttemptOutcome, status: Option<i32>, error_code: Option<&str>) -> Self {
        let status = status.map(|status| status.to_string());
        Self {
            kind: if outcome == AttemptOutcome::Accepted { "ok" } else { "bad" },
            code: status.or_else(|| error_code.map(str::to_owned)).unwrap_or_else(|| "–".to_owned()),
        }
    }
}

/// A count that is not negative.
pub fn count(number: i32) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

impl Row {
    pub fn new(row: &LogRow, names: &PostbackNames, now: Timestamp) -> Self {
        let LogRow { delivery, event, last_attempt } = row;
        let is_pending = delivery.state == DeliveryState::Pending;
        let reason = match &delivery.reason {
            _ if delivery.in_flight(now) => Some(text("log.in_flight")),
            Some(reason) => Some(plain(as_sentence(&reason.sentence))),
            None => None,
        };
        let answer = |it: &AttemptSummary| Answer::new(it.outcome, it.status, it.error_code.as_deref());
        let attempts = count(delivery.attempts);
        Self {
            id: delivery.id.to_string(),
            at: delivery.created_at,
            postback: names.of(delivery.postback_id),
            subject: Subject::of(delivery, event.as_ref()),
            status: delivery.state.into(),
            reason,
            answer: last_attempt.as_ref().map(answer),
            attempts: (attempts > 0).then(|| text("log.attempts").count("count", attempts)),
            duration_ms: last_attempt.as_ref().map(|it| count(it.duration_ms)),
            next_at: (is_pending && !delivery.in_flight(now)).then_some(delivery.due_at),
        }
    }

    pub fn is_retryable(row: &LogRow) -> bool {
        matches!(row.delivery.state, DeliveryState::Failed | DeliveryState::Cancelled)
    }

    #[cfg(test)]
    pub fn samples() -> Vec<Self> {
        let row = |state: DeliveryState, is_full: bool| Self {
            id: "dlv_06a5xk2m7q8r9stvwxyz012345".into(),
            at: Timestamp::from_millis(0),
            postback: "Voluum <b>".into(),
            subject: Subject {
                name: plain("HM-<b>"),
                url: is_full.then(|| "/conversions/cnv_1".into()),
                detail: is_full.then(|| text("log.event_named").with("name", "<b>")),
                is_test: !is_full,
            },
            status: state.into(),
            reason: is_full.then(|| plain("answered <b>")),
            answer: is_full.then(|| Answer::new(AttemptOutcome::Retry, Some(503), None)),
            attempts: is_full.then(|| text("log.attempts").count("count", 3)),
            duration_ms: is_full.then_some(1_284),
            next_at: is_full.then(|| Timestamp::from_millis(1)),
        };
        vec![row(DeliveryState::Pending, true), row(DeliveryState::Success, false)]
    }
}
